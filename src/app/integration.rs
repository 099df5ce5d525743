//! The way back to RingCentral, where there are credentials: the subscription, the directory, and what was missed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::sync::{Mutex, Notify};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::App;
use crate::call::{CallEvent, CallEventKind, Direction, PartyState, PartyUpdate, millis};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::phone::PhoneNumber;
use crate::ringcentral::directory::{Directory, ExtensionKind as Answers};
use crate::ringcentral::notification::{Notification, NotificationKind};
use crate::ringcentral::subscription::{
    State, SubscriptionReconciler, SubscriptionState, WebhookSecret, keep, webhook_address,
};
use crate::ringcentral::{Client, Error};
use crate::store::{Store, StoreError};

/// Under this name the store keeps the verification token, for the next run and for other instances.
const VERIFICATION: &str = "verification";
/// Under this name the store keeps until when, in Unix milliseconds, RingCentral may send the handshake of a subscription
/// that is being created. It may come to any instance.
const HANDSHAKE: &str = "handshake_until";
/// RingCentral waits three seconds for the handshake's answer, and we half a minute for RingCentral's.
const HANDSHAKE_TIME: TimeDelta = TimeDelta::seconds(40);
/// However many handshakes come, the store is asked this often whether one is expected.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Of several instances one at a time puts the subscription right. Longer than that takes, and short enough that a program
/// started again after a crash, when the subscription may be blacklisted, does not wait long for its own ghost.
const LEASE: TimeDelta = TimeDelta::minutes(1);
/// How often the calls we know are compared with the account's presence; one heavy request of the ten a minute.
const COMPARE_EVERY: Duration = Duration::from_secs(600);
/// A call we heard of so shortly before the comparison may not be in the answer yet.
const SETTLED: TimeDelta = TimeDelta::seconds(10);

/// RingCentral as the service reaches it.
pub struct Integration {
    client: Client,
    directory: Directory,
    /// Made at the first look.
    reconciler: Mutex<Option<SubscriptionReconciler>>,
    state: StdMutex<Option<SubscriptionState>>,
    reminded: Notify,
    missed: Notify,
    /// Tells this instance from others that share the database.
    instance: String,
    /// What the store last said about a handshake, and when.
    handshake: Mutex<Option<(Instant, bool)>>,
}

impl Integration {
    /// The integration, where the settings hold credentials.
    pub fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Option<Self>, Error> {
        if config.ringcentral.credentials.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            client: Client::counted(&config.ringcentral, metrics)?,
            directory: Directory::default(),
            reconciler: Mutex::default(),
            state: StdMutex::default(),
            reminded: Notify::new(),
            missed: Notify::new(),
            instance: format!("{:032x}", rand::random::<u128>()),
            handshake: Mutex::default(),
        }))
    }

    /// RingCentral's API.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Who is in the account.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What was last found out of the subscription.
    pub fn subscription(&self) -> Option<SubscriptionState> {
        self.state.lock().expect("nobody panics while holding the state").clone()
    }

    /// RingCentral asks to renew, so look now.
    pub fn remind(&self) {
        self.reminded.notify_one();
    }

    /// Something may have been missed, so compare soon.
    pub fn compare_soon(&self) {
        self.missed.notify_one();
    }

    /// Adds what only the account knows: whose number this is, what answers there, an agent's name.
    pub fn enrich(&self, leg: &mut PartyUpdate, config: &Config) {
        let caller = leg.from.number.as_deref().and_then(|number| PhoneNumber::parse(number, config.region));
        leg.ours |= leg.direction == Direction::Inbound && caller.is_some_and(|number| self.directory.is_ours(&number));
        let Some(extension) = &mut leg.extension else { return };
        let Some(entry) = self.directory.extension(&extension.extension_id) else { return };
        extension.name = extension.name.take().or(entry.name);
        // Menus and queues have extension ids too; nobody's phone rings there, and nobody answers.
        if matches!(entry.kind, Answers::ScenarioList | Answers::Queue)
            && matches!(leg.state, PartyState::Ringing | PartyState::Connected)
        {
            leg.state = PartyState::Setup;
        }
    }
}

impl App {
    /// Keeps the subscription, the directory and the calls in line with RingCentral, for ever; without credentials there
    /// is nothing to do.
    pub async fn run_integration(&self) {
        let Some(integration) = self.integration() else { return std::future::pending().await };
        let subscription = async {
            if self.config().public_url.is_some() {
                keep(async || self.tend_subscription().await, &integration.reminded).await;
            }
        };
        let comparison = async {
            loop {
                self.compare(Utc::now()).await;
                tokio::select! {
                    () = sleep(COMPARE_EVERY) => {}
                    () = integration.missed.notified() => {}
                }
            }
        };
        tokio::join!(
            integration.directory.clone().keep(integration.client.clone(), self.config().region),
            subscription,
            comparison
        );
    }

    /// Looks after the subscription once; of several instances one changes it and the others look on.
    pub async fn tend_subscription(&self) -> State {
        let Some((integration, public_url)) = self.integration().zip(self.config().public_url.as_ref()) else {
            return State::Unknown;
        };
        let now = Utc::now();
        let prepared = async {
            let ours = self.store().lease("subscription", &integration.instance, now, now + LEASE).await?;
            Ok::<_, StoreError>((ours, own_verification(self.config(), self.store()).await?))
        };
        let (ours, known) = match prepared.await {
            Ok(prepared) => prepared,
            Err(cause) => {
                warn!(error = &cause as &dyn std::error::Error, "the subscription waits for the store");
                return State::Unknown;
            }
        };
        let mut reconciler = integration.reconciler.lock().await;
        let reconciler = reconciler.get_or_insert_with(|| {
            let account = &self.config().ringcentral.account_id;
            SubscriptionReconciler::new(
                integration.client.clone(),
                webhook_address(public_url),
                account,
                WebhookSecret::of(None, None),
            )
        });
        if let Some(known) = known {
            reconciler.set_secret(known.clone());
            // Another instance may have replaced the token.
            self.learn_tokens(known).await;
        }
        let state = if ours {
            let handshake = AtomicBool::new(false);
            let save = async |verification: &WebhookSecret| {
                self.note_handshake(Utc::now() + HANDSHAKE_TIME).await.context("storing that a handshake may come")?;
                handshake.store(true, Ordering::Release);
                let text = serde_json::to_string(verification).context("writing the verification token")?;
                self.store().set_setting(VERIFICATION, &text).await.context("storing the verification token")?;
                self.expect(Some(verification.clone())).await.context("remembering the verification token")
            };
            let state = reconciler.reconcile(now, &integration.directory.user_ids(), save).await;
            if handshake.into_inner() {
                // Should this fail, it is over by itself soon.
                let _ = self.note_handshake(DateTime::UNIX_EPOCH).await;
            }
            state
        } else {
            reconciler.inspect(now).await
        };
        self.note_subscription(integration, state)
    }

    fn note_subscription(&self, integration: &Integration, state: SubscriptionState) -> State {
        let now = state.state;
        let before = integration.state.lock().expect("nobody panics while holding the state").replace(state.clone());
        let before = before.map(|before| before.state);
        if before != Some(now) {
            match (now, &state.detail) {
                (State::Active, _) => {
                    info!(expires_at = state.expires_at.as_ref().map(millis::format), "RingCentral delivers")
                }
                (_, detail) => warn!(state = ?now, detail, "RingCentral does not deliver"),
            }
            // Whatever happened while nothing was delivered has to be asked for.
            if now == State::Active && before.is_some() {
                integration.compare_soon();
            }
        }
        now
    }

    /// Compares the calls we know with the account's presence: adds those nobody told us of, ends those that are gone.
    pub async fn compare(&self, now: DateTime<Utc>) {
        let Some(integration) = self.integration() else { return };
        match self.compare_with(integration, now).await {
            Ok((added, ended)) if added + ended > 0 => info!(added, ended, "calls were missed and are mended"),
            Ok(_) => {}
            Err(cause) => warn!(error = %cause, "calls could not be compared with RingCentral"),
        }
    }

    async fn compare_with(&self, integration: &Integration, now: DateTime<Utc>) -> anyhow::Result<(usize, usize)> {
        let mut listed = Vec::new();
        for mut body in integration.client.account_presence().await? {
            // Any notification of presence that follows is newer, and a negative sequence never starts over.
            body["sequence"] = json!(-1);
            let notification = json!({ "event": "/restapi/v1.0/account/~/presence", "body": body });
            let text = notification.to_string();
            if let Ok(Notification { kind: NotificationKind::Presence(events, _), .. }) =
                Notification::parse(text.as_bytes(), now, self.config().region)
            {
                listed.extend(events);
            }
        }
        let mut added = 0;
        for event in &listed {
            if self.hub().call_of_session(&event.session_id).is_none() && is_live(event) && event.can_begin_a_call() {
                self.ingest_events(vec![event.clone()], Instant::now()).await?;
                added += 1;
            }
        }
        let mut ended = 0;
        for call in self.hub().calls() {
            let told = !call.facts.parties.is_empty() && now - call.facts.heard_at > SETTLED;
            let listed = listed.iter().any(|event| event.session_id == call.session_id && is_live(event));
            if told && !listed && self.is_gone(integration, &call).await? {
                let gone = CallEvent { session_id: call.session_id.clone(), heard_at: now, kind: CallEventKind::Gone };
                self.apply_events(vec![gone]).await?;
                ended += 1;
            }
        }
        Ok((added, ended))
    }

    /// Presence knows nothing of callers in menus and queues, so the session itself is asked for. Without the
    /// permission for that, a call stays until it goes silent.
    async fn is_gone(&self, integration: &Integration, call: &crate::call::Call) -> anyhow::Result<bool> {
        let Some(session) = &call.telephony_session_id else { return Ok(true) };
        match integration.client.telephony_session(session).await {
            Ok(session) => Ok(session.is_none()),
            Err(refused) if refused.is_permission() => Ok(false),
            Err(cause) => Err(cause.into()),
        }
    }
}

impl App {
    /// Whether a subscription of ours is being created or renewed, here or at another instance, so that a handshake may be
    /// RingCentral's.
    pub async fn expects_handshake(&self) -> bool {
        let Some(integration) = self.integration() else { return false };
        if integration.client.changes_subscription() {
            return true;
        }
        let mut asked = integration.handshake.lock().await;
        if let Some((_, expected)) = asked.filter(|(at, _)| at.elapsed() < ASK_AGAIN) {
            return expected;
        }
        let until = timeout(ASK_AGAIN, self.store().setting(HANDSHAKE)).await.ok().and_then(Result::ok).flatten();
        let until = until.and_then(|until| DateTime::from_timestamp_millis(until.parse().ok()?));
        let expected = until.is_some_and(|until| Utc::now() < until);
        *asked = Some((Instant::now(), expected));
        expected
    }

    /// Until then a handshake may come, to whichever instance.
    async fn note_handshake(&self, until: DateTime<Utc>) -> Result<(), StoreError> {
        self.store().set_setting(HANDSHAKE, &until.timestamp_millis().to_string()).await
    }
}

/// Like [`known_verification`]. Where the subscription is ours to create its token is made now and stored, the same for
/// every instance, before anything is delivered: until RingCentral has a subscription of ours every delivery is forged.
pub async fn own_verification(config: &Config, store: &Store) -> Result<Option<WebhookSecret>, StoreError> {
    let known = known_verification(config, store).await?;
    if known.is_some() || !makes_its_token(config) {
        return Ok(known);
    }
    let made = WebhookSecret::of(None, None);
    let text = serde_json::to_string(&made)?;
    let kept = store.get_or_insert_setting(VERIFICATION, &text).await?;
    if let Ok(kept) = serde_json::from_str(&kept) {
        return Ok(Some(kept));
    }
    // One that was damaged proves nothing.
    store.set_setting(VERIFICATION, &text).await?;
    Ok(Some(made))
}

/// Whether the subscription is created here, with a token of our own.
pub(super) fn makes_its_token(config: &Config) -> bool {
    config.ringcentral.credentials.is_some() && config.public_url.is_some()
}

/// The verification token of the settings, of an earlier run or of another instance. `None`: every delivery is believed.
pub async fn known_verification(config: &Config, store: &Store) -> Result<Option<WebhookSecret>, StoreError> {
    let configured = config.ringcentral.verification_token.as_deref();
    let stored = store.setting(VERIFICATION).await?.and_then(|text| serde_json::from_str(&text).ok());
    let known = configured.is_some() || stored.is_some();
    Ok(known.then(|| WebhookSecret::of(configured, stored)))
}

fn is_live(event: &CallEvent) -> bool {
    matches!(&event.kind, CallEventKind::Party(leg) if !matches!(leg.state, PartyState::Ended(_)))
}
