//! One lock for each session, so that events of one call are applied one after the other.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

use crate::call::CallEvent;
use crate::hub::Hub;

/// Sessions are spread over this many locks; two that share one only wait for each other.
const LOCKS: usize = 512;

/// The locks of all sessions.
pub(super) struct SessionLocks {
    locks: [Mutex<()>; LOCKS],
    hub: Hub,
}

impl SessionLocks {
    pub(super) fn new(hub: Hub) -> Self {
        Self { locks: std::array::from_fn(|_| Mutex::new(())), hub }
    }

    /// Locks every session that these events may change, in the order of the locks, so that no two callers wait for each other.
    pub(super) async fn lock(&self, events: &[CallEvent]) -> Vec<MutexGuard<'_, ()>> {
        let mut wanted = self.locks_of(events);
        loop {
            let mut held = Vec::with_capacity(wanted.len());
            for index in &wanted {
                held.push(self.locks[*index].lock().await);
            }
            // The call may have been linked to more sessions while this waited.
            let now = self.locks_of(events);
            if now.is_subset(&wanted) {
                return held;
            }
            wanted.extend(now);
        }
    }

    /// Waits until every lock that is held now is released once.
    pub(super) async fn wait_for_all(&self) {
        for lock in &self.locks {
            drop(lock.lock().await);
        }
    }

    /// The sessions these events name, and those that their calls are known to be one with.
    pub(super) fn sessions_of(&self, events: &[CallEvent]) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = events.iter().flat_map(CallEvent::sessions).cloned().collect();
        let known: Vec<_> = names.iter().filter_map(|name| self.hub.call_of_session(name)).collect();
        names.extend(known.iter().flat_map(|call| call.sessions()).cloned());
        names
    }

    fn locks_of(&self, events: &[CallEvent]) -> BTreeSet<usize> {
        let index = |name: &String| {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            hasher.finish() as usize % LOCKS
        };
        self.sessions_of(events).iter().map(index).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chrono::Utc;
    use tokio::time::timeout;

    use super::*;
    use crate::call::{Call, CallEventKind};
    use crate::metrics::Metrics;

    fn tick(session: &str) -> CallEvent {
        CallEvent { session_id: session.into(), heard_at: Utc::now(), kind: CallEventKind::Tick }
    }

    #[tokio::test]
    async fn a_session_that_is_linked_while_its_lock_is_waited_for_is_locked_too() {
        let hub = Hub::new(Arc::new(Metrics::default()));
        let locks = SessionLocks::new(hub.clone());
        let (one, other) = ([tick("one")], [tick("other")]);
        let held = locks.lock(&one).await;
        let mut waiting = Box::pin(locks.lock(&one));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        let mut call = Call::new("id".into(), "one".into(), Utc::now());
        (call.rev, call.facts.linked) = (1, vec!["other".into()]);
        hub.publish(call, None);
        drop(held);
        let held = waiting.await;
        assert_eq!(held.len(), 2);
        assert!(timeout(Duration::from_millis(20), locks.lock(&other)).await.is_err(), "the linked session is locked");
        drop(held);
        locks.lock(&other).await;
        locks.wait_for_all().await;
    }
}
