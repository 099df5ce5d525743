//! Erased people stay erased: events that would write one back are dropped, and calls of theirs leave memory.

use std::sync::{Arc, RwLock, RwLockReadGuard};

use chrono::Utc;

use super::Core;
use super::outage::Outage;
use crate::call::{Call, CallEvent};
use crate::store::StoreError;
use crate::store::erasure::Erasures;

/// What was erased, here or by another instance.
pub(super) struct ErasureFilter {
    core: Arc<Core>,
    outage: Arc<Outage>,
    erasures: RwLock<Erasures>,
}

impl ErasureFilter {
    pub(super) fn new(core: Arc<Core>, outage: Arc<Outage>) -> Self {
        Self { core, outage, erasures: RwLock::default() }
    }

    /// Reads what was erased since the last read: it leaves memory, and viewers start over, so that no frame from before is
    /// replayed to one that resumes.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        let now = Utc::now();
        let since = self.read().ask_since(now);
        let stored = self.core.store.erased_since(since).await?;
        let news = self.erasures.write().unwrap_or_else(|poisoned| poisoned.into_inner()).learn(stored, now);
        if news {
            let (erasures, region, hub) = (self.read(), self.core.config.region, &self.core.hub);
            let erased = |call: &Call| erasures.holds(call) || erasures.has_number_of(call, region);
            // A call that the database refused is in memory only, and would be stored when it ends.
            for call in hub.calls().iter().filter(|call| erased(call)) {
                self.outage.unwritten.remove(&call.id);
            }
            hub.erase(erased, |call| erasures.has_customer_of(call));
        }
        Ok(())
    }

    /// Drops events that would write an erased person back; those of a later call with the same session id stay. To be called
    /// under the locks of their sessions.
    pub(super) fn drop_erased(&self, events: &mut Vec<CallEvent>) {
        let erasures = self.read();
        let call = |session: &str| self.core.hub.call_of_session(session);
        let is_later = |session: &str| call(session).is_some_and(|call| !erasures.holds(&call));
        events.retain(|event| !erasures.forbids(event, self.core.config.region) || is_later(&event.session_id));
    }

    /// Whether this call was erased; what the store or its change stream has of it is then older than that.
    pub(super) fn is_erased(&self, call: &Call) -> bool {
        self.read().holds(call)
    }

    fn read(&self) -> RwLockReadGuard<'_, Erasures> {
        self.erasures.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
