//! Events of calls are applied, stored and published.
//!
//! Events of one call are applied one after the other under the locks of its sessions, so that a dozen phones that ring at once do
//! not compete for one document, and two sessions that turn out to be one call are joined once. Between instances the store's
//! comparison of `rev` does the same. What MongoDB cannot take is spooled ([`Outage`]) and published from memory.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;
use tracing::{Instrument, debug, error, info, warn};

use super::caller_lookup::{CallerLookup, Lookup};
use super::erasures::ErasureFilter;
use super::outage::{Outage, STORE_PATIENCE};
use super::presence::PresenceTracker;
use super::session_locks::SessionLocks;
use super::{Core, integration, log_name};
use crate::call::{Call, CallEvent, CallEventKind, Direction, MOST_PARTIES, PartyState, Status};
use crate::hub::Origin;
use crate::phone::PhoneNumber;
use crate::ringcentral::directory::Directory;
use crate::ringcentral::notification::{PresenceSnapshot, pair_with_known};
use crate::store::{LoadedCalls, Spool, StoreError, calls_of, new_id, sources};
use crate::trace;

/// Calls of one notification that are stored at a time: they share commits, and leave room for other notifications.
const CALLS_AT_ONCE: usize = 16;
/// Recorded among the shapes when a call has more parties than are kept.
const FULL_CALL: &str = "parties beyond the most that are kept of one call";

/// Applies, stores and publishes events. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ingest(Arc<Parts>);

struct Parts {
    core: Arc<Core>,
    locks: Arc<SessionLocks>,
    lookup: CallerLookup,
    outage: Arc<Outage>,
    erasures: Arc<ErasureFilter>,
    presence: PresenceTracker,
    directory: Option<Directory>,
}

impl Ingest {
    pub(super) fn new(
        core: Arc<Core>,
        locks: Arc<SessionLocks>,
        outage: Arc<Outage>,
        erasures: Arc<ErasureFilter>,
        directory: Option<Directory>,
    ) -> Self {
        let lookup = CallerLookup::new(core.clone());
        let presence = PresenceTracker::new(core.hub.clone());
        Self(Arc::new(Parts { core, locks, lookup, outage, erasures, presence, directory }))
    }

    /// Applies the events of a notification that arrived at `heard`.
    pub(super) async fn ingest_events(&self, mut events: Vec<CallEvent>, heard: Instant) -> Result<(), StoreError> {
        if let Some(directory) = &self.0.directory {
            for event in &mut events {
                if let CallEventKind::Party(party) = &mut event.kind {
                    integration::enrich(directory, party, self.0.core.config.region);
                }
            }
        }
        let mut calls = calls_of(events);
        if calls.len() == 1 {
            return self.ingest_call(calls.swap_remove(0), heard).await;
        }
        let calls = stream::iter(calls).map(|events| self.ingest_call(events, heard));
        // All are awaited: a future that is dropped halfway would lose its events.
        let applied: Vec<_> = calls.buffer_unordered(CALLS_AT_ONCE).collect().await;
        applied.into_iter().collect()
    }

    /// Applies the calls that one extension's presence lists, and the end of those it lists no longer.
    pub(super) async fn ingest_presence(
        &self,
        mut events: Vec<CallEvent>,
        snapshot: PresenceSnapshot,
        heard: Instant,
    ) -> Result<(), StoreError> {
        // A notification that was overtaken must not ring a phone that has stopped ringing.
        let (snapshot, parked) = self.0.presence.newest(snapshot);
        events.retain(|event| !self.0.presence.is_unparked(event, &parked));
        let ended: Vec<_> = events.iter().filter_map(|event| snapshot.supersedes(event)).collect();
        events.extend(ended);
        let before = events.clone();
        let paired = self.pair(&mut events);
        self.ingest_events(events, heard).await?;
        // Both legs of a RingOut may arrive in this moment, each before the other is known.
        let mut events = before;
        if !paired && self.pair(&mut events) {
            self.ingest_events(events, heard).await?;
        }
        for event in self.0.presence.unlisted(&snapshot) {
            self.apply_events(vec![event]).await?;
        }
        Ok(())
    }

    fn pair(&self, events: &mut Vec<CallEvent>) -> bool {
        pair_with_known(events, &self.0.core.hub.calls(), self.0.core.config.region)
    }

    /// Applies one call's events of a notification, and records when these bring more parties than are kept.
    async fn ingest_call(&self, events: Vec<CallEvent>, heard: Instant) -> Result<(), StoreError> {
        let session = events[0].session_id.clone();
        let call = || self.0.core.hub.call_of_session(&session);
        let parties = call().map_or(0, |call| call.facts.parties.len());
        let crowd = (parties + events.len() > MOST_PARTIES).then(|| events.clone());
        self.apply_events_of(events, Some(heard)).await?;
        if crowd.is_some_and(|events| call().is_some_and(|call| call.overflows(&events))) {
            warn!(most = MOST_PARTIES, "a call has more parties than are kept");
            self.record_shape(FULL_CALL).await;
        }
        Ok(())
    }

    /// Records the shape of a notification. RingCentral gets its 200 also where the store does not take it.
    pub(super) async fn record_shape(&self, shape: &str) {
        let recorded = timeout(STORE_PATIENCE, self.0.core.store.record_shape(shape, Utc::now())).await;
        if let Err(cause) = recorded.unwrap_or(Err(StoreError::Slow)) {
            warn!(error = %cause, error.sources = sources(&cause), "the shape of a notification could not be recorded");
        }
    }

    /// Applies events of one session that come from no notification, and publishes the call that changed.
    pub(super) async fn apply_events(&self, events: Vec<CallEvent>) -> Result<(), StoreError> {
        self.apply_events_of(events, None).await
    }

    /// The same for events of a notification that arrived at `heard`.
    async fn apply_events_of(&self, mut events: Vec<CallEvent>, heard: Option<Instant>) -> Result<(), StoreError> {
        let _locked = self.0.locks.lock(&events).await;
        self.0.erasures.drop_erased(&mut events);
        if events.is_empty() {
            return Ok(());
        }
        let known = self.0.core.hub.call_of_session(&events[0].session_id);
        let id = known.as_ref().map_or_else(new_id, |call| call.id.clone());
        // What could not be stored before comes first.
        let earlier = self.0.outage.held.events_of(&id);
        let held = earlier.len();
        events.splice(..0, earlier);
        let stored = match self.0.outage.spool() {
            Some(spool) => self.store_or_spool(spool, &id, known.clone(), &mut events, held, heard).await,
            None => self.persist(known.clone(), &id, &mut events, heard).await,
        };
        match &stored {
            Ok(()) => {
                self.0.outage.held.remove(&id);
                self.0.core.status.mark_disk_working();
            }
            Err(cause) => self.hold(&id, known, events, held, heard, cause),
        }
        stored
    }

    /// Shows from memory what no disk takes, and holds it until there is room. `held` of these events are shown already.
    fn hold(
        &self,
        id: &str,
        known: Option<Arc<Call>>,
        events: Vec<CallEvent>,
        held: usize,
        heard: Option<Instant>,
        cause: &StoreError,
    ) {
        self.publish_from_memory(id, known, &events[held..], heard);
        self.0.outage.held.put(id, events);
        if cause.is_of_the_disk() {
            self.0.core.status.mark_disk_failing(cause);
        }
    }

    /// Stores what is held. An error when the disk still fails.
    pub(super) async fn store_held(&self) -> Result<(), StoreError> {
        for id in self.0.outage.held.calls() {
            let _locked = self.0.locks.lock(&self.0.outage.held.events_of(&id)).await;
            // As it is now that its turn has come.
            let mut events = self.0.outage.held.events_of(&id);
            self.0.erasures.drop_erased(&mut events);
            let held = events.len();
            let known = events.first().and_then(|first| self.0.core.hub.call_of_session(&first.session_id));
            let known = known.filter(|call| call.id == id);
            let stored = match self.0.outage.spool() {
                _ if events.is_empty() => Ok(()),
                Some(spool) => self.store_or_spool(spool, &id, known, &mut events, held, None).await,
                None => self.persist(known, &id, &mut events, None).await,
            };
            match stored {
                Ok(()) => self.0.outage.held.remove(&id),
                Err(cause) if cause.is_of_the_disk() => return Err(cause),
                Err(cause) if self.0.outage.held.refuse(&id) => {
                    error!(error = %cause, error.sources = sources(&cause), "events of a call are refused again and again and are given up");
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Stores the events, or spools them where MongoDB does not answer, or while earlier ones wait. Events of a call that it
    /// refuses are set aside. The first `held` of them are shown already.
    async fn store_or_spool(
        &self,
        spool: &Spool,
        id: &str,
        known: Option<Arc<Call>>,
        events: &mut Vec<CallEvent>,
        held: usize,
        heard: Option<Instant>,
    ) -> Result<(), StoreError> {
        let status = &self.0.core.status;
        if self.0.outage.unwritten.has(id) {
            events.extend(self.identify_caller(events).await);
            return self.set_aside(id, known, events, held, heard).await;
        }
        if status.store_is_down() || self.0.outage.waits(|| self.0.locks.sessions_of(events)).await {
            events.extend(self.identify_caller(events).await);
        } else {
            match timeout(STORE_PATIENCE, self.persist(known.clone(), id, events, heard)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(StoreError::Refused { code, .. })) => {
                    let known = self.0.core.hub.call_of_session(&events[0].session_id).or(known);
                    let name = log_name(id);
                    warn!(
                        call.id = name,
                        code, "MongoDB refuses a call, which is kept on this machine and shown from memory"
                    );
                    return self.set_aside(id, known, events, held, heard).await;
                }
                Ok(Err(cause)) => status.mark_store_down(&cause),
                Err(_) => status.mark_store_down(&StoreError::Slow),
            }
        }
        spool.push(id, events).await?;
        self.publish_from_memory(id, known, &events[held..], heard);
        Ok(())
    }

    /// Looks the caller up while the store loads the call, then stores what is new and publishes it. `events` gets the answer
    /// of the lookup.
    async fn persist(
        &self,
        known: Option<Arc<Call>>,
        new_id: &str,
        events: &mut Vec<CallEvent>,
        heard: Option<Instant>,
    ) -> Result<(), StoreError> {
        let store = &self.0.core.store;
        let load = async {
            if self.begins(events) {
                return Ok(LoadedCalls::at_hand(events, None));
            }
            // A call whose events are held has them in memory, and the store does not.
            let shown = known.as_ref().map_or(0, |call| call.rev);
            let stored = known.filter(|call| !self.0.outage.held.has(&call.id));
            let loaded = store.load(events, stored).await?;
            Ok::<_, StoreError>(LoadedCalls { shown, ..loaded })
        };
        let lookup = self.identify_caller(events).instrument(trace::step("look up the caller"));
        let (customers, loaded) = tokio::join!(lookup, load.instrument(trace::step("load the call")));
        events.extend(customers);
        let publish = |call| self.publish(Origin::Store, call, heard);
        store.apply_to(events, loaded?, new_id, publish).instrument(trace::step("store the call")).await
    }

    /// Whether a phone begins to ring for a session that cannot be in the store: the change stream has covered everything since
    /// before the ring, and the hub has no such session. If another instance inserts it concurrently, the unique index reports
    /// that.
    fn begins(&self, events: &[CallEvent]) -> bool {
        let rang = events.iter().filter_map(|event| match &event.kind {
            CallEventKind::Party(party) if party.state == PartyState::Ringing => Some(party.at.min(event.heard_at)),
            _ => None,
        });
        let mut sessions = events.iter().flat_map(CallEvent::sessions);
        rang.min().is_some_and(|at| sessions.all(|session| self.0.core.hub.is_new(session, at)))
    }

    /// Events of a call that MongoDB refuses stay on this machine. The call is shown from memory until it ends, and is then
    /// stored in the history if that takes it.
    async fn set_aside(
        &self,
        id: &str,
        known: Option<Arc<Call>>,
        events: &[CallEvent],
        held: usize,
        heard: Option<Instant>,
    ) -> Result<(), StoreError> {
        self.0.outage.keep_aside(id, events).await?;
        let Some(call) = self.publish_from_memory(id, known, &events[held..], heard) else { return Ok(()) };
        if !call.is_over() {
            self.0.outage.unwritten.add(id);
        } else if self.0.outage.unwritten.remove(id)
            && let Err(cause) = self.0.core.store.keep_ended(call).await
        {
            debug!(error = %cause, error.sources = sources(&cause), "a call is not in the history");
        }
        Ok(())
    }

    /// Applies events to the call in memory, and publishes it if they change it.
    fn publish_from_memory(
        &self,
        id: &str,
        known: Option<Arc<Call>>,
        events: &[CallEvent],
        heard: Option<Instant>,
    ) -> Option<Call> {
        let first = events.first()?;
        let ended = known.is_none() && self.0.core.hub.has_ended(&first.session_id);
        if ended || (known.is_none() && !first.can_begin_a_call()) {
            return None;
        }
        let begun = || Call::new(id.to_owned(), first.session_id.clone(), first.heard_at);
        let mut call = known.map_or_else(begun, |call| (*call).clone());
        let changed = events.iter().fold(false, |changed, event| call.apply(event) | changed);
        changed.then(|| {
            self.publish(Origin::Memory, call.clone(), heard);
            call
        })
    }

    fn publish(&self, origin: Origin, call: Call, heard: Option<Instant>) {
        let (id, status, result, rev) = (log_name(&call.id).to_owned(), call.status, call.result, call.rev);
        let before = self.0.core.hub.call(&call.id);
        let rang = before.as_ref().is_some_and(|before| before.status != Status::Setup);
        let (was_answered, is_answered) =
            (before.is_some_and(|it| it.answered_at.is_some()), call.answered_at.is_some());
        self.0.core.hub.publish_from(origin, call, heard);
        // One line for each turn in a call's life, without numbers or names; a dozen phones that ring are a dozen changes.
        match result {
            Some(result) => info!(call.id = %id, result = result.as_str(), "call ended"),
            None if is_answered && !was_answered => info!(call.id = %id, "call answered"),
            None if status == Status::Ringing && !rang => info!(call.id = %id, "call ringing"),
            None => debug!(call.id = %id, status = status.as_str(), rev, "call changed"),
        }
    }

    /// The caller's customers, if the answer is there in time. A later one is applied when it comes.
    async fn identify_caller(&self, events: &[CallEvent]) -> Option<CallEvent> {
        match self.0.lookup.identify_caller(events).await {
            Lookup::None => None,
            Lookup::InTime(event) => Some(event),
            Lookup::Late(session, answer) => {
                self.apply_when_ready(session, answer);
                None
            }
        }
    }

    /// Looks the caller of a session up without a wait for the answer, which is applied when it comes.
    pub(super) fn look_up_later(&self, session: String, number: PhoneNumber) {
        let ingest = self.clone();
        tokio::spawn(async move {
            match ingest.0.lookup.lookup_with_budget(session, number).await {
                Lookup::None => {}
                Lookup::InTime(event) => ingest.apply_customers(event).await,
                Lookup::Late(session, answer) => ingest.apply_when_ready(session, answer),
            }
        });
    }

    /// Looks up the callers of live calls of which that was not done, because the database was away.
    pub(super) fn name_callers(&self) {
        let region = self.0.core.config.region;
        for call in self.0.core.hub.calls() {
            let unknown = call.direction == Direction::Inbound && call.status.visible() && !call.facts.looked_up;
            let number = call.from_number.as_deref().filter(|_| unknown);
            if let Some(number) = number.and_then(|number| PhoneNumber::parse(number, region)) {
                self.look_up_later(call.session_id.clone(), number);
            }
        }
    }

    fn apply_when_ready(&self, session: String, answer: impl Future<Output = Option<CallEvent>> + Send + 'static) {
        let ingest = self.clone();
        tokio::spawn(async move {
            if let Some(event) = answer.await {
                ingest.apply_customers(event).await;
            }
            ingest.0.lookup.finish(&session);
        });
    }

    pub(super) async fn apply_customers(&self, customers: CallEvent) {
        if let Err(cause) = self.apply_events(vec![customers]).await {
            warn!(error = %cause, error.sources = sources(&cause), "a customer was found and could not be stored");
        }
    }
}
