//! What the hub knows: the live calls, the ends it remembers, and the log of changes.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use super::dismissals::Dismissals;
use super::event_id::EventId;
use super::frame::{Frames, Incident};
use crate::call::Call;
use crate::viewer::Viewer;

/// Changes a viewer may be behind, each with a frame of 1 KiB or so that is copied for a viewer who is behind by as many. At
/// 100 changes a second that is a little more than it takes to come back to a line that ended.
pub(super) const LOG_LENGTH: usize = 256;
/// Ended calls that are remembered, so that an echo of an earlier change cannot bring them back and viewers of another
/// instance can be told.
pub(super) const REMEMBERED_ENDS: usize = 2_000;

pub(super) struct HubState {
    /// Tells positions of this run from those of another.
    pub epoch: String,
    /// Calls that have not ended, by id, with the change that brought them to where they are.
    pub calls: HashMap<String, Arc<LogEntry>>,
    /// The call of each session, whichever of its names was told: the live one, or the last whose end is remembered.
    pub sessions: HashMap<String, String>,
    /// Calls that have ended, the oldest first.
    pub ends: VecDeque<Arc<LogEntry>>,
    pub ended: HashMap<String, Arc<LogEntry>>,
    /// Who dismissed which of these.
    pub dismissals: Dismissals,
    /// The newest changes; the last one's position is `head`, unless everyone was made to start over since.
    pub log: VecDeque<Arc<LogEntry>>,
    pub head: u64,
    /// What is wrong now.
    pub incidents: BTreeMap<Incident, Arc<LogEntry>>,
    /// Calls shown from memory, of which the store has not spoken yet: another instance may know them by another id.
    unstored: HashSet<String>,
    /// The newest cluster time up to which everything was told.
    pub watermark: Option<u64>,
    /// The cluster time since which the change stream tells everything; `None` while it does not.
    pub watermark_source: Option<u64>,
    /// The newest cluster time of an end that is no longer remembered.
    forgotten: u64,
}

/// How far the clocks of RingCentral, which says when a phone began to ring, and of the database may be apart.
const CLOCKS: TimeDelta = TimeDelta::seconds(2);

/// One entry of the log.
pub(super) struct LogEntry {
    pub position: u64,
    pub kind: ChangeKind,
    pub frames: Frames,
    /// When the notification behind it arrived, if one did.
    pub heard: Option<Instant>,
    /// The cluster time of its echo from the change stream, 0 before that came.
    acknowledged: AtomicU64,
}

/// Where a call's state comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is stored.
    Store,
    /// The store does not take it now; it waits on this machine.
    Memory,
}

pub(super) enum ChangeKind {
    /// A call, before (if it was known) and after, and whether it may have been on anyone's screen at any time.
    Call { before: Option<Arc<Call>>, after: Arc<Call>, ever_shown: bool },
    /// The service is in trouble or out of it: told to everyone as it is.
    Notice,
}

impl HubState {
    pub fn new(epoch: String) -> Self {
        Self {
            epoch,
            calls: HashMap::new(),
            sessions: HashMap::new(),
            ends: VecDeque::new(),
            ended: HashMap::new(),
            dismissals: Dismissals::default(),
            log: VecDeque::new(),
            head: 0,
            incidents: BTreeMap::new(),
            unstored: HashSet::new(),
            watermark: None,
            watermark_source: None,
            forgotten: 0,
        }
    }

    /// Takes in a call's state if it is news.
    pub fn publish(&mut self, call: Call, source: Origin, heard: Option<Instant>) {
        let known = self.known(&call.id).and_then(|change| change.call());
        let is_news = known.is_none_or(|known| known.rev < call.rev);
        if source == Origin::Store && (is_news || known.is_some_and(|known| **known == call)) {
            self.unstored.remove(&call.id);
        }
        if !is_news {
            return;
        }
        if source == Origin::Memory {
            self.unstored.insert(call.id.clone());
        }
        let known = self.known(&call.id);
        // Of a call that had ended already, only its end can be news.
        let live = self.calls.get(&call.id);
        let before = live.and_then(|change| change.call()).cloned();
        // What another instance did to a call before this one heard of it may have shown it.
        let ever_shown = call.status.visible() || known.map_or(call.rev > 1, |change| change.ever_shown());
        let after = Arc::new(call);
        let frames = Frames::call(self.next_id(), after.clone());
        let change = self.append(ChangeKind::Call { before, after: after.clone(), ever_shown }, frames, heard);
        if after.is_over() {
            self.end(&after, change);
        } else {
            // Another program may delete a call and insert it again under its old id.
            if let Some(end) = self.ended.remove(&after.id) {
                self.ends.retain(|other| !Arc::ptr_eq(other, &end));
                self.dismissals.forget(&after.id);
            }
            for session in after.sessions() {
                let before = self.sessions.insert(session.clone(), after.id.clone());
                // A call that goes on under another id became part of this one.
                if let Some(part) = before.filter(|id| *id != after.id && self.calls.contains_key(id)) {
                    self.dismissals.inherit(&part, &after.id, self.head);
                }
            }
            // Stored by an earlier version, which kept dismissals in the call.
            for viewer in &after.facts.dismissed_by {
                self.dismissals.add(&after.id, viewer, self.head);
            }
            self.calls.insert(after.id.clone(), change);
        }
    }

    /// The newest change of a call that goes on or whose end is remembered.
    pub fn known(&self, id: &str) -> Option<&Arc<LogEntry>> {
        self.calls.get(id).or_else(|| self.ended.get(id))
    }

    /// Whether every call that began at `at` or later is known here, also those that have ended since.
    pub fn knows_all_since(&self, at: DateTime<Utc>) -> bool {
        // The upper half of a cluster time is seconds since 1970.
        let since = self.watermark_source.map(|since| (since.max(self.forgotten) >> 32) as i64);
        since.and_then(DateTime::from_timestamp_secs).is_some_and(|since| since + CLOCKS <= at)
    }

    fn end(&mut self, call: &Call, change: Arc<LogEntry>) {
        self.calls.remove(&call.id);
        self.unstored.remove(&call.id);
        for session in call.sessions() {
            // The session may have another call by now.
            if self.sessions.get(session).is_none_or(|id| !self.calls.contains_key(id)) {
                self.sessions.insert(session.clone(), call.id.clone());
            }
        }
        if let Some(known) = self.ended.insert(call.id.clone(), change.clone()) {
            self.ends.retain(|end| !Arc::ptr_eq(end, &known));
        }
        self.ends.push_back(change);
        if self.ends.len() > REMEMBERED_ENDS
            && let Some(oldest) = self.ends.pop_front()
        {
            if let Some(call) = oldest.call() {
                self.ended.remove(&call.id);
                self.dismissals.forget(&call.id);
                for session in call.sessions() {
                    if self.sessions.get(session) == Some(&call.id) {
                        self.sessions.remove(session);
                    }
                }
            }
            self.forgotten = self.forgotten.max(oldest.acknowledged().unwrap_or(0));
        }
    }

    /// Forgets calls that were erased and ends that are touched by it, and the whole log.
    pub fn erase(&mut self, erased: impl Fn(&Call) -> bool, touched: impl Fn(&Call) -> bool) {
        let is = |change: &Arc<LogEntry>, what: &dyn Fn(&Call) -> bool| change.call().is_some_and(|call| what(call));
        self.calls.retain(|_, change| !is(change, &erased));
        let gone = |change: &Arc<LogEntry>| is(change, &erased) || is(change, &touched);
        let forgotten = self.ends.iter().filter(|end| gone(end)).filter_map(|end| end.acknowledged()).max();
        self.forgotten = self.forgotten.max(forgotten.unwrap_or(0));
        self.ends.retain(|end| !gone(end));
        self.ended.retain(|_, end| !gone(end));
        let Self { calls, ended, .. } = self;
        self.unstored.retain(|id| calls.contains_key(id));
        self.sessions.retain(|_, id| calls.contains_key(id) || ended.contains_key(id));
        self.log.clear();
        self.head += 1;
    }

    pub fn append(&mut self, kind: ChangeKind, frames: Frames, heard: Option<Instant>) -> Arc<LogEntry> {
        if self.log.len() == LOG_LENGTH {
            self.log.pop_front();
        }
        self.head += 1;
        let change = LogEntry { position: self.head, kind, frames, heard, acknowledged: AtomicU64::new(0) };
        let change = Arc::new(change);
        self.log.push_back(change.clone());
        change
    }

    /// The id of a viewer who is up to date.
    pub fn id(&self) -> String {
        self.id_at(self.head)
    }

    /// The id that the next change will have.
    pub fn next_id(&self) -> String {
        self.id_at(self.head + 1)
    }

    /// A viewer who was sent a call that is in memory only starts over at another instance, which does not know its end.
    fn id_at(&self, position: u64) -> String {
        EventId { epoch: &self.epoch, position, watermark: self.watermark.filter(|_| self.unstored.is_empty()) }
            .to_string()
    }

    /// The change stream told what happened to this call at `at`: it got this `rev`, or it left.
    pub fn acknowledge(&mut self, id: &str, rev: Option<i64>, at: u64) {
        let known = self.known(id);
        match (known.and_then(|change| Some((change, change.call()?.rev))), rev) {
            // The echo of an older change; the one that is known has its own to come.
            (Some((_, known)), Some(rev)) if rev < known => {}
            (Some((change, _)), _) => {
                change.acknowledged.fetch_max(at, Ordering::Relaxed);
            }
            (None, Some(_)) => {}
            // The end of a call that is remembered no longer.
            (None, None) => self.forgotten = self.forgotten.max(at),
        }
        self.watermark = self.watermark.max(Some(at));
    }

    /// What came after `position`, or `None` when the log no longer reaches back to it.
    pub fn since(&self, position: u64) -> Option<impl Iterator<Item = &Arc<LogEntry>>> {
        let behind = self.head.checked_sub(position)? as usize;
        (behind <= self.log.len()).then(|| self.log.range(self.log.len() - behind..))
    }

    /// Calls that changed or ended at or after this cluster time, or may have, in the order they did; `None` when some
    /// are unknown here. One too many does no harm.
    pub fn changed_since(&self, watermark: u64) -> Option<Vec<&LogEntry>> {
        let knows_all = self.watermark_source.is_some_and(|since| since <= watermark) && self.forgotten <= watermark;
        let changed = |change: &&LogEntry| change.acknowledged().is_none_or(|at| at >= watermark);
        if !knows_all {
            return None;
        }
        let known = self.calls.values().chain(&self.ends).map(|change| &**change);
        let mut known: Vec<_> = known.filter(changed).collect();
        known.sort_by_key(|change| change.position);
        Some(known)
    }

    /// Whether a call is on this viewer's screen.
    pub fn is_shown(&self, viewer: &Viewer, call: &Call) -> bool {
        call.status.visible() && viewer.can_read(call) && !self.dismissals.has(&call.id, &viewer.id)
    }

    /// The calls that would be on a viewer's screen, had they not dismissed them after this place among dismissals.
    pub fn dismissed(&self, viewer: &Viewer, place: u64) -> Vec<(&LogEntry, u64)> {
        let would_be_shown = |call: &Call| call.status.visible() && viewer.can_read(call);
        let dismissed = self.dismissals.since(&viewer.id, place);
        let live = dismissed.filter_map(|it| Some((&**self.calls.get(&it.call_id)?, it.position)));
        live.filter(|(change, _)| change.call().is_some_and(|call| would_be_shown(call))).collect()
    }

    /// The calls on a viewer's screen, in the order they came to be as they are.
    pub fn shown(&self, viewer: &Viewer) -> Vec<&LogEntry> {
        let calls = self.calls.values().map(|change| &**change);
        let mut shown: Vec<_> =
            calls.filter(|change| change.call().is_some_and(|call| self.is_shown(viewer, call))).collect();
        shown.sort_by_key(|change| change.position);
        shown
    }
}

impl LogEntry {
    pub fn call(&self) -> Option<&Arc<Call>> {
        match &self.kind {
            ChangeKind::Call { after, .. } => Some(after),
            ChangeKind::Notice => None,
        }
    }

    fn ever_shown(&self) -> bool {
        matches!(self.kind, ChangeKind::Call { ever_shown: true, .. })
    }

    fn acknowledged(&self) -> Option<u64> {
        Some(self.acknowledged.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }
}
