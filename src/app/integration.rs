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

use super::ingest::Ingest;
use super::webhook_auth::WebhookAuth;
use super::{Core, event};
use crate::call::{CallEvent, CallEventKind, Direction, PartyState, PartyUpdate, millis};
use crate::phone::{PhoneNumber, Region};
use crate::ringcentral::Client;
use crate::ringcentral::directory::{Directory, ExtensionKind};
use crate::ringcentral::notification::{Notification, NotificationKind};
use crate::ringcentral::subscription::{
    State, SubscriptionReconciler, SubscriptionState, WebhookSecret, keep, webhook_address,
};
use crate::store::{StoreError, sources};

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
    core: Arc<Core>,
    ingest: Ingest,
    webhook_auth: Arc<WebhookAuth>,
    client: Client,
    directory: Directory,
    /// Made at the first look.
    reconciler: Mutex<Option<SubscriptionReconciler>>,
    state: StdMutex<Option<SubscriptionState>>,
    reminded: Notify,
    missed: Arc<Notify>,
    /// Tells this instance from others that share the database.
    instance: String,
    /// What the store last said about a handshake, and when.
    handshake: Mutex<Option<(Instant, bool)>>,
}

impl Integration {
    /// With this client and directory; `missed` is notified when calls may have been missed.
    pub(super) fn new(
        core: Arc<Core>,
        ingest: Ingest,
        webhook_auth: Arc<WebhookAuth>,
        (client, directory): (Client, Directory),
        missed: Arc<Notify>,
    ) -> Self {
        Self {
            core,
            ingest,
            webhook_auth,
            client,
            directory,
            reconciler: Mutex::default(),
            state: StdMutex::default(),
            reminded: Notify::new(),
            missed,
            instance: format!("{:032x}", rand::random::<u128>()),
            handshake: Mutex::default(),
        }
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
        self.state.lock().expect("no panic while the state is locked").clone()
    }

    /// RingCentral asks to renew, so look now.
    pub fn remind(&self) {
        self.reminded.notify_one();
    }

    /// Something may have been missed, so compare soon.
    pub fn compare_soon(&self) {
        self.missed.notify_one();
    }

    /// Keeps the subscription, the directory and the calls in line with RingCentral, for ever.
    pub(super) async fn run(&self) {
        let subscription = async {
            if self.core.config.public_url.is_some() {
                keep(async || self.tend_subscription().await, &self.reminded).await;
            }
        };
        let comparison = async {
            loop {
                self.compare(Utc::now()).await;
                tokio::select! {
                    () = sleep(COMPARE_EVERY) => {}
                    () = self.missed.notified() => {}
                }
            }
        };
        tokio::join!(
            self.directory.clone().keep(self.client.clone(), self.core.config.region),
            subscription,
            comparison
        );
    }

    /// Looks after the subscription once; of several instances one changes it and the others look on.
    pub async fn tend_subscription(&self) -> State {
        let Some(public_url) = &self.core.config.public_url else { return State::Unknown };
        let now = Utc::now();
        let prepared = async {
            let ours = self.core.store.lease("subscription", &self.instance, now, now + LEASE).await?;
            Ok::<_, StoreError>((ours, self.webhook_auth.load().await?))
        };
        let (ours, known) = match prepared.await {
            Ok(prepared) => prepared,
            Err(cause) => {
                warn!(error = %cause, error.sources = sources(&cause), "the subscription waits for the store");
                return State::Unknown;
            }
        };
        let mut reconciler = self.reconciler.lock().await;
        let reconciler = reconciler.get_or_insert_with(|| {
            let account = &self.core.config.ringcentral.account_id;
            SubscriptionReconciler::new(
                self.client.clone(),
                webhook_address(public_url),
                account,
                WebhookSecret::of(None, None),
            )
        });
        if let Some(known) = known {
            reconciler.set_secret(known.clone());
            // Another instance may have replaced the token.
            self.webhook_auth.learn_tokens(known).await;
        }
        let state = if ours {
            let handshake = AtomicBool::new(false);
            let save = async |secret: &WebhookSecret| {
                self.note_handshake(Utc::now() + HANDSHAKE_TIME).await.context("storing that a handshake may come")?;
                handshake.store(true, Ordering::Release);
                self.webhook_auth.save(secret).await
            };
            let state = reconciler.reconcile(now, &self.directory.user_ids(), save).await;
            if handshake.into_inner() {
                // Should this fail, it is over by itself soon.
                let _ = self.note_handshake(DateTime::UNIX_EPOCH).await;
            }
            state
        } else {
            reconciler.inspect(now).await
        };
        self.note_subscription(state)
    }

    fn note_subscription(&self, state: SubscriptionState) -> State {
        let now = state.state;
        let before = self.state.lock().expect("no panic while the state is locked").replace(state.clone());
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
                self.compare_soon();
            }
        }
        now
    }

    /// Compares the calls we know with the account's presence: adds those no notification reported, ends those that are gone.
    pub async fn compare(&self, now: DateTime<Utc>) {
        match self.compare_with(now).await {
            Ok((added, ended)) if added + ended > 0 => info!(added, ended, "calls were missed and are mended"),
            Ok(_) => {}
            Err(cause) => warn!(error = %cause, "calls could not be compared with RingCentral"),
        }
    }

    async fn compare_with(&self, now: DateTime<Utc>) -> anyhow::Result<(usize, usize)> {
        let mut listed = Vec::new();
        for mut body in self.client.account_presence().await? {
            // Any notification of presence that follows is newer, and a negative sequence never starts over.
            body["sequence"] = json!(-1);
            let notification = json!({ "event": "/restapi/v1.0/account/~/presence", "body": body });
            let text = notification.to_string();
            if let Ok(Notification { kind: NotificationKind::Presence(events, _), .. }) =
                Notification::parse(text.as_bytes(), now, self.core.config.region)
            {
                listed.extend(events);
            }
        }
        let mut added = 0;
        for event in &listed {
            if self.core.hub.call_of_session(&event.session_id).is_none() && is_live(event) && event.can_begin_a_call()
            {
                self.ingest.ingest_events(vec![event.clone()], Instant::now()).await?;
                added += 1;
            }
        }
        let mut ended = 0;
        for call in self.core.hub.calls() {
            let is_reported = !call.facts.parties.is_empty() && now - call.facts.heard_at > SETTLED;
            let listed = listed.iter().any(|event| event.session_id == call.session_id && is_live(event));
            if is_reported && !listed && self.is_gone(&call).await? {
                self.ingest.apply_events(vec![event(&call.session_id, CallEventKind::Gone)]).await?;
                ended += 1;
            }
        }
        Ok((added, ended))
    }

    /// Presence knows nothing of callers in menus and queues, so the session itself is asked for. Without the
    /// permission for that, a call stays until it goes silent.
    async fn is_gone(&self, call: &crate::call::Call) -> anyhow::Result<bool> {
        let Some(session) = &call.telephony_session_id else { return Ok(true) };
        match self.client.telephony_session(session).await {
            Ok(session) => Ok(session.is_none()),
            Err(refused) if refused.is_permission() => Ok(false),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Whether a subscription of ours is being created or renewed, here or at another instance, so that a handshake may be
    /// RingCentral's.
    pub async fn expects_handshake(&self) -> bool {
        if self.client.changes_subscription() {
            return true;
        }
        let mut asked = self.handshake.lock().await;
        if let Some((_, expected)) = asked.filter(|(at, _)| at.elapsed() < ASK_AGAIN) {
            return expected;
        }
        let until = timeout(ASK_AGAIN, self.core.store.setting(HANDSHAKE)).await.ok().and_then(Result::ok).flatten();
        let until = until.and_then(|until| DateTime::from_timestamp_millis(until.parse().ok()?));
        let expected = until.is_some_and(|until| Utc::now() < until);
        *asked = Some((Instant::now(), expected));
        expected
    }

    /// Until then a handshake may come, to whichever instance.
    async fn note_handshake(&self, until: DateTime<Utc>) -> Result<(), StoreError> {
        self.core.store.set_setting(HANDSHAKE, &until.timestamp_millis().to_string()).await
    }
}

fn is_live(event: &CallEvent) -> bool {
    matches!(&event.kind, CallEventKind::Party(leg) if !matches!(leg.state, PartyState::Ended(_)))
}

/// Adds to a party what only the account knows: whose number this is, what answers there, an agent's name.
pub(super) fn enrich(directory: &Directory, party: &mut PartyUpdate, region: Region) {
    let caller = party.from.number.as_deref().and_then(|number| PhoneNumber::parse(number, region));
    party.ours |= party.direction == Direction::Inbound && caller.is_some_and(|number| directory.is_ours(&number));
    let Some(extension) = &mut party.extension else { return };
    let Some(entry) = directory.extension(&extension.extension_id) else { return };
    extension.name = extension.name.take().or(entry.name);
    // Menus and queues have extension ids too, but no phone rings there and no person answers.
    if matches!(entry.kind, ExtensionKind::Menu | ExtensionKind::Queue)
        && matches!(party.state, PartyState::Ringing | PartyState::Connected)
    {
        party.state = PartyState::Setup;
    }
}
