//! One viewer: a place in the log, and what to tell from there on.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::event_id::EventId;
use super::frame::{self, Event};
use super::state::{ChangeKind, HubState, LOG_LENGTH, LogEntry};
use super::{Shared, ViewerPermit};
use crate::call::{Call, Status};
use crate::viewer::{Scope, Viewer};

/// When to come back after a dropped line, in milliseconds; spread so that everyone does not come at once.
const RETRY_MS: std::ops::Range<u64> = 1_000..4_000;
/// The same when one of many lines ends and all is well: few others come at that moment, and no call must wait.
const RENEWAL_MS: std::ops::Range<u64> = 50..500;
/// The same for viewers who were sent away.
const AWAY_MS: std::ops::Range<u64> = 10_000..30_000;

/// Whether frames carry `event: NAME`; clients that only use `onmessage` want none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum EventNames {
    #[default]
    Typed,
    MessageOnly,
}

/// What one viewer is told, from where they are in the log.
#[derive(Debug)]
pub struct Cursor {
    viewer: Viewer,
    names: EventNames,
    position: u64,
    /// The place among dismissals up to which this viewer was sent their own.
    dismissals: u64,
    _place: ViewerPermit,
}

/// What an admin was told last, so that thousands who are behind by the same changes share one copy. Admins differ in
/// nothing but what they dismissed.
#[derive(Debug, Default)]
pub struct FrameCache {
    span: Option<(u64, u64, EventNames)>,
    frames: Option<Bytes>,
}

impl Cursor {
    /// A viewer who begins to listen, and their first frames: `connected`, then what they missed since `last_event_id`
    /// where that is known, or else the calls on their screen.
    /// The second part is the same for every admin, and one copy.
    pub(super) fn open(
        place: ViewerPermit,
        viewer: Viewer,
        names: EventNames,
        last_event_id: Option<&str>,
    ) -> (Self, [Bytes; 2]) {
        let hub = place.0.clone();
        let state = hub.read();
        let start = state.start(last_event_id);
        let retry = rand::random_range(RETRY_MS);
        let resumes = || BytesMut::from(frame::connected(names, true, &ids(&state.shown(&viewer)), retry).as_bytes());
        let (position, frames) = match start {
            ResumePoint::Log(position) => {
                let mut out = resumes();
                let since = state.dismissed(&viewer, 0).into_iter().filter(|(_, at)| *at >= position);
                // Without a position: what the log says is still to come.
                since.for_each(|(change, _)| out.put(change.frames.snapshot(Event::Ended, names)));
                state.incidents(names, &mut out);
                (position, [out.freeze(), Bytes::new()])
            }
            ResumePoint::Changed(changes) => {
                let mut out = resumes();
                let dismissed: Vec<&LogEntry> =
                    state.dismissed(&viewer, 0).into_iter().map(|(change, _)| change).collect();
                let others =
                    changes.into_iter().filter(|change| !dismissed.iter().any(|it| std::ptr::eq(*it, *change)));
                let changed = others.filter_map(|change| state.missed_event(&viewer, change));
                state.told(changed.chain(dismissed.iter().map(|change| (Event::Ended, *change))), names, &mut out);
                (state.head, [out.freeze(), Bytes::new()])
            }
            ResumePoint::Snapshot => {
                let snapshot = Snapshot::of(&viewer, names, &state, &hub.0);
                let connected = frame::connected(names, false, &snapshot.active, retry);
                (state.head, [connected.into(), snapshot.calls()])
            }
        };
        let dismissals = state.dismissals.head();
        drop(state);
        (Self { viewer, names, position, dismissals, _place: place }, frames)
    }

    /// Frames for what happened since, if any of it concerns this viewer. The cursor moves to the log's end.
    pub(super) fn pending_frames(&mut self, state: &HubState, hub: &Shared, cache: &mut FrameCache) -> Option<Bytes> {
        let place = std::mem::replace(&mut self.dismissals, state.dismissals.head());
        let changes = self.changes(state, hub, cache);
        let dismissed = state.dismissed(&self.viewer, place);
        if dismissed.is_empty() {
            return changes;
        }
        let mut all = BytesMut::from(changes.as_deref().unwrap_or_default());
        for (change, _) in dismissed {
            all.put(format!("id: {}\n", state.id()).as_bytes());
            all.put(change.frames.snapshot(Event::Ended, self.names));
        }
        Some(all.freeze())
    }

    fn changes(&mut self, state: &HubState, hub: &Shared, cache: &mut FrameCache) -> Option<Bytes> {
        let from = std::mem::replace(&mut self.position, state.head);
        if from == state.head {
            return None;
        }
        let Some(changes) = state.since(from) else {
            hub.metrics.resyncs.inc();
            return Some(Snapshot::of(&self.viewer, self.names, state, hub).frames.clone());
        };
        let (span, is_admin) = ((from, state.head, self.names), self.viewer.scope == Scope::All);
        if is_admin && cache.span == Some(span) {
            return cache.frames.clone();
        }
        let frames = self.frames(state, changes);
        if is_admin && !state.anyone_dismissed(from) {
            *cache = FrameCache { span: Some(span), frames: frames.clone() };
        }
        frames
    }

    fn frames<'a>(&self, state: &HubState, changes: impl Iterator<Item = &'a Arc<LogEntry>>) -> Option<Bytes> {
        let mut frames = changes.filter_map(|change| self.frame_for(state, change));
        let first = frames.next()?;
        // Nearly always there is one change, and then everyone shares its bytes.
        let Some(second) = frames.next() else { return Some(first) };
        let mut all = BytesMut::from(&first[..]);
        all.put(second);
        frames.for_each(|frame| all.put(frame));
        Some(all.freeze())
    }

    /// Whether the log has moved on.
    pub(super) fn is_behind(&self, state: &HubState) -> bool {
        self.position < state.head || !state.dismissed(&self.viewer, self.dismissals).is_empty()
    }

    /// Whether they have been told everything up to here, and nothing else.
    pub(super) fn is_at(&self, position: u64) -> bool {
        self.position == position
    }

    /// Whether a call stands on this viewer's screen.
    pub(super) fn has_calls(&self, state: &HubState) -> bool {
        state.calls.values().filter_map(|change| change.call()).any(|call| state.is_shown(&self.viewer, call))
    }

    /// Who is told.
    pub fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// How this viewer wants frames.
    pub fn names(&self) -> EventNames {
        self.names
    }

    fn frame_for(&self, state: &HubState, change: &LogEntry) -> Option<Bytes> {
        let ChangeKind::Call { before, after, ever_shown } = &change.kind else {
            return Some(change.frames.live(Event::Updated, self.names));
        };
        let was = before.as_ref().filter(|call| state.is_shown(&self.viewer, call));
        let is = state.is_shown(&self.viewer, after);
        // Another instance may have shown it to them before this one heard of it; and what went back to its queue ends all
        // the same: lists of what was missed wait for it.
        let may_not_know =
            before.as_ref().is_none_or(|call| !call.status.visible() && !call.is_over() && after.is_over());
        let was_elsewhere = may_not_know && *ever_shown && self.viewer.can_read(after);
        let event = match was {
            None if !is && !was_elsewhere => return None,
            _ if !is => Event::Ended,
            None => arrival(after),
            // After a transfer the same call rings again, elsewhere.
            Some(was) if was.status != Status::Ringing => arrival(after),
            Some(_) => Event::Updated,
        };
        Some(change.frames.live(event, self.names))
    }
}

/// What a viewer who starts over is sent. Admins who dismissed none of the calls share one copy, however long each was away.
#[derive(Debug)]
pub(super) struct Snapshot {
    position: u64,
    /// The ids of these calls.
    active: Vec<String>,
    /// `resync`, then the calls.
    frames: Bytes,
    resync_length: usize,
}

impl Snapshot {
    fn of(viewer: &Viewer, names: EventNames, state: &HubState, hub: &Shared) -> Arc<Self> {
        if viewer.scope != Scope::All || !state.dismissed(viewer, 0).is_empty() {
            return Arc::new(Self::make(viewer, names, state));
        }
        let mut shared = hub.snapshots.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let shared = &mut shared[names as usize];
        match shared {
            Some(snapshot) if snapshot.position == state.head => snapshot.clone(),
            _ => shared.insert(Arc::new(Self::make(viewer, names, state))).clone(),
        }
    }

    fn make(viewer: &Viewer, names: EventNames, state: &HubState) -> Self {
        let shown = state.shown(viewer);
        let active = ids(&shown);
        let mut frames = BytesMut::from(frame::resync(names, &active).as_bytes());
        let resync_length = frames.len();
        let calls = shown.iter().filter_map(|change| Some((arrival(change.call()?), *change)));
        state.told(calls, names, &mut frames);
        Self { position: state.head, active, frames: frames.freeze(), resync_length }
    }

    /// Only the calls.
    fn calls(&self) -> Bytes {
        self.frames.slice(self.resync_length..)
    }
}

/// Where a viewer begins.
enum ResumePoint<'a> {
    /// At this position of the log.
    Log(u64),
    /// With what changed meanwhile.
    Changed(Vec<&'a LogEntry>),
    /// With everything.
    Snapshot,
}

impl HubState {
    fn start(&self, last_event_id: Option<&str>) -> ResumePoint<'_> {
        let Some(id) = last_event_id.and_then(EventId::parse) else { return ResumePoint::Snapshot };
        if id.epoch == self.epoch && self.since(id.position).is_some() {
            return ResumePoint::Log(id.position);
        }
        let changes = id.watermark.and_then(|watermark| self.changed_since(watermark));
        changes.filter(|changes| changes.len() <= LOG_LENGTH).map_or(ResumePoint::Snapshot, ResumePoint::Changed)
    }

    /// Whether what is told from here on depends on who dismissed what.
    fn anyone_dismissed(&self, from: u64) -> bool {
        let calls = self.since(from).into_iter().flatten().filter_map(|change| change.call());
        calls.into_iter().any(|call| self.dismissals.has_any(&call.id))
    }

    /// What is wrong now.
    fn incidents(&self, names: EventNames, out: &mut BytesMut) {
        self.incidents.values().for_each(|change| out.put(change.frames.snapshot(Event::Updated, names)));
    }

    /// These changes, what is wrong, then the position they are as of: a viewer who breaks off before that comes back as from before.
    fn told<'a>(&self, changes: impl Iterator<Item = (Event, &'a LogEntry)>, names: EventNames, out: &mut BytesMut) {
        changes.for_each(|(event, change)| out.put(change.frames.snapshot(event, names)));
        self.incidents(names, out);
        out.put(format!("id: {}\n\n", self.id()).as_bytes());
    }

    /// What a viewer is told of a call that changed while they were elsewhere: how it stands, or that it left their screen
    /// if it was ever on it.
    fn missed_event<'a>(&self, viewer: &Viewer, change: &'a LogEntry) -> Option<(Event, &'a LogEntry)> {
        let ChangeKind::Call { before, after, ever_shown } = &change.kind else { return None };
        if self.is_shown(viewer, after) {
            return Some((arrival(after), change));
        }
        let concerned = viewer.can_read(after) || before.as_ref().is_some_and(|call| viewer.can_read(call));
        (*ever_shown && concerned).then_some((Event::Ended, change))
    }
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug)]
pub enum Closing {
    /// The viewer cannot be served now: an error's code and message.
    Refused(&'static str, &'static str),
    /// The viewer can go on elsewhere, or here when the service has restarted: the same.
    Restarting(&'static str, &'static str),
    /// The connection grew old; another is to take its place.
    Renewal,
}

/// The last frame of a stream, with the time after which the viewer should come back.
pub fn closing_frame(names: EventNames, reason: Closing) -> Bytes {
    match reason {
        Closing::Refused(code, message) => frame::error(names, code, message, rand::random_range(AWAY_MS)),
        Closing::Restarting(code, message) => frame::error(names, code, message, rand::random_range(RETRY_MS)),
        Closing::Renewal => Bytes::from(format!("retry: {}\n\n", rand::random_range(RENEWAL_MS))),
    }
}

fn arrival(call: &Call) -> Event {
    if call.status == Status::Ringing { Event::Call } else { Event::Updated }
}

fn ids(shown: &[&LogEntry]) -> Vec<String> {
    shown.iter().filter_map(|change| change.call()).map(|call| call.id.clone()).collect()
}
