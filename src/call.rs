//! A call, and how what RingCentral tells changes it.
//!
//! Notifications arrive twice, late and in any order, so a call does not step through states. It keeps, for every party,
//! what was told last and what was told at all ([`Party`]), and everything people see is derived from that. Two
//! deliveries in either order therefore end in the same call. Only two things are remembered beside the facts: that a
//! call is over (it never opens again) and that nobody is being rung for now.
//!
//! This file does no I/O and asks no clock: times come in with the events.

mod event;
pub mod millis;
mod party;
mod projection;
mod report;
mod status;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::customer::{Customer, Match};
pub use event::{CallEvent, CallEventKind, PartyUpdate};
pub use party::{Direction, EndReason, Endpoint, Party, PartyState, Source};
pub use report::{Position, Report, sequence_or_time};
pub use status::{CallResult, Status};

/// How long a call whose every leg has ended may still be handed on: an IVR hands over within milliseconds, presence
/// flaps for a second or two.
pub const GRACE: TimeDelta = TimeDelta::seconds(3);
/// A phone that rings longer than this without a word has lost its last event.
pub const SILENT_RINGING: TimeDelta = TimeDelta::minutes(3);
/// The same for a caller in a menu, a queue, a park orbit or a mailbox.
pub const SILENT_WAITING: TimeDelta = TimeDelta::hours(1);
/// The same for people who are talking.
pub const SILENT_TALKING: TimeDelta = TimeDelta::hours(6);
/// Notification ids remembered for bodies that carry no sequence; a flat body repeats within seconds, if at all.
const REMEMBERED_UUIDS: usize = 16;
/// Parties of one call, and of one notification; real calls have dozens. What is beyond is dropped, because deriving and
/// storing a call costs as much as it has parties.
pub const MOST_PARTIES: usize = 512;
/// Parties of one call whose names and numbers are kept. Real calls have dozens.
pub const MOST_NAMED: usize = 64;
/// Sessions that lead to one call, and queues that distributed it; a chain of transfers links a handful. Each is locked
/// and looked up with every event of the call.
pub const MOST_SESSIONS: usize = 64;

/// One logical call: a session with all its legs, as it is stored. What clients get of it is [`ApiCall`](crate::api::ApiCall).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Ours: 24 hex digits for calls we stored, whatever another program used for its own.
    pub id: String,
    /// RingCentral's session id; its telephony session id where a session has none of its own.
    pub session_id: String,
    /// The caller as RingCentral wrote it, `None` when withheld.
    #[serde(default)]
    pub from_number: Option<String>,
    /// The caller's name as the network sent it.
    #[serde(default)]
    pub from_name: Option<String>,
    /// The number that was dialled, also after the call was routed on.
    #[serde(default)]
    pub to_number: Option<String>,
    /// As seen from the company.
    #[serde(default)]
    pub direction: Direction,
    /// Where the call stands.
    #[serde(default)]
    pub status: Status,
    /// When the call began.
    #[serde(with = "millis")]
    pub timestamp: DateTime<Utc>,
    /// The first of `customers`.
    #[serde(default)]
    pub customer_id: Option<String>,
    /// The first of `customers`.
    #[serde(default)]
    pub customer_name: Option<String>,
    /// The first of `customers`.
    #[serde(default)]
    pub customer_email: Option<String>,

    /// RingCentral's `telephonySessionId`.
    #[serde(default)]
    pub telephony_session_id: Option<String>,
    /// The name of the line or person called.
    #[serde(default)]
    pub to_name: Option<String>,
    /// The call queue that distributes the call.
    #[serde(default)]
    pub queue: Option<String>,
    /// Extensions that rang or talk, in the order they rang.
    #[serde(default)]
    pub extension_ids: Vec<String>,
    /// Who took the call; after a transfer, who took it last.
    #[serde(default)]
    pub answered_by: Option<Extension>,
    /// When a person first answered.
    #[serde(default, with = "millis::maybe")]
    pub answered_at: Option<DateTime<Utc>>,
    /// When the call ended, by RingCentral's clock.
    #[serde(default, with = "millis::maybe")]
    pub ended_at: Option<DateTime<Utc>>,
    /// What came of it, once ended.
    #[serde(default)]
    pub result: Option<CallResult>,
    /// Everyone the caller may be, surest first.
    #[serde(default)]
    pub customers: Vec<Customer>,
    /// How sure `customer_id` is.
    #[serde(default, rename = "match")]
    pub matched: Option<Match>,
    /// `from_number` as a person writes it.
    #[serde(default)]
    pub from_display: Option<String>,
    /// `to_number` as a person writes it.
    #[serde(default)]
    pub to_display: Option<String>,
    /// Grows by one with every change.
    #[serde(default)]
    pub rev: i64,

    /// The store's own key where `id` does not say it, because another program chose it; opaque to all but the store.
    #[serde(skip)]
    pub key: Option<std::sync::Arc<[u8]>>,
    /// What was told, kept by the store beside the call and never sent to a client.
    #[serde(skip)]
    pub facts: CallFacts,
}

/// The facts a call is derived from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallFacts {
    /// Every leg ever heard of, in a canonical order.
    pub parties: Vec<Party>,
    /// Other names of this call: its telephony session id, and sessions that turned out to be this call, such as a
    /// consultation before a transfer or a conference.
    pub linked: Vec<String>,
    /// Extension ids of the queues that distributed the call, for those who may see their calls.
    pub queue_ids: Vec<String>,
    /// When we last heard of this call, by our clock; silence is measured from here.
    pub heard_at: DateTime<Utc>,
    /// The customer lookup has answered, even if with nobody.
    pub looked_up: bool,
    /// The grace is over while the caller still waits somewhere: nobody's phone rings.
    pub waiting: bool,
    /// The call is over, for good.
    pub over: bool,
    /// Notification ids of bodies without a sequence.
    pub seen: Vec<String>,
    /// Viewers who dismissed the popup, in calls stored by an earlier version; later ones keep them beside the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dismissed_by: Vec<String>,
    /// When a call that another program stored was first seen: its time, where its own cannot be read.
    pub adopted_at: Option<DateTime<Utc>>,
    /// Another document's id is written alike, so this call goes by a longer form of its own.
    pub renamed: bool,
}

/// Someone with a telephone in the company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Extension {
    /// RingCentral's extension id (not the number people dial).
    pub extension_id: String,
    /// As RingCentral shows it.
    pub name: Option<String>,
}

impl Call {
    /// A call of which nothing is known yet but where it will be kept.
    pub fn new(id: String, session_id: String, heard_at: DateTime<Utc>) -> Self {
        Self {
            id,
            session_id,
            from_number: None,
            from_name: None,
            to_number: None,
            direction: Direction::default(),
            status: Status::Setup,
            timestamp: heard_at,
            customer_id: None,
            customer_name: None,
            customer_email: None,
            telephony_session_id: None,
            to_name: None,
            queue: None,
            extension_ids: Vec::new(),
            answered_by: None,
            answered_at: None,
            ended_at: None,
            result: None,
            customers: Vec::new(),
            matched: None,
            from_display: None,
            to_display: None,
            rev: 0,
            key: None,
            facts: CallFacts { heard_at, ..CallFacts::default() },
        }
    }

    /// Applies one fact, like [`Call::apply_all`].
    pub fn apply(&mut self, event: &CallEvent) -> bool {
        self.apply_all(std::slice::from_ref(event))
    }

    /// Applies the facts of a batch and derives the call once. `true` when the call changed; then `rev` has grown by one.
    /// Repeated and stale facts, and facts that say nothing new, change nothing.
    pub fn apply_all(&mut self, events: &[CallEvent]) -> bool {
        let (mut parties, mut changed) = (Vec::new(), false);
        for event in events {
            changed |= match &event.kind {
                CallEventKind::Party(leg) => self.apply_party_update(event, leg, &mut parties),
                CallEventKind::Customers(customers) => self.set_customers(customers),
                // A record of its own beside the call.
                CallEventKind::Dismissed(_) => false,
                CallEventKind::Tick => {
                    // What is due depends on what is derived.
                    if self.merge(&mut parties) || changed {
                        self.derive();
                        changed = true;
                    }
                    self.tick(event.heard_at)
                }
                CallEventKind::Gone => !std::mem::replace(&mut self.facts.over, true),
            };
        }
        changed |= self.merge(&mut parties);
        if changed {
            self.derive();
            self.rev += 1;
        }
        changed
    }

    /// Merges what a batch says of parties; whether that was news.
    fn merge(&mut self, parties: &mut Vec<(DateTime<Utc>, Party)>) -> bool {
        let heard_at = parties.iter().map(|(heard_at, _)| *heard_at).max();
        let changed = self.facts.merge_parties(parties.drain(..).map(|(_, party)| party));
        if changed {
            self.facts.heard_at = heard_at.map_or(self.facts.heard_at, |at| at.max(self.facts.heard_at));
        }
        changed
    }

    /// Takes another session's call in: both turned out to be one. `self`, which [`precedes`](Self::precedes) the other,
    /// keeps its id and its history row, and is over only if it was: a consultation ends before the caller does.
    pub fn merge_call(&mut self, other: Call) {
        self.adopt_session_id(&other.session_id);
        for name in other.facts.linked.iter().filter(|name| **name != self.session_id) {
            add_bounded(&mut self.facts.linked, name);
        }
        self.facts.merge_parties(other.facts.parties.into_iter());
        for id in &other.facts.queue_ids {
            add_bounded(&mut self.facts.queue_ids, id);
        }
        for viewer in &other.facts.dismissed_by {
            add(&mut self.facts.dismissed_by, viewer);
        }
        self.facts.seen.extend(other.facts.seen);
        self.facts.heard_at = self.facts.heard_at.max(other.facts.heard_at);
        self.derive();
        if !self.facts.looked_up && other.facts.looked_up && other.from_number == self.from_number {
            self.set_customers(&other.customers);
        }
        self.rev = self.rev.max(other.rev) + 1;
    }

    /// Whether these facts speak of parties that this call has no room for.
    pub fn overflows(&self, events: &[CallEvent]) -> bool {
        let full = self.facts.parties.len() >= MOST_PARTIES;
        full && events.iter().any(|event| match &event.kind {
            CallEventKind::Party(leg) => !self.facts.knows(&Party::of(&event.session_id, leg)),
            CallEventKind::Customers(_) | CallEventKind::Dismissed(_) | CallEventKind::Tick | CallEventKind::Gone => {
                false
            }
        })
    }

    /// Every session that is known to be this call, its own first.
    pub fn sessions(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.session_id).chain(&self.facts.linked)
    }

    /// Whether this call and its popup concern nobody any more.
    pub fn is_over(&self) -> bool {
        self.status == Status::Ended
    }

    /// Whether a tick at `now` would end this call or put it on hold from view.
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        let silent = now - self.facts.heard_at;
        let allowed = match self.status {
            Status::Ended => return true,
            Status::Ringing => SILENT_RINGING,
            Status::Connected | Status::OnHold => SILENT_TALKING,
            Status::Setup => self.patience().unwrap_or(SILENT_WAITING),
            Status::Parked | Status::Voicemail => SILENT_WAITING,
        };
        silent >= allowed || (self.is_idle() && !self.facts.waiting && silent >= GRACE)
    }

    /// Of two sessions that are one call, whether `self` is the one that keeps its id: the older session.
    pub fn precedes(&self, other: &Call) -> bool {
        age(&self.session_id) <= age(&other.session_id)
    }

    /// Whether this event begins another call although its session is this one's. Stores ask it of calls that are over;
    /// every other event about them still merges into their history. Only the guide's flat body can: its sessions are
    /// made up by people, who run the same command twice, while RingCentral never uses a session id again.
    pub fn begins_new_call(&self, event: &CallEvent) -> bool {
        let CallEventKind::Party(leg) = &event.kind else { return false };
        let repeated = leg.uuid.as_ref().is_some_and(|uuid| self.facts.seen.contains(uuid));
        let later = self.ended_at.is_none_or(|ended_at| leg.at > ended_at);
        self.is_over() && leg.source == Source::Guide && leg.state == PartyState::Ringing && later && !repeated
    }

    /// Adds what a fact says beside its party, which joins those of its batch.
    fn apply_party_update(
        &mut self,
        event: &CallEvent,
        leg: &PartyUpdate,
        parties: &mut Vec<(DateTime<Utc>, Party)>,
    ) -> bool {
        if let (Source::Guide, Some(uuid)) = (leg.source, &leg.uuid) {
            if self.facts.seen.contains(uuid) {
                return false;
            }
            self.facts.seen.push(uuid.clone());
            let excess = self.facts.seen.len().saturating_sub(REMEMBERED_UUIDS);
            self.facts.seen.drain(..excess);
        }
        let mut changed = self.adopt_session_id(&event.session_id);
        for name in leg.peers.iter().chain(&leg.telephony_session_id).filter(|name| **name != self.session_id) {
            changed |= add_bounded(&mut self.facts.linked, name);
        }
        for queue in leg.queue.iter().filter(|queue| !queue.extension_id.is_empty()) {
            changed |= add_bounded(&mut self.facts.queue_ids, &queue.extension_id);
        }
        if changed {
            self.facts.heard_at = self.facts.heard_at.max(event.heard_at);
        }
        parties.push((event.heard_at, Party::of(&event.session_id, leg)));
        changed
    }

    /// A linked session's events come here too. The call goes by the oldest session heard of, because which of them is
    /// heard first is chance.
    fn adopt_session_id(&mut self, session_id: &str) -> bool {
        if age(session_id) >= age(&self.session_id) {
            return session_id != self.session_id && add_bounded(&mut self.facts.linked, session_id);
        }
        let linked = self.facts.linked.iter().any(|name| name == session_id);
        if !linked && self.facts.linked.len() >= MOST_SESSIONS {
            return false;
        }
        let younger = std::mem::replace(&mut self.session_id, session_id.to_owned());
        self.facts.linked.retain(|name| name != session_id);
        add(&mut self.facts.linked, &younger)
    }

    fn set_customers(&mut self, customers: &[Customer]) -> bool {
        if self.facts.looked_up && self.customers == customers {
            return false;
        }
        self.facts.looked_up = true;
        let first = customers.first();
        self.customer_id = first.map(|c| c.id.clone());
        self.customer_name = first.and_then(|c| c.name.clone());
        self.customer_email = first.and_then(|c| c.email.clone());
        self.matched = first.map(|c| c.matched);
        self.customers = customers.to_vec();
        true
    }

    fn tick(&mut self, now: DateTime<Utc>) -> bool {
        if self.facts.over || !self.is_due(now) {
            return false;
        }
        // In a queue or a menu the caller may hear music for long while no phone rings.
        let silent = now - self.facts.heard_at;
        let waits = || self.patience().is_some_and(|patience| silent < patience);
        // A program that only set the status leaves the rest to us.
        if !self.is_over() && self.is_idle() && !self.facts.waiting && waits() {
            self.facts.waiting = true;
        } else {
            self.facts.over = true;
        }
        true
    }
}

/// Adds what is not there yet, in order.
fn add(list: &mut Vec<String>, item: &str) -> bool {
    let place = list.binary_search_by(|known| known.as_str().cmp(item));
    if let Err(place) = place {
        list.insert(place, item.to_owned());
    }
    place.is_err()
}

/// The same while there is room.
fn add_bounded(list: &mut Vec<String>, item: &str) -> bool {
    list.len() < MOST_SESSIONS && add(list, item)
}

/// Session ids only grow, so the older of two is the smaller number; telephony session ids are no numbers and longer.
fn age(session_id: &str) -> (usize, &str) {
    (session_id.len(), session_id)
}
