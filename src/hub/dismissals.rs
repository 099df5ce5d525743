//! Which viewer dismissed which call. Kept beside the calls, because a dismissal changes no call and is published to one
//! viewer alone.

use std::collections::{BTreeMap, HashMap, HashSet};

/// Indexed both ways, for calls that go on or whose end is remembered.
#[derive(Default)]
pub(super) struct Dismissals {
    /// By call, the ids of the viewers.
    viewers: HashMap<String, HashSet<String>>,
    /// By viewer, what they dismissed, by its place among all dismissals.
    calls: HashMap<String, BTreeMap<u64, Dismissed>>,
    /// The place of the newest.
    head: u64,
}

pub(super) struct Dismissed {
    pub call_id: String,
    /// The log's end at that time.
    pub position: u64,
}

impl Dismissals {
    /// Adds one; `false` when it was there.
    pub fn add(&mut self, call_id: &str, viewer: &str, position: u64) -> bool {
        if self.has(call_id, viewer) {
            return false;
        }
        self.head += 1;
        self.viewers.entry(call_id.to_owned()).or_default().insert(viewer.to_owned());
        let dismissed = Dismissed { call_id: call_id.to_owned(), position };
        self.calls.entry(viewer.to_owned()).or_default().insert(self.head, dismissed);
        true
    }

    pub fn has(&self, call_id: &str, viewer: &str) -> bool {
        self.viewers.get(call_id).is_some_and(|viewers| viewers.contains(viewer))
    }

    /// Whether any viewer dismissed this call.
    pub fn has_any(&self, call_id: &str) -> bool {
        self.viewers.contains_key(call_id)
    }

    /// The place of the newest.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// What a viewer dismissed after this place.
    pub fn since(&self, viewer: &str, place: u64) -> impl Iterator<Item = &Dismissed> {
        let theirs = (place < self.head).then(|| self.calls.get(viewer)).flatten();
        theirs.into_iter().flat_map(move |calls| calls.range(place + 1..)).map(|(_, dismissed)| dismissed)
    }

    /// Adds to a call who dismissed another, which became part of it.
    pub fn inherit(&mut self, from: &str, to: &str, position: u64) {
        for viewer in self.viewers.get(from).cloned().unwrap_or_default() {
            self.add(to, &viewer, position);
        }
    }

    pub fn forget(&mut self, call_id: &str) {
        for viewer in self.viewers.remove(call_id).unwrap_or_default() {
            if let Some(calls) = self.calls.get_mut(&viewer) {
                calls.retain(|_, dismissed| dismissed.call_id != call_id);
                if calls.is_empty() {
                    self.calls.remove(&viewer);
                }
            }
        }
    }

    /// Forgets those of calls that `keep` says no of.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let gone: Vec<String> = self.viewers.keys().filter(|call_id| !keep(call_id)).cloned().collect();
        gone.iter().for_each(|call_id| self.forget(call_id));
    }
}
