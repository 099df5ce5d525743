//! Telephony session events: the parties of a session that changed.

use std::thread;

use serde_json::Value;

use super::bounded::GIVES_WAY_AFTER;
use super::codes::{extension_id, integer, is_word, party_state, presence_state, queue_name, session_id, text, time};
use super::{Envelope, Read};
use crate::call::{CallEvent, Direction, EndReason, Extension, PartyState, PartyUpdate, Source, sequence_or_time};

/// What the platform itself sets up: no call of these rings for a popup.
const SYSTEM: [&str; 6] = ["RingOut", "RingMe", "CallOut", "TestCall", "VerificationCall", "GreetingsRecording"];

/// What all parties of an event share.
struct Session {
    telephony_session_id: Option<String>,
    sequence: i64,
    at: chrono::DateTime<chrono::Utc>,
    origin: String,
}

impl Envelope<'_> {
    /// A telephony session event. A party that cannot be read does not keep the others from being read.
    pub(super) fn telephony(&self, parties: &[Value]) -> Option<Read<Vec<CallEvent>>> {
        let body = self.body;
        // A session as the REST API answers it has its telephony session id for an id.
        let telephony_session_id = text(&body["telephonySessionId"]).or_else(|| text(&body["id"]));
        let session_id = session_id(body).or_else(|| telephony_session_id.clone());
        session_id.as_ref()?;
        let at = time(&body["eventTime"]).unwrap_or_else(|| self.at());
        let session = Session {
            telephony_session_id,
            sequence: sequence_or_time(integer(&body["sequence"]), at),
            at,
            origin: text(&body["origin"]["type"]).or_else(|| text(&body["origin"])).unwrap_or_default(),
        };
        let read = |(index, party)| {
            if index % GIVES_WAY_AFTER == GIVES_WAY_AFTER - 1 {
                thread::yield_now();
            }
            self.party(party, &session)
        };
        let legs: Vec<PartyUpdate> = parties.iter().enumerate().filter_map(read).collect();
        if legs.is_empty() && !parties.is_empty() {
            return None;
        }
        let complete = legs.len() == parties.len() && !legs.iter().any(|leg| leg.state.is_unsaid());
        let (unsaid, said): (Vec<PartyUpdate>, Vec<PartyUpdate>) =
            legs.into_iter().partition(|leg| leg.state.is_unsaid());
        // The first event decides whether a call begins, and a party without a status begins none.
        let events = said.into_iter().chain(unsaid).filter_map(|leg| self.event(session_id.clone(), leg));
        Some(Read { found: events.collect(), complete })
    }

    fn party(&self, party: &Value, session: &Session) -> Option<PartyUpdate> {
        if !party.is_object() || party.as_object().is_some_and(|fields| fields.is_empty()) {
            return None;
        }
        let mut direction = Direction::from_word(party["direction"].as_str().unwrap_or_default());
        let (mut from, mut to) = (self.end_of(party, "from", "fromName"), self.end_of(party, "to", "toName"));
        let extension_id = extension_id(party).filter(|_| self.is_our_account(party));
        let role = ["ringOutRole", "ringMeRole"].into_iter().find_map(|field| text(&party[field]));
        let ours = role.is_some() || SYSTEM.iter().any(|word| session.origin.eq_ignore_ascii_case(word));
        if direction == Direction::Inbound && is_initiator(role.as_deref(), extension_id.is_some(), &session.origin) {
            // Our phone rings first, as if the customer called it. Where both ends are one number there is nothing to swap.
            if from.number != to.number {
                direction = Direction::Outbound;
                std::mem::swap(&mut from, &mut to);
            }
        }
        let own_end = if direction == Direction::Inbound { &to } else { &from };
        let extension = extension_id.map(|extension_id| {
            let own = own_end.extension_id.as_ref() == Some(&extension_id);
            Extension { name: own_end.name.clone().filter(|_| own), extension_id }
        });
        let queued = party["queueCall"].as_bool().unwrap_or_default();
        let for_another =
            to.extension_id.is_some() && to.extension_id != extension.as_ref().map(|e| e.extension_id.clone());
        let announced = queue_name(&party["uiCallInfo"]);
        let queue = (direction == Direction::Inbound && (announced.is_some() || (queued && for_another))).then(|| {
            Extension { extension_id: to.extension_id.clone().unwrap_or_default(), name: announced.or(to.name.clone()) }
        });
        Some(PartyUpdate {
            telephony_session_id: session.telephony_session_id.clone(),
            source: Source::Telephony,
            uuid: None,
            sequence: session.sequence,
            at: session.at,
            party_id: text(&party["id"]).unwrap_or_else(|| id_of_nameless(extension.as_ref(), direction)),
            direction,
            extension,
            state: state_of(party),
            from,
            to,
            queue,
            ours,
            peers: peers_of(&party["status"]),
        })
    }

    /// Parties of other accounts carry extension ids too, of people who are not ours.
    fn is_our_account(&self, party: &Value) -> bool {
        let ours = self.path.split("/account/").nth(1).and_then(|rest| rest.split('/').next());
        match (ours, text(&party["accountId"])) {
            (Some(ours), Some(theirs)) => ours == "~" || ours == theirs,
            _ => true,
        }
    }
}

/// Whether an inbound party is the phone of ours that a RingOut rings first. Events do not always say the role; then it
/// is the one with an extension.
fn is_initiator(role: Option<&str>, is_ours: bool, origin: &str) -> bool {
    match role {
        Some(role) => role.eq_ignore_ascii_case("Initiator"),
        None => is_ours && ["RingOut", "RingMe"].iter().any(|word| origin.eq_ignore_ascii_case(word)),
    }
}

/// A party without an id is known by whose phone it is and which way it goes; a session has one such leg at a time.
fn id_of_nameless(extension: Option<&Extension>, direction: Direction) -> String {
    format!("{}-{}", extension.map_or("outside", |extension| &extension.extension_id), direction.as_str())
}

/// The status is an object with a code; some senders flatten it to the code.
fn state_of(party: &Value) -> PartyState {
    let status = &party["status"];
    let missed = party["missedCall"].as_bool().unwrap_or_default();
    let code = status["code"].as_str().or(status.as_str()).filter(|code| !code.trim().is_empty());
    let reason = status["reason"].as_str().or(party["reason"].as_str());
    let state = match (code, party["telephonyStatus"].as_str()) {
        (Some(code), _) => party_state(code, reason),
        (None, Some(word)) => presence_state(word),
        (None, None) if missed => PartyState::Ended(EndReason::NoAnswer),
        (None, None) => PartyState::UNSAID,
    };
    if missed && state == PartyState::Ended(EndReason::Finished) {
        PartyState::Ended(EndReason::NoAnswer)
    } else {
        state
    }
}

/// Sessions this party moved on to. A supervisor's leg goes into the session it listens to; that makes the two calls no
/// single one.
fn peers_of(status: &Value) -> Vec<String> {
    let peer = if is_word(&status["reason"], "Supervising") { &Value::Null } else { &status["peerId"] };
    let peers = [text(&peer["sessionId"]), text(&peer["telephonySessionId"])];
    peers.into_iter().flatten().filter(|id| id != "0").collect()
}
