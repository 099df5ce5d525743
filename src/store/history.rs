//! Which calls of the history a query is for.

use chrono::{DateTime, Utc};

use crate::call::{CallResult, Direction};

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
