//! Events that no disk takes: the embedded store or the spool cannot be written to. Their calls are shown from memory, their webhooks
//! are answered 503, and they are stored when there is room again.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use crate::call::CallEvent;

/// Events that are held; of what comes beyond, only the popup is shown. Some 10 MB.
const MOST_EVENTS: usize = 10_000;
/// How often a call's events may be refused by a store that takes others.
const MOST_REFUSALS: u32 = 20;

/// The events by call, in the order they came.
#[derive(Default)]
pub(super) struct Held(Mutex<HashMap<String, HeldCall>>);

#[derive(Default)]
struct HeldCall {
    events: Vec<CallEvent>,
    refusals: u32,
}

impl Held {
    /// What is held of a call.
    pub(super) fn events_of(&self, id: &str) -> Vec<CallEvent> {
        self.lock().get(id).map(|held| held.events.clone()).unwrap_or_default()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    /// Holds these events of a call, which begin with those that are held already.
    pub(super) fn put(&self, id: &str, events: Vec<CallEvent>) {
        let mut held = self.lock();
        let others: usize = held.iter().filter(|(other, _)| *other != id).map(|(_, held)| held.events.len()).sum();
        if others + events.len() <= MOST_EVENTS {
            held.entry(id.to_owned()).or_default().events = events;
        }
    }

    /// They are stored.
    pub(super) fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    /// The store refuses them while it takes others. `true` when that was once too often and they are given up.
    pub(super) fn refuse(&self, id: &str) -> bool {
        let mut held = self.lock();
        let Some(call) = held.get_mut(id) else { return false };
        call.refusals += 1;
        call.refusals >= MOST_REFUSALS && held.remove(id).is_some()
    }

    pub(super) fn calls(&self) -> HashSet<String> {
        self.lock().keys().cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// How many events.
    pub(super) fn count(&self) -> usize {
        self.lock().values().map(|held| held.events.len()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HeldCall>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::call::CallEventKind;

    #[test]
    fn no_more_is_held_than_fits_and_what_is_refused_again_and_again_is_given_up() {
        let held = Held::default();
        let tick = || CallEvent { session_id: "s".into(), heard_at: Utc::now(), kind: CallEventKind::Tick };
        held.put("a", vec![tick(); MOST_EVENTS - 1]);
        held.put("b", vec![tick(), tick()]);
        assert_eq!((held.count(), held.events_of("b").len()), (MOST_EVENTS - 1, 0));
        held.put("b", vec![tick()]);
        assert_eq!(held.count(), MOST_EVENTS);
        assert_eq!((1..=MOST_REFUSALS).find(|_| held.refuse("b")), Some(MOST_REFUSALS));
        assert_eq!(held.calls(), HashSet::from(["a".to_owned()]));
    }
}
