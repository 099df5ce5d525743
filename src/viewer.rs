//! Who is signed in, and which calls they may read.

use chrono::{DateTime, Utc};

use crate::call::Call;

/// Someone who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The same across tabs and devices, because dismissals are kept by it.
    pub id: String,
    /// Which calls concern them.
    pub scope: Scope,
    /// When what proved who they are expires, and with it their streams.
    pub until: Option<DateTime<Utc>>,
}

/// Which calls concern a viewer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// An admin.
    #[default]
    All,
    /// An agent: calls of these extensions, and of these queues.
    Extensions(Vec<String>),
}

impl Viewer {
    /// Whether a call concerns this viewer.
    pub fn can_read(&self, call: &Call) -> bool {
        self.scope.can_read(call)
    }
}

impl Scope {
    /// The rule: a call is read by agents of the extensions that it rang, and of the queues that distributed it. For calls in
    /// a store the same is asked by `store::scope`.
    pub fn can_read(&self, call: &Call) -> bool {
        match self {
            Self::All => true,
            Self::Extensions(mine) => {
                mine.iter().any(|id| call.extension_ids.contains(id) || call.facts.queue_ids.contains(id))
            }
        }
    }
}
