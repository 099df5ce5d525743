//! Active calls that a poll need not read again.
//!
//! A large call takes milliseconds to decode, and a poll finds nearly all calls as the poll before left them. So a poll first reads
//! the columns that other programs write, and `rev`, and reads a call in full only when a hash of these differs from the last time,
//! or when the call in memory is of another `rev`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::call::Call;

/// Calls in memory, by id.
pub type CallsAtHand = HashMap<String, Arc<Call>>;

/// What was read of each call, by a hash of its key. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Unchanged(Arc<Mutex<HashMap<u64, Read>>>);

struct Read {
    /// A hash of the columns or fields.
    content: u64,
    id: String,
    rev: i64,
}

impl Unchanged {
    /// The call in memory that the database still has like this.
    pub(super) fn find(&self, key: u64, content: u64, at_hand: &CallsAtHand) -> Option<Arc<Call>> {
        let all = self.lock();
        let read = all.get(&key).filter(|read| read.content == content)?;
        at_hand.get(&read.id).filter(|call| call.rev == read.rev).cloned()
    }

    /// A call was read in full. It is remembered if the call in memory is the same: else another program changed it, and it is read
    /// until that is adopted.
    pub(super) fn note(&self, key: u64, content: u64, call: &Call, at_hand: &CallsAtHand) {
        if at_hand.get(&call.id).is_some_and(|known| **known == *call) {
            self.lock().insert(key, Read { content, id: call.id.clone(), rev: call.rev });
        } else {
            self.lock().remove(&key);
        }
    }

    /// Forgets calls that are no longer there.
    pub(super) fn retain(&self, there: &HashSet<u64>) {
        self.lock().retain(|key, _| there.contains(key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Read>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
