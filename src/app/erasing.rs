//! What is removed: old history; and a person, from the store, from what waits on this machine, from memory, and from frames that
//! viewers could still be sent.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::sleep;
use tracing::{info, warn};

use super::App;
use crate::phone::PhoneNumber;
use crate::store::person::Person;
use crate::store::{Erased, LONGEST_WRITE, StoreError, sources};

impl App {
    /// Removes a person. Customers in MongoDB belong to the host application and stay.
    pub async fn erase(&self, number: &PhoneNumber) -> Result<Erased, StoreError> {
        let (core, parts) = (&self.0.core, &self.0);
        let config = &core.config;
        let person = Person::new(number, config.region);
        let since = core.hub.head();
        // What is spooled would bring the person back.
        parts.replay.run().await?;
        let settled = async {
            parts.erasures.refresh().await?;
            // Writes under way hold the locks of their sessions.
            parts.locks.wait_for_all().await;
            if parts.outage.spool().is_some() {
                sleep(config.poll_interval + LONGEST_WRITE).await;
            }
            Ok(())
        };
        let erased = core.store.erase(&person, config.mongodb.is_none(), settled).await?;
        if let Some(spool) = parts.outage.spool() {
            spool.erase(&person).await?;
        }
        let Erased { active_calls, call_history, notification_shapes, customers, .. } = erased;
        info!(active_calls, call_history, notification_shapes, customers, "a person was erased");
        parts.erasures.refresh().await?;
        parts.sync.refresh(since).await?;
        Ok(erased)
    }

    /// Removes history that is older than the settings allow.
    pub async fn prune(&self, now: DateTime<Utc>) {
        let core = &self.0.core;
        let before = now - TimeDelta::days(core.config.retention_days.into());
        match core.store.prune_history(before).await {
            Ok(0) => {}
            Ok(calls) => info!(calls, "old history was removed"),
            Err(cause) => warn!(error = %cause, error.sources = sources(&cause), "old history could not be removed"),
        }
        if let Some(spool) = self.0.outage.spool()
            && let Err(cause) = spool.prune(before).await
        {
            warn!(error = %cause, error.sources = sources(&cause), "old events that were set aside could not be removed");
        }
    }
}
