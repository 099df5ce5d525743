//! Spooled events are stored once MongoDB answers again: many calls at a time, by queues of their own, so that live webhooks wait
//! neither behind them nor for their end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::{StreamExt, stream};
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::Core;
use super::caller_lookup::caller_of;
use super::dismissals::Dismissals;
use super::erasures::ErasureFilter;
use super::outage::Outage;
use super::session_locks::SessionLocks;
use crate::call::{Call, CallEvent, CallEventKind};
use crate::fatal_panic;
use crate::hub::Origin;
use crate::store::{Spool, Spooled, Store, StoreError, sources};

/// Spooled entries whose calls are read at a time, each with all of its entries.
const REPLAY_BATCH: usize = 500;
/// Spooled entries read at a time to be shown.
const SHOWN_AT_A_TIME: usize = 1_000;
/// How long a poll waits for the first batch.
const FIRST_BATCH: Duration = Duration::from_secs(1);
/// Calls stored at a time: the database's acknowledgement is what takes long, and many share one.
const REPLAY_AT_ONCE: usize = 512;

/// Stores what is spooled.
pub(super) struct Replay {
    core: Arc<Core>,
    locks: Arc<SessionLocks>,
    outage: Arc<Outage>,
    erasures: Arc<ErasureFilter>,
    dismissals: Arc<Dismissals>,
    bulk: Store,
    /// Held by the one that replays.
    turn: Arc<Mutex<()>>,
}

type Failed = (i64, StoreError);

/// Entries of one call that follow each other and are stored as one change.
struct Run {
    call_id: String,
    entries: Vec<Spooled>,
    /// The answer of the caller's lookup.
    customers: Option<CallEvent>,
}

impl Replay {
    pub(super) fn new(
        core: Arc<Core>,
        locks: Arc<SessionLocks>,
        outage: Arc<Outage>,
        erasures: Arc<ErasureFilter>,
        dismissals: Arc<Dismissals>,
    ) -> Self {
        let bulk = core.store.for_many_writes();
        Self { core, locks, outage, erasures, dismissals, bulk, turn: Arc::default() }
    }

    /// Stores everything that is spooled: calls side by side, each in its order.
    pub(super) async fn run(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        while self.step().await? {}
        Ok(())
    }

    /// Begins to store in the background what is spooled, unless that is under way, and waits a moment for the first batch, which is
    /// all there is after most outages.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<(), StoreError> {
        let Some(turn) = self.turn.clone().try_lock_owned().ok().filter(|_| self.outage.depth() > 0) else {
            return Ok(());
        };
        info!(waiting = self.outage.depth(), "replaying spooled events");
        let (replay, (first, stored)) = (self.clone(), oneshot::channel());
        tokio::spawn(fatal_panic::task("replay of the spool", async move {
            let _turn = turn;
            let mut step = replay.step().await;
            let more = matches!(step, Ok(true));
            if let Err(Err(cause)) = first.send(step.map(drop)) {
                replay.core.status.mark_store_down(&cause);
            }
            step = Ok(more);
            while let Ok(true) = step {
                step = replay.step().await;
            }
            if let Err(cause) = step {
                replay.core.status.mark_store_down(&cause);
            }
        }));
        // A database that takes it slowly, or not at all, must not hide what others wrote.
        match timeout(FIRST_BATCH, stored).await {
            Ok(Ok(stored)) => stored,
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Shows the calls whose events wait, after a restart: viewers had them before.
    pub(super) async fn show(&self) -> Result<(), StoreError> {
        let Some(spool) = self.outage.spool().filter(|spool| spool.depth() > 0) else { return Ok(()) };
        let (mut calls, mut dismissed, mut position) = (HashMap::<String, Call>::new(), Vec::new(), 0);
        loop {
            let batch = spool.after(position, SHOWN_AT_A_TIME).await?;
            let Some(last) = batch.last() else { break };
            position = last.position;
            for Spooled { call_id, mut events, .. } in batch {
                self.erasures.drop_erased(&mut events);
                dismissed.extend(events.iter().filter_map(|event| match &event.kind {
                    CallEventKind::Dismissed(viewer) => Some((call_id.clone(), viewer.clone())),
                    _ => None,
                }));
                let Some(first) = events.first() else { continue };
                if !calls.contains_key(&call_id) && first.can_begin_a_call() {
                    let begun = Call::new(call_id.clone(), first.session_id.clone(), first.heard_at);
                    calls.insert(call_id.clone(), begun);
                }
                if let Some(call) = calls.get_mut(&call_id) {
                    call.apply_all(&events);
                }
            }
            calls.retain(|_, call| !call.is_over());
        }
        let now = Utc::now();
        let live = calls.into_values().filter(|call| !call.is_due(now));
        live.for_each(|call| self.core.hub.publish_from(Origin::Memory, call, None));
        dismissed.iter().for_each(|(call_id, viewer)| self.core.hub.dismiss(call_id, viewer));
        Ok(())
    }

    /// Stores one batch. Whether there is more.
    async fn step(&self) -> Result<bool, StoreError> {
        let Some(spool) = self.outage.spool() else { return Ok(false) };
        let batch = spool.oldest(REPLAY_BATCH).await?;
        if batch.is_empty() {
            spool.recount().await?;
            return Ok(false);
        }
        let mut calls: Vec<Vec<Run>> = self.by_call(batch).into_iter().map(runs).collect();
        self.identify_callers(&mut calls).await;
        let stored = stream::iter(calls).map(|runs| self.store_call(runs)).buffer_unordered(REPLAY_AT_ONCE);
        let (taken, failed): (Vec<_>, Vec<_>) = stored.collect::<Vec<_>>().await.into_iter().unzip();
        let taken: Vec<i64> = taken.into_iter().flatten().collect();
        let some_taken = !taken.is_empty();
        spool.forget(taken).await?;
        self.handle_failures(spool, failed.into_iter().flatten().collect(), some_taken).await?;
        if spool.depth() > 0 {
            return Ok(true);
        }
        spool.leave_no_trace().await?;
        Ok(false)
    }

    /// Sets aside what the database refuses. The error of what fails like all others, which waits with them.
    async fn handle_failures(&self, spool: &Spool, failed: Vec<Failed>, some_taken: bool) -> Result<(), StoreError> {
        let is_refused = |(_, cause): &Failed| matches!(cause, StoreError::Refused { .. });
        let (refused, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(is_refused);
        for (position, cause) in &refused {
            spool.put_aside(*position).await?;
            error!(position, error = %cause, error.sources = sources(&cause), "MongoDB refuses a spooled event, which is put aside");
        }
        for (position, cause) in failed {
            if !some_taken && refused.is_empty() {
                return Err(cause);
            }
            // One that fails alone, again and again, is what the database does not take.
            if spool.refuse(position).await? {
                error!(position, error = %cause, error.sources = sources(&cause), "a spooled fact was refused and is set aside");
            }
        }
        Ok(())
    }

    /// Puts entries together that may change the same call, as the session locks do for live ones.
    fn by_call(&self, entries: Vec<Spooled>) -> Vec<Vec<Spooled>> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut calls: Vec<(HashSet<String>, Vec<Spooled>)> = Vec::new();
        for entry in entries {
            let mut sessions: HashSet<String> = self.locks.sessions_of(&entry.events).into_iter().collect();
            let same: HashSet<usize> = sessions.iter().filter_map(|name| places.get(name).copied()).collect();
            let place = same.iter().copied().min().unwrap_or(calls.len());
            if place == calls.len() {
                calls.push(Default::default());
            }
            for other in same.into_iter().filter(|other| *other != place) {
                let (names, earlier) = std::mem::take(&mut calls[other]);
                sessions.extend(names);
                calls[place].1.extend(earlier);
            }
            places.extend(sessions.iter().map(|name| (name.clone(), place)));
            calls[place].0.extend(sessions);
            calls[place].1.push(entry);
        }
        let mut calls: Vec<Vec<Spooled>> = calls.into_iter().map(|(_, entries)| entries).collect();
        calls.retain(|entries| !entries.is_empty());
        calls.iter_mut().for_each(|entries| entries.sort_by_key(|entry| entry.position));
        calls
    }

    /// Looks up, with one question, the callers of those calls of which it was not done when they rang. Only what an index finds: a
    /// caller who is on the phone now is looked up in every spelling beside this.
    async fn identify_callers(&self, calls: &mut [Vec<Run>]) {
        let region = self.core.config.region;
        let mut asked = Vec::new();
        for run in calls.iter_mut().flatten() {
            let events = || run.entries.iter().flat_map(|entry| &entry.events);
            let is_known = events().any(|event| matches!(event.kind, CallEventKind::Customers(_)));
            if let Some((session_id, number)) =
                events().find_map(|event| caller_of(event, region)).filter(|_| !is_known)
            {
                asked.push((run, session_id, number));
            }
        }
        let numbers: Vec<_> = asked.iter().map(|(_, _, number)| number.clone()).collect();
        if numbers.is_empty() {
            return;
        }
        let found = match self.core.store.customers_by_phones(&numbers).await {
            Ok(found) => found,
            Err(cause) => {
                return warn!(error = %cause, error.sources = sources(&cause), "callers could not be looked up");
            }
        };
        for ((run, session_id, _), customers) in asked.into_iter().zip(found) {
            let heard_at = run.entries.iter().flat_map(|entry| &entry.events).map(|event| event.heard_at).max();
            if let Some(heard_at) = heard_at.filter(|_| !customers.is_empty()) {
                run.customers = Some(CallEvent { session_id, heard_at, kind: CallEventKind::Customers(customers) });
            }
        }
    }

    /// Stores one call's entries up to the first that fails: the positions of those that were stored, and that one.
    async fn store_call(&self, runs: Vec<Run>) -> (Vec<i64>, Option<Failed>) {
        let mut taken = Vec::new();
        for Run { call_id, entries, customers } in runs {
            let together = entries.iter().flat_map(|entry| &entry.events).cloned().chain(customers).collect();
            match self.store(&call_id, together).await {
                Ok(()) => taken.extend(entries.iter().map(|entry| entry.position)),
                // Which of them it is that is refused shows when each is stored by itself.
                Err(StoreError::Refused { .. }) if entries.len() > 1 => {
                    for entry in entries {
                        match self.store(&call_id, entry.events).await {
                            Ok(()) => taken.push(entry.position),
                            Err(cause) => return (taken, Some((entry.position, cause))),
                        }
                    }
                }
                Err(cause) => return (taken, entries.first().map(|entry| (entry.position, cause))),
            }
        }
        (taken, None)
    }

    async fn store(&self, call_id: &str, mut events: Vec<CallEvent>) -> Result<(), StoreError> {
        let hub = &self.core.hub;
        self.erasures.drop_erased(&mut events);
        if events.is_empty() {
            return Ok(());
        }
        let known = self.bulk.load(&events, None).await?;
        self.dismissals.replay(&events, &known.held).await?;
        // What began and ended meanwhile is news to none who did not see it.
        let is_news = |call: &Call| !call.is_over() || hub.call(&call.id).is_some();
        let publish = |call: Call| {
            if is_news(&call) {
                hub.publish(call, None)
            }
        };
        let stored = self.bulk.apply_to(&events, known, call_id, publish).await;
        // Its viewers keep it until it ends.
        if matches!(stored, Err(StoreError::Refused { .. })) && hub.call(call_id).is_some() {
            self.outage.unwritten.add(call_id);
        }
        stored
    }
}

/// Entries of one call that follow each other. A dismissal is stored beside its call, which is stored first.
fn runs(entries: Vec<Spooled>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for entry in entries {
        let dismisses = entry.events.iter().any(|event| matches!(event.kind, CallEventKind::Dismissed(_)));
        match runs.last_mut().filter(|run| run.call_id == entry.call_id && !dismisses) {
            Some(run) => run.entries.push(entry),
            None => runs.push(Run { call_id: entry.call_id.clone(), entries: vec![entry], customers: None }),
        }
    }
    runs
}
