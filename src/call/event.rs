//! Events of a call, from whatever source.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Extension;
use super::party::{Direction, Endpoint, PartyState, Source};
use crate::customer::Customer;

/// A fact about one session, in our words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallEvent {
    /// Which call, by RingCentral's session id.
    pub session_id: String,
    /// When we learned it.
    pub heard_at: DateTime<Utc>,
    /// What we learned.
    #[serde(rename = "fact")]
    pub kind: CallEventKind,
}

/// What can be learned about a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CallEventKind {
    /// A leg changed.
    #[serde(rename = "Leg")]
    Party(Box<PartyUpdate>),
    /// The customer lookup answered.
    Customers(Vec<Customer>),
    /// A viewer put the popup away.
    Dismissed(String),
    /// Time passed; ends what is over or has gone silent.
    Tick,
    /// RingCentral no longer knows this session.
    Gone,
}

/// What a notification says about one leg of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartyUpdate {
    /// RingCentral's `telephonySessionId`, where told.
    pub telephony_session_id: Option<String>,
    /// Which family of notification told it.
    pub source: Source,
    /// The notification's own id; only needed where `sequence` cannot tell a repetition.
    pub uuid: Option<String>,
    /// Orders what the same source says about the same party: see [`sequence_or_time`](super::sequence_or_time).
    pub sequence: i64,
    /// When it happened, by RingCentral's clock; ours where it does not say.
    pub at: DateTime<Utc>,
    /// The party, unique within its source.
    pub party_id: String,
    /// As seen from the company.
    pub direction: Direction,
    /// Whose phone, when it is one of ours.
    pub extension: Option<Extension>,
    /// Where the leg stands.
    pub state: PartyState,
    /// The caller.
    pub from: Endpoint,
    /// The called line.
    pub to: Endpoint,
    /// The queue that distributes the call.
    pub queue: Option<Extension>,
    /// Ours by origin or number: never shows a popup.
    pub ours: bool,
    /// Sessions this party moved on to (attended transfer, conference, pickup).
    pub peers: Vec<String>,
}

impl CallEvent {
    /// Every session it names: its own, and those it says are the same call.
    pub fn sessions(&self) -> impl Iterator<Item = &String> {
        let linked = match &self.kind {
            CallEventKind::Party(leg) => Some(leg.peers.iter().chain(&leg.telephony_session_id)),
            _ => None,
        };
        std::iter::once(&self.session_id).chain(linked.into_iter().flatten())
    }

    /// RingCentral's other name of its session, where told.
    pub fn telephony_session_id(&self) -> Option<&String> {
        match &self.kind {
            CallEventKind::Party(leg) => leg.telephony_session_id.as_ref(),
            CallEventKind::Customers(_) | CallEventKind::Dismissed(_) | CallEventKind::Tick | CallEventKind::Gone => {
                None
            }
        }
    }

    /// Whether an unknown session becomes a call by this event. RingCentral's own events all do, also the end of a
    /// leg, because what came before it may still be on its way. The guide's flat body is told in order, so its end of
    /// an unknown session is the end of nothing. Presence of a park location lists calls that rang elsewhere, often without
    /// their numbers, and a leg without a state is a detail of a call.
    pub fn can_begin_a_call(&self) -> bool {
        match &self.kind {
            CallEventKind::Party(leg) => {
                let ended = matches!(leg.state, PartyState::Ended(_));
                let bare = leg.from.number.is_none() && leg.to.number.is_none();
                match leg.source {
                    Source::Guide => !ended,
                    Source::Presence => leg.state != PartyState::Parked && !(ended && bare) && !leg.state.is_unsaid(),
                    Source::Telephony => !leg.state.is_unsaid(),
                }
            }
            CallEventKind::Customers(_) | CallEventKind::Dismissed(_) | CallEventKind::Tick | CallEventKind::Gone => {
                false
            }
        }
    }
}
