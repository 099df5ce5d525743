//! Detailed presence: every call of one extension.

use serde_json::Value;

use super::codes::{extension_id, integer, is_word, list, presence_state, queue_name, session_id, text};
use super::{Envelope, MOST_CALLS, PresenceSnapshot, Read, ring_out};
use crate::call::{
    CallEvent, CallEventKind, Direction, EndReason, Extension, PartyState, PartyUpdate, Source, sequence_or_time,
};

/// Presence lists only the latest seven calls of an extension; a full list proves nothing about the others.
const MOST_ACTIVE_CALLS: usize = 7;

impl Envelope<'_> {
    /// One extension's presence with its calls, and which calls it has no part in any more.
    pub(super) fn presence(&self) -> Option<Read<(Vec<CallEvent>, PresenceSnapshot)>> {
        let body = self.body;
        let extension_id = extension_id(body).or_else(|| self.path_extension())?;
        let idle = is_word(&body["telephonyStatus"], "NoCall");
        let listed = list(&body["activeCalls"]);
        if listed.is_none() && !(idle && self.is_of_extension()) {
            return None;
        }
        let calls = listed.unwrap_or_default();
        let calls = &calls[..calls.len().min(MOST_CALLS)];
        let sequence = sequence_or_time(integer(&body["sequence"]), self.at());
        let mut snapshot = PresenceSnapshot {
            extension_id: String::new(),
            sessions: Vec::new(),
            parked: Vec::new(),
            sequence,
            at: self.at(),
            heard_at: self.heard_at,
        };
        let mut events = Vec::new();
        let mut all_read = true;
        for call in calls {
            let event = self.presence_call(call, &extension_id, sequence);
            all_read &= event.is_some();
            // RingCentral's own client drops these: the call goes on.
            let goes_on = is_word(&call["terminationType"], "intermediate");
            if let Some(event) = event {
                snapshot.list(&event, goes_on);
                events.extend((!goes_on).then_some(event));
            }
        }
        ring_out::pair(&mut events, self.region);
        let total =
            integer(&body["totalActiveCalls"]).and_then(|total| usize::try_from(total).ok()).unwrap_or_default();
        let all_listed = calls.len() < MOST_ACTIVE_CALLS && total <= calls.len() && (idle || !calls.is_empty());
        // An incomplete list says nothing about the calls that are not on it. Nor does the presence of a whole account, which
        // is not documented to list calls, unless it is as complete as an extension's own.
        if all_listed && all_read && (self.is_of_extension() || integer(&body["sequence"]).is_some()) {
            snapshot.extension_id = extension_id;
        }
        Some(Read { found: (events, snapshot), complete: all_read })
    }

    fn presence_call(&self, call: &Value, extension_id: &str, sequence: i64) -> Option<CallEvent> {
        let direction = Direction::from_word(call["direction"].as_str().unwrap_or_default());
        let (mut from, to) = (self.end_of(call, "from", "fromName"), self.end_of(call, "to", "toName"));
        let queue_name = queue_name(&call["callInfo"]);
        let queued = call["queueCall"].as_bool().unwrap_or_default();
        let name = match direction {
            Direction::Inbound if queued => None,
            Direction::Inbound => to.name.clone(),
            Direction::Outbound => from.name.clone(),
        };
        if direction == Direction::Outbound {
            from.extension_id = Some(extension_id.to_owned());
        }
        let leg = PartyUpdate {
            telephony_session_id: text(&call["telephonySessionId"]),
            source: Source::Presence,
            uuid: None,
            sequence,
            at: self.at(),
            // Sometimes one session stands here twice, so the leg is known by whose it is and which way it goes.
            party_id: format!("{extension_id}-{}", direction.as_str()),
            direction,
            extension: Some(Extension { extension_id: extension_id.to_owned(), name }),
            state: self.listed_state(call),
            from,
            to,
            queue: queue_name.map(|name| Extension { extension_id: String::new(), name: Some(name) }),
            ours: false,
            peers: Vec::new(),
        };
        self.event(session_id(call), leg)
    }

    /// A call that does not say where it stands is where the extension as a whole is.
    fn listed_state(&self, call: &Value) -> PartyState {
        let own = call["telephonyStatus"].as_str();
        if own.is_none() && is_word(&call["terminationType"], "final") {
            return PartyState::Ended(EndReason::Finished);
        }
        own.or_else(|| self.body["telephonyStatus"].as_str()).map_or(PartyState::UNSAID, presence_state)
    }

    /// Whether it is the presence of one extension and not an account's.
    fn is_of_extension(&self) -> bool {
        self.path.contains("/extension/")
    }
}

impl PresenceSnapshot {
    fn list(&mut self, event: &CallEvent, goes_on: bool) {
        let CallEventKind::Party(leg) = &event.kind else { return };
        if leg.state == PartyState::Parked {
            self.parked.extend(event.sessions().cloned());
        }
        if goes_on || !matches!(leg.state, PartyState::Ended(_)) {
            self.sessions.extend(event.sessions().cloned());
        }
    }
}
