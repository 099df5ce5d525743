//! The service: notifications are applied to calls, calls are stored and published.
//!
//! [`App`] builds its parts from the store, the hub and the settings (`Core`) and is what the rest of the program calls. Each part
//! owns its locks and gets what it needs in its constructor, so calls go one way:
//!
//! ```text
//! App ─┬─ integration ─┬─ ingest ── caller_lookup, presence, outage (held, unwritten), erasures, session_locks
//!      │               └─ webhook_auth ── outage
//!      ├─ sync ────────┬─ ingest
//!      │               └─ replay ── dismissals, outage, erasures, session_locks
//!      └─ customer_changes ── ingest
//! ```

mod audit;
mod caller_lookup;
mod customer_changes;
mod customers;
mod data_dir;
mod dismissals;
mod erasing;
mod erasures;
mod held;
mod ingest;
mod integration;
mod outage;
mod presence;
mod replay;
mod session_locks;
mod status;
mod sync;
mod unwritten;
mod webhook_auth;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Context;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use crate::call::{CallEvent, CallEventKind};
use crate::config::Config;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::phone::PhoneNumber;
use crate::ringcentral::Client;
use crate::ringcentral::directory::Directory;
use crate::ringcentral::notification::{Notification, NotificationKind};
use crate::ringcentral::subscription::State;
use crate::store::{HistoryPage, HistoryQuery, Spool, Store, StoreError, sources};
use crate::viewer::Viewer;

pub use audit::{AuditPage, UnmatchableNumber, audit};
use customer_changes::CustomerChanges;
use data_dir::DataDir;
use dismissals::Dismissals;
use erasures::ErasureFilter;
use ingest::Ingest;
pub use integration::Integration;
use outage::Outage;
use replay::Replay;
use session_locks::SessionLocks;
pub use status::ServiceStatus;
use status::StatusTracker;
use sync::Sync;
use webhook_auth::WebhookAuth;
pub use webhook_auth::known_verification;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What every part uses.
struct Core {
    config: Config,
    store: Store,
    hub: Hub,
    metrics: Arc<Metrics>,
    status: StatusTracker,
}

struct Parts {
    core: Arc<Core>,
    locks: Arc<SessionLocks>,
    outage: Arc<Outage>,
    erasures: Arc<ErasureFilter>,
    dismissals: Arc<Dismissals>,
    replay: Arc<Replay>,
    ingest: Ingest,
    sync: Sync,
    customers: CustomerChanges,
    data_dir: DataDir,
    webhook_auth: Arc<WebhookAuth>,
    /// With credentials of RingCentral only.
    integration: Option<Integration>,
}

impl App {
    /// A service on an open store that knows the calls in it.
    pub async fn start(config: Config, store: Store) -> anyhow::Result<Self> {
        // The phone library unpacks its tables at the first number, and that must not be a caller's.
        let _ = PhoneNumber::parse("+14165550100", config.region).map(|number| number.display(config.region));
        let spool = open_spool(&config).await?;
        let app = Self::of_parts(config, store, spool)?;
        app.0.replay.show().await.context("reading the spool in DATA_DIR")?;
        app.connect_store().await?;
        app.0.customers.rebuild_phone_keys();
        Ok(app)
    }

    /// For a command beside a running service, which alone replays the spool.
    pub async fn start_beside(config: Config, store: Store) -> anyhow::Result<Self> {
        let spool = open_spool(&config).await?;
        let app = Self::of_parts(config, store, spool)?;
        let first = async {
            app.store().prepare().await?;
            app.0.webhook_auth.load().await
        };
        let known = first.await.map_err(|cause| anyhow::anyhow!("the store cannot be used: {}", cause.in_words()))?;
        app.0.webhook_auth.expect(known).await.context("writing the spool in DATA_DIR")?;
        Ok(app)
    }

    fn of_parts(config: Config, store: Store, spool: Option<Spool>) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::default());
        let account = match config.ringcentral.credentials {
            Some(_) => {
                let client = Client::counted(&config.ringcentral, metrics.clone());
                Some((client.context("preparing to ask RingCentral")?, Directory::default()))
            }
            None => None,
        };
        let hub = Hub::new(metrics.clone());
        let status = StatusTracker::new(hub.clone());
        let locks = Arc::new(SessionLocks::new(hub.clone()));
        let data_dir = DataDir::new(&config);
        let core = Arc::new(Core { config, store, hub, metrics, status });
        let outage = Arc::new(Outage::new(spool));
        let erasures = Arc::new(ErasureFilter::new(core.clone(), outage.clone()));
        let dismissals = Arc::new(Dismissals::new(core.clone(), locks.clone(), outage.clone()));
        let directory = account.as_ref().map(|(_, directory)| directory.clone());
        let ingest = Ingest::new(core.clone(), locks.clone(), outage.clone(), erasures.clone(), directory);
        let replay = Replay::new(core.clone(), locks.clone(), outage.clone(), erasures.clone(), dismissals.clone());
        let replay = Arc::new(replay);
        let missed = Arc::new(Notify::new());
        let sync = Sync {
            core: core.clone(),
            locks: locks.clone(),
            outage: outage.clone(),
            erasures: erasures.clone(),
            dismissals: dismissals.clone(),
            replay: replay.clone(),
            ingest: ingest.clone(),
            recovered: missed.clone(),
            prepared: AtomicBool::new(false),
        };
        let customers = CustomerChanges { core: core.clone(), ingest: ingest.clone() };
        let webhook_auth = Arc::new(WebhookAuth::new(core.clone(), outage.clone()));
        let integration = account
            .map(|account| Integration::new(core.clone(), ingest.clone(), webhook_auth.clone(), account, missed));
        Ok(Self(Arc::new(Parts {
            core,
            locks,
            outage,
            erasures,
            dismissals,
            replay,
            ingest,
            sync,
            customers,
            data_dir,
            webhook_auth,
            integration,
        })))
    }

    /// The first look at the store. Settings that are wrong stop the start; a database that does not answer now may answer soon, and
    /// calls must not wait for it.
    async fn connect_store(&self) -> anyhow::Result<()> {
        let auth = &self.0.webhook_auth;
        let first = async {
            self.0.sync.replay_and_refresh().await?;
            // Before anything is delivered: it is made here where there is none.
            auth.load().await
        };
        let first = tokio::select! {
            first = first => first,
            cause = self.0.sync.store_hangs() => Err(cause),
        };
        let cause = match first {
            Ok(known) => return auth.expect(known).await.context("writing the spool in DATA_DIR"),
            Err(cause) => cause,
        };
        let remembered = auth.remembered().await?;
        if remembered.is_none() && !cause.may_pass() {
            anyhow::bail!("the store cannot be used: {}", cause.in_words());
        }
        self.0.core.status.mark_store_down(&cause);
        match remembered {
            Some(tokens) => auth.expect_remembered(tokens),
            None => auth.expect_unknown(),
        }
        Ok(())
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.core.config
    }

    /// Where calls are kept.
    pub fn store(&self) -> &Store {
        &self.0.core.store
    }

    /// The live calls, and the log that viewers read.
    pub fn hub(&self) -> &Hub {
        &self.0.core.hub
    }

    /// What is measured.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.core.metrics
    }

    /// The connection to the RingCentral account, with credentials.
    pub fn integration(&self) -> Option<&Integration> {
        self.0.integration.as_ref()
    }

    /// What MongoDB cannot take now; none beside the embedded store.
    pub fn spool(&self) -> Option<&Spool> {
        self.0.outage.spool()
    }

    /// How many events wait for the database.
    pub fn spooled(&self) -> usize {
        self.0.outage.depth()
    }

    /// How many events no disk takes.
    pub fn held(&self) -> usize {
        self.0.outage.held.count()
    }

    /// Whether anything in `active_calls`, or a call of ours, is set aside.
    pub fn sets_aside(&self) -> bool {
        self.store().set_aside().0 > 0 || self.0.outage.unwritten.count() > 0
    }

    /// Looks whether the files in `DATA_DIR` are still those that are written.
    pub fn check_data_dir(&self) {
        self.0.data_dir.check();
    }

    /// Whether `DATA_DIR` was removed or replaced since the start.
    pub fn has_lost_data_dir(&self) -> bool {
        self.0.data_dir.is_lost()
    }

    /// Says that the service is about to end.
    pub fn retire(&self) {
        self.0.core.status.update(|status| status.retires = true);
    }

    /// How the service is doing.
    pub fn status(&self) -> ServiceStatus {
        self.0.core.status.read()
    }

    /// Takes in a notification that arrived at `heard`. When this returns `Ok`, what it said is on disk and on its way to
    /// viewers.
    pub async fn ingest(&self, notification: Notification, heard: Instant) -> Result<(), StoreError> {
        let ingest = &self.0.ingest;
        self.0.core.status.update(|status| status.last_event_at = Some(Utc::now()));
        match notification.kind {
            NotificationKind::Calls(events) => ingest.ingest_events(events, heard).await?,
            NotificationKind::Presence(events, snapshot) => ingest.ingest_presence(events, snapshot, heard).await?,
            NotificationKind::RenewalReminder => {
                info!("RingCentral asks to renew the subscription");
                self.integration().into_iter().for_each(Integration::remind);
            }
            NotificationKind::Known(kind) => debug!(kind, "a notification without calls"),
            NotificationKind::Other(shape) => {
                // A field's name can be a person's, so only those who may read the store see it.
                debug!("a notification of an unknown kind is recorded in notification_shapes");
                ingest.record_shape(&shape).await;
            }
        }
        if let Some(shape) = notification.unread {
            debug!("a notification that could be read in part is recorded in notification_shapes");
            ingest.record_shape(&shape).await;
        }
        Ok(())
    }

    /// A viewer dismisses a call, on all of their screens. `false` when there is no such call for them.
    pub async fn dismiss(&self, id: &str, viewer: &Viewer) -> Result<bool, StoreError> {
        match self.0.sync.find(id).await?.filter(|call| viewer.can_read(call)) {
            Some(call) => self.0.dismissals.dismiss(&call, viewer).await,
            None => Ok(false),
        }
    }

    /// Ended calls, newest first.
    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, StoreError> {
        self.store().history(query).await
    }

    /// Ends calls that are over or went silent, as of `now`.
    pub async fn sweep(&self, now: DateTime<Utc>) {
        for call in self.hub().calls().into_iter().filter(|call| call.is_due(now)) {
            let tick = CallEvent { session_id: call.session_id.clone(), heard_at: now, kind: CallEventKind::Tick };
            if let Err(cause) = self.0.ingest.apply_events(vec![tick]).await {
                // It ended in memory, and why it could not be stored is in the log.
                if self.0.core.status.disk_fails() {
                    continue;
                }
                warn!(error = %cause, error.sources = sources(&cause), "a call could not be ended");
                return;
            }
        }
    }

    /// Reads `active_calls` once, for what other programs and instances wrote.
    pub async fn poll(&self) {
        let status = &self.0.core.status;
        let was_down = status.store_is_down();
        self.0.sync.poll().await;
        if was_down && !status.store_is_down() {
            // What deliveries must carry may have changed meanwhile, or was never known.
            self.0.webhook_auth.ask_for_tokens().await;
        }
    }

    /// Follows what others write to `active_calls` as it happens, for ever. Where the database cannot do that, and while it
    /// does not, the poll finds out a little later.
    pub async fn follow_changes(&self) {
        self.0.sync.follow_changes().await;
    }

    /// Keeps the index of customers' numbers, for ever.
    pub async fn keep_number_index(&self) {
        self.0.customers.keep_number_index().await;
    }

    /// Follows the customers, for ever.
    pub async fn follow_customers(&self) {
        self.0.customers.follow_customers().await;
    }

    /// Keeps the subscription, the directory and the calls in line with RingCentral, for ever; without credentials there is
    /// nothing to do.
    pub async fn run_integration(&self) {
        match self.integration() {
            Some(integration) => integration.run().await,
            None => std::future::pending().await,
        }
    }

    /// Looks after the subscription once; of several instances one changes it and the others only inspect it.
    pub async fn tend_subscription(&self) -> State {
        match self.integration() {
            Some(integration) => integration.tend_subscription().await,
            None => State::Unknown,
        }
    }

    /// Whether a handshake may be RingCentral's: a subscription of ours is being created or renewed.
    pub async fn expects_handshake(&self) -> bool {
        match self.integration() {
            Some(integration) => integration.expects_handshake().await,
            None => false,
        }
    }

    /// A delivery was refused for its token.
    pub fn note_refusal(&self) {
        self.0.core.status.update(|status| {
            status.refused += 1;
            status.refused_at = Some(Utc::now());
        });
    }
}

/// The spool, where the store is one that may be away.
async fn open_spool(config: &Config) -> anyhow::Result<Option<Spool>> {
    if config.mongodb.is_none() {
        return Ok(None);
    }
    Spool::open(&config.data_dir).await.map(Some).context("opening the spool in DATA_DIR")
}

/// An event of a session that happens now.
fn event(session_id: &str, kind: CallEventKind) -> CallEvent {
    CallEvent { session_id: session_id.to_owned(), heard_at: Utc::now(), kind }
}

/// A call's id for the log. One that another program chose may be a person's number or name.
fn log_name(id: &str) -> &str {
    let opaque = matches!(id.len(), 24 | 36) && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if opaque { id } else { "chosen by another program" }
}

#[cfg(test)]
mod tests;
