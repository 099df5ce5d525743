//! What presence says by leaving a call out.

use chrono::{DateTime, Utc};

use crate::call::{
    Call, CallEvent, CallEventKind, EndReason, Endpoint, Party, PartyState, PartyUpdate, Position, Source,
};

/// The calls an extension takes part in, by presence: any other call of its has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct PresenceSnapshot {
    /// Whose presence; empty where the list may leave calls out and so says nothing about them.
    pub extension_id: String,
    /// Sessions it takes part in, by every name.
    pub sessions: Vec<String>,
    /// Those of them that are parked there.
    pub parked: Vec<String>,
    /// Orders presence of this extension.
    pub sequence: i64,
    /// When it was so.
    pub at: DateTime<Utc>,
    /// When we learned it.
    pub heard_at: DateTime<Utc>,
}

impl PresenceSnapshot {
    /// Whether this is newer than another presence of the same extension.
    pub fn is_after(&self, other: &Self) -> bool {
        self.position().is_after(other.position())
    }

    /// That a leg of which presence was sent earlier and arrives later has ended meanwhile.
    pub fn supersedes(&self, late: &CallEvent) -> Option<CallEvent> {
        let CallEventKind::Party(leg) = &late.kind else { return None };
        let own = leg.extension.as_ref().is_some_and(|extension| extension.extension_id == self.extension_id);
        let live = !matches!(leg.state, PartyState::Ended(_));
        let is_late = self.position().is_after(Position::new(leg.sequence, leg.at));
        (own && live && is_late && !late.sessions().any(|name| self.sessions.contains(name))).then(|| {
            let state = PartyState::Ended(EndReason::Finished);
            let ended = PartyUpdate { state, sequence: self.sequence, at: self.at, ..(**leg).clone() };
            CallEvent { kind: CallEventKind::Party(Box::new(ended)), ..late.clone() }
        })
    }

    /// That this extension's legs of `call` have ended, as far as presence knew them and does not list them any more.
    pub fn end_unlisted(&self, call: &Call) -> Vec<CallEvent> {
        let ended = call.facts.parties.iter().filter(|party| {
            let mine = party.source == Source::Presence && party.extension_id.as_deref() == Some(&self.extension_id);
            let listed = [Some(&party.session_id), party.telephony_session_id.as_ref()];
            let known_before = self.position().is_after(Position::new(party.state.sequence, party.changed_at));
            mine && party.is_live()
                && known_before
                && !listed.into_iter().flatten().any(|it| self.sessions.contains(it))
        });
        ended.map(|party| self.end_of(party)).collect()
    }

    fn end_of(&self, party: &Party) -> CallEvent {
        let leg = PartyUpdate {
            telephony_session_id: None,
            source: Source::Presence,
            uuid: None,
            sequence: self.sequence,
            at: self.at,
            party_id: party.id.clone(),
            direction: party.direction,
            extension: None,
            state: PartyState::Ended(EndReason::Finished),
            from: Endpoint::default(),
            to: Endpoint::default(),
            queue: None,
            ours: false,
            peers: Vec::new(),
        };
        let session_id = party.session_id.clone();
        CallEvent { session_id, heard_at: self.heard_at, kind: CallEventKind::Party(Box::new(leg)) }
    }

    fn position(&self) -> Position {
        Position::new(self.sequence, self.at)
    }
}
