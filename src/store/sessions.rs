//! Sessions of viewers, as instances share them: which are open, and which were revoked before their time.
//!
//! A record per session, deleted when the session would have ended anyway. Revocations are read incrementally: each has a
//! mark that grows, and a reader asks for those after the highest mark it has seen.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Result, Store};

/// The longest session. A revocation of all of a viewer's sessions is kept that long.
pub const LONGEST_SESSION: TimeDelta = TimeDelta::hours(12);
/// How far the clocks of two instances may differ. Sessions begun on a fast clock are still revoked by an instance on a
/// slow one.
pub(super) const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::minutes(1);

/// A session that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSession {
    /// 256 random bits in hex. It opens nothing by itself.
    pub id: String,
    /// Whose session it is.
    pub viewer: String,
    /// When it began, in Unix microseconds: fine enough that a viewer's sessions have an order.
    pub begun: i64,
    /// When it ends by itself.
    pub until: DateTime<Utc>,
}

/// How many sessions a viewer may have.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Open at once.
    pub open: u32,
    /// Revoked and not yet expired. Bounds what a viewer who signs in and out in a loop can make us keep.
    pub revoked: u32,
}

/// Sessions that end before their time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Revocation {
    /// This one.
    Session(NewSession),
    /// Those that the viewer began up to this moment, in Unix microseconds.
    UpTo {
        /// Whose.
        viewer: String,
        /// The moment.
        begun: i64,
    },
    /// The same, and those begun on clocks ahead of ours: every session open now.
    Everywhere {
        /// Whose.
        viewer: String,
        /// Now, in Unix microseconds.
        begun: i64,
    },
}

/// What was revoked since a mark.
#[derive(Debug, Default)]
pub struct Revocations {
    /// The revocations, in no particular order; some may have been read before.
    pub found: Vec<Revocation>,
    /// The highest mark, 0 for none.
    pub mark: i64,
}

/// How a session is recorded: its `revoked` column or field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub(super) enum State {
    Open = 0,
    Revoked = 1,
    /// No session, but a moment: those that the viewer began up to it are revoked.
    UpTo = 2,
}

impl NewSession {
    /// The revocation that a record in this state stands for.
    pub(super) fn revocation(self, state: i64) -> Option<Revocation> {
        match state {
            1 => Some(Revocation::Session(self)),
            2 => Some(Revocation::UpTo { viewer: self.viewer, begun: self.begun }),
            _ => None,
        }
    }
}

/// The id of the record that holds the moment up to which a viewer's sessions are revoked.
pub(super) fn up_to_id(viewer: &str) -> String {
    format!("up-to:{viewer}")
}

/// Until when the sessions that began up to `begun` could still be good.
pub(super) fn longest_end(begun: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(begun).unwrap_or_default() + LONGEST_SESSION + CLOCK_DIFFERENCE
}

impl Store {
    /// Records a session that begins. When the viewer has more than the limits allow, answers when the newest of those
    /// that must end began.
    pub async fn begin_session(&self, session: &NewSession, limits: SessionLimits) -> Result<Option<i64>> {
        match self {
            Self::Mongo(mongo) => mongo.begin_session(session, limits).await,
            Self::Sqlite(sqlite) => sqlite.begin_session(session, limits).await,
        }
    }

    /// Records a revocation, durably. Recording it twice is harmless.
    pub async fn revoke(&self, revocation: &Revocation) -> Result<()> {
        match self {
            Self::Mongo(mongo) => mongo.revoke(revocation).await,
            Self::Sqlite(sqlite) => sqlite.revoke(revocation).await,
        }
    }

    /// Revocations recorded after this mark; all of them after `i64::MIN`.
    pub async fn revocations(&self, after: i64) -> Result<Revocations> {
        match self {
            Self::Mongo(mongo) => mongo.revocations(after).await,
            Self::Sqlite(sqlite) => sqlite.revocations(after).await,
        }
    }

    /// Marks something as used until `until`; `false` when it was used before, here or at another instance.
    pub async fn use_once(&self, id: &str, until: DateTime<Utc>) -> Result<bool> {
        match self {
            Self::Mongo(mongo) => mongo.use_once(id, until).await,
            Self::Sqlite(sqlite) => sqlite.use_once(id, until).await,
        }
    }

    /// What a ticket holds, without taking it.
    pub async fn peek_ticket(&self, id: &str, now: DateTime<Utc>) -> Result<Option<String>> {
        match self {
            Self::Mongo(mongo) => mongo.peek_ticket(id, now).await,
            Self::Sqlite(sqlite) => sqlite.peek_ticket(id, now).await,
        }
    }
}
