//! The newest presence of each extension. A presence lists all calls of an extension, so a call missing from it has ended.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::call::{CallEvent, CallEventKind, PartyState};
use crate::hub::Hub;
use crate::ringcentral::notification::PresenceSnapshot;

/// Extensions whose presence is remembered; the largest accounts have fewer.
const MOST_EXTENSIONS: usize = 20_000;

/// The newest snapshot of each extension.
pub(super) struct PresenceTracker {
    newest: Mutex<HashMap<String, PresenceSnapshot>>,
    hub: Hub,
}

impl PresenceTracker {
    pub(super) fn new(hub: Hub) -> Self {
        Self { newest: Mutex::default(), hub }
    }

    /// The newest presence of the extension that this one is of, and the sessions that were parked there before.
    pub(super) fn newest(&self, snapshot: PresenceSnapshot) -> (PresenceSnapshot, Vec<String>) {
        let mut newest = self.newest.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if newest.len() >= MOST_EXTENSIONS {
            newest.clear();
        }
        let known = newest.get(&snapshot.extension_id);
        let parked = known.map(|known| known.parked.clone()).unwrap_or_default();
        match known {
            Some(known) if known.is_after(&snapshot) => (known.clone(), parked),
            // An incomplete list names no extension and says nothing about any.
            _ if snapshot.extension_id.is_empty() => (snapshot, parked),
            _ => {
                newest.insert(snapshot.extension_id.clone(), snapshot.clone());
                (snapshot, parked)
            }
        }
    }

    /// Whether this is the end of a call that was parked at the extension and is otherwise unknown: a park location's presence
    /// makes no call, neither a live nor an ended one.
    pub(super) fn is_unparked(&self, event: &CallEvent, parked: &[String]) -> bool {
        let ended = matches!(&event.kind, CallEventKind::Party(party) if matches!(party.state, PartyState::Ended(_)));
        ended
            && event.sessions().any(|name| parked.contains(name))
            && event.sessions().all(|name| self.hub.call_of_session(name).is_none())
    }

    /// The ends of this extension's parties in live calls that its presence does not list.
    pub(super) fn unlisted(&self, snapshot: &PresenceSnapshot) -> Vec<CallEvent> {
        if snapshot.extension_id.is_empty() {
            return Vec::new();
        }
        self.hub.calls().iter().flat_map(|call| snapshot.end_unlisted(call)).collect()
    }
}
