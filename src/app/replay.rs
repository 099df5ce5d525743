//! Spooled events are stored once MongoDB answers again.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tracing::{error, info};

use super::Core;
use super::dismissals::Dismissals;
use super::erasures::ErasureFilter;
use super::outage::Outage;
use super::session_locks::SessionLocks;
use crate::store::{Spool, Spooled, StoreError, sources};

/// Spooled entries read at a time.
const REPLAY_BATCH: usize = 500;
/// Calls stored at a time: the database's acknowledgement is what takes long, and many share one.
const REPLAY_AT_ONCE: usize = 32;

/// Stores what is spooled.
pub(super) struct Replay {
    core: Arc<Core>,
    locks: Arc<SessionLocks>,
    outage: Arc<Outage>,
    erasures: Arc<ErasureFilter>,
    dismissals: Arc<Dismissals>,
}

type Failed = (i64, StoreError);

impl Replay {
    pub(super) fn new(
        core: Arc<Core>,
        locks: Arc<SessionLocks>,
        outage: Arc<Outage>,
        erasures: Arc<ErasureFilter>,
        dismissals: Arc<Dismissals>,
    ) -> Self {
        Self { core, locks, outage, erasures, dismissals }
    }

    /// Stores everything that is spooled: calls side by side, each in its order.
    pub(super) async fn run(&self) -> Result<(), StoreError> {
        let Some(spool) = self.outage.spool().filter(|spool| spool.depth() > 0) else { return Ok(()) };
        info!(waiting = spool.depth(), "replaying spooled events");
        loop {
            let batch = spool.oldest(REPLAY_BATCH).await?;
            if batch.is_empty() {
                return spool.leave_no_trace().await;
            }
            let stored: Vec<_> = stream::iter(self.by_call(batch))
                .map(|entries| self.store_call(entries))
                .buffer_unordered(REPLAY_AT_ONCE)
                .collect()
                .await;
            let (taken, failed): (Vec<_>, Vec<_>) = stored.into_iter().unzip();
            let taken: Vec<i64> = taken.into_iter().flatten().collect();
            let some_taken = !taken.is_empty();
            spool.forget(taken).await?;
            self.handle_failures(spool, failed.into_iter().flatten().collect(), some_taken).await?;
        }
    }

    /// Sets aside what the database refuses. The error of what fails like all others, which waits with them.
    async fn handle_failures(&self, spool: &Spool, failed: Vec<Failed>, some_taken: bool) -> Result<(), StoreError> {
        let is_refused = |(_, cause): &Failed| matches!(cause, StoreError::Refused { .. });
        let (refused, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(is_refused);
        for (position, cause) in &refused {
            spool.put_aside(*position).await?;
            error!(position, error = %cause, error.sources = sources(&cause), "MongoDB refuses a spooled event, which is put aside");
        }
        for (position, cause) in failed {
            if !some_taken && refused.is_empty() {
                return Err(cause);
            }
            // One that fails alone, again and again, is what the database does not take.
            if spool.refuse(position).await? {
                error!(position, error = %cause, error.sources = sources(&cause), "a spooled fact was refused and is set aside");
            }
        }
        Ok(())
    }

    /// Puts entries together that may change the same call, as the session locks do for live ones.
    fn by_call(&self, entries: Vec<Spooled>) -> Vec<Vec<Spooled>> {
        let mut calls: Vec<(BTreeSet<String>, Vec<Spooled>)> = Vec::new();
        for entry in entries {
            let mut sessions = self.locks.sessions_of(&entry.events);
            let mut of_call = vec![entry];
            let same: Vec<_> = calls.extract_if(.., |(known, _)| !known.is_disjoint(&sessions)).collect();
            for (known, earlier) in same {
                sessions.extend(known);
                of_call.extend(earlier);
            }
            of_call.sort_by_key(|entry| entry.position);
            calls.push((sessions, of_call));
        }
        calls.into_iter().map(|(_, entries)| entries).collect()
    }

    /// Stores one call's entries up to the first that fails: the positions of those that were stored, and that one.
    async fn store_call(&self, entries: Vec<Spooled>) -> (Vec<i64>, Option<Failed>) {
        let (mut taken, core) = (Vec::new(), &self.core);
        for Spooled { position, call_id, mut events } in entries {
            self.erasures.drop_erased(&mut events);
            let stored = async {
                if events.is_empty() {
                    return Ok(());
                }
                let known = core.store.load(&events, None).await?;
                self.dismissals.replay(&events, &known.held).await?;
                core.store.apply_to(&events, known, &call_id, |call| core.hub.publish(call, None)).await
            };
            if let Err(cause) = stored.await {
                // Its viewers keep it until it ends.
                if matches!(cause, StoreError::Refused { .. }) && core.hub.call(&call_id).is_some() {
                    self.outage.unwritten.add(&call_id);
                }
                return (taken, Some((position, cause)));
            }
            taken.push(position);
        }
        (taken, None)
    }
}
