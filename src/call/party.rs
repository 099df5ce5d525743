//! One leg of a call: everything told about it, merged so that the order of telling does not matter.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PartyUpdate;
use super::report::Report;
use chrono::{DateTime, Utc};

/// As seen from the company: the guide's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[allow(missing_docs)]
pub enum Direction {
    #[default]
    Inbound,
    Outbound,
}

impl Direction {
    /// The word clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "Inbound",
            Self::Outbound => "Outbound",
        }
    }

    /// Anything that does not say outbound is a call coming in.
    pub fn from_word(word: &str) -> Self {
        let word: String = word.chars().filter(char::is_ascii_alphabetic).collect();
        match word.to_ascii_lowercase().as_str() {
            "outbound" | "outgoing" | "out" => Self::Outbound,
            _ => Self::Inbound,
        }
    }
}

impl<'de> Deserialize<'de> for Direction {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_word(&String::deserialize(deserializer)?))
    }
}

/// Which family of notifications tells. Later ones know more: where telephony speaks of an extension, presence is not
/// asked about it, and the guide's flat body counts only where it stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Source {
    Guide,
    Presence,
    Telephony,
}

/// Where one leg stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum PartyState {
    /// Reached, rules are running; a menu stays here.
    Setup,
    /// A state we do not know; the leg is there, that is all.
    Unknown(String),
    Ringing,
    Voicemail,
    /// A machine of ours receives a fax.
    Fax,
    Parked,
    OnHold,
    Connected,
    Ended(EndReason),
}

impl PartyState {
    /// Where a notification names a leg and does not say where it stands.
    pub const UNSAID: Self = Self::Unknown(String::new());

    /// Whether it is that.
    pub fn is_unsaid(&self) -> bool {
        *self == Self::UNSAID
    }
}

/// Why a leg ended, as far as it matters for the call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Hung up, or no reason told.
    Finished,
    /// Nobody picked up in time, or the line was busy.
    NoAnswer,
    /// Turned away by the person called.
    Rejected,
    /// Somebody else took it.
    AnsweredElsewhere,
    /// Went to a mailbox.
    Voicemail,
    /// The call goes on with another leg of this session.
    Transferred,
    /// The leg lives on in another session.
    Moved,
    /// A reason we do not know.
    Other(String),
}

/// One side of a leg.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// As RingCentral wrote it; `None` when withheld.
    pub number: Option<String>,
    /// As a person writes it.
    pub display: Option<String>,
    /// The name told with it.
    pub name: Option<String>,
    /// Whose extension it is, when it is one of ours.
    pub extension_id: Option<String>,
}

/// Something told at a point of a source's sequence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// Where in the order.
    pub sequence: i64,
    /// What.
    pub value: T,
}

/// A number and how a person writes it.
pub type Number = (String, Option<String>);

/// One leg: what was told last of it, and what was told of it at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The session that told of it; differs from the call's own for legs that were linked in.
    pub session_id: String,
    /// The telephony session id told with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telephony_session_id: Option<String>,
    /// Who told.
    pub source: Source,
    /// Unique within the source and the session.
    pub id: String,
    /// As seen from the company.
    pub direction: Direction,
    /// Whose phone, when it is one of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension_id: Option<String>,
    /// The caller belongs to us: the far leg of our own call.
    pub from_us: bool,
    /// Ours by origin: RingOut, or dialled from one of our own numbers.
    pub ours: bool,
    /// The newest state.
    pub state: Versioned<PartyState>,
    /// When the newest state came about.
    pub changed_at: DateTime<Utc>,
    /// Where sequence and time disagree which state is the newest: the one that is not in `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Box<Report>>,
    /// When it was first heard of.
    pub began_at: DateTime<Utc>,
    /// When its phone first rang.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rang_at: Option<Versioned<DateTime<Utc>>>,
    /// When it was first answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Versioned<DateTime<Utc>>>,
    /// It reached a mailbox at some time.
    pub voicemail: bool,
    /// A fax was received there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fax: bool,
    /// The first caller's number told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_number: Option<Versioned<Number>>,
    /// The newest caller's name told: names come late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_name: Option<Versioned<String>>,
    /// The first dialled number told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_number: Option<Versioned<Number>>,
    /// The newest name of the called line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_name: Option<Versioned<String>>,
    /// The newest name of the person whose phone it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extension_name: Option<Versioned<String>>,
    /// The queue that distributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Versioned<String>>,
}

impl Party {
    /// What one notification tells, as a leg of which nothing else is known.
    pub fn of(session_id: &str, leg: &PartyUpdate) -> Self {
        let versioned = |text: &Option<String>| text.clone().map(|value| Versioned { sequence: leg.sequence, value });
        let number = |end: &Endpoint| {
            end.number.clone().map(|n| Versioned { sequence: leg.sequence, value: (n, end.display.clone()) })
        };
        let moment = |is: bool| is.then_some(Versioned { sequence: leg.sequence, value: leg.at });
        let talking = matches!(leg.state, PartyState::Connected | PartyState::OnHold | PartyState::Parked);
        Self {
            session_id: session_id.to_owned(),
            telephony_session_id: leg.telephony_session_id.clone(),
            source: leg.source,
            id: leg.party_id.clone(),
            direction: leg.direction,
            extension_id: leg.extension.as_ref().map(|e| e.extension_id.clone()),
            from_us: leg.from.extension_id.is_some(),
            ours: leg.ours,
            state: Versioned { sequence: leg.sequence, value: leg.state.clone() },
            changed_at: leg.at,
            other: None,
            began_at: leg.at,
            rang_at: moment(leg.state == PartyState::Ringing),
            answered_at: moment(talking),
            voicemail: matches!(leg.state, PartyState::Voicemail | PartyState::Ended(EndReason::Voicemail)),
            fax: leg.state == PartyState::Fax,
            from_number: number(&leg.from),
            from_name: versioned(&leg.from.name),
            to_number: number(&leg.to),
            to_name: versioned(&leg.to.name),
            extension_name: versioned(&leg.extension.as_ref().and_then(|e| e.name.clone())),
            queue: versioned(&leg.queue.as_ref().and_then(|queue| queue.name.clone())),
        }
    }

    /// Joins what two tellings say of the same leg. Commutative, associative, idempotent.
    pub fn merge(&mut self, mut other: Self) {
        let reports = self.take_reports().chain(other.take_reports()).collect();
        let (newest, older) = Report::newest(reports, self.source);
        (self.state, self.changed_at, self.direction) = (newest.state, newest.at, newest.direction);
        self.other = older.map(Box::new);
        self.extension_id = self.extension_id.take().max(other.extension_id);
        self.telephony_session_id = self.telephony_session_id.take().max(other.telephony_session_id);
        self.from_us |= other.from_us;
        self.ours |= other.ours;
        self.began_at = self.began_at.min(other.began_at);
        self.voicemail |= other.voicemail;
        self.fax |= other.fax;
        // Presence that counts from the start again has smaller sequences later.
        let first = if self.source == Source::Presence { first_in_time } else { earliest };
        first(&mut self.rang_at, other.rang_at);
        first(&mut self.answered_at, other.answered_at);
        earliest(&mut self.from_number, other.from_number);
        earliest(&mut self.to_number, other.to_number);
        latest(&mut self.from_name, other.from_name);
        latest(&mut self.to_name, other.to_name);
        latest(&mut self.extension_name, other.extension_name);
        latest(&mut self.queue, other.queue);
    }

    fn take_reports(&mut self) -> impl Iterator<Item = Report> + use<> {
        let report = Report { state: self.state.clone(), at: self.changed_at, direction: self.direction };
        std::iter::once(report).chain(self.other.take().map(|other| *other))
    }

    /// Without the texts that are shown to people and looked up.
    pub fn without_names_and_numbers(self) -> Self {
        let (from_number, to_number) = (None, None);
        Self { from_name: None, to_name: None, extension_name: None, queue: None, from_number, to_number, ..self }
    }

    /// Still part of the call.
    pub fn is_live(&self) -> bool {
        !matches!(self.state.value, PartyState::Ended(_))
    }

    /// Its phone rings, or somebody or something talks there.
    pub fn is_busy(&self) -> bool {
        self.is_live() && !matches!(self.state.value, PartyState::Setup | PartyState::Unknown(_))
    }

    /// It lives on elsewhere: handed on within this session, or moved to another.
    pub fn went_on(&self) -> bool {
        matches!(self.state.value, PartyState::Ended(EndReason::Transferred | EndReason::Moved))
    }

    /// It ended, and with it whoever was there.
    pub fn is_gone(&self) -> bool {
        !self.is_live() && !self.went_on()
    }

    /// One of our phones that the call came in to.
    pub fn is_agent(&self) -> bool {
        self.direction == Direction::Inbound && self.is_account()
    }

    /// A phone, queue or menu of ours; the guide's flat body does not say whose and can only mean us.
    pub fn is_account(&self) -> bool {
        self.extension_id.is_some() || self.source == Source::Guide
    }

    /// The leg that placed the call.
    pub fn is_originator(&self) -> bool {
        self.direction == Direction::Outbound
    }

    /// The leg of somebody outside who placed the call.
    pub fn is_outside_caller(&self) -> bool {
        self.is_originator() && !self.is_account()
    }
}

fn earliest<T: Ord>(mine: &mut Option<Versioned<T>>, other: Option<Versioned<T>>) {
    *mine = mine.take().into_iter().chain(other).min();
}

fn first_in_time(mine: &mut Option<Versioned<DateTime<Utc>>>, other: Option<Versioned<DateTime<Utc>>>) {
    *mine = mine.take().into_iter().chain(other).min_by_key(|told| (told.value, told.sequence));
}

fn latest<T: Ord>(mine: &mut Option<Versioned<T>>, other: Option<Versioned<T>>) {
    *mine = mine.take().into_iter().chain(other).max();
}
