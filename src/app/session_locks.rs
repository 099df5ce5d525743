//! Facts of one call are stored one after the other: sessions are locked.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::MutexGuard;

use super::App;
use crate::call::CallEvent;

/// Sessions are spread over this many locks; two that share one only wait for each other.
pub(super) const LOCKS: usize = 512;

impl App {
    /// The turn of every session that these facts may change. Locks are taken in their order, so nobody waits in a ring.
    pub(super) async fn turn(&self, events: &[CallEvent]) -> Vec<MutexGuard<'_, ()>> {
        let mut places = self.places(events);
        loop {
            let mut turn = Vec::with_capacity(places.len());
            for place in &places {
                turn.push(self.0.locks[*place].lock().await);
            }
            // The call may have been linked to more sessions while we waited.
            let now = self.places(events);
            if now.is_subset(&places) {
                return turn;
            }
            places.extend(now);
        }
    }

    /// The locks of the sessions these facts may change.
    fn places(&self, events: &[CallEvent]) -> BTreeSet<usize> {
        let place = |name: &String| {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            hasher.finish() as usize % LOCKS
        };
        self.sessions_of(events).iter().map(place).collect()
    }

    /// The sessions these facts name, and those that their calls are known to be one with.
    pub(super) fn sessions_of(&self, events: &[CallEvent]) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = events.iter().flat_map(CallEvent::sessions).cloned().collect();
        let known: Vec<_> = names.iter().filter_map(|name| self.0.hub.call_of_session(name)).collect();
        names.extend(known.iter().flat_map(|call| call.sessions()).cloned());
        names
    }
}
