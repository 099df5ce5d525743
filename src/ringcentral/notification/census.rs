//! What presence says by leaving a call out.

use chrono::{DateTime, Utc};

use crate::call::{Call, CallEvent, EndReason, Endpoint, Fact, Leg, LegState, Party, Source};

/// The calls an extension takes part in, by presence: any other call of its has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Census {
    /// Whose presence.
    pub extension_id: String,
    /// Sessions it takes part in.
    pub sessions: Vec<String>,
    /// Orders presence of this extension.
    pub sequence: i64,
    /// When it was so.
    pub at: DateTime<Utc>,
    /// When we learned it.
    pub heard_at: DateTime<Utc>,
}

impl Census {
    /// That a leg told late has ended meanwhile: presence that was sent later no longer lists its call.
    pub fn overrules(&self, late: &CallEvent) -> Option<CallEvent> {
        let Fact::Leg(leg) = &late.fact else { return None };
        let own = leg.extension.as_ref().is_some_and(|extension| extension.extension_id == self.extension_id);
        let live = !matches!(leg.state, LegState::Ended(_));
        (own && live && leg.sequence < self.sequence && !self.sessions.contains(&late.session_id)).then(|| {
            let state = LegState::Ended(EndReason::Finished);
            let ended = Leg { state, sequence: self.sequence, at: self.at, ..(**leg).clone() };
            CallEvent { fact: Fact::Leg(Box::new(ended)), ..late.clone() }
        })
    }

    /// That this extension's leg of `call` has ended, if presence told of one that has not.
    pub fn leg_ended(&self, call: &Call) -> Option<CallEvent> {
        let live = |p: &&Party| p.source == Source::Presence && p.is_live();
        let mine =
            |p: &&Party| p.extension_id.as_deref() == Some(&self.extension_id) && p.state.sequence < self.sequence;
        let party = call.ledger.parties.iter().filter(live).find(mine)?;
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
        Some(CallEvent { session_id, heard_at: self.heard_at, fact: Fact::Leg(Box::new(leg)) })
    }
}
