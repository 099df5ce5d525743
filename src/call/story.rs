//! What people see of a call, derived from what was told of its parties.

use chrono::{DateTime, Utc};

use super::party::{Direction, EndReason, LegState, Party, Source, Told};
use super::{Call, CallResult, Extension, Ledger, Status};

impl Call {
    /// Brings every derived field in line with the ledger. Calls that another program stored have no parties and keep
    /// their words.
    pub(super) fn derive(&mut self) {
        let story = Story::of(&self.session_id, &self.ledger);
        if story.parties.is_empty() {
            if self.ledger.over {
                self.end(None, CallResult::Missed);
            }
            return;
        }
        self.direction = story.direction(self.ledger.ours);
        self.timestamp = story.parties.iter().map(|p| p.began_at).min().unwrap_or(self.timestamp);
        let from = story.first(|p| p.from_number.as_ref());
        let to = story.first(|p| p.to_number.as_ref());
        self.from_name = story.caller_name(from.as_ref().map(|(number, _)| number.as_str()));
        (self.from_number, self.from_display) = from.map_or((None, None), |(number, display)| (Some(number), display));
        (self.to_number, self.to_display) = to.map_or((None, None), |(number, display)| (Some(number), display));
        self.queue = story.last(|p| p.queue.as_ref());
        self.to_name = self.queue.clone().or_else(|| story.line_name());
        self.extension_ids = story.rung_extensions();
        let answered = story.answered();
        self.answered_by = answered.last().and_then(|p| story.person(p));
        self.answered_at = answered.first().and_then(|p| p.answered_at.as_ref()).map(|told| told.value);

        let over = self.ledger.over || story.is_conclusive();
        let waiting = self.ledger.waiting && !story.agents().any(Party::is_live);
        let last = story.parties.iter().map(|p| p.changed_at).max();
        let result = story.result(self.direction);
        self.status = story.status(self.direction, waiting);
        (self.ledger.over, self.ledger.waiting) = (over, waiting);
        if over {
            self.end(last, result);
        }
    }

    /// Every leg of ours has ended, yet nothing says the call has.
    pub(super) fn in_grace(&self) -> bool {
        let story = Story::of(&self.session_id, &self.ledger);
        !self.ledger.waiting && story.account_legs().next().is_some() && !story.account_legs().any(Party::is_live)
    }

    /// The caller is still on the line and was last promised somebody else: a menu, a queue, a transfer.
    pub(super) fn caller_waits(&self) -> bool {
        let story = Story::of(&self.session_id, &self.ledger);
        let promised = story.answered().last().is_none_or(|p| {
            matches!(p.state.value, LegState::Ended(EndReason::Transferred | EndReason::AnsweredElsewhere))
        });
        self.direction == Direction::Inbound
            && promised
            && story.parties.iter().any(|p| p.is_originator() && p.extension_id.is_none() && p.is_live())
    }

    fn end(&mut self, at: Option<DateTime<Utc>>, result: CallResult) {
        self.status = Status::Ended;
        self.ended_at = at.or(self.ended_at).or(Some(self.ledger.heard_at));
        self.result = Some(result);
    }
}

impl Ledger {
    pub(super) fn merge_party(&mut self, party: Party) {
        let key = |p: &Party| (p.source, p.id.clone());
        match self.parties.binary_search_by_key(&key(&party), key) {
            Ok(found) => self.parties[found].merge(party),
            Err(place) => self.parties.insert(place, party),
        }
    }
}

/// The parties that count, and questions about them.
struct Story<'a> {
    session_id: &'a str,
    parties: Vec<&'a Party>,
}

impl<'a> Story<'a> {
    /// Leaves out what a better source tells too: presence of an extension that telephony speaks of, and the guide's
    /// flat body beside either.
    fn of(session_id: &'a str, ledger: &'a Ledger) -> Self {
        let telephony = |p: &Party| ledger.parties.iter().any(|q| same_phone(p, q));
        let richer = ledger.parties.iter().any(|p| p.source != Source::Guide);
        let parties = ledger
            .parties
            .iter()
            .filter(|p| match p.source {
                Source::Guide => !richer,
                Source::Presence => !telephony(p),
                Source::Telephony => true,
            })
            .collect();
        Self { session_id, parties }
    }

    /// Sequences only compare within a session, so legs of linked sessions come after our own.
    fn order<T: Ord>(&self, party: &Party, told: &Told<T>) -> (bool, i64) {
        (party.session_id != self.session_id, told.sequence)
    }

    fn first<T: Ord + Clone>(&self, field: impl Fn(&Party) -> Option<&Told<T>>) -> Option<T> {
        let told = self.parties.iter().filter_map(|p| field(p).map(|told| (self.order(p, told), &told.value)));
        told.min().map(|(_, value)| value.clone())
    }

    fn last<T: Ord + Clone>(&self, field: impl Fn(&Party) -> Option<&Told<T>>) -> Option<T> {
        let told = self.parties.iter().filter_map(|p| field(p).map(|told| (told.sequence, &told.value)));
        told.max().map(|(_, value)| value.clone())
    }

    /// Our phones the call came in to.
    fn agents(&self) -> impl Iterator<Item = &'a Party> {
        self.parties.iter().copied().filter(|p| p.is_agent())
    }

    fn account_legs(&self) -> impl Iterator<Item = &'a Party> {
        self.parties.iter().copied().filter(|p| p.extension_id.is_some() || p.source == Source::Guide)
    }

    fn direction(&self, ours: bool) -> Direction {
        let ours_dialled = self.parties.iter().any(|p| p.is_originator() && p.extension_id.is_some());
        // The far leg of our own call looks like an inbound one, but it rings nobody of ours and we are its caller.
        // A queue's inner leg looks the same, except that a colleague dialled a short number to get there.
        let far_leg = self.parties.iter().any(|p| {
            let abroad = p.to_number.as_ref().is_some_and(|to| to.value.0.len() > 6);
            p.direction == Direction::Inbound && p.extension_id.is_none() && p.from_us && abroad
        });
        let inbound = self.agents().next().is_some();
        if ours || far_leg || (ours_dialled && !inbound) { Direction::Outbound } else { Direction::Inbound }
    }

    /// The newest name among the legs that tell the caller's number: another leg's "from" may be a colleague.
    fn caller_name(&self, number: Option<&str>) -> Option<String> {
        let same = |p: &Party| p.from_number.as_ref().map(|told| told.value.0.as_str()) == number;
        let named = self.parties.iter().filter(|p| same(p));
        named.filter_map(|p| p.from_name.as_ref()).max().map(|told| told.value.clone())
    }

    /// The name of the line called: of a phone that rang, else of whatever was reached.
    fn line_name(&self) -> Option<String> {
        let rang = |p: &&Party| p.rang_at.is_some() || p.answered_at.is_some();
        let ringing = self.agents().filter(rang).filter_map(|p| p.to_name.as_ref()).max();
        let any = || self.parties.iter().filter_map(|p| p.to_name.as_ref()).max();
        ringing.or_else(any).map(|told| told.value.clone())
    }

    fn rung_extensions(&self) -> Vec<String> {
        let mut rung: Vec<_> = self
            .agents()
            .filter_map(|p| {
                let moment = p.rang_at.as_ref().or(p.answered_at.as_ref())?;
                Some((moment.value, p.extension_id.clone()?))
            })
            .collect();
        rung.sort();
        let mut ids = Vec::new();
        for (_, id) in rung {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// The phones that were answered, in that order.
    fn answered(&self) -> Vec<&'a Party> {
        let mut answered: Vec<_> =
            self.agents().filter_map(|p| Some((p.answered_at.as_ref()?.value, &p.id, p))).collect();
        answered.sort_by_key(|(at, id, _)| (*at, *id));
        answered.into_iter().map(|(_, _, p)| p).collect()
    }

    fn person(&self, party: &Party) -> Option<Extension> {
        let extension_id = party.extension_id.clone()?;
        let same = self.parties.iter().filter(|p| p.extension_id.as_ref() == Some(&extension_id));
        let name = same.filter_map(|p| p.extension_name.as_ref()).max().map(|told| told.value.clone());
        Some(Extension { extension_id, name })
    }

    fn status(&self, direction: Direction, waiting: bool) -> Status {
        if direction == Direction::Outbound {
            return Status::Setup;
        }
        let live = self.agents().filter(|p| p.is_live()).map(|p| match &p.state.value {
            LegState::Connected => Status::Connected,
            LegState::OnHold => Status::OnHold,
            LegState::Ringing => Status::Ringing,
            LegState::Parked => Status::Parked,
            LegState::Voicemail => Status::Voicemail,
            LegState::Setup | LegState::Unknown(_) | LegState::Ended(_) => Status::Setup,
        });
        let rank = |status: &Status| match status {
            Status::Connected => 5,
            Status::OnHold => 4,
            Status::Ringing => 3,
            Status::Parked => 2,
            Status::Voicemail => 1,
            Status::Setup | Status::Ended => 0,
        };
        let reached = |p: &Party| p.answered_at.is_some();
        match live.max_by_key(rank) {
            Some(status) => status,
            // In the grace the popup stays as it was, so that a hand-over does not make it flicker.
            None if waiting => Status::Setup,
            None if self.agents().any(reached) => Status::Connected,
            None if self.agents().any(|p| p.rang_at.is_some()) => Status::Ringing,
            None => Status::Setup,
        }
    }

    /// Whether what was told leaves no doubt that the call is over: the caller left, or every leg did and the one that
    /// placed the call was not handed on.
    fn is_conclusive(&self) -> bool {
        let gone = |p: &Party| match &p.state.value {
            LegState::Ended(reason) => !matches!(reason, EndReason::Transferred | EndReason::Moved),
            _ => false,
        };
        let caller_left = |p: &&&Party| p.is_originator() && p.extension_id.is_none() && gone(p);
        let left: Vec<_> = self.parties.iter().filter(caller_left).map(|p| &p.session_id).collect();
        let others_live = self.parties.iter().any(|p| p.is_live() && !left.contains(&&p.session_id));
        let all_gone = self.parties.iter().all(|p| gone(p));
        let placed = self.parties.iter().any(|p| p.is_originator() && p.source == Source::Telephony);
        let flat = self.parties.iter().all(|p| p.source == Source::Guide);
        (!left.is_empty() && !others_live) || (all_gone && (placed || flat))
    }

    fn result(&self, direction: Direction) -> CallResult {
        if direction == Direction::Outbound {
            return self.result_of_ours();
        }
        let refused = |p: &Party| p.state.value == LegState::Ended(EndReason::Rejected);
        let unanswered =
            |p: &Party| matches!(p.state.value, LegState::Ended(EndReason::NoAnswer | EndReason::Rejected));
        let mut rang = self.agents().filter(|p| p.rang_at.is_some() || unanswered(p)).peekable();
        if self.agents().any(|p| p.answered_at.is_some()) {
            CallResult::Answered
        } else if self.parties.iter().any(|p| p.voicemail) {
            CallResult::Voicemail
        } else if rang.peek().is_none() {
            CallResult::Abandoned
        } else if rang.all(refused) {
            CallResult::Rejected
        } else {
            CallResult::Missed
        }
    }

    /// Our own call: what became of the far end, where it is known apart from ours.
    fn result_of_ours(&self) -> CallResult {
        let ends: Vec<_> = match self.parties.iter().filter(|p| p.extension_id.is_none()).collect::<Vec<_>>() {
            far if far.is_empty() => self.parties.iter().collect(),
            far => far,
        };
        if ends.iter().any(|p| p.answered_at.is_some()) {
            CallResult::Answered
        } else if ends.iter().any(|p| p.state.value == LegState::Ended(EndReason::Rejected)) {
            CallResult::Rejected
        } else {
            CallResult::Abandoned
        }
    }
}

/// Whether telephony's `q` speaks of the phone that presence's `p` speaks of.
fn same_phone(p: &Party, q: &Party) -> bool {
    q.source == Source::Telephony && (q.id == p.id || (q.extension_id.is_some() && q.extension_id == p.extension_id))
}
