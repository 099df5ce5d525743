//! Which calls of the history a query is for.

use chrono::{DateTime, Utc};

use crate::call::{Call, CallResult, Direction};

/// Which ended calls, newest first.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// At most this many.
    pub limit: usize,
    /// Only those older than this position.
    pub before: Option<Position>,
    /// Only with this result.
    pub result: Option<CallResult>,
    /// Only in this direction.
    pub direction: Option<Direction>,
    /// Only from or to this number, as written in the call.
    pub number: Option<String>,
    /// Only of this customer.
    pub customer_id: Option<String>,
    /// Only calls that rang one of these extensions or came through one of these queues.
    pub extension_ids: Option<Vec<String>>,
    /// Only calls that began at or after.
    pub since: Option<DateTime<Utc>>,
}

/// A place in the history: when a call began, and its id among those that began together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The call's `timestamp`.
    pub timestamp: DateTime<Utc>,
    /// The call's id.
    pub id: String,
}

/// A page of the history.
#[derive(Debug, Default)]
pub struct HistoryPage {
    /// Newest first. Fewer than the limit where calls are very large.
    pub calls: Vec<Call>,
    /// Whether older ones follow.
    pub more: bool,
}

/// Parties of one page. Calls have a few each; a page that holds many large ones ends early, which bounds its memory.
const MOST_PARTIES: usize = 10_000;

impl HistoryPage {
    /// Adds the next call, if there is room for it; `false` when the page is full.
    pub(super) fn add(&mut self, call: Call, limit: usize) -> bool {
        let parties: usize = self.calls.iter().map(|call| call.facts.parties.len()).sum();
        self.more = self.calls.len() >= limit || parties >= MOST_PARTIES;
        if !self.more {
            self.calls.push(call);
        }
        !self.more
    }
}
