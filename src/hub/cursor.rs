//! One viewer: a place in the log, and what to tell from there on.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{self, Event, event_id};
use super::{Change, Kind, Place, Shared, State, Viewer};
use crate::call::{Call, Status};

/// When to come back after a dropped line, in milliseconds; spread so that everyone does not come at once.
const RETRY_MS: std::ops::Range<u64> = 1_000..4_000;
/// The same for viewers who were sent away.
const AWAY_MS: std::ops::Range<u64> = 10_000..30_000;

/// Whether frames carry `event: NAME`; clients that only use `onmessage` want none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Naming {
    #[default]
    Named,
    Plain,
}

/// What one viewer is told, from where they are in the log.
#[derive(Debug)]
pub struct Cursor {
    viewer: Viewer,
    naming: Naming,
    position: u64,
    _place: Place,
}

impl Cursor {
    /// A viewer who begins to listen, and their first frames: `connected`, then the calls on their screen unless the
    /// log still holds everything since `last_event_id`.
    pub(super) fn open(place: Place, viewer: Viewer, naming: Naming, last_event_id: Option<&str>) -> (Self, Bytes) {
        let hub = place.0.clone();
        let state = hub.read();
        let epoch = &hub.0.epoch;
        let known = last_event_id.and_then(|id| position_in(epoch, id));
        let resumed_at = known.filter(|&position| state.since(position).is_some());
        let shown = state.shown(&viewer);
        let mut out = BytesMut::new();
        let retry = rand::random_range(RETRY_MS);
        out.put(frame::connected(naming, resumed_at.is_some(), &ids(&shown), retry).as_bytes());
        let position = resumed_at.unwrap_or_else(|| {
            state.snapshot(epoch, &shown, naming, &mut out);
            state.head()
        });
        (Self { viewer, naming, position, _place: place }, out.freeze())
    }

    /// Frames for what happened since, if any of it concerns this viewer. The cursor moves to the log's end.
    pub(super) fn news(&mut self, state: &State, hub: &Shared) -> Option<Bytes> {
        let from = std::mem::replace(&mut self.position, state.head());
        let Some(changes) = state.since(from) else {
            hub.metrics.resyncs.inc();
            return Some(self.resync(state, &hub.epoch));
        };
        let mut frames = changes.filter_map(|change| self.tell(change));
        let first = frames.next()?;
        // Nearly always there is one change, and then everyone shares its bytes.
        let Some(second) = frames.next() else { return Some(first) };
        let mut all = BytesMut::from(&first[..]);
        all.put(second);
        frames.for_each(|frame| all.put(frame));
        Some(all.freeze())
    }

    /// Whether the log has moved on.
    pub(super) fn is_behind(&self, state: &State) -> bool {
        self.position < state.head()
    }

    /// Whether a call stands on this viewer's screen.
    pub(super) fn has_calls(&self, state: &State) -> bool {
        state.calls.values().filter_map(|change| change.call()).any(|call| self.viewer.is_shown(call))
    }

    /// Who is told.
    pub fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// How this viewer wants frames.
    pub fn naming(&self) -> Naming {
        self.naming
    }

    fn tell(&self, change: &Change) -> Option<Bytes> {
        let Kind::Call { before, after } = &change.kind else {
            return Some(change.frames.live(Event::Updated, self.naming));
        };
        let was = before.as_ref().filter(|call| self.viewer.is_shown(call));
        let is = self.viewer.is_shown(after);
        let event = match was {
            None if !is => return None,
            None => arrival(after),
            Some(_) if !is => Event::Ended,
            // After a transfer the same call rings again, elsewhere.
            Some(was) if was.status != Status::Ringing => arrival(after),
            Some(_) => Event::Updated,
        };
        Some(change.frames.live(event, self.naming))
    }

    fn resync(&self, state: &State, epoch: &str) -> Bytes {
        let shown = state.shown(&self.viewer);
        let mut out = BytesMut::from(frame::resync(self.naming, &ids(&shown)).as_bytes());
        state.snapshot(epoch, &shown, self.naming, &mut out);
        out.freeze()
    }
}

impl State {
    /// The calls on a viewer's screen, in the order they came to be as they are.
    fn shown(&self, viewer: &Viewer) -> Vec<&Change> {
        let calls = self.calls.values().map(|change| &**change);
        let mut shown: Vec<_> =
            calls.filter(|change| change.call().is_some_and(|call| viewer.is_shown(call))).collect();
        shown.sort_by_key(|change| change.position);
        shown
    }

    /// The calls as they are, then the position they are as of.
    fn snapshot(&self, epoch: &str, shown: &[&Change], naming: Naming, out: &mut BytesMut) {
        for change in shown {
            if let Some(call) = change.call() {
                out.put(change.frames.snapshot(arrival(call), naming));
            }
        }
        out.put(format!("id: {}\n\n", event_id(epoch, self.head())).as_bytes());
    }
}

/// A last word, and when to come back.
pub fn farewell(naming: Naming, code: &str, message: &str) -> Bytes {
    frame::farewell(naming, code, message, rand::random_range(AWAY_MS))
}

/// Nothing new, but the line is alive.
pub fn heartbeat(naming: Naming) -> Bytes {
    frame::heartbeat(naming)
}

fn arrival(call: &Call) -> Event {
    if call.status == Status::Ringing { Event::Call } else { Event::Updated }
}

fn ids<'a>(shown: &[&'a Change]) -> Vec<&'a str> {
    shown.iter().filter_map(|change| change.call()).map(|call| call.id.as_str()).collect()
}

fn position_in(epoch: &str, id: &str) -> Option<u64> {
    id.strip_prefix(epoch)?.strip_prefix('-')?.parse().ok()
}
