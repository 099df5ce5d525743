//! Presence is a list of calls: what it leaves out has ended, and two of its calls may be one.

use std::time::Instant;

use super::{App, MOST_EXTENSIONS};
use crate::call::{CallEvent, Fact, LegState};
use crate::ringcentral::notification::{Census, pair_with_known};
use crate::store::StoreError;

impl App {
    /// Stores the calls that one extension's presence lists, and the end of those it lists no longer.
    pub(super) async fn take_in_presence(
        &self,
        mut events: Vec<CallEvent>,
        census: Census,
        heard: Instant,
    ) -> Result<(), StoreError> {
        // A notification that was overtaken must not ring a phone that has stopped ringing.
        let (census, parked) = self.newest_presence(census);
        events.retain(|event| !self.is_unparked(event, &parked));
        let ended: Vec<_> = events.iter().filter_map(|event| census.overrules(event)).collect();
        events.extend(ended);
        let told = events.clone();
        let paired = pair_with_known(&mut events, &self.0.hub.calls(), self.0.config.region);
        self.take_in(events, heard).await?;
        if !paired {
            self.pair_late(told, heard).await?;
        }
        self.close_unlisted(census).await
    }

    /// Both legs of a RingOut may arrive in this moment, each without a sight of the other.
    async fn pair_late(&self, mut events: Vec<CallEvent>, heard: Instant) -> Result<(), StoreError> {
        if pair_with_known(&mut events, &self.0.hub.calls(), self.0.config.region) {
            self.take_in(events, heard).await?;
        }
        Ok(())
    }

    /// Whether this is the end of a call that was parked at the extension and is otherwise unknown: a park location's
    /// presence makes no call, neither a live nor an ended one.
    fn is_unparked(&self, event: &CallEvent, parked: &[String]) -> bool {
        let ended = matches!(&event.fact, Fact::Leg(leg) if matches!(leg.state, LegState::Ended(_)));
        let hub = &self.0.hub;
        ended
            && event.sessions().any(|name| parked.contains(name))
            && event.sessions().all(|name| hub.call_of_session(name).is_none())
    }

    /// The newest presence of the extension that this one is of, and the sessions that were parked there before.
    fn newest_presence(&self, census: Census) -> (Census, Vec<String>) {
        let mut presence = self.0.presence.lock().expect("nobody panics while holding the presence");
        if presence.len() >= MOST_EXTENSIONS {
            presence.clear();
        }
        let known = presence.get(&census.extension_id);
        let parked = known.map(|known| known.parked.clone()).unwrap_or_default();
        match known {
            Some(newest) if newest.is_after(&census) => (newest.clone(), parked),
            // An incomplete list names no extension and says nothing about any.
            _ if census.extension_id.is_empty() => (census, parked),
            _ => {
                presence.insert(census.extension_id.clone(), census.clone());
                (census, parked)
            }
        }
    }

    /// Presence lists every call of an extension: its legs in calls that are not listed have ended.
    async fn close_unlisted(&self, census: Census) -> Result<(), StoreError> {
        if census.extension_id.is_empty() {
            return Ok(());
        }
        for event in self.0.hub.calls().iter().flat_map(|call| census.legs_ended(call)) {
            self.learn(vec![event]).await?;
        }
        Ok(())
    }
}
