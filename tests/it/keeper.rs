//! A store in memory, for proofs on the state machine alone: it does with calls what both stores do, through the same
//! pure functions, and watches what viewers would see. Its clock is the test's.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use caller_popup::call::{Call, CallEvent, CallEventKind, CallFacts, GRACE};
use caller_popup::phone::Region;
use caller_popup::ringcentral::notification::{Notification, NotificationKind};
use caller_popup::store::call_merge::{LoadedCalls, Step, StoredCall, Table, calls_of, keys};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// Calls, and what was seen of them.
#[derive(Default)]
pub struct Keeper {
    calls: HashMap<String, Call>,
    /// Which calls a session id leads to.
    index: HashMap<String, Vec<String>>,
    made: usize,
    ended: HashSet<String>,
    /// Sessions that showed a popup at some time.
    pub popped: HashSet<String>,
}

/// A notification's facts, by session. Only the flat body, which has no time of its own, asks when it arrived.
pub fn read(notification: &Value, now: DateTime<Utc>) -> Vec<Vec<CallEvent>> {
    let body = notification.to_string();
    match Notification::parse(body.as_bytes(), now, Region::default()).unwrap().kind {
        NotificationKind::Calls(events) | NotificationKind::Presence(events, _) => calls_of(events),
        other => panic!("no scenario tells of {other:?}"),
    }
}

/// What clients see of a call, but for what only says how often it changed.
pub fn public(call: &Call) -> Call {
    Call { id: String::new(), rev: 0, facts: CallFacts::default(), ..call.clone() }
}

impl Keeper {
    /// Takes facts in as a store does, at `now`.
    pub fn deliver(&mut self, sessions: &mut [Vec<CallEvent>], now: DateTime<Utc>) {
        for events in sessions {
            events.iter_mut().for_each(|event| event.heard_at = now);
            self.apply(events);
        }
    }

    /// Ends what is over or went silent.
    pub fn sweep(&mut self, now: DateTime<Utc>) {
        let due: Vec<_> = self.active().filter(|call| call.is_due(now)).map(|call| call.session_id.clone()).collect();
        for session_id in due {
            self.apply(&[CallEvent { session_id, heard_at: now, kind: CallEventKind::Tick }]);
        }
    }

    /// Everything is told: what is over ends.
    pub fn close(&mut self, now: DateTime<Utc>) {
        self.sweep(now + GRACE + TimeDelta::seconds(1));
    }

    /// Calls that go on.
    pub fn active(&self) -> impl Iterator<Item = &Call> {
        self.calls.values().filter(|call| !call.is_over())
    }

    /// The history, in no order.
    pub fn history(&self) -> impl Iterator<Item = &Call> {
        self.calls.values().filter(|call| call.is_over())
    }

    fn apply(&mut self, events: &[CallEvent]) {
        self.made += 1;
        let id = format!("{:024}", self.made);
        let sessions = keys(events);
        let mut known = LoadedCalls { held: self.look(&sessions), sessions, shown: 0 };
        let plan = loop {
            match known.plan(events, &id) {
                Step::Write(Some(plan)) => break *plan,
                Step::Write(None) => return,
                Step::Load(sessions) => known.add(self.look(&sessions), sessions),
            }
        };
        for gone in &plan.gone {
            self.calls.remove(&gone.call.id);
        }
        let call = plan.call;
        self.watch(&call);
        for key in call.sessions() {
            match self.index.get_mut(key) {
                Some(ids) if ids.contains(&call.id) => {}
                Some(ids) => ids.push(call.id.clone()),
                None => drop(self.index.insert(key.clone(), vec![call.id.clone()])),
            }
        }
        self.calls.insert(call.id.clone(), call);
    }

    /// Every call that `names` lead to.
    fn look<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Vec<StoredCall> {
        let ids: BTreeSet<&String> = names.into_iter().filter_map(|name| self.index.get(name)).flatten().collect();
        let calls = ids.into_iter().filter_map(|id| self.calls.get(id));
        calls.map(|call| StoredCall { place: Table::of(call), call: Arc::new(call.clone()) }).collect()
    }

    /// A call that ended stays ended, whatever is told of it later.
    fn watch(&mut self, call: &Call) {
        if call.status.visible() && !self.popped.contains(&call.session_id) {
            self.popped.insert(call.session_id.clone());
        }
        if call.is_over() {
            self.ended.insert(call.id.clone());
        }
        assert!(call.is_over() || !self.ended.contains(&call.id), "a call that had ended reopened: {call:#?}");
    }
}
