//! Presence is a list of calls: what it leaves out has ended, and two of its calls may be one.

use std::time::Instant;

use super::{App, MOST_EXTENSIONS};
use crate::call::{CallEvent, CallEventKind, PartyState};
use crate::ringcentral::notification::{PresenceSnapshot, pair_with_known};
use crate::store::StoreError;

impl App {
    /// Stores the calls that one extension's presence lists, and the end of those it lists no longer.
    pub(super) async fn ingest_presence(
        &self,
        mut events: Vec<CallEvent>,
        snapshot: PresenceSnapshot,
        heard: Instant,
    ) -> Result<(), StoreError> {
        // A notification that was overtaken must not ring a phone that has stopped ringing.
        let (snapshot, parked) = self.newest_presence(snapshot);
        events.retain(|event| !self.is_unparked(event, &parked));
        let ended: Vec<_> = events.iter().filter_map(|event| snapshot.supersedes(event)).collect();
        events.extend(ended);
        let told = events.clone();
        let paired = pair_with_known(&mut events, &self.0.hub.calls(), self.0.config.region);
        self.ingest_events(events, heard).await?;
        if !paired {
            self.pair_late(told, heard).await?;
        }
        self.close_unlisted(snapshot).await
    }

    /// Both legs of a RingOut may arrive in this moment, each without a sight of the other.
    async fn pair_late(&self, mut events: Vec<CallEvent>, heard: Instant) -> Result<(), StoreError> {
        if pair_with_known(&mut events, &self.0.hub.calls(), self.0.config.region) {
            self.ingest_events(events, heard).await?;
        }
        Ok(())
    }

    /// Whether this is the end of a call that was parked at the extension and is otherwise unknown: a park location's
    /// presence makes no call, neither a live nor an ended one.
    fn is_unparked(&self, event: &CallEvent, parked: &[String]) -> bool {
        let ended = matches!(&event.kind, CallEventKind::Party(leg) if matches!(leg.state, PartyState::Ended(_)));
        let hub = &self.0.hub;
        ended
            && event.sessions().any(|name| parked.contains(name))
            && event.sessions().all(|name| hub.call_of_session(name).is_none())
    }

    /// The newest presence of the extension that this one is of, and the sessions that were parked there before.
    fn newest_presence(&self, snapshot: PresenceSnapshot) -> (PresenceSnapshot, Vec<String>) {
        let mut presence = self.0.presence.lock().expect("nobody panics while holding the presence");
        if presence.len() >= MOST_EXTENSIONS {
            presence.clear();
        }
        let known = presence.get(&snapshot.extension_id);
        let parked = known.map(|known| known.parked.clone()).unwrap_or_default();
        match known {
            Some(newest) if newest.is_after(&snapshot) => (newest.clone(), parked),
            // An incomplete list names no extension and says nothing about any.
            _ if snapshot.extension_id.is_empty() => (snapshot, parked),
            _ => {
                presence.insert(snapshot.extension_id.clone(), snapshot.clone());
                (snapshot, parked)
            }
        }
    }

    /// Presence lists every call of an extension: its legs in calls that are not listed have ended.
    async fn close_unlisted(&self, snapshot: PresenceSnapshot) -> Result<(), StoreError> {
        if snapshot.extension_id.is_empty() {
            return Ok(());
        }
        for event in self.0.hub.calls().iter().flat_map(|call| snapshot.end_unlisted(call)) {
            self.apply_events(vec![event]).await?;
        }
        Ok(())
    }
}
