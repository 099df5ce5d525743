//! What is removed: old history; and a person, from the store, from what waits on this machine, from memory, and from what viewers
//! could still be sent.

use std::sync::RwLockReadGuard;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::sleep;
use tracing::{info, warn};

use super::App;
use crate::call::{Call, CallEvent};
use crate::phone::PhoneNumber;
use crate::store::erasure::Erasures;
use crate::store::person::Person;
use crate::store::{Erased, LONGEST_WRITE, StoreError};

impl App {
    /// Removes a person. Customers in MongoDB belong to the host application and stay.
    pub async fn erase(&self, number: &PhoneNumber) -> Result<Erased, StoreError> {
        let config = &self.0.config;
        let person = Person::new(number, config.region);
        let since = self.0.hub.head();
        // What waits would bring the person back.
        self.replay().await?;
        let settled = async {
            self.learn_erasures().await?;
            self.wait_for_writes().await;
            if self.0.spool.is_some() {
                sleep(config.poll_interval + LONGEST_WRITE).await;
            }
            Ok(())
        };
        let erased = self.0.store.erase(&person, config.mongodb.is_none(), settled).await?;
        if let Some(spool) = &self.0.spool {
            spool.erase(&person).await?;
        }
        let Erased { active_calls, call_history, notification_shapes, customers, .. } = erased;
        info!(active_calls, call_history, notification_shapes, customers, "a person was erased");
        self.learn_erasures().await?;
        self.refresh(since).await?;
        Ok(erased)
    }

    /// Removes history that is older than the settings allow.
    pub async fn prune(&self, now: DateTime<Utc>) {
        let before = now - TimeDelta::days(self.0.config.retention_days.into());
        match self.0.store.prune_history(before).await {
            Ok(0) => {}
            Ok(calls) => info!(calls, "old history was forgotten"),
            Err(cause) => warn!(error = &cause as &dyn std::error::Error, "old history could not be forgotten"),
        }
        if let Some(spool) = &self.0.spool
            && let Err(cause) = spool.prune(before).await
        {
            warn!(error = &cause as &dyn std::error::Error, "what the spool set aside could not be forgotten");
        }
    }

    /// Reads what was erased since the last look, here or on another instance: it leaves memory, and viewers start over, so that
    /// no frame from before is replayed to one who resumes.
    pub(super) async fn learn_erasures(&self) -> Result<(), StoreError> {
        let now = Utc::now();
        let since = self.erasures().ask_since(now);
        let stored = self.0.store.erased_since(since).await?;
        let news = self.0.erasures.write().unwrap_or_else(|poisoned| poisoned.into_inner()).learn(stored, now);
        if news {
            let (erasures, region) = (self.erasures(), self.0.config.region);
            let erased = |call: &Call| erasures.holds(call) || erasures.has_number_of(call, region);
            // A call that the database refused is in memory only, and would be stored when it ends.
            for call in self.0.hub.calls().iter().filter(|call| erased(call)) {
                self.0.unwritten.remove(&call.id);
            }
            self.0.hub.erase(erased, |call| erasures.has_customer_of(call));
        }
        Ok(())
    }

    /// Drops events that would write an erased person back; those of a later call with the same session id stay. To be asked under
    /// the locks of their sessions.
    pub(super) fn drop_erased(&self, events: &mut Vec<CallEvent>) {
        let erasures = self.erasures();
        let is_later = |session: &str| self.0.hub.call_of_session(session).is_some_and(|call| !erasures.holds(&call));
        events.retain(|event| !erasures.forbids(event, self.0.config.region) || is_later(&event.session_id));
    }

    /// Whether this call was erased; what the store or its change stream says of it is then older than that.
    pub(super) fn is_erased(&self, call: &Call) -> bool {
        self.erasures().holds(call)
    }

    /// Waits for the writes that are under way: each holds the lock of its session.
    async fn wait_for_writes(&self) {
        for lock in &self.0.locks {
            drop(lock.lock().await);
        }
    }

    fn erasures(&self) -> RwLockReadGuard<'_, Erasures> {
        self.0.erasures.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
