//! What people see of a call, derived from what was told of its parties.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::party::{Direction, EndReason, Number, Party, PartyState, Source, Versioned};
use super::{
    Call, CallFacts, CallResult, Extension, MOST_NAMED, MOST_PARTIES, SILENT_RINGING, SILENT_TALKING, SILENT_WAITING,
    Status,
};

/// Digits of the longest number that colleagues dial for each other.
const LONGEST_EXTENSION: usize = 6;

impl Call {
    /// Brings every derived field in line with the facts. Calls that another program stored have no parties and keep
    /// their words.
    pub(super) fn derive(&mut self) {
        let story = Projection::of(&self.session_id, &self.facts);
        if story.parties.is_empty() {
            if self.facts.over {
                self.end(None, CallResult::Missed);
            }
            return;
        }
        self.telephony_session_id = story.telephony_session_id.clone();
        self.direction = story.direction();
        self.timestamp = story.parties.iter().map(|p| p.began_at).min().unwrap_or(self.timestamp);
        let from = story.caller_number(self.direction);
        self.from_name = story.caller_name(from.as_ref());
        (self.from_number, self.from_display) = from.map_or((None, None), |(number, display)| (Some(number), display));
        let to = story.dialled_number(self.direction);
        (self.to_number, self.to_display) = to.map_or((None, None), |(number, display)| (Some(number), display));
        self.queue = story.queue();
        self.to_name = self.queue.clone().or_else(|| story.line_name());
        self.extension_ids = story.extension_ids(self.direction);
        let answered = story.answered(self.direction);
        self.answered_by = answered.last().and_then(|p| story.person(p));
        self.answered_at = answered.first().and_then(|p| p.answered_at.as_ref()).map(|told| told.value);

        let over = self.facts.over || story.is_conclusive();
        let waiting = self.facts.waiting && !story.agents().any(Party::is_busy);
        let last = story.parties.iter().map(|p| p.changed_at).max();
        let result = story.result(self.direction);
        self.status = story.status(self.direction, waiting);
        (self.facts.over, self.facts.waiting) = (over, waiting);
        if over {
            self.end(last, result);
        }
    }

    /// Nobody of ours is rung or talks, yet nothing says the call is over.
    pub(super) fn is_idle(&self) -> bool {
        let story = Projection::of(&self.session_id, &self.facts);
        story.account_legs().next().is_some() && !story.account_legs().any(Party::is_busy)
    }

    /// How long a call nobody sees may stay silent, because we talk in it, or because the caller is still on the line and was last promised somebody
    /// else: by a menu, a queue, a transfer. `None` when nobody waits.
    pub(super) fn patience(&self) -> Option<TimeDelta> {
        let story = Projection::of(&self.session_id, &self.facts);
        let promised = |p: &&Party| p.went_on() || p.state.value == PartyState::Ended(EndReason::AnsweredElsewhere);
        let inbound = self.direction == Direction::Inbound;
        if story.account_legs().any(Party::is_busy) {
            Some(SILENT_TALKING)
        } else if story.account_legs().any(Party::is_live) {
            Some(SILENT_WAITING)
        } else if !inbound || !story.answered(self.direction).last().is_none_or(promised) {
            None
        } else if story.parties.iter().any(|p| p.is_outside_caller()) {
            story.parties.iter().any(|p| p.is_outside_caller() && p.is_live()).then_some(SILENT_WAITING)
        } else {
            // Where RingCentral does not tell of callers from outside, a queue may still be looking for an agent.
            self.queue.as_ref().map(|_| SILENT_RINGING)
        }
    }

    fn end(&mut self, at: Option<DateTime<Utc>>, result: CallResult) {
        self.status = Status::Ended;
        self.ended_at = at.or(self.ended_at).or(Some(self.facts.heard_at));
        self.result = Some(result);
    }
}

impl CallFacts {
    /// Merges parties into the canonical order; whether any of it was news. New ones beyond [`MOST_PARTIES`] are dropped, and of
    /// those beyond [`MOST_NAMED`] the names and numbers: texts of 512 parties are half a megabyte that is stored with each change.
    pub(super) fn merge_parties(&mut self, reported: impl Iterator<Item = Party>) -> bool {
        let mut reported: Vec<Party> = reported.collect();
        reported.sort_by(|a, b| key(a).cmp(&key(b)));
        let mut room = MOST_PARTIES.saturating_sub(self.parties.len());
        let (mut new, mut changed) = (Vec::<Party>::new(), false);
        let mut named = MOST_NAMED.saturating_sub(self.parties.len());
        for mut party in reported {
            if self.parties.len() > MOST_NAMED {
                party = party.without_names_and_numbers();
            }
            if let Some(same) = new.last_mut().filter(|last| key(last) == key(&party)) {
                same.merge(party);
            } else if let Ok(found) = self.parties.binary_search_by(|known| key(known).cmp(&key(&party))) {
                let before = self.parties[found].clone();
                self.parties[found].merge(party);
                changed |= self.parties[found] != before;
            } else if room > 0 {
                room -= 1;
                new.push(if named > 0 { party } else { party.without_names_and_numbers() });
                named = named.saturating_sub(1);
            }
        }
        if !new.is_empty() {
            changed = true;
            self.parties.append(&mut new);
            // Two sorted runs, which this sort merges in one pass.
            self.parties.sort_by(|a, b| key(a).cmp(&key(b)));
        }
        changed
    }

    pub(super) fn knows(&self, party: &Party) -> bool {
        self.parties.binary_search_by(|known| key(known).cmp(&key(party))).is_ok()
    }
}

/// Presence names its legs by extension, and an extension may be in two sessions that turn out to be one call.
fn key(party: &Party) -> (Source, &str, &str) {
    (party.source, &party.id, &party.session_id)
}

/// The parties that count, and questions about them.
struct Projection<'a> {
    session_id: &'a str,
    telephony_session_id: Option<String>,
    parties: Vec<&'a Party>,
}

impl<'a> Projection<'a> {
    /// Leaves out what a better source tells too: presence of a phone that telephony speaks of, and the guide's flat
    /// body beside either. Presence is believed where it is ahead, so that a popup it opened stays until telephony has
    /// caught up.
    fn of(session_id: &'a str, facts: &'a CallFacts) -> Self {
        let better = Better::of(&facts.parties);
        let counts = |p: &&'a Party| match p.source {
            Source::Guide => !better.speaks_of_session(p),
            Source::Presence => better.reach_of_phone(p).is_none_or(|reached| reached < reach(p)),
            Source::Telephony => true,
        };
        let own = facts.parties.iter().filter(|p| p.session_id == session_id);
        let telephony_session_id = own.filter_map(|p| p.telephony_session_id.clone()).max();
        Self { session_id, telephony_session_id, parties: facts.parties.iter().filter(counts).collect() }
    }

    /// From a session that was linked to the one the call goes by.
    fn is_linked(&self, party: &Party) -> bool {
        let same = self.telephony_session_id.is_some() && party.telephony_session_id == self.telephony_session_id;
        party.session_id != self.session_id && !same
    }

    fn own(&self) -> impl Iterator<Item = &'a Party> {
        self.parties.iter().copied().filter(|p| !self.is_linked(p))
    }

    /// Our phones the call came in to. Somebody who takes a call out of a park orbit dials it, so a leg of a linked
    /// session that placed its own call counts when it stayed.
    fn agents(&self) -> impl Iterator<Item = &'a Party> {
        let joined =
            |p: &Party| p.extension_id.is_some() && p.answered_at.is_some() && !p.went_on() && self.is_linked(p);
        self.parties.iter().copied().filter(move |p| p.is_agent() || joined(p))
    }

    fn account_legs(&self) -> impl Iterator<Item = &'a Party> {
        self.parties.iter().copied().filter(|p| p.is_account())
    }

    /// Inbound when somebody outside placed the call; when one of us did, the first leg it reached tells. The far leg
    /// of our own call looks like an inbound one, but rings nobody of ours. A queue's inner leg looks the same, except
    /// that a colleague dialled a short number to get there.
    fn direction(&self) -> Direction {
        let far = |p: &Party| {
            let abroad = p.to_number.as_ref().is_some_and(|to| to.value.0.len() > LONGEST_EXTENSION);
            p.direction == Direction::Inbound && p.extension_id.is_none() && p.from_us && abroad
        };
        let reached = self.own().filter(|p| p.is_agent() || far(p)).min_by_key(|p| (p.began_at, &p.id));
        let placed = || self.own().any(|p| p.is_originator() && p.is_account());
        let outside = self.own().any(Party::is_outside_caller);
        let outbound = !outside && reached.map_or_else(placed, far);
        if outbound || self.own().any(|p| p.ours) { Direction::Outbound } else { Direction::Inbound }
    }

    /// Legs that can tell who is calling: a customer's call that is handed on to the outside has a leg from us to there.
    fn telling(&self) -> impl Iterator<Item = &'a Party> {
        let outside = self.own().any(Party::is_outside_caller);
        self.parties.iter().copied().filter(move |p| !(outside && p.from_us))
    }

    /// The first number told. Of a colleague it is the short one their callee sees, not the company's public number,
    /// which would be looked up.
    fn caller_number(&self, direction: Direction) -> Option<Number> {
        let colleague = |p: &Party| direction == Direction::Inbound && p.is_originator() && p.is_account();
        let rank = self.rank_of_ends(direction);
        let told =
            |p: &'a Party| Some((rank(p), self.is_linked(p), colleague(p), Reverse(p.source), p.from_number.as_ref()?));
        self.telling().filter_map(told).min().map(|(.., told)| told.value.clone())
    }

    /// How well a leg knows the two ends of the call, 0 best. In a RingOut our own phone rings first, as if the customer
    /// called; so the leg that placed it counts first, then the far leg, and last a phone of ours that is rung.
    fn rank_of_ends(&self, direction: Direction) -> impl Fn(&Party) -> u8 + use<> {
        let ring_out = direction == Direction::Outbound && self.own().any(|p| p.ours);
        move |p| match (ring_out && !p.is_originator(), p.extension_id.is_some()) {
            (false, _) => 0,
            (true, is_ours) => 1 + u8::from(is_ours),
        }
    }

    /// The newest name among the legs that tell the caller's number: another leg's "from" may be a colleague.
    fn caller_name(&self, number: Option<&Number>) -> Option<String> {
        let number = number.map(|(number, _)| number);
        let same = |p: &&Party| p.from_number.as_ref().map(|told| &told.value.0) == number;
        let told = |p: &'a Party| Some((!self.is_linked(p), p.source, p.from_name.as_ref()?));
        let (.., name) = self.telling().filter(same).filter_map(told).max()?;
        // "Sales - JANE ROE" is how a queue announces Jane.
        let queues = self.parties.iter().filter_map(|p| p.queue.as_ref());
        let announced = |queue: &Versioned<String>| {
            let rest = name.value.strip_prefix(queue.value.as_str())?;
            rest.strip_prefix(" - ").or_else(|| rest.strip_prefix(" \u{2013} "))
        };
        let plain = queues.filter_map(announced).min_by_key(|rest| rest.len());
        Some(plain.unwrap_or(&name.value).to_owned())
    }

    /// The first number told, also after the call was routed on.
    fn dialled_number(&self, direction: Direction) -> Option<Number> {
        let rank = self.rank_of_ends(direction);
        let told = |p: &&'a Party| Some((rank(p), self.is_linked(p), Reverse(p.source), p.to_number.as_ref()?));
        self.parties.iter().filter_map(told).min().map(|(.., told)| told.value.clone())
    }

    fn queue(&self) -> Option<String> {
        let told = |p: &&'a Party| Some((!self.is_linked(p), p.source, p.queue.as_ref()?));
        self.parties.iter().filter_map(told).max().map(|(.., told)| told.value.clone())
    }

    /// The name of the line called: of the last phone that rang, else of whatever was reached.
    fn line_name(&self) -> Option<String> {
        let newest = |p: &'a Party| Some((reach(p) > 0, p.began_at, &p.id, p.to_name.as_ref()?));
        let agents = self.parties.iter().copied().filter(|p| p.is_agent()).filter_map(newest).max();
        let any = || self.parties.iter().copied().filter_map(newest).max();
        agents.or_else(any).map(|(.., told)| told.value.clone())
    }

    /// Those who rang or talk, in that order; of our own calls, those who placed them.
    fn extension_ids(&self, direction: Direction) -> Vec<String> {
        let mut rung: Vec<_> = match direction {
            Direction::Inbound => {
                self.agents().filter_map(|p| Some((took_part_at(p)?, p.extension_id.clone()?))).collect()
            }
            Direction::Outbound => {
                self.account_legs().filter_map(|p| Some((p.began_at, p.extension_id.clone()?))).collect()
            }
        };
        rung.sort();
        let mut seen = HashSet::new();
        rung.into_iter().map(|(_, id)| id).filter(|id| seen.insert(id.clone())).collect()
    }

    /// The phones that were answered, in that order.
    fn answered(&self, direction: Direction) -> Vec<&'a Party> {
        if direction == Direction::Outbound {
            return Vec::new();
        }
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
        let (rang, talked) = (self.agents().any(|p| reach(p) > 0), self.agents().any(|p| reach(p) > 1));
        let busy = self.agents().filter(|p| p.is_busy()).map(|p| match &p.state.value {
            PartyState::Connected => (5, Status::Connected),
            PartyState::OnHold => (4, Status::OnHold),
            PartyState::Ringing => (3, Status::Ringing),
            PartyState::Parked => (2, Status::Parked),
            // A mailbox that takes a call before any phone rings is nobody's popup.
            PartyState::Voicemail if rang => (1, Status::Voicemail),
            // Nobody has to take a fax, so its popup goes when the machine does.
            PartyState::Voicemail
            | PartyState::Fax
            | PartyState::Setup
            | PartyState::Unknown(_)
            | PartyState::Ended(_) => (0, Status::Setup),
        });
        match busy.max_by_key(|(rank, _)| *rank) {
            Some((_, status)) => status,
            // In the grace the popup stays as it was, so that a hand-over does not make it flicker.
            None if waiting => Status::Setup,
            None if talked => Status::Connected,
            None if rang => Status::Ringing,
            None => Status::Setup,
        }
    }

    /// Whether what was told leaves no doubt that the call is over: whoever placed it left, whatever is still on its way
    /// about the other legs. Presence says nothing of the kind; it flaps.
    fn is_conclusive(&self) -> bool {
        let placed: Vec<_> =
            self.parties.iter().filter(|p| p.is_originator() && p.source != Source::Presence).collect();
        let mut callers = placed.iter().filter(|p| p.is_outside_caller()).peekable();
        if callers.peek().is_some() {
            return callers.all(|p| p.is_gone());
        }
        let told_flat = self.parties.iter().all(|p| p.source == Source::Guide && p.is_gone());
        told_flat || (placed.iter().any(|p| p.is_gone()) && !placed.iter().any(|p| p.is_live()))
    }

    fn result(&self, direction: Direction) -> CallResult {
        if direction == Direction::Outbound {
            return self.result_of_ours();
        }
        let ended = |p: &Party, reason: EndReason| p.state.value == PartyState::Ended(reason);
        let unanswered = |p: &Party| ended(p, EndReason::NoAnswer) || ended(p, EndReason::Rejected);
        let mut rang = self.agents().filter(|p| p.rang_at.is_some() || unanswered(p)).peekable();
        // That somebody else took it says that somebody did.
        if self.agents().any(|p| p.answered_at.is_some() || ended(p, EndReason::AnsweredElsewhere)) {
            CallResult::Answered
        } else if self.parties.iter().any(|p| p.fax) {
            // The company took what the caller sent and owes no call back, so neither missed nor a voicemail to listen to;
            // `answered_by` stays empty, because no person talked.
            CallResult::Answered
        } else if self.parties.iter().any(|p| p.voicemail) {
            CallResult::Voicemail
        } else if rang.peek().is_none() {
            CallResult::Abandoned
        } else if rang.all(|p| ended(p, EndReason::Rejected)) {
            CallResult::Rejected
        } else {
            CallResult::Missed
        }
    }

    /// Our own call: what became of the far end, where it is known apart from ours.
    fn result_of_ours(&self) -> CallResult {
        let ends: Vec<_> = match self.own().filter(|p| p.extension_id.is_none()).collect::<Vec<_>>() {
            far if far.is_empty() => self.own().collect(),
            far => far,
        };
        if ends.iter().any(|p| p.answered_at.is_some()) {
            CallResult::Answered
        } else if ends.iter().any(|p| p.state.value == PartyState::Ended(EndReason::Rejected)) {
            CallResult::Rejected
        } else {
            CallResult::Abandoned
        }
    }
}

/// What better sources than presence and the guide's flat body say, indexed by either name of the session.
#[derive(Default)]
struct Better<'a> {
    /// Sessions that presence or telephony speaks of.
    sessions: HashSet<Name<'a>>,
    /// How far telephony says that a phone got, by session and by party or extension.
    phones: HashMap<(Name<'a>, Phone<'a>), u8>,
}

/// One of a session's two names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Name<'a> {
    Session(&'a str),
    Telephony(&'a str),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Phone<'a> {
    Party(&'a str),
    Extension(&'a str),
}

impl<'a> Better<'a> {
    fn of(parties: &'a [Party]) -> Self {
        let mut better = Self::default();
        // Nearly always telephony speaks alone, and nothing has to be compared.
        if parties.iter().all(|p| p.source == Source::Telephony) {
            return better;
        }
        for party in parties.iter().filter(|p| p.source != Source::Guide) {
            better.sessions.extend(names(party));
            for (name, phone) in phones(party).filter(|_| party.source == Source::Telephony) {
                let reached = better.phones.entry((name, phone)).or_default();
                *reached = reach(party).max(*reached);
            }
        }
        better
    }

    fn speaks_of_session(&self, party: &Party) -> bool {
        names(party).any(|name| self.sessions.contains(&name))
    }

    fn reach_of_phone(&self, party: &Party) -> Option<u8> {
        phones(party).filter_map(|phone| self.phones.get(&phone)).max().copied()
    }
}

/// The names of a party's session; two parties are of the same session when they share one.
fn names(party: &Party) -> impl Iterator<Item = Name<'_>> {
    std::iter::once(Name::Session(&party.session_id)).chain(party.telephony_session_id.as_deref().map(Name::Telephony))
}

/// The phone a party speaks of.
fn phones(party: &Party) -> impl Iterator<Item = (Name<'_>, Phone<'_>)> {
    let by = std::iter::once(Phone::Party(&party.id)).chain(party.extension_id.as_deref().map(Phone::Extension));
    by.flat_map(|phone| names(party).map(move |name| (name, phone)))
}

/// How far a leg got: nowhere, rung, answered.
fn reach(party: &Party) -> u8 {
    if party.answered_at.is_some() { 2 } else { party.rang_at.is_some().into() }
}

fn took_part_at(party: &Party) -> Option<DateTime<Utc>> {
    party.rang_at.as_ref().or(party.answered_at.as_ref()).map(|told| told.value)
}
