//! What both stores do with facts once they have found the calls concerned. Pure.

use crate::call::{Call, CallEvent, Fact};
use crate::phone::{PhoneNumber, Region};

/// A call as a store holds it.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing is known of the session.
    Nothing,
    /// In `active_calls`.
    Active(Call),
    /// In `call_history`.
    Ended(Call),
}

/// The session ids that lead to the call these events belong to.
pub fn keys(events: &[CallEvent]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for event in events {
        keys.push(event.session_id.clone());
        if let Fact::Leg(leg) = &event.fact {
            keys.extend(leg.telephony_session_id.clone());
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

/// The call after `events`, or `None` when they change nothing. `found` is the call as held; `new_id` is for one that begins.
pub fn advance(found: Found, events: &[CallEvent], new_id: &str) -> Option<Call> {
    let first = events.first()?;
    let mut call = match found {
        Found::Active(call) => call,
        Found::Ended(call) if !call.starts_anew(first) => call,
        Found::Ended(_) | Found::Nothing => {
            if !first.can_begin_a_call() {
                return None;
            }
            Call::new(new_id.to_owned(), first.session_id.clone(), first.heard_at)
        }
    };
    let rev = call.rev;
    for event in events {
        call.apply(event);
    }
    // However many facts came at once, it is one change.
    let changed = call.rev != rev;
    call.rev = call.rev.min(rev + 1);
    changed.then_some(call)
}

/// The sessions that `call` is linked to and that may be calls of their own yet.
pub fn links(call: &Call) -> Vec<String> {
    let own = |id: &&String| **id != call.session_id && Some(*id) != call.telephony_session_id.as_ref();
    call.ledger.linked.iter().filter(own).cloned().collect()
}

/// Joins two calls that turned out to be one: the one that stays, and the one that is no more, as its readers must
/// see it.
pub fn join(one: Call, other: Call) -> (Call, Call) {
    let (mut kept, mut gone) = if one.precedes(&other) { (one, other) } else { (other, one) };
    kept.absorb(gone.clone());
    gone.status = crate::call::Status::Ended;
    gone.rev += 1;
    (kept, gone)
}

/// Whether a call holds this number anywhere: as caller, as called line, on any of its legs.
pub fn mentions(call: &Call, number: &PhoneNumber, region: Region) -> bool {
    let parties =
        call.ledger.parties.iter().flat_map(|p| [&p.from_number, &p.to_number]).flatten().map(|told| &told.value.0);
    let mut numbers = call.from_number.iter().chain(&call.to_number).chain(parties);
    numbers.any(|raw| PhoneNumber::parse(raw, region).as_ref() == Some(number))
}

/// Groups events by session, in order: a store takes in one session at a time.
pub fn calls_of(events: Vec<CallEvent>) -> Vec<Vec<CallEvent>> {
    let mut groups: Vec<Vec<CallEvent>> = Vec::new();
    for event in events {
        match groups.iter_mut().find(|group| group[0].session_id == event.session_id) {
            Some(group) => group.push(event),
            None => groups.push(vec![event]),
        }
    }
    groups
}
