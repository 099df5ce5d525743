//! Calls that the database refuses to store: shown from memory until they end.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

/// The ids of these calls; no more than the hub has live ones.
#[derive(Default)]
pub(super) struct Unwritten(Mutex<HashMap<String, Stored>>);

/// Whether `active_calls` was seen to have a document of this id, which is not to be overwritten but may be removed.
type Stored = bool;

impl Unwritten {
    pub(super) fn add(&self, id: &str) {
        self.lock().entry(id.to_owned()).or_default();
    }

    /// Whether it was there.
    pub(super) fn remove(&self, id: &str) -> bool {
        self.lock().remove(id).is_some()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.lock().contains_key(id)
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Compares with the documents there are. Answers the calls that stay although `active_calls` has no document of theirs.
    pub(super) fn compare(&self, stored: &HashSet<String>, live: impl Fn(&str) -> bool) -> HashSet<String> {
        let mut unwritten = self.lock();
        unwritten.retain(|id, was_stored| {
            let is_stored = stored.contains(id);
            let removed = *was_stored && !is_stored;
            *was_stored |= is_stored;
            live(id) && !removed
        });
        unwritten.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Stored>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
