//! One viewer's stream: a cursor into the log, a heartbeat, and a clean end.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::frame::{self, Event, event_id};
use super::{Change, Hub, Kind, State, Viewer};
use crate::call::{Call, Status};

/// Viewers with a call on screen hear at least this often from us; proxies close what is silent for a minute.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);
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

/// What one viewer is told, one chunk of frames at a time.
pub struct Listener {
    hub: Hub,
    head: watch::Receiver<u64>,
    viewer: Viewer,
    naming: Naming,
    position: u64,
    opening: Option<Bytes>,
    tick: Interval,
    last_word: Instant,
    ended: bool,
}

impl Listener {
    pub(super) fn new(hub: Hub, viewer: Viewer, naming: Naming, last_event_id: Option<&str>) -> Self {
        let head = hub.0.head.subscribe();
        let mut out = BytesMut::new();
        let position;
        {
            let state = hub.read();
            let resumed_at =
                last_event_id.and_then(|id| position_in(&hub.0.epoch, id)).filter(|&at| state.since(at).is_some());
            let active = shown(&state, &viewer);
            let ids: Vec<&str> =
                active.iter().filter_map(|change| change.call()).map(|call| call.id.as_str()).collect();
            let retry = rand::random_range(RETRY_MS);
            out.put(frame::connected(naming, resumed_at.is_some(), &ids, retry).as_bytes());
            position = resumed_at.unwrap_or_else(|| {
                snapshot(&active, naming, &mut out);
                out.put(format!("id: {}\n\n", event_id(&hub.0.epoch, state.head())).as_bytes());
                state.head()
            });
        }
        let every = Duration::from_secs(2);
        let mut tick = interval_at(Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let opening = Some(out.freeze());
        Self { hub, head, viewer, naming, position, opening, tick, last_word: Instant::now(), ended: false }
    }

    /// Sends heartbeats at this pace instead of every two seconds.
    pub fn ticking(mut self, every: Duration) -> Self {
        self.tick = interval_at(Instant::now() + every, every);
        self.tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self
    }

    /// The next frames, or `None` when the stream has ended. Waits until there is something to say.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        loop {
            if self.ended {
                return None;
            }
            if let Some(frames) = self.news() {
                self.last_word = Instant::now();
                return Some(frames);
            }
            tokio::select! {
                changed = self.head.changed() => self.ended |= changed.is_err(),
                _ = self.tick.tick() => {
                    if !self.has_calls() || self.last_word.elapsed() + self.tick.period() > LONGEST_SILENCE {
                        self.last_word = Instant::now();
                        return Some(frame::heartbeat(self.naming));
                    }
                }
            }
        }
    }

    /// Frames for what happened since the cursor, which moves to the log's end.
    fn news(&mut self) -> Option<Bytes> {
        let state = self.hub.read();
        if state.closed {
            self.ended = true;
            let retry = rand::random_range(AWAY_MS);
            return Some(frame::farewell(self.naming, "shutting_down", "The service is restarting.", retry));
        }
        let from = std::mem::replace(&mut self.position, state.head());
        let Some(changes) = state.since(from) else {
            return Some(self.resync(&state));
        };
        let mut frames = changes.filter_map(|change| self.tell(change));
        let first = frames.next()?;
        let Some(second) = frames.next() else { return Some(first) };
        let mut all = BytesMut::from(&first[..]);
        all.put(second);
        frames.for_each(|frame| all.put(frame));
        Some(all.freeze())
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

    fn resync(&self, state: &State) -> Bytes {
        let active = shown(state, &self.viewer);
        let ids: Vec<&str> = active.iter().filter_map(|change| change.call()).map(|call| call.id.as_str()).collect();
        let mut out = BytesMut::from(frame::resync(self.naming, &ids).as_bytes());
        snapshot(&active, self.naming, &mut out);
        out.put(format!("id: {}\n\n", event_id(&self.hub.0.epoch, state.head())).as_bytes());
        out.freeze()
    }

    fn has_calls(&self) -> bool {
        let state = self.hub.read();
        state.calls.values().filter_map(|change| change.call()).any(|call| self.viewer.is_shown(call))
    }
}

fn arrival(call: &Call) -> Event {
    if call.status == Status::Ringing { Event::Call } else { Event::Updated }
}

fn position_in(epoch: &str, id: &str) -> Option<u64> {
    id.strip_prefix(epoch)?.strip_prefix('-')?.parse().ok()
}

/// The calls on a viewer's screen, in the order they came to be as they are.
fn shown<'a>(state: &'a State, viewer: &Viewer) -> Vec<&'a std::sync::Arc<Change>> {
    let mut shown: Vec<_> =
        state.calls.values().filter(|change| change.call().is_some_and(|call| viewer.is_shown(call))).collect();
    shown.sort_by_key(|change| change.position);
    shown
}

fn snapshot(active: &[&std::sync::Arc<Change>], naming: Naming, out: &mut BytesMut) {
    for change in active {
        if let Some(call) = change.call() {
            out.put(change.frames.snapshot(arrival(call), naming));
        }
    }
}
