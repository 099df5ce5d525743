//! Tells viewers what changed.
//!
//! One log for everybody instead of a queue for each: a change is appended once, its frames are encoded once, and a
//! viewer is a cursor into the log. A viewer who falls so far behind that the log has moved on gets `resync` and the calls
//! as they are now, because a popup needs the state, not every step to it; admins, who see everything, are given one copy
//! of that, whenever they fell behind. What waits for one viewer alone is therefore no more than the log's few frames, an
//! agent's own calls, or the ids of the calls when a stream opens; and one who stands still costs the others nothing.
//!
//! What a viewer is told depends on who they are, so the log keeps the call before and after each change and the
//! cursor decides: it came into view, it changed, or it left.
//!
//! # Coming back
//!
//! A viewer who comes back to the same run of this program goes on in the log. One who comes from another instance, or
//! from before a restart, brings a *mark*: MongoDB's own time, as its change stream tells every instance the same changes
//! in the same order. The hub's mark is the time of the newest change that was taken in *after* it was published, so who
//! has been told everything up to a position has been told everything up to the mark in its id. Each change remembers
//! the time of its echo. That viewer is told what was echoed since their mark and what has no echo yet; what they knew
//! already has no higher `rev`, and they drop it. Where the change stream was not followed without a gap since that watermark,
//! or an end since then is no longer remembered, they start over. Without a change stream there is no watermark, and none is
//! given while a call is shown that is not stored yet: two instances may show one call under an id each, and the one that
//! is not to stay ends here only.

mod cursor;
mod dismissals;
mod event_id;
mod frame;
mod state;
mod subscription;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::call::Call;
use crate::metrics::Metrics;
use crate::viewer::Viewer;
use cursor::Snapshot;
pub use cursor::{Closing, Cursor, EventNames, FrameCache, closing_frame};
use frame::Frames;
pub use frame::Incident;
pub use state::Origin;
use state::{ChangeKind, HubState};
pub use subscription::{CallChange, Missed, Subscription};

/// Viewers of one process; a file descriptor each, and 20,000 is a common hard limit.
pub const MOST_VIEWERS: usize = 18_000;

/// How things stand for one viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewerStatus {
    /// The log has grown since they were told.
    pub behind: bool,
    /// A call stands on their screen.
    pub has_calls: bool,
}

/// Nothing new, but the line is alive. Who has been told everything also learns where that is, or the position of a quiet
/// line would grow old.
pub struct Heartbeat {
    position: u64,
    id_length: usize,
    bytes: [Bytes; 2],
}

impl Heartbeat {
    /// The bytes for a viewer.
    pub fn of(&self, cursor: &Cursor) -> Bytes {
        let bytes = &self.bytes[cursor.names() as usize];
        bytes.slice(if cursor.is_at(self.position) { 0 } else { self.id_length }..)
    }
}

/// The live calls and everyone who watches them. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    state: RwLock<HubState>,
    /// The log's end; viewers wait for it to move.
    head: watch::Sender<u64>,
    viewers: AtomicUsize,
    most_viewers: AtomicUsize,
    /// By [`EventNames`], what admins who start over were told last.
    snapshots: Mutex<[Option<Arc<Snapshot>>; 2]>,
    metrics: Arc<Metrics>,
}

/// One viewer's place among as many as there may be, given back when dropped.
#[derive(Debug)]
struct ViewerPermit(Hub);

impl ViewerPermit {
    fn take(hub: &Hub) -> Option<Self> {
        let place = Self(hub.clone());
        let most = hub.0.most_viewers.load(Ordering::Relaxed);
        (hub.0.viewers.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for ViewerPermit {
    fn drop(&mut self) {
        self.0.0.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub({} viewers)", self.viewers())
    }
}

impl Hub {
    /// A hub without calls and viewers.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let (head, _) = watch::channel(0);
        // Random, because instances may start in the same moment.
        let state = RwLock::new(HubState::new(format!("{:x}", rand::random::<u64>())));
        let (viewers, most_viewers) = (AtomicUsize::new(0), AtomicUsize::new(MOST_VIEWERS));
        Self(Arc::new(Shared { state, head, viewers, most_viewers, snapshots: Mutex::default(), metrics }))
    }

    /// Tells a call's newest state to everyone it concerns. Of two states the higher `rev` wins, so echoes from the
    /// change stream or the poll do no harm. `heard` is when the notification behind it arrived, for the metrics.
    pub fn publish(&self, call: Call, heard: Option<Instant>) {
        self.publish_from(Origin::Store, call, heard);
    }

    /// The same for a call that may not be stored yet.
    pub fn publish_from(&self, source: Origin, call: Call, heard: Option<Instant>) {
        let mut state = self.write();
        let before = state.head;
        state.publish(call, source, heard);
        let told = state.head;
        self.announce(told);
        // MongoDB's change stream was quicker than its answer, so viewers were told by now.
        if let Some(heard) = heard.filter(|_| told == before && self.viewers() > 0) {
            self.0.metrics.webhook_pushed.observe(heard.elapsed().as_secs_f64());
        }
    }

    /// Compares with everything in `active_calls`, read after `since` was taken from [`Hub::head`]. Publishes what is
    /// newer, and answers what another program changed without a new `rev`, and the ids of calls that are no longer
    /// there.
    pub fn reconcile(&self, active: Vec<Arc<Call>>, since: u64) -> (Vec<Call>, Vec<String>) {
        let stored: HashSet<String> = active.iter().map(|call| call.id.clone()).collect();
        let state = self.read();
        let before = state.calls.values().filter(|change| change.position <= since);
        let ids = before.filter_map(|change| change.call()).map(|call| &call.id);
        let gone = ids.filter(|id| !stored.contains(*id)).cloned().collect();
        // After an outage the store may be behind what was shown from memory; then it has to catch up in `rev`.
        let ahead = |call: &Arc<Call>| {
            let known = state.calls.get(&call.id).filter(|change| change.position <= since);
            known.and_then(|change| change.call()).is_some_and(|known| known.rev > call.rev)
        };
        let known = |call: &Arc<Call>| {
            state.calls.get(&call.id).and_then(|change| change.call()).is_some_and(|known| Arc::ptr_eq(known, call))
        };
        let (behind, current): (Vec<_>, Vec<_>) = active.into_iter().filter(|call| !known(call)).partition(ahead);
        drop(state);
        let (behind, current) = [behind, current].map(|calls| calls.into_iter().map(Arc::unwrap_or_clone)).into();
        let foreign = current.into_iter().filter_map(|call| self.compare(call, since));
        (foreign.chain(behind).collect(), gone)
    }

    /// The same for one call: answers it when another program changed it.
    pub fn compare(&self, call: Call, since: u64) -> Option<Call> {
        let mut state = self.write();
        // A change by another program leaves `rev` alone.
        let known =
            state.calls.get(&call.id).filter(|change| change.position <= since).and_then(|change| change.call());
        if call.rev == 0 || known.is_some_and(|known| known.rev == call.rev && **known != call) {
            return Some(call);
        }
        state.publish(call, Origin::Store, None);
        self.announce(state.head);
        None
    }

    /// Makes every viewer start over: what they were told may have a gap.
    pub fn resync(&self) {
        let mut state = self.write();
        state.log.clear();
        state.head += 1;
        self.announce(state.head);
    }

    /// Forgets calls that were `erased`, and ends that are `touched`; every viewer starts over, because the log has their frames.
    pub fn erase(&self, erased: impl Fn(&Call) -> bool, touched: impl Fn(&Call) -> bool) {
        let mut state = self.write();
        state.erase(erased, touched);
        *self.0.snapshots.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Default::default();
        self.announce(state.head);
    }

    /// Sends every viewer an error, and those who come before the incident ends; streams stay open.
    pub fn begin_incident(&self, incident: Incident) {
        let mut state = self.write();
        let frames = Frames::trouble(state.next_id(), incident);
        let change = state.append(ChangeKind::Notice, frames, None);
        state.incidents.insert(incident, change);
        self.announce(state.head);
    }

    /// It is over.
    pub fn end_incident(&self, incident: Incident) {
        let mut state = self.write();
        state.incidents.remove(&incident);
        // That is no change in the log, and snapshots no longer contain it.
        *self.0.snapshots.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Default::default();
    }

    /// The change stream tells everything since this cluster time, and the collection was read after that.
    pub fn set_watermark_source(&self, since: u64) {
        let mut state = self.write();
        state.watermark_source = Some(since);
        state.watermark = state.watermark.max(Some(since));
    }

    /// The change stream was lost: nothing is known for certain until it is covered again.
    pub fn clear_watermark_source(&self) {
        self.write().watermark_source = None;
    }

    /// The change stream told that a call got this `rev`, or with `None` that it left, at this cluster time. To be called
    /// after that was published, or found to be nothing new.
    pub fn acknowledge(&self, id: &str, rev: Option<i64>, at: u64) {
        self.write().acknowledge(id, rev, at);
    }

    /// A viewer dismissed a call, here or at another instance. Published to that viewer's streams alone.
    pub fn dismiss(&self, call_id: &str, viewer: &str) {
        let mut state = self.write();
        let position = state.head;
        if state.dismissals.add(call_id, viewer, position) {
            // The log does not grow by it; those who wait for it look at what they dismissed too.
            self.0.head.send_modify(|_| {});
        }
    }

    /// Adds every stored dismissal, call and viewer, and forgets others of calls that are unknown here.
    pub fn load_dismissals<'a>(&self, stored: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
        for (call_id, viewer) in stored.clone() {
            if !self.has_dismissed(call_id, viewer) {
                self.dismiss(call_id, viewer);
            }
        }
        let stored: HashSet<&str> = stored.map(|(call_id, _)| call_id).collect();
        let HubState { dismissals, calls, ended, .. } = &mut *self.write();
        dismissals.retain(|id| stored.contains(id) || calls.contains_key(id) || ended.contains_key(id));
    }

    /// Whether this viewer dismissed this call.
    pub fn has_dismissed(&self, call_id: &str, viewer: &str) -> bool {
        self.read().dismissals.has(call_id, viewer)
    }

    /// The log's end.
    pub fn head(&self) -> u64 {
        self.read().head
    }

    /// A call that has not ended.
    pub fn call(&self, id: &str) -> Option<Arc<Call>> {
        self.read().calls.get(id).and_then(|change| change.call()).cloned()
    }

    /// The highest `rev` told of a call that goes on, or that ended not long ago.
    pub fn rev(&self, id: &str) -> Option<i64> {
        self.read().known(id).and_then(|change| change.call()).map(|call| call.rev)
    }

    /// The live call of a session.
    pub fn call_of_session(&self, session_id: &str) -> Option<Arc<Call>> {
        let state = self.read();
        state.calls.get(state.sessions.get(session_id)?).and_then(|change| change.call()).cloned()
    }

    /// Whether a session's call was seen to end not long ago.
    pub fn has_ended(&self, session_id: &str) -> bool {
        let state = self.read();
        state.sessions.get(session_id).is_some_and(|id| !state.calls.contains_key(id))
    }

    /// Whether a call of this session, had there been one at `at` or later, would be known here, and is not.
    pub fn is_new(&self, session_id: &str, at: DateTime<Utc>) -> bool {
        let state = self.read();
        !state.sessions.contains_key(session_id) && state.knows_all_since(at)
    }

    /// Every call that has not ended, `setup` included.
    pub fn calls(&self) -> Vec<Arc<Call>> {
        self.read().calls.values().filter_map(|change| change.call()).cloned().collect()
    }

    /// What a viewer sees now, newest first.
    pub fn active_calls(&self, viewer: &Viewer) -> Vec<Arc<Call>> {
        let shown = |call: &&Arc<Call>| call.status.visible() && viewer.can_read(call);
        let state = self.read();
        let mut calls: Vec<_> =
            state.calls.values().filter_map(|change| change.call()).filter(shown).cloned().collect();
        calls.sort_by(|a, b| (b.timestamp, &b.id).cmp(&(a.timestamp, &a.id)));
        calls
    }

    /// Begins to tell a viewer, from `last_event_id` on where that is still possible: their cursor and first frames, in two
    /// parts of which the second may be shared.
    /// `None` when there are as many viewers as the process can hold.
    pub fn open(&self, viewer: Viewer, names: EventNames, last_event_id: Option<&str>) -> Option<(Cursor, [Bytes; 2])> {
        let place = ViewerPermit::take(self)?;
        self.0.metrics.streams.inc();
        Some(Cursor::open(place, viewer, names, last_event_id))
    }

    /// Takes fewer viewers than [`MOST_VIEWERS`] where the process cannot hold so many.
    pub fn take_at_most(&self, viewers: usize) {
        self.0.most_viewers.store(viewers, Ordering::Relaxed);
    }

    /// How many viewers listen.
    pub fn viewers(&self) -> usize {
        self.0.viewers.load(Ordering::Relaxed)
    }

    /// What each of these viewers is to be told now; most of the time the same bytes for all.
    pub fn pending_frames<'a>(
        &self,
        cursors: impl Iterator<Item = &'a mut Cursor>,
        cache: &mut FrameCache,
        mut tell: impl FnMut(usize, Bytes),
    ) {
        let state = self.read();
        for (index, cursor) in cursors.enumerate() {
            if let Some(frames) = cursor.pending_frames(&state, &self.0, cache) {
                tell(index, frames);
            }
        }
    }

    /// What to say where nothing is new.
    pub fn heartbeat(&self) -> Heartbeat {
        let state = self.read();
        let id = format!("id: {}\n", state.id());
        let bytes = [EventNames::Typed, EventNames::MessageOnly].map(|names| frame::heartbeat(names, &id));
        Heartbeat { position: state.head, id_length: id.len(), bytes }
    }

    /// Whether there is anything new for a viewer, or anything on their screen.
    pub fn viewer_status(&self, cursor: &Cursor) -> ViewerStatus {
        let state = self.read();
        ViewerStatus { behind: cursor.is_behind(&state), has_calls: cursor.has_calls(&state) }
    }

    /// Observes how long ago the notifications behind the changes after `from`, up to `to`, arrived. Called once these
    /// are written to sockets.
    pub fn measure(&self, from: u64, to: u64) {
        let state = self.read();
        let recent = state.log.iter().rev().take_while(|change| change.position > from);
        for change in recent.filter(|change| change.position <= to) {
            if let Some(heard) = change.heard {
                self.0.metrics.webhook_pushed.observe(heard.elapsed().as_secs_f64());
            }
        }
    }

    /// What is counted of viewers.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Changes when the log grows.
    pub fn head_changes(&self) -> watch::Receiver<u64> {
        self.0.head.subscribe()
    }

    /// The calls that change from now on, for consumers inside the program.
    pub fn subscribe(&self) -> Subscription {
        Subscription::new(self.clone())
    }

    /// Wakes the writers if the log has grown to `head`; an echo of a known change wakes none.
    fn announce(&self, head: u64) {
        self.0.head.send_if_modified(|known| std::mem::replace(known, head) != head);
    }

    fn read(&self) -> RwLockReadGuard<'_, HubState> {
        self.0.state.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, HubState> {
        self.0.state.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests;
