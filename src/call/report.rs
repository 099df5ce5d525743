//! Which of two reports about a leg, or about an extension, is the newer one.
//!
//! A notification is put in order by its `sequence`, where it has one, and by its time. Three rules:
//!
//! 1. Sequences are compared with sequences only. Where one side has none, the times decide.
//! 2. Of two sequences the greater is newer, also when the times say otherwise: RingCentral sends sequence 5 before 3.
//! 3. Presence counts per extension and starts over at times. A sequence far below that comes with a newer time is such a
//!    restart and newer. A telephony session never starts over.
//!
//! Compared pair by pair these rules are not transitive, so a newest report that is replaced one by one would depend on the
//! order of arrival. A leg therefore keeps two: the first by sequence and the first by time, each a maximum of a total order
//! and hence commutative, associative and idempotent. The newest of all is computed from these two. They differ
//! only after a restart, between reports with and without sequence, or for reports sent in the wrong order, so nearly every leg stores one.
//!
//! Both kinds share one integer, the form in which stored ledgers already have it: a sequence as it is, and for a report
//! without one its time in milliseconds or microseconds since 1970, which no sequence reaches.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::party::{Direction, PartyState, Source, Versioned};

/// Sequences are smaller and times greater: 2004 in milliseconds since 1970.
const FIRST_TIME: i64 = 1 << 40;
/// A notification that is sent later than its successor is sent at most so much later; what is more is a restart.
const LATEST: TimeDelta = TimeDelta::seconds(10);
/// Within that time a sequence that falls by no more than this was overtaken.
const OVERTAKEN_BY: i64 = 3;

/// A place in the order of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// As [`PartyUpdate::sequence`](super::PartyUpdate::sequence) has it.
    sequence: i64,
    at: DateTime<Utc>,
}

/// What one notification says of the state of a leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its place and the state.
    pub state: Versioned<PartyState>,
    /// When it came about.
    pub at: DateTime<Utc>,
    /// As seen from the company.
    pub direction: Direction,
}

/// The integer that orders a notification: its `sequence`, or the time where it has none.
pub fn sequence_or_time(sequence: Option<i64>, at: DateTime<Utc>) -> i64 {
    sequence.filter(|sequence| *sequence < FIRST_TIME).unwrap_or_else(|| at.timestamp_millis().max(FIRST_TIME))
}

impl Position {
    /// The place of a notification ordered by [`sequence_or_time`].
    pub fn new(sequence: i64, at: DateTime<Utc>) -> Self {
        Self { sequence, at }
    }

    /// Whether presence at this place is newer than at the other.
    pub fn is_after(self, other: Self) -> bool {
        if self.is_sequenced() && other.is_sequenced() && self.sequence != other.sequence {
            return if self.sequence > other.sequence {
                !self.is_before_restart(other)
            } else {
                other.is_before_restart(self)
            };
        }
        self.at > other.at
    }

    fn is_sequenced(self) -> bool {
        self.sequence < FIRST_TIME
    }

    /// Whether the counter started over between `self` and `lower`. A negative sequence is ours and comes before all.
    fn is_before_restart(self, lower: Self) -> bool {
        let fell = self.sequence - lower.sequence;
        let far = lower.sequence.saturating_mul(2) < self.sequence && fell > OVERTAKEN_BY;
        lower.sequence >= 0 && lower.at > self.at && (far || lower.at - self.at > LATEST)
    }
}

impl Report {
    fn position(&self) -> Position {
        Position::new(self.state.sequence, self.at)
    }

    /// Some notifications name a party and say nothing of its state.
    fn says_nothing(&self) -> bool {
        self.state.value.is_unsaid()
    }

    /// Of reports about one leg the newest, and the other one to keep where sequence and time disagree.
    pub(super) fn newest(mut reports: Vec<Self>, source: Source) -> (Self, Option<Self>) {
        if !reports.iter().all(Self::says_nothing) {
            reports.retain(|report| !report.says_nothing());
        }
        let is_timed = |report: &&Self| source != Source::Telephony || !report.position().is_sequenced();
        let by_time = reports.iter().filter(is_timed).max_by_key(|r| (r.at, &r.state, r.direction));
        let sequenced = reports.iter().filter(|report| report.position().is_sequenced());
        let by_sequence = sequenced.max_by_key(|r| (&r.state, r.at, r.direction));
        let one = by_sequence.or(by_time).expect("a report is sequenced or timed, and there is one");
        match by_time.filter(|other| *other != one) {
            Some(other) if other.position().is_after(one.position()) => (other.clone(), Some(one.clone())),
            other => (one.clone(), other.cloned()),
        }
    }
}
