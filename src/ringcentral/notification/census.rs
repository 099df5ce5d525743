//! What presence says by leaving a call out.

use chrono::{DateTime, Utc};

use crate::call::{Call, CallEvent, EndReason, Endpoint, Fact, Leg, LegState, Party, Position, Source};

/// The calls an extension takes part in, by presence: any other call of its has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Census {
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

impl Census {
    /// Whether this is newer than another presence of the same extension.
    pub fn is_after(&self, other: &Self) -> bool {
        self.position().is_after(other.position())
    }

    /// That a leg of which presence was sent earlier and arrives later has ended meanwhile.
    pub fn overrules(&self, late: &CallEvent) -> Option<CallEvent> {
        let Fact::Leg(leg) = &late.fact else { return None };
        let own = leg.extension.as_ref().is_some_and(|extension| extension.extension_id == self.extension_id);
        let live = !matches!(leg.state, LegState::Ended(_));
        let is_late = self.position().is_after(Position::new(leg.sequence, leg.at));
        (own && live && is_late && !late.sessions().any(|name| self.sessions.contains(name))).then(|| {
            let state = LegState::Ended(EndReason::Finished);
            let ended = Leg { state, sequence: self.sequence, at: self.at, ..(**leg).clone() };
            CallEvent { fact: Fact::Leg(Box::new(ended)), ..late.clone() }
        })
    }

    /// That this extension's legs of `call` have ended, as far as presence knew them and does not list them any more.
    pub fn legs_ended(&self, call: &Call) -> Vec<CallEvent> {
        let ended = call.ledger.parties.iter().filter(|party| {
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
        let leg = Leg {
            telephony_session_id: None,
            source: Source::Presence,
            uuid: None,
            sequence: self.sequence,
            at: self.at,
            party_id: party.id.clone(),
            direction: party.direction,
            extension: None,
            state: LegState::Ended(EndReason::Finished),
            from: Endpoint::default(),
            to: Endpoint::default(),
            queue: None,
            ours: false,
            peers: Vec::new(),
        };
        let session_id = party.session_id.clone();
        CallEvent { session_id, heard_at: self.heard_at, fact: Fact::Leg(Box::new(leg)) }
    }

    fn position(&self) -> Position {
        Position::new(self.sequence, self.at)
    }
}
