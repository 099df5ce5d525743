//! The sentence: a notification comes in, becomes facts, changes a call in the store, and the call goes out to viewers.
//!
//! Facts of one session are taken in one after the other, so that a dozen phones ringing at once do not fight over the
//! same call; sessions do not wait for each other. Between instances the store's comparison of `rev` does the same.

mod link;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex as StdMutex, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::call::{Call, CallEvent, Direction, Fact, LegState, Status};
use crate::config::Config;
use crate::customer::Customer;
use crate::hub::{Hub, Viewer};
use crate::metrics::Metrics;
use crate::phone::PhoneNumber;
use crate::ringcentral::notification::{Census, Kind, Notification};
use crate::ringcentral::subscription::Verification;
use crate::store::{Erased, HistoryQuery, Seen, Spool, Spooled, Store, StoreError, Watch, calls_of, new_id};

pub use link::Link;

/// How long the first popup waits for the customer's name. An indexed lookup takes a millisecond or two; whoever needs
/// longer follows as an update, and nobody sees a number turn into a name for the sake of a fast database.
const LOOKUP_BUDGET: Duration = Duration::from_millis(25);
/// RingCentral wants its answer within three seconds, whatever the database does.
const STORE_PATIENCE: Duration = Duration::from_millis(2_200);
/// How long to wait before watching again; the poll serves meanwhile.
const WATCH_AGAIN: std::ops::Range<Duration> = Duration::from_millis(500)..Duration::from_secs(5);
/// Spooled entries read at a time.
const REPLAY_BATCH: usize = 200;
/// Sessions are spread over this many locks; two that share one only wait for each other.
const LOCKS: usize = 64;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    config: Config,
    store: Store,
    /// Beside MongoDB only: what it cannot take now. The embedded store is never away.
    spool: Option<Spool>,
    hub: Hub,
    metrics: Arc<Metrics>,
    locks: [Mutex<()>; LOCKS],
    /// Sessions whose caller is being looked up.
    lookups: StdMutex<HashSet<String>>,
    pulse: StdMutex<Pulse>,
    /// What deliveries must carry; `None` believes them all.
    verification: RwLock<Option<Verification>>,
    link: Option<Link>,
}

/// What operators and the status light want to know.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    /// When RingCentral last told us anything.
    pub last_event_at: Option<DateTime<Utc>>,
    /// The store did not answer the last time it was asked.
    pub store_lost: bool,
    /// What others do to `active_calls` arrives at once, and not only with the next poll.
    pub follows: bool,
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
        let link = Link::open(&config, metrics.clone()).context("preparing to ask RingCentral")?;
        // The phone library unpacks its tables at the first number, and that must not be a caller's.
        let _ = PhoneNumber::parse("+14165550100", config.region).map(|number| number.display(config.region));
        let app = Self(Arc::new(Shared {
            config,
            store,
            spool,
            hub: Hub::new(metrics.clone()),
            metrics,
            locks: std::array::from_fn(|_| Mutex::new(())),
            lookups: StdMutex::default(),
            pulse: StdMutex::default(),
            verification: RwLock::default(),
            link,
        }));
        app.meet_store().await?;
        Ok(app)
    }

    /// The first look at the store. One that never worked is a wrong setting and stops the start; one that did is away,
    /// and calls must not wait for it.
    async fn meet_store(&self) -> anyhow::Result<()> {
        let first = async {
            self.0.store.prepare().await?;
            self.replay().await?;
            self.refresh().await?;
            link::known_verification(&self.0.config, &self.0.store).await
        };
        let known = match (first.await, &self.0.spool, &self.0.config.mongodb) {
            (Ok(known), Some(spool), Some(mongodb)) => {
                spool.remember(&mongodb.database).await.context("writing the spool in DATA_DIR")?;
                known
            }
            (Ok(known), ..) => known,
            (Err(cause), Some(spool), Some(mongodb)) if spool.knows(&mongodb.database).await? => {
                self.lose_store(&cause);
                self.0.config.ringcentral.verification_token.as_deref().map(|token| Verification::of(Some(token), None))
            }
            (Err(cause), ..) => return Err(cause).context("reading active calls"),
        };
        known.into_iter().for_each(|known| self.verify_with(known));
        Ok(())
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
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The way back to RingCentral, with credentials.
    pub fn link(&self) -> Option<&Link> {
        self.0.link.as_ref()
    }

    /// Whether a delivery that carries `presented` is RingCentral's. Another instance may have made a new token, so the
    /// store is asked before anyone is turned away: RingCentral gives an address up that answers 401.
    pub async fn is_authentic(&self, presented: Option<&[u8]>) -> bool {
        if self.accepts(presented) {
            return true;
        }
        if let Ok(Some(verification)) = link::known_verification(&self.0.config, &self.0.store).await {
            self.verify_with(verification);
        }
        self.accepts(presented)
    }

    /// Whether deliveries need no token, because none was ever set or made.
    pub fn believes_everyone(&self) -> bool {
        self.accepts(None)
    }

    fn accepts(&self, presented: Option<&[u8]>) -> bool {
        let verification = self.0.verification.read().expect("nobody panics while holding the verification");
        verification.as_ref().is_none_or(|known| presented.is_some_and(|token| known.accepts(token)))
    }

    fn verify_with(&self, verification: Verification) {
        *self.0.verification.write().expect("nobody panics while holding the verification") = Some(verification);
    }

    /// What our own deliveries must carry, for the simulator.
    pub fn verification_token(&self) -> Option<String> {
        let verification = self.0.verification.read().expect("nobody panics while holding the verification");
        verification.as_ref().map(|known| known.token.clone())
    }

    /// A delivery was turned away for its token.
    pub fn note_refusal(&self) {
        self.feel(|pulse| {
            pulse.refused += 1;
            pulse.refused_at = Some(Utc::now());
        });
    }

    /// How the service is doing.
    pub fn pulse(&self) -> Pulse {
        self.0.pulse.lock().expect("nobody panics while holding the pulse").clone()
    }

    /// Takes in a notification that arrived at `heard`. When this returns `Ok`, what it said is on disk and on its way to
    /// viewers.
    pub async fn ingest(&self, notification: Notification, heard: Instant) -> Result<(), StoreError> {
        self.feel(|pulse| pulse.last_event_at = Some(Utc::now()));
        match notification.kind {
            Kind::Calls(events) => self.take_in(events, heard).await,
            Kind::Presence(events, census) => {
                self.take_in(events, heard).await?;
                self.close_unlisted(census).await
            }
            Kind::RenewalReminder => {
                info!("RingCentral asks to renew the subscription");
                self.link().into_iter().for_each(Link::remind);
                Ok(())
            }
            Kind::Known(kind) => {
                debug!(kind, "a notification without calls");
                Ok(())
            }
            Kind::Other(shape) => {
                info!(%shape, "a notification of an unknown kind");
                self.0.store.record_shape(&shape, Utc::now()).await
            }
        }
    }

    async fn take_in(&self, mut events: Vec<CallEvent>, heard: Instant) -> Result<(), StoreError> {
        if let Some(link) = self.link() {
            for event in &mut events {
                if let Fact::Leg(leg) = &mut event.fact {
                    link.annotate(leg, &self.0.config);
                }
            }
        }
        for session in calls_of(events) {
            self.hear(session, heard).await?;
        }
        Ok(())
    }

    /// Takes in what RingCentral told of one session, and who is calling if that is found in time.
    async fn hear(&self, mut events: Vec<CallEvent>, heard: Instant) -> Result<(), StoreError> {
        let customers = self.recognise(&events).await;
        let session = events[0].session_id.clone();
        events.extend(customers.map(|customers| fact(&session, Fact::Customers(customers))));
        self.learn_at(events, Some(heard)).await
    }

    /// Stores facts of one session that no notification told, and tells the call that changed.
    async fn learn(&self, events: Vec<CallEvent>) -> Result<(), StoreError> {
        self.learn_at(events, None).await
    }

    /// The same for facts of a notification that arrived at `heard`.
    async fn learn_at(&self, events: Vec<CallEvent>, heard: Option<Instant>) -> Result<(), StoreError> {
        let _turn = self.turn(&events[0].session_id).await;
        let changed = match &self.0.spool {
            Some(spool) => self.store_or_spool(spool, &events).await?,
            None => self.0.store.apply(&events).await?,
        };
        for call in changed {
            log_life(&call);
            self.0.hub.publish(call, heard);
        }
        Ok(())
    }

    /// What MongoDB cannot take now, or may not take before what waits already, is spooled and shown from memory.
    async fn store_or_spool(&self, spool: &Spool, events: &[CallEvent]) -> Result<Vec<Call>, StoreError> {
        let known = self.0.hub.call_of_session(&events[0].session_id);
        let id = known.as_ref().map_or_else(new_id, |call| call.id.clone());
        if spool.depth() == 0 && !self.pulse().store_lost {
            match timeout(STORE_PATIENCE, self.0.store.apply_to(events, known.as_deref(), id.clone())).await {
                Ok(Ok(changed)) => return Ok(changed),
                Ok(Err(cause)) => self.lose_store(&cause),
                Err(_) => self.lose_store(&StoreError::Slow),
            }
        }
        spool.push(&id, events).await?;
        let ended = known.is_none() && self.0.hub.has_ended(&events[0].session_id);
        if ended || (known.is_none() && !events[0].can_begin_a_call()) {
            return Ok(Vec::new());
        }
        let session = events[0].session_id.clone();
        let mut call = known.map_or_else(|| Call::new(id, session, events[0].heard_at), |call| (*call).clone());
        let changed = events.iter().fold(false, |changed, event| call.apply(event) | changed);
        Ok(changed.then_some(call).into_iter().collect())
    }

    /// Tells the database what it missed, in order. An entry that it refuses while it takes later ones is put aside; one
    /// that fails like all others waits with them.
    async fn replay(&self) -> Result<(), StoreError> {
        let Some(spool) = self.0.spool.as_ref().filter(|spool| spool.depth() > 0) else { return Ok(()) };
        info!(waiting = spool.depth(), "the database is told what it missed");
        loop {
            let batch = spool.oldest(REPLAY_BATCH).await?;
            if batch.is_empty() {
                return Ok(());
            }
            let mut refused = Vec::new();
            let mut failure = None;
            for Spooled { position, call_id, events } in batch {
                match self.0.store.apply_to(&events, None, call_id).await {
                    Ok(changed) => {
                        changed.into_iter().for_each(|call| self.0.hub.publish(call, None));
                        spool.forget(position).await?;
                        for position in refused.drain(..) {
                            error!(position, "a spooled fact was refused by a database that works, and is set aside");
                            spool.set_aside(position).await?;
                        }
                        failure = None;
                    }
                    Err(cause) => {
                        // Without a connection every attempt waits for seconds, so the rest is not even tried.
                        self.0.store.ping().await?;
                        refused.push(position);
                        failure = Some(cause);
                    }
                }
            }
            if let Some(cause) = failure {
                return Err(cause);
            }
        }
    }

    fn lose_store(&self, cause: &StoreError) {
        let was_lost = std::mem::replace(
            &mut self.0.pulse.lock().expect("nobody panics while holding the pulse").store_lost,
            true,
        );
        if !was_lost {
            error!(error = cause as &dyn std::error::Error, "the store does not answer");
            self.0.hub.trouble("store_unavailable", "The database does not answer; what is shown may be incomplete.");
        }
    }

    /// The caller's customers, if a phone begins to ring and they are found in time. Later ones follow by themselves.
    async fn recognise(&self, events: &[CallEvent]) -> Option<Vec<Customer>> {
        let (session, number) = events.iter().find_map(|event| match &event.fact {
            Fact::Leg(leg) if leg.direction == Direction::Inbound && leg.state == LegState::Ringing && !leg.ours => {
                let number = PhoneNumber::parse(leg.from.number.as_deref()?, self.0.config.region)?;
                Some((event.session_id.clone(), number))
            }
            _ => None,
        })?;
        let known = self.0.hub.call_of_session(&session).is_some_and(|call| call.ledger.looked_up);
        if known || self.pulse().store_lost {
            return None;
        }
        self.look_up(session, number, LOOKUP_BUDGET).await
    }

    /// Looks a number up; past `budget` the answer is applied when it comes.
    async fn look_up(&self, session: String, number: PhoneNumber, budget: Duration) -> Option<Vec<Customer>> {
        if !self.lookups().insert(session.clone()) {
            return None;
        }
        let (store, metrics) = (self.0.store.clone(), self.0.metrics.clone());
        let mut lookup = tokio::spawn(async move {
            let asked = Instant::now();
            let answer = store.customers_by_phone(&number).await;
            metrics.lookup.observe(asked.elapsed().as_secs_f64());
            answer
        });
        let answer = timeout(budget, &mut lookup).await;
        if let Ok(answer) = answer {
            self.lookups().remove(&session);
            return answered(answer);
        }
        self.0.metrics.lookups_late.inc();
        let app = self.clone();
        tokio::spawn(async move {
            if let Some(customers) = answered(lookup.await)
                && let Err(cause) = app.learn(vec![fact(&session, Fact::Customers(customers))]).await
            {
                warn!(error = &cause as &dyn std::error::Error, "a customer was found and could not be stored");
            }
            app.lookups().remove(&session);
        });
        None
    }

    /// Presence lists every call of an extension: its legs in calls that are not listed have ended.
    async fn close_unlisted(&self, census: Census) -> Result<(), StoreError> {
        let calls = self.0.hub.calls();
        let ended = calls.iter().filter(|call| !census.sessions.contains(&call.session_id));
        for event in ended.filter_map(|call| census.leg_ended(call)) {
            self.learn(vec![event]).await?;
        }
        Ok(())
    }

    /// A viewer puts a popup away, on all of their screens. `false` when there is no such call for them.
    pub async fn dismiss(&self, id: &str, viewer: &Viewer) -> Result<bool, StoreError> {
        let Some(call) = self.0.hub.call(id).filter(|call| viewer.may_see(call)) else { return Ok(false) };
        self.learn(vec![fact(&call.session_id, Fact::Dismissed(viewer.id.clone()))]).await?;
        Ok(true)
    }

    /// Ended calls, newest first.
    pub async fn history(&self, query: HistoryQuery) -> Result<Vec<Call>, StoreError> {
        self.0.store.history(query).await
    }

    /// Reads `active_calls` once for everyone: what other programs and instances wrote becomes visible. Viewers are
    /// told when the store stops answering, once, and when it is back.
    pub async fn poll(&self) {
        let look = async {
            self.0.store.prepare().await?;
            self.replay().await?;
            self.refresh().await
        };
        match look.await {
            Ok(()) => {
                let was_lost = self.pulse().store_lost;
                self.feel(|pulse| pulse.store_lost = false);
                if was_lost {
                    info!("the store answers again");
                    self.link().into_iter().for_each(Link::compare_soon);
                }
            }
            Err(cause) => self.lose_store(&cause),
        }
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        let since = self.0.hub.head();
        let active = self.0.store.active().await?;
        let (foreign, gone) = self.0.hub.reconcile(active, since);
        for call in foreign {
            self.adopt(call).await?;
        }
        for id in gone {
            self.lose_call(&id).await?;
        }
        Ok(())
    }

    /// Follows what others do to `active_calls` as it happens, for ever. Where the database cannot tell, and while it
    /// does not, the poll finds out a little later.
    pub async fn follow(&self) {
        let mut lost = false;
        loop {
            match self.0.store.watch().await {
                Ok(None) => return std::future::pending().await,
                Ok(Some(watch)) => {
                    // First the stream, then what is there, then what changes: nothing falls between.
                    self.poll().await;
                    if std::mem::replace(&mut lost, false) {
                        info!("changes by other instances arrive again");
                        self.0.hub.resync();
                    }
                    self.feel(|pulse| pulse.follows = true);
                    let cause = self.follow_until_lost(watch).await;
                    warn!(error = &cause as &dyn std::error::Error, "changes by other instances do not arrive at once");
                }
                Err(cause) => debug!(error = &cause as &dyn std::error::Error, "changes cannot be watched"),
            }
            if !std::mem::replace(&mut lost, true) {
                self.feel(|pulse| pulse.follows = false);
                self.0.hub.trouble("changes_delayed", "Calls may be shown up to two seconds late.");
            }
            sleep(rand::random_range(WATCH_AGAIN)).await;
        }
    }

    async fn follow_until_lost(&self, mut watch: Watch) -> StoreError {
        loop {
            let since = self.0.hub.head();
            let told = match watch.next().await {
                Ok(Seen::Call(call)) => match self.0.hub.compare(*call, since) {
                    Some(foreign) => self.adopt(foreign).await,
                    None => Ok(()),
                },
                Ok(Seen::Left(id)) => self.lose_call(&id).await,
                Err(cause) => Err(cause),
            };
            if let Err(cause) = told {
                return cause;
            }
        }
    }

    /// A call is no longer active, and it was not this instance that ended it: another one did, or another program
    /// took it away.
    async fn lose_call(&self, id: &str) -> Result<(), StoreError> {
        let Some(known) = self.0.hub.call(id) else { return Ok(()) };
        let ended = self.0.store.ended(id).await?;
        let call = ended.unwrap_or_else(|| Call { status: Status::Ended, rev: known.rev + 1, ..(*known).clone() });
        self.0.hub.publish(call, None);
        Ok(())
    }

    /// Another program inserted or changed a call: it gets a `rev`, so that it is news, and its caller is looked up.
    async fn adopt(&self, found: Call) -> Result<(), StoreError> {
        let region = self.0.config.region;
        let number = |raw: &Option<String>| PhoneNumber::parse(raw.as_deref()?, region);
        let caller = number(&found.from_number);
        let mut next = found.clone();
        next.rev = found.rev.max(self.0.hub.call(&found.id).map_or(0, |known| known.rev)) + 1;
        // Silence is measured from when we first saw it, not from when it began: its author may sweep as it likes.
        next.ledger.heard_at = Utc::now();
        next.from_display = caller.as_ref().map(|number| number.display(region));
        next.to_display = number(&found.to_number).map(|number| number.display(region));
        let Some(adopted) = self.0.store.adopt(found, next).await? else { return Ok(()) };
        info!(call.id = %adopted.id, status = adopted.status.as_str(), "another program changed a call");
        let unknown = adopted.customer_id.is_none() && !adopted.ledger.looked_up && adopted.status.visible();
        let session = adopted.session_id.clone();
        self.0.hub.publish(adopted, None);
        if let Some(caller) = caller.filter(|_| unknown)
            && let Some(customers) = self.look_up(session.clone(), caller, LOOKUP_BUDGET).await
        {
            self.learn(vec![fact(&session, Fact::Customers(customers))]).await?;
        }
        Ok(())
    }

    /// Ends calls that are over or went silent, as of `now`.
    pub async fn sweep(&self, now: DateTime<Utc>) {
        for call in self.0.hub.calls().into_iter().filter(|call| call.is_due(now)) {
            let tick = CallEvent { session_id: call.session_id.clone(), heard_at: now, fact: Fact::Tick };
            if let Err(cause) = self.learn(vec![tick]).await {
                warn!(error = &cause as &dyn std::error::Error, "a call could not be ended");
                return;
            }
        }
    }

    /// Removes a person. Customers in MongoDB belong to the host application and stay.
    pub async fn erase(&self, number: &PhoneNumber) -> Result<Erased, StoreError> {
        let erased = self.0.store.erase(number, self.0.config.mongodb.is_none()).await?;
        info!(erased.active_calls, erased.call_history, erased.customers, "a person was erased");
        self.refresh().await?;
        Ok(erased)
    }

    /// Forgets history that is older than the settings allow.
    pub async fn prune(&self, now: DateTime<Utc>) {
        let before = now - TimeDelta::days(self.0.config.retention_days.into());
        match self.0.store.prune_history(before).await {
            Ok(0) => {}
            Ok(calls) => info!(calls, "old history was forgotten"),
            Err(cause) => warn!(error = &cause as &dyn std::error::Error, "old history could not be forgotten"),
        }
    }

    /// How many facts wait for the database.
    pub fn spooled(&self) -> usize {
        self.0.spool.as_ref().map_or(0, Spool::depth)
    }

    async fn turn(&self, session: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        session.hash(&mut hasher);
        self.0.locks[hasher.finish() as usize % LOCKS].lock().await
    }

    fn lookups(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lookups.lock().expect("nobody panics while holding the lookups")
    }

    fn feel(&self, change: impl FnOnce(&mut Pulse)) {
        change(&mut self.0.pulse.lock().expect("nobody panics while holding the pulse"));
    }
}

fn fact(session_id: &str, fact: Fact) -> CallEvent {
    CallEvent { session_id: session_id.to_owned(), heard_at: Utc::now(), fact }
}

type Lookup = Result<Result<Vec<Customer>, StoreError>, tokio::task::JoinError>;

/// A lookup that fails leaves the caller unknown for now; the popup comes all the same.
fn answered(lookup: Lookup) -> Option<Vec<Customer>> {
    match lookup {
        Ok(Ok(customers)) => Some(customers),
        Ok(Err(cause)) => {
            warn!(error = &cause as &dyn std::error::Error, "the caller could not be looked up");
            None
        }
        Err(_) => None,
    }
}

/// One line for each thing that happens in a call's life, without numbers or names.
fn log_life(call: &Call) {
    let status = call.status.as_str();
    match call.result {
        Some(result) => info!(call.id = %call.id, result = result.as_str(), "call ended"),
        None => info!(call.id = %call.id, status, rev = call.rev, "call changed"),
    }
}
