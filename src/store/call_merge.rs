//! What both stores do with facts once they have looked at the calls concerned. Pure.
//!
//! A session may turn out to be part of another call, so what is looked at may be several calls that are one. They are
//! joined whenever they are met together, and joining again changes nothing; so a store may stop between any two writes,
//! or lose a race, and the next event finishes the work.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::call::{Call, CallEvent, CallEventKind, MOST_PARTIES, MOST_SESSIONS, Source, Status};

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// In `active_calls`.
    Active,
    /// In `call_history`.
    History,
}

/// A call as a store holds it. On its way from one place to the other it may stand in both.
#[derive(Clone, Debug)]
pub struct StoredCall {
    /// Where.
    pub place: Table,
    /// The call, which its readers share.
    pub call: Arc<Call>,
}

/// The calls that facts may change, as far as a store has looked.
#[derive(Clone, Debug)]
pub struct LoadedCalls {
    /// What was found, or what is believed until the store says otherwise.
    pub held: Vec<StoredCall>,
    /// The sessions that were looked for.
    pub sessions: BTreeSet<String>,
    /// The highest `rev` that was shown, which may be ahead of the store: what is written is news after it.
    pub shown: i64,
}

/// What has to be written for facts to be taken in.
#[derive(Clone, Debug)]
pub struct WritePlan {
    /// The call as it is now; it belongs [where its status says](Table::of).
    pub call: Call,
    /// How it was in each place where it stands.
    pub was: Vec<StoredCall>,
    /// Others that turned out to be part of it and stand alone no longer.
    pub gone: Vec<StoredCall>,
    /// Sessions that lead to this call from now on. Another instance may be about to begin a call of one of these.
    pub news: Vec<String>,
}

impl Table {
    /// Where a call belongs.
    pub fn of(call: &Call) -> Self {
        if call.is_over() { Self::History } else { Self::Active }
    }
}

impl LoadedCalls {
    /// What is known without a look: nothing, or the active call that `events` belong to.
    pub fn at_hand(events: &[CallEvent], call: Option<Arc<Call>>) -> Self {
        let mut sessions = keys(events);
        sessions.extend(call.iter().flat_map(|call| call.sessions()).cloned());
        let shown = call.as_ref().map_or(0, |call| call.rev);
        Self { held: call.map(|call| StoredCall { place: Table::Active, call }).into_iter().collect(), sessions, shown }
    }

    /// What the events change, once every call was loaded that those loaded, or the change itself, lead to.
    pub fn plan(&self, events: &[CallEvent], new_id: &str) -> Step {
        let plan = plan_write(&self.held, events, new_id, self.shown);
        let news = plan.iter().flat_map(|plan| &plan.news);
        let named = self.held.iter().flat_map(|it| it.call.sessions()).chain(news);
        let unknown: BTreeSet<String> = named.filter(|name| !self.sessions.contains(*name)).cloned().collect();
        if unknown.is_empty() { Step::Write(plan.map(Box::new)) } else { Step::Load(unknown) }
    }

    /// Adds the calls that were loaded for these sessions.
    pub fn add(&mut self, found: Vec<StoredCall>, sessions: BTreeSet<String>) {
        for found in found {
            if !self.held.iter().any(|it| it.place == found.place && it.call.id == found.call.id) {
                self.held.push(found);
            }
        }
        self.sessions.extend(sessions);
    }
}

/// The next step of a store that applies events.
#[derive(Debug)]
pub enum Step {
    /// Write this, or nothing.
    Write(Option<Box<WritePlan>>),
    /// Load the calls of these sessions first, and [add](LoadedCalls::add) them.
    Load(BTreeSet<String>),
}

impl WritePlan {
    /// How it was in one place, if it stands there.
    pub fn held_in(&self, place: Table) -> Option<&Arc<Call>> {
        self.was.iter().find(|it| it.place == place).map(|it| &it.call)
    }
}

/// The session ids that lead to the call these events belong to.
pub fn keys(events: &[CallEvent]) -> BTreeSet<String> {
    let names = events.iter().flat_map(|event| std::iter::once(&event.session_id).chain(event.telephony_session_id()));
    names.cloned().collect()
}

/// What `events` change in the calls that their sessions lead to; `None` when nothing. `new_id` is for a call that begins.
/// What is written has a `rev` above `shown`.
fn plan_write(held: &[StoredCall], events: &[CallEvent], new_id: &str, shown: i64) -> Option<WritePlan> {
    let first = events.first()?;
    let parts = parts(held, first);
    let oldest = parts.iter().copied().reduce(keeps);
    let mut call = match oldest {
        Some(oldest) => Call::clone(&oldest.call),
        None if first.can_begin_a_call() => Call::new(new_id.to_owned(), first.session_id.clone(), first.heard_at),
        None => return None,
    };
    let known: BTreeSet<String> = oldest.iter().flat_map(|it| it.call.sessions()).cloned().collect();
    let rev = parts.iter().map(|part| part.call.rev).max().unwrap_or(0).max(shown);
    let others = parts.iter().copied().filter(|part| oldest.is_none_or(|oldest| !std::ptr::eq(*part, oldest)));
    others.clone().for_each(|other| call.merge_call(Call::clone(&other.call)));
    let joined = others.clone().next().is_some();
    let changed = call.apply_all(events) | joined;
    // However many facts came at once, it is one change.
    call.rev = rev + 1;
    let (same, gone): (Vec<&StoredCall>, Vec<&StoredCall>) =
        parts.iter().copied().partition(|part| part.call.id == call.id);
    let was = same.into_iter().cloned().collect();
    let gone = gone.into_iter().cloned().collect();
    let news = call.sessions().filter(|name| !known.contains(*name)).cloned().collect();
    changed.then_some(WritePlan { call, was, gone, news })
}

/// Those that are one call. RingCentral uses no session id twice; people who run the guide's command again do, and then
/// what ended before is a call of its own.
fn parts<'a>(held: &'a [StoredCall], first: &CallEvent) -> Vec<&'a StoredCall> {
    let (mut parts, mut ended): (Vec<&StoredCall>, Vec<&StoredCall>) =
        held.iter().partition(|it| it.place == Table::Active);
    if parts.is_empty() {
        ended.sort_by_key(|it| std::cmp::Reverse((it.call.timestamp, &it.call.id)));
        match ended.first() {
            Some(newest) if !newest.call.begins_new_call(first) => parts.push(ended.remove(0)),
            _ => return parts,
        }
    }
    let began = parts.iter().map(|it| it.call.timestamp).min();
    let belongs = |it: &&StoredCall| {
        let flat = it.call.facts.parties.iter().all(|party| party.source == Source::Guide);
        let moving = parts.iter().any(|part| part.call.id == it.call.id);
        // Else a new call would have begun, and not be looked at beside a call that goes on: it ended elsewhere meanwhile.
        let ended_since = parts[0].place == Table::Active && it.call.ended_at >= began;
        moving || !flat || ended_since
    };
    let also: Vec<&StoredCall> = ended.into_iter().filter(belongs).collect();
    parts.extend(also);
    parts
}

/// Which of two parts keeps its id and its row: the older session.
fn keeps<'a>(one: &'a StoredCall, other: &'a StoredCall) -> &'a StoredCall {
    // The same session began twice, and a call that is over never opens again.
    let twice = one.call.session_id == other.call.session_id && one.call.id != other.call.id;
    if (twice && other.call.is_over()) || !one.call.precedes(&other.call) { other } else { one }
}

/// What became part of another call, as its readers must see it.
pub fn tombstones(gone: Vec<StoredCall>) -> Vec<Call> {
    gone.into_iter()
        .map(|it| Arc::unwrap_or_clone(it.call))
        .map(|it| Call { status: Status::Ended, rev: it.rev + 1, ..it })
        .collect()
}

/// Groups events by call, in order, as far as the sessions they name tell: a store applies one call's events at a time.
/// What one call's events name beyond [`MOST_PARTIES`] and [`MOST_SESSIONS`] is dropped.
pub fn calls_of(events: Vec<CallEvent>) -> Vec<Vec<CallEvent>> {
    if events.len() == 1 {
        return vec![events];
    }
    let roots = roots(&events);
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut groups: Vec<Vec<CallEvent>> = Vec::new();
    for (event, root) in events.into_iter().zip(roots) {
        let place = *places.entry(root).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(event);
    }
    groups.iter_mut().for_each(bound);
    groups
}

/// For each event an event of the same call, the same one for all of them: events that share a session are joined
/// (union-find with path halving).
fn roots(events: &[CallEvent]) -> Vec<usize> {
    fn root(parents: &mut [usize], mut of: usize) -> usize {
        while parents[of] != of {
            parents[of] = parents[parents[of]];
            of = parents[of];
        }
        of
    }
    let mut parents: Vec<usize> = (0..events.len()).collect();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (index, event) in events.iter().enumerate() {
        for name in event.sessions() {
            let other = *first.entry(name).or_insert(index);
            let (one, other) = (root(&mut parents, index), root(&mut parents, other));
            parents[one.max(other)] = one.min(other);
        }
    }
    (0..events.len()).map(|index| root(&mut parents, index)).collect()
}

/// Each session that one call's events name is locked and looked up.
fn bound(events: &mut Vec<CallEvent>) {
    events.truncate(MOST_PARTIES);
    let mut names: HashSet<String> = HashSet::new();
    let mut fits = |name: &String| {
        let fits = names.contains(name) || names.len() < MOST_SESSIONS;
        if fits {
            names.insert(name.clone());
        }
        fits
    };
    events.retain_mut(|event| {
        let fit = fits(&event.session_id);
        if let CallEventKind::Party(leg) = &mut event.kind {
            leg.telephony_session_id = leg.telephony_session_id.take().filter(&mut fits);
            leg.peers.retain(&mut fits);
        }
        fit
    });
}
