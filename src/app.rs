//! The sentence: a notification comes in, becomes facts, changes a call in the store, and the call goes out to viewers.
//!
//! Facts of one call are taken in one after the other, so that a dozen phones ringing at once do not fight over the same
//! call, and two sessions that turn out to be one call are joined once; other calls do not wait. Between instances the
//! store's comparison of `rev` does the same.

mod customer_changes;
mod dismissal;
mod erasing;
mod integration;
mod outage;
mod presence;
mod session_locks;
mod sync;
mod unwritten;
mod webhook_auth;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex as StdMutex, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use crate::call::{Call, CallEvent, CallEventKind, Direction, MOST_PARTIES, PartyState};
use crate::config::Config;
use crate::customer::{Customer, CustomerDetails};
use crate::hub::{Hub, Origin, Scope, Viewer};
use crate::metrics::Metrics;
use crate::phone::PhoneNumber;
use crate::ringcentral::notification::{Notification, NotificationKind, PresenceSnapshot};
use crate::store::erasure::Erasures;
use crate::store::{HistoryPage, HistoryQuery, LoadedCalls, Spool, Store, StoreError, calls_of, new_id};

pub use integration::{Integration, known_verification};
use outage::STORE_PATIENCE;
use session_locks::LOCKS;
use sync::log_name;
use unwritten::Unwritten;
use webhook_auth::ExpectedToken;

/// How long the first popup waits for the customer's name. An indexed lookup takes a millisecond or two; whoever needs
/// longer follows as an update, and nobody sees a number turn into a name for the sake of a fast database.
const LOOKUP_BUDGET: Duration = Duration::from_millis(25);
/// Extensions whose presence is remembered; the largest accounts have fewer.
const MOST_EXTENSIONS: usize = 20_000;
/// Calls of one notification that are stored at a time: they share commits, and leave room for other notifications.
const CALLS_AT_ONCE: usize = 16;
/// Recorded among the shapes when a call has more parties than are kept.
const FULL_CALL: &str = "parties beyond the most that are kept of one call";

/// Who has a number.
type Answer = Result<Vec<Customer>, StoreError>;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    config: Config,
    store: Store,
    /// Beside MongoDB only: what it cannot take now. The embedded store is never away.
    spool: Option<Spool>,
    /// Calls that MongoDB refuses.
    unwritten: Unwritten,
    hub: Hub,
    metrics: Arc<Metrics>,
    locks: [Mutex<()>; LOCKS],
    /// Sessions whose caller takes long to look up.
    lookups: StdMutex<HashSet<String>>,
    status: StdMutex<ServiceStatus>,
    /// The newest presence of each extension.
    presence: StdMutex<HashMap<String, PresenceSnapshot>>,
    /// What deliveries must carry.
    expected: RwLock<ExpectedToken>,
    /// When the store was last asked for that.
    asked: Mutex<Instant>,
    integration: Option<Integration>,
    /// What must not be written again.
    erasures: RwLock<Erasures>,
}

/// What operators and the status light want to know.
#[derive(Clone, Debug, Default)]
pub struct ServiceStatus {
    /// When RingCentral last told us anything.
    pub last_event_at: Option<DateTime<Utc>>,
    /// The store did not answer the last time it was asked.
    pub store_lost: bool,
    /// What others do to `active_calls` arrives at once, and not only with the next poll.
    pub follows: bool,
    /// The service is about to end.
    pub retires: bool,
    /// Deliveries turned away for a wrong token. RingCentral's would soon have our address given up.
    pub refused: u64,
    /// When the last one was.
    pub refused_at: Option<DateTime<Utc>>,
}

impl App {
    /// A service on an open store that knows the calls in it.
    pub async fn start(config: Config, store: Store) -> anyhow::Result<Self> {
        let spool = match &config.mongodb {
            Some(_) => Some(Spool::open(&config.data_dir).await.context("opening the spool in DATA_DIR")?),
            None => None,
        };
        let metrics = Arc::new(Metrics::default());
        let integration = Integration::open(&config, metrics.clone()).context("preparing to ask RingCentral")?;
        // The phone library unpacks its tables at the first number, and that must not be a caller's.
        let _ = PhoneNumber::parse("+14165550100", config.region).map(|number| number.display(config.region));
        let app = Self(Arc::new(Shared {
            config,
            store,
            spool,
            unwritten: Unwritten::default(),
            hub: Hub::new(metrics.clone()),
            metrics,
            locks: std::array::from_fn(|_| Mutex::new(())),
            lookups: StdMutex::default(),
            status: StdMutex::default(),
            presence: StdMutex::default(),
            expected: RwLock::default(),
            asked: Mutex::new(Instant::now()),
            integration,
            erasures: RwLock::default(),
        }));
        app.connect_store().await?;
        app.rebuild_phone_keys();
        Ok(app)
    }

    /// Beside all else, because a file of an older version may hold a million customers.
    fn rebuild_phone_keys(&self) {
        let store = self.0.store.clone();
        tokio::spawn(async move {
            if let Err(cause) = store.rebuild_phone_keys().await {
                error!(error = &cause as &dyn std::error::Error, "the keys of customers' numbers could not be rebuilt");
            }
        });
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Where calls are kept.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Who tells viewers.
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// What is measured.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// The way back to RingCentral, with credentials.
    pub fn integration(&self) -> Option<&Integration> {
        self.0.integration.as_ref()
    }

    /// Says that the service is about to end.
    pub fn retire(&self) {
        self.update_status(|status| status.retires = true);
    }

    /// How the service is doing.
    pub fn status(&self) -> ServiceStatus {
        self.0.status.lock().expect("nobody panics while holding the status").clone()
    }

    /// Takes in a notification that arrived at `heard`. When this returns `Ok`, what it said is on disk and on its way to
    /// viewers.
    pub async fn ingest(&self, notification: Notification, heard: Instant) -> Result<(), StoreError> {
        self.update_status(|status| status.last_event_at = Some(Utc::now()));
        match notification.kind {
            NotificationKind::Calls(events) => self.ingest_events(events, heard).await,
            NotificationKind::Presence(events, snapshot) => self.ingest_presence(events, snapshot, heard).await,
            NotificationKind::RenewalReminder => {
                info!("RingCentral asks to renew the subscription");
                self.integration().into_iter().for_each(Integration::remind);
                Ok(())
            }
            NotificationKind::Known(kind) => {
                debug!(kind, "a notification without calls");
                Ok(())
            }
            NotificationKind::Other(shape) => {
                // A field's name can be somebody's, so only whoever may read the store sees it.
                info!("a notification of an unknown kind is recorded in notification_shapes");
                self.record_shape(&shape).await;
                Ok(())
            }
        }?;
        if let Some(shape) = notification.unread {
            info!("a notification that could be read in part is recorded in notification_shapes");
            self.record_shape(&shape).await;
        }
        Ok(())
    }

    /// A shape is for whoever reads it one day: RingCentral gets its 200 also where the store does not take it.
    async fn record_shape(&self, shape: &str) {
        let recorded = timeout(STORE_PATIENCE, self.0.store.record_shape(shape, Utc::now())).await;
        if let Err(cause) = recorded.unwrap_or(Err(StoreError::Slow)) {
            warn!(error = &cause as &dyn std::error::Error, "the shape of a notification could not be recorded");
        }
    }

    async fn ingest_events(&self, mut events: Vec<CallEvent>, heard: Instant) -> Result<(), StoreError> {
        if let Some(integration) = self.integration() {
            for event in &mut events {
                if let CallEventKind::Party(leg) = &mut event.kind {
                    integration.enrich(leg, &self.0.config);
                }
            }
        }
        let calls = stream::iter(calls_of(events)).map(|events| self.ingest_call(events, heard));
        // All are awaited: a future that is dropped halfway would lose its events.
        let learned: Vec<_> = calls.buffer_unordered(CALLS_AT_ONCE).collect().await;
        learned.into_iter().collect()
    }

    /// Stores one call's facts of a notification, and records when these bring more parties than are kept.
    async fn ingest_call(&self, events: Vec<CallEvent>, heard: Instant) -> Result<(), StoreError> {
        let session = events[0].session_id.clone();
        let call = || self.0.hub.call_of_session(&session);
        let parties = call().map_or(0, |call| call.facts.parties.len());
        let crowd = (parties + events.len() > MOST_PARTIES).then(|| events.clone());
        self.apply_events_of(events, Some(heard)).await?;
        if crowd.is_some_and(|events| call().is_some_and(|call| call.overflows(&events))) {
            warn!(most = MOST_PARTIES, "a call has more parties than are kept");
            self.record_shape(FULL_CALL).await;
        }
        Ok(())
    }

    /// Stores facts of one session that no notification told, and tells the call that changed.
    async fn apply_events(&self, events: Vec<CallEvent>) -> Result<(), StoreError> {
        self.apply_events_of(events, None).await
    }

    /// The same for facts of a notification that arrived at `heard`.
    async fn apply_events_of(&self, mut events: Vec<CallEvent>, heard: Option<Instant>) -> Result<(), StoreError> {
        let _turn = self.turn(&events).await;
        self.drop_erased(&mut events);
        if events.is_empty() {
            return Ok(());
        }
        let known = self.0.hub.call_of_session(&events[0].session_id);
        match &self.0.spool {
            Some(spool) => self.store_or_spool(spool, known, events, heard).await,
            None => self.persist(known, &new_id(), &mut events, heard).await,
        }
    }

    /// Asks who is calling while the store looks at the call, then stores what is new and tells it.
    async fn persist(
        &self,
        known: Option<Arc<Call>>,
        new_id: &str,
        events: &mut Vec<CallEvent>,
        heard: Option<Instant>,
    ) -> Result<(), StoreError> {
        let look = async {
            if self.begins(events) {
                return Ok(LoadedCalls::at_hand(events, None));
            }
            self.0.store.load(events, known).await
        };
        let (customers, known) = tokio::join!(self.identify_caller(events), look);
        events.extend(customers);
        self.0.store.apply_to(events, known?, new_id, |call| self.publish(Origin::Store, call, heard)).await
    }

    /// Whether a phone begins to ring for a call that nobody can have told the store before: this instance has followed all
    /// that happens since before it rang, and knows nothing of it. Should another have begun it in this very moment, the
    /// store finds that out once it is written.
    fn begins(&self, events: &[CallEvent]) -> bool {
        let rang = events.iter().filter_map(|event| match &event.kind {
            CallEventKind::Party(leg) if leg.state == PartyState::Ringing => Some(leg.at.min(event.heard_at)),
            _ => None,
        });
        let mut sessions = events.iter().flat_map(CallEvent::sessions);
        rang.min().is_some_and(|at| sessions.all(|session| self.0.hub.is_new(session, at)))
    }

    fn publish(&self, origin: Origin, call: Call, heard: Option<Instant>) {
        let (id, status, result, rev) = (log_name(&call.id).to_owned(), call.status, call.result, call.rev);
        self.0.hub.publish_from(origin, call, heard);
        // One line for each thing that happens in a call's life, without numbers or names.
        match result {
            Some(result) => info!(call.id = %id, result = result.as_str(), "call ended"),
            None => info!(call.id = %id, status = status.as_str(), rev, "call changed"),
        }
    }

    /// Who is calling, if a phone begins to ring and that is found in time. What is found later follows by itself.
    async fn identify_caller(&self, events: &[CallEvent]) -> Option<CallEvent> {
        let (session, number) = events.iter().find_map(|event| match &event.kind {
            CallEventKind::Party(leg)
                if leg.direction == Direction::Inbound && leg.state == PartyState::Ringing && !leg.ours =>
            {
                let number = PhoneNumber::parse(leg.from.number.as_deref()?, self.0.config.region)?;
                Some((event.session_id.clone(), number))
            }
            _ => None,
        })?;
        let known = self.0.hub.call_of_session(&session).is_some_and(|call| call.facts.looked_up);
        if known || self.status().store_lost {
            return None;
        }
        self.lookup_with_budget(session, number).await
    }

    /// Looks a number up. An answer that is not there in time is learned when it comes.
    async fn lookup_with_budget(&self, session: String, number: PhoneNumber) -> Option<CallEvent> {
        if self.lookups().contains(&session) {
            return None;
        }
        let (store, metrics) = (self.0.store.clone(), self.0.metrics.clone());
        let mut lookup = Box::pin(async move {
            let asked = Instant::now();
            let answer = store.customers_by_phone(&number).await;
            metrics.lookup.observe(asked.elapsed().as_secs_f64());
            answer
        });
        if let Ok(answer) = timeout(LOOKUP_BUDGET, &mut lookup).await {
            return answered(answer).map(|customers| fact(&session, CallEventKind::Customers(customers)));
        }
        self.apply_when_ready(session, lookup);
        None
    }

    fn apply_when_ready(&self, session: String, lookup: impl Future<Output = Answer> + Send + 'static) {
        self.0.metrics.lookups_late.inc();
        self.lookups().insert(session.clone());
        let app = self.clone();
        tokio::spawn(async move {
            if let Some(customers) = answered(lookup.await)
                && let Err(cause) = app.apply_events(vec![fact(&session, CallEventKind::Customers(customers))]).await
            {
                warn!(error = &cause as &dyn std::error::Error, "a customer was found and could not be stored");
            }
            app.lookups().remove(&session);
        });
    }

    /// Ended calls, newest first.
    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, StoreError> {
        self.0.store.history(query).await
    }

    /// A customer, for a viewer who sees everything or a call with them.
    pub async fn customer(&self, id: &str, viewer: &Viewer) -> Result<Option<CustomerDetails>, StoreError> {
        if self.has_call_with(id, viewer).await? { self.0.store.customer(id).await } else { Ok(None) }
    }

    async fn has_call_with(&self, id: &str, viewer: &Viewer) -> Result<bool, StoreError> {
        let Scope::Extensions(extension_ids) = &viewer.scope else { return Ok(true) };
        let is_with = |call: &Arc<Call>| call.customers.iter().any(|customer| customer.id == id);
        if self.0.hub.active_calls(viewer).iter().any(is_with) {
            return Ok(true);
        }
        let (customer_id, extension_ids) = (Some(id.to_owned()), Some(extension_ids.clone()));
        let query = HistoryQuery { limit: 1, customer_id, extension_ids, ..HistoryQuery::default() };
        Ok(!self.history(query).await?.calls.is_empty())
    }

    /// Ends calls that are over or went silent, as of `now`.
    pub async fn sweep(&self, now: DateTime<Utc>) {
        for call in self.0.hub.calls().into_iter().filter(|call| call.is_due(now)) {
            let tick = CallEvent { session_id: call.session_id.clone(), heard_at: now, kind: CallEventKind::Tick };
            if let Err(cause) = self.apply_events(vec![tick]).await {
                warn!(error = &cause as &dyn std::error::Error, "a call could not be ended");
                return;
            }
        }
    }

    fn lookups(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lookups.lock().expect("nobody panics while holding the lookups")
    }

    fn update_status(&self, change: impl FnOnce(&mut ServiceStatus)) {
        change(&mut self.0.status.lock().expect("nobody panics while holding the status"));
    }
}

fn fact(session_id: &str, kind: CallEventKind) -> CallEvent {
    CallEvent { session_id: session_id.to_owned(), heard_at: Utc::now(), kind }
}

/// A lookup that fails leaves the caller unknown for now; the popup comes all the same.
fn answered(lookup: Answer) -> Option<Vec<Customer>> {
    lookup.inspect_err(|cause| warn!(error = cause as &dyn std::error::Error, "the caller could not be looked up")).ok()
}

#[cfg(test)]
mod tests;
