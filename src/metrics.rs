//! What operators measure, in the text Prometheus reads.
//!
//! Counters and histograms are counted where things happen, with an atomic or two; a viewer costs nothing by being told
//! something, only a batch of viewers does. Gauges say how things stand, so they are set when metrics are read.
//!
//! Names and labels hold no number, name or id of anybody.

mod process;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::call::Status;
use process::Process;

/// Upper bounds in seconds: a popup takes about a millisecond, RingCentral waits three seconds.
const LATENCIES: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0];

/// What a webhook whose body was read is answered with, and one whose body was not.
const READ_STATUSES: [u16; 2] = [200, 503];
const UNREAD_STATUSES: [u16; 5] = [400, 401, 403, 413, 429];
/// What RingCentral answers, in classes.
const RINGCENTRAL_STATUSES: [&str; 7] = ["none", "401", "403", "429", "2xx", "5xx", "other"];
/// What may be wrong about who asks.
const CREDENTIALS: [&str; 4] = ["bearer", "session", "ticket", "sign_in"];

/// A number that is no whole one.
type Measure = Gauge<f64, AtomicU64>;

/// Everything that is measured, made once and shared.
pub struct Metrics {
    registry: Registry,
    started: Instant,
    process: Process,

    /// From a notification's last byte to its facts on disk.
    pub webhook_stored: Histogram,
    /// From the same to the sockets of all viewers of a writer; one observation for each writer that has viewers.
    pub webhook_pushed: Histogram,
    webhooks: Family<WebhookLabels, Counter>,

    /// How long the customer database took to say who calls, also when the popup no longer waited.
    pub lookup: Histogram,
    /// Lookups the first popup did not wait for.
    pub lookups_late: Counter,

    /// Streams that were opened, reconnections included.
    pub streams: Counter,
    /// Changes that were handed to viewers.
    pub deliveries: Counter,
    /// Viewers who had fallen so far behind that they were sent a snapshot.
    pub resyncs: Counter,
    /// Viewers whose line took nothing for so long that it was closed.
    pub stalled: Counter,

    /// From a change of `active_calls`, by any writer, until the change stream reported it.
    pub change_lag: Histogram,

    ringcentral: Family<StatusLabel, Counter>,
    credentials_refused: Family<CredentialLabel, Counter>,
    set_aside: Counter,

    viewers: Gauge,
    active_calls: Family<StatusLabel, Gauge>,
    store_up: Gauge,
    store_follows: Gauge,
    customer_index_complete: Gauge,
    spooled: Gauge,
    held: Gauge,
    data_dir_lost: Gauge,
    subscription_expected: Gauge,
    subscription_active: Gauge,
    subscription_expires: Measure,
    last_event_age: Measure,
}

/// Gauges, as of the moment they are read.
#[derive(Default)]
pub struct GaugeSnapshot {
    /// Viewers who listen.
    pub viewers: usize,
    /// The status of each call that goes on.
    pub active_calls: Vec<Status>,
    /// The store answered the last time it was asked, and calls can be written.
    pub store_up: bool,
    /// It tells what other programs and instances change at once.
    pub store_follows: bool,
    /// The index of customers' numbers holds all of them.
    pub customer_index_complete: bool,
    /// Facts that wait for the database.
    pub spooled: usize,
    /// Facts that no disk takes, held in memory.
    pub held: usize,
    /// `DATA_DIR` was removed or replaced while the program runs.
    pub data_dir_lost: bool,
    /// Documents of other programs that were set aside since the start.
    pub set_aside: u64,
    /// Whether RingCentral delivers, and until when in Unix seconds; `None` without credentials.
    pub subscription: Option<(bool, Option<i64>)>,
    /// How long ago RingCentral told anything; `None` when never since the start.
    pub last_event_age: Option<Duration>,
}

/// The kind of body a webhook carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    /// Turned away before its body was read, or not JSON.
    Unread,
    Handshake,
    /// The flat presence body of the setup guide.
    Guide,
    Presence,
    Telephony,
    Reminder,
    /// Known and of no use here, such as a text message.
    Other,
    /// Recorded by its shape.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    kind: Kind,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CredentialLabel {
    credential: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

impl Metrics {
    /// Counts a webhook by what it was and the status it was answered with.
    pub fn webhook(&self, kind: Kind, status: u16) {
        self.webhooks.get_or_create(&WebhookLabels { kind, status }).inc();
    }

    /// Counts a wrong credential by its kind.
    pub fn credential_refused(&self, credential: &'static str) {
        self.credentials_refused.get_or_create(&CredentialLabel { credential }).inc();
    }

    /// Counts a request to RingCentral by the status of its answer; `None` when there was none.
    pub fn ringcentral_request(&self, status: Option<u16>) {
        let status = match status {
            None => "none",
            Some(401) => "401",
            Some(403) => "403",
            Some(429) => "429",
            Some(200..=299) => "2xx",
            Some(500..) => "5xx",
            Some(_) => "other",
        };
        self.ringcentral.get_or_create(&StatusLabel { status }).inc();
    }

    /// Since the start.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Everything, with the gauges as of `now`.
    pub fn text(&self, now: &GaugeSnapshot) -> String {
        self.viewers.set(now.viewers as i64);
        let going_on =
            [Status::Setup, Status::Ringing, Status::Connected, Status::OnHold, Status::Parked, Status::Voicemail];
        for status in going_on {
            let count = now.active_calls.iter().filter(|one| **one == status).count();
            self.active_calls.get_or_create(&StatusLabel { status: status.as_str() }).set(count as i64);
        }
        self.store_up.set(now.store_up.into());
        self.store_follows.set(now.store_follows.into());
        self.customer_index_complete.set(now.customer_index_complete.into());
        self.spooled.set(now.spooled as i64);
        self.held.set(now.held as i64);
        self.set_aside.inner().fetch_max(now.set_aside, Ordering::Relaxed);
        self.data_dir_lost.set(now.data_dir_lost.into());
        self.subscription_expected.set(now.subscription.is_some().into());
        let (active, expires) = now.subscription.unwrap_or((false, None));
        self.subscription_active.set(active.into());
        self.subscription_expires.set(expires.unwrap_or(0) as f64);
        let age = now.last_event_age.unwrap_or_else(|| self.uptime());
        self.last_event_age.set(age.as_secs_f64());
        self.process.look();
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a String takes every text");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let latency = || Histogram::new(LATENCIES);
        let mut metrics = Self {
            registry: Registry::default(),
            started: Instant::now(),
            process: Process::default(),
            webhook_stored: latency(),
            webhook_pushed: latency(),
            webhooks: Family::default(),
            lookup: latency(),
            lookups_late: Counter::default(),
            streams: Counter::default(),
            deliveries: Counter::default(),
            resyncs: Counter::default(),
            stalled: Counter::default(),
            change_lag: latency(),
            ringcentral: Family::default(),
            credentials_refused: Family::default(),
            set_aside: Counter::default(),
            viewers: Gauge::default(),
            active_calls: Family::default(),
            store_up: Gauge::default(),
            store_follows: Gauge::default(),
            customer_index_complete: Gauge::default(),
            spooled: Gauge::default(),
            held: Gauge::default(),
            data_dir_lost: Gauge::default(),
            subscription_expected: Gauge::default(),
            subscription_active: Gauge::default(),
            subscription_expires: Measure::default(),
            last_event_age: Measure::default(),
        };
        metrics.register();
        metrics.begin_at_zero();
        metrics
    }
}

impl Metrics {
    /// A counter that appears with its first event has no increase then, and an alert on it misses that event.
    fn begin_at_zero(&self) {
        let read = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Unread);
        let read = read.flat_map(|kind| READ_STATUSES.map(|status| WebhookLabels { kind, status }));
        let unread = UNREAD_STATUSES.map(|status| WebhookLabels { kind: Kind::Unread, status });
        read.chain(unread).for_each(|labels| drop(self.webhooks.get_or_create(&labels)));
        for status in RINGCENTRAL_STATUSES {
            drop(self.ringcentral.get_or_create(&StatusLabel { status }));
        }
        for credential in CREDENTIALS {
            drop(self.credentials_refused.get_or_create(&CredentialLabel { credential }));
        }
    }

    fn register(&mut self) {
        self.process.register(&mut self.registry);
        let ours = self.registry.sub_registry_with_prefix("caller_popup");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        ours.register("build", "The program that runs", version);

        let mut seconds = |name, help, metric: &Histogram| {
            ours.register_with_unit(name, help, Unit::Seconds, metric.clone());
        };
        seconds("webhook_stored", "From a notification to its facts on disk", &self.webhook_stored);
        seconds("webhook_pushed", "From a notification to the sockets of a writer's viewers", &self.webhook_pushed);
        seconds("change_stream_lag", "From a change in MongoDB until its change stream told it", &self.change_lag);
        seconds("customer_lookup", "How long the customer database took", &self.lookup);

        let mut count = |name, help, metric: &Counter| ours.register(name, help, metric.clone());
        count("customer_lookups_late", "Lookups the first popup did not wait for", &self.lookups_late);
        count("streams", "Streams opened, reconnections included", &self.streams);
        count("deliveries", "Changes handed to viewers", &self.deliveries);
        count("resyncs", "Viewers who fell behind and were told everything anew", &self.resyncs);
        count("stalled_viewers", "Viewers closed because their line took nothing", &self.stalled);
        let help = "Documents in active_calls that cannot be calls or cannot be written to";
        count("documents_set_aside", help, &self.set_aside);
        ours.register("webhooks", "Webhooks by kind of body and status answered", self.webhooks.clone());
        let requests = self.ringcentral.clone();
        ours.register("ringcentral_requests", "Requests to RingCentral by status, none without an answer", requests);
        let refused = self.credentials_refused.clone();
        ours.register("credentials_refused", "Wrong tokens, tickets and sign-ins, by kind", refused);

        let mut gauge = |name, help, metric: &Gauge| ours.register(name, help, metric.clone());
        gauge("viewers", "Open streams", &self.viewers);
        gauge("store_up", "1 while the database answers and calls can be written", &self.store_up);
        gauge("store_follows", "1 while MongoDB tells at once what others change", &self.store_follows);
        gauge(
            "customer_index_complete",
            "1 while the index of customers' numbers holds all of them",
            &self.customer_index_complete,
        );
        gauge("spooled", "Facts on disk that wait for the database", &self.spooled);
        gauge("held", "Facts that no disk takes, held in memory until there is room", &self.held);
        gauge("data_dir_lost", "1 when DATA_DIR was removed or replaced while the program runs", &self.data_dir_lost);
        gauge(
            "subscription_expected",
            "1 where there are credentials to keep a subscription",
            &self.subscription_expected,
        );
        gauge("subscription_active", "1 while RingCentral delivers to us", &self.subscription_active);
        ours.register("active_calls", "Calls that go on, by status", self.active_calls.clone());
        let expires = self.subscription_expires.clone();
        let help = "Unix time at which the subscription ends, 0 while unknown";
        ours.register_with_unit("subscription_expires_timestamp", help, Unit::Seconds, expires);
        let help = "Since RingCentral told anything, or since the start";
        ours.register_with_unit("last_event_age", help, Unit::Seconds, self.last_event_age.clone());
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Unread,
        Self::Handshake,
        Self::Guide,
        Self::Presence,
        Self::Telephony,
        Self::Reminder,
        Self::Other,
        Self::Unknown,
    ];
}

impl EncodeLabelValue for Kind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let word = match self {
            Self::Unread => "unread",
            Self::Handshake => "handshake",
            Self::Guide => "guide",
            Self::Presence => "presence",
            Self::Telephony => "telephony",
            Self::Reminder => "reminder",
            Self::Other => "other",
            Self::Unknown => "unknown",
        };
        word.encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_stands_in_the_text() {
        let metrics = Metrics::default();
        metrics.webhook(Kind::Telephony, 200);
        metrics.webhook(Kind::Unread, 401);
        metrics.ringcentral_request(Some(429));
        metrics.webhook_stored.observe(0.0007);
        let text = metrics.text(&GaugeSnapshot {
            viewers: 3,
            active_calls: vec![Status::Ringing, Status::Ringing],
            store_up: true,
            store_follows: false,
            customer_index_complete: true,
            spooled: 0,
            held: 0,
            data_dir_lost: false,
            set_aside: 2,
            subscription: Some((true, Some(1_800_000_000))),
            last_event_age: Some(Duration::from_millis(1_500)),
        });
        for line in [
            "caller_popup_webhooks_total{kind=\"telephony\",status=\"200\"} 1",
            "caller_popup_webhooks_total{kind=\"unread\",status=\"401\"} 1",
            "caller_popup_ringcentral_requests_total{status=\"429\"} 1",
            "caller_popup_webhook_stored_seconds_bucket{le=\"0.0005\"} 0",
            "caller_popup_webhook_stored_seconds_bucket{le=\"0.001\"} 1",
            "caller_popup_webhooks_total{kind=\"guide\",status=\"503\"} 0",
            "caller_popup_ringcentral_requests_total{status=\"none\"} 0",
            "caller_popup_credentials_refused_total{credential=\"bearer\"} 0",
            "caller_popup_data_dir_lost 0",
            "caller_popup_documents_set_aside_total 2",
            "caller_popup_viewers 3",
            "caller_popup_active_calls{status=\"ringing\"} 2",
            "caller_popup_active_calls{status=\"connected\"} 0",
            "caller_popup_store_up 1",
            "caller_popup_last_event_age_seconds 1.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
