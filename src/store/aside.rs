//! Documents of other programs that cannot be shown as calls: set aside, logged once, counted.
//!
//! Each is known by a hash of its key and a hash of its content, so that the log has one line for each content, and the next
//! read of the same content costs nothing.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Documents that are remembered; more are set aside without a line in the log.
const MOST: usize = 10_000;
/// A document that was refused is tried again as it is after this long: the rule it broke may be gone.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// What is set aside. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Asides(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    known: HashMap<u64, Aside>,
    total: u64,
}

struct Aside {
    content: u64,
    tried: Instant,
    refused: bool,
}

/// Why a document is set aside, as the log says it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    /// It cannot be a call.
    Unreadable(&'static str),
    /// The database refuses to change it, with this code.
    Refused(i32),
}

impl Asides {
    /// Sets a document aside. `name` says which without revealing anything about a person.
    pub(super) fn note(&self, key: u64, content: u64, name: &str, why: Why) {
        let mut state = self.lock();
        if state.known.len() >= MOST && !state.known.contains_key(&key) {
            return;
        }
        let refused = matches!(why, Why::Refused(_));
        let before = state.known.insert(key, Aside { content, tried: Instant::now(), refused });
        if before.is_some_and(|before| before.content == content) {
            return;
        }
        state.total += 1;
        drop(state);
        match why {
            Why::Unreadable(why) => tracing::warn!(document = name, why, "a document in active_calls is set aside"),
            Why::Refused(code) => {
                tracing::warn!(
                    document = name,
                    code,
                    "a document in active_calls cannot be written to and is set aside"
                );
            }
        }
    }

    /// Whether a document of this key was set aside with whatever content.
    pub(super) fn knows(&self, key: u64) -> bool {
        self.lock().known.contains_key(&key)
    }

    /// Whether this content was set aside and is not to be tried again yet.
    pub(super) fn rests(&self, key: u64, content: u64) -> bool {
        let state = self.lock();
        state.known.get(&key).is_some_and(|it| it.content == content && it.tried.elapsed() < TRY_AGAIN)
    }

    /// The document, which has this content, is a call that this service has written to: only a refusal of just this content
    /// still counts.
    pub(super) fn forget_unless_refused(&self, key: u64, content: u64) {
        let mut state = self.lock();
        if state.known.get(&key).is_some_and(|it| !it.refused || it.content != content) {
            state.known.remove(&key);
        }
    }

    /// The document is a call after all.
    pub(super) fn forget(&self, key: u64) {
        self.lock().known.remove(&key);
    }

    /// Forgets documents that are no longer there.
    pub(super) fn retain(&self, there: &HashSet<u64>) {
        self.lock().known.retain(|key, _| there.contains(key));
    }

    /// How many are set aside now, and how many were since the start.
    pub(super) fn count(&self) -> (usize, u64) {
        let state = self.lock();
        (state.known.len(), state.total)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The hash under which keys and contents are remembered.
pub(super) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_is_counted_once_and_what_is_gone_is_forgotten() {
        let asides = Asides::default();
        for content in [1, 1, 2] {
            asides.note(7, content, "a test's", Why::Unreadable("it is for a test"));
        }
        assert_eq!(asides.count(), (1, 2));
        assert!(asides.rests(7, 2) && !asides.rests(7, 1));
        asides.retain(&HashSet::new());
        assert_eq!(asides.count(), (0, 2));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let asides = Asides::default();
        for key in 0..MOST as u64 + 10 {
            asides.note(key, 0, "a test's", Why::Refused(121));
        }
        assert_eq!(asides.count(), (MOST, MOST as u64));
    }
}
