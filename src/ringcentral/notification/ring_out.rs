//! One's own RingOut, as presence lists it: an outbound call and an incoming one from the same customer.
//!
//! Telephony events say where a session comes from; presence lists two sessions and nothing more. As in RingCentral's own
//! client they are the two legs of one call when one extension has both, their ends are swapped and their numeric session
//! ids are 1,000 to 4,000 apart, which is one to four sessions of the same server. Such legs are linked like the sessions of
//! a transfer, and marked as our own call, so that they make one outbound call without a popup.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::call::{Call, CallEvent, CallEventKind, Direction, Endpoint, Party, PartyUpdate, Source};
use crate::phone::{PhoneNumber, Region};

/// How far apart the two session ids are.
const APART: RangeInclusive<u64> = 1_000..=4_000;

/// What a leg is recognised by.
#[derive(Clone, Copy)]
struct Traits<'a> {
    session_id: &'a str,
    extension_id: &'a str,
    direction: Direction,
    from: &'a str,
    to: &'a str,
}

/// Links the legs of a RingOut that one notification lists.
pub(super) fn pair(events: &mut [CallEvent], region: Region) {
    for one in 0..events.len() {
        for other in one + 1..events.len() {
            let traits = Traits::of_event(&events[one]).zip(Traits::of_event(&events[other]));
            if traits.is_some_and(|(one, other)| one.is_other_leg(&other, region)) {
                let (first, second) = (events[one].session_id.clone(), events[other].session_id.clone());
                mark(&mut events[one], &second);
                mark(&mut events[other], &first);
            }
        }
    }
}

/// Links the legs in `events` whose other leg came with an earlier notification and is in one of `calls`. That leg is added
/// to the events once more with its mark. Whether there was such a leg.
pub fn pair_with_known(events: &mut Vec<CallEvent>, calls: &[Arc<Call>], region: Region) -> bool {
    let mut again = Vec::new();
    for event in events.iter_mut() {
        let known = calls.iter().flat_map(|call| &call.facts.parties).filter(|party| party.source == Source::Presence);
        let is_other = |party: &&Party| {
            let traits = Traits::of_event(event).zip(Traits::of_party(party));
            traits.is_some_and(|(one, other)| one.is_other_leg(&other, region))
        };
        let Some(party) = known.into_iter().find(is_other) else { continue };
        mark(event, &party.session_id);
        let mut other = as_event(party, event);
        mark(&mut other, &event.session_id);
        again.push(other);
    }
    let found = !again.is_empty();
    events.append(&mut again);
    found
}

fn mark(event: &mut CallEvent, other: &str) {
    if let CallEventKind::Party(leg) = &mut event.kind {
        leg.ours = true;
        if event.session_id != other && !leg.peers.iter().any(|peer| peer == other) {
            leg.peers.push(other.to_owned());
        }
    }
}

/// The newest report of a leg once more, which changes nothing by itself.
fn as_event(party: &Party, occasion: &CallEvent) -> CallEvent {
    let leg = PartyUpdate {
        telephony_session_id: party.telephony_session_id.clone(),
        source: party.source,
        uuid: None,
        sequence: party.state.sequence,
        at: party.changed_at,
        party_id: party.id.clone(),
        direction: party.direction,
        extension: None,
        state: party.state.value.clone(),
        from: Endpoint::default(),
        to: Endpoint::default(),
        queue: None,
        ours: true,
        peers: Vec::new(),
    };
    CallEvent {
        session_id: party.session_id.clone(),
        heard_at: occasion.heard_at,
        kind: CallEventKind::Party(Box::new(leg)),
    }
}

impl<'a> Traits<'a> {
    fn of_event(event: &'a CallEvent) -> Option<Self> {
        let CallEventKind::Party(leg) = &event.kind else { return None };
        Some(Self {
            session_id: &event.session_id,
            extension_id: &leg.extension.as_ref()?.extension_id,
            direction: leg.direction,
            from: leg.from.number.as_deref()?,
            to: leg.to.number.as_deref()?,
        })
    }

    fn of_party(party: &'a Party) -> Option<Self> {
        Some(Self {
            session_id: &party.session_id,
            extension_id: party.extension_id.as_deref()?,
            direction: party.direction,
            from: &party.from_number.as_ref()?.value.0,
            to: &party.to_number.as_ref()?.value.0,
        })
    }

    fn is_other_leg(&self, other: &Self, region: Region) -> bool {
        let same = |one: &str, other: &str| {
            let number = PhoneNumber::parse(one, region);
            one == other || (number.is_some() && number == PhoneNumber::parse(other, region))
        };
        let apart = || match (self.session_id.parse::<u64>(), other.session_id.parse::<u64>()) {
            (Ok(one), Ok(other)) => APART.contains(&one.abs_diff(other)),
            _ => false,
        };
        self.extension_id == other.extension_id
            && self.direction != other.direction
            // One session that is listed twice is its own other leg.
            && (self.session_id == other.session_id || apart())
            && same(self.from, other.to)
            && same(self.to, other.from)
    }
}
