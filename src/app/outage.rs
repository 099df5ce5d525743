//! The database is away: what arrives is spooled on this machine, shown from memory, and told to the database later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use super::{App, integration, log_name};
use crate::call::{Call, CallEvent, CallEventKind};
use crate::hub::{Incident, Origin};
use crate::ringcentral::subscription::SecretDigests;
use crate::store::{Spool, Spooled, StoreError, new_id};

/// RingCentral wants its answer within three seconds, whatever the database does.
pub(super) const STORE_PATIENCE: Duration = Duration::from_millis(2_200);
/// Spooled entries read at a time.
const REPLAY_BATCH: usize = 500;
/// Calls told at a time: the database's acknowledgement is what takes long, and many share one.
const REPLAY_AT_ONCE: usize = 32;

impl App {
    /// The first look at the store. One that never worked is a wrong setting and stops the start; one that did is away,
    /// and calls must not wait for it.
    pub(super) async fn connect_store(&self) -> anyhow::Result<()> {
        let first = async {
            self.catch_up().await?;
            // Before anything is delivered: it is made here where there is none.
            integration::own_verification(&self.0.config, &self.0.store).await
        };
        let cause = match first.await {
            Ok(known) => return self.expect(known).await.context("writing the spool in DATA_DIR"),
            Err(cause) => cause,
        };
        let remembered = match (&self.0.spool, &self.0.config.mongodb) {
            (Some(spool), Some(mongodb)) => spool.remembered(&mongodb.database).await?,
            _ => None,
        };
        let Some(tokens) = remembered else { return Err(cause).context("reading active calls") };
        self.mark_store_down(&cause);
        self.expect_remembered(SecretDigests(tokens));
        Ok(())
    }

    /// What MongoDB cannot take now, or may not take before what waits already, is spooled and shown from memory.
    pub(super) async fn store_or_spool(
        &self,
        spool: &Spool,
        known: Option<Arc<Call>>,
        mut events: Vec<CallEvent>,
        heard: Option<Instant>,
    ) -> Result<(), StoreError> {
        let id = known.as_ref().map_or_else(new_id, |call| call.id.clone());
        if self.0.unwritten.has(&id) {
            events.extend(self.identify_caller(&events).await);
            return self.keep_aside(spool, &id, known, &events, heard).await;
        }
        if spool.depth() > 0 || self.status().store_lost {
            events.extend(self.identify_caller(&events).await);
        } else {
            match timeout(STORE_PATIENCE, self.persist(known.clone(), &id, &mut events, heard)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(StoreError::Refused { code, .. })) => {
                    let known = self.0.hub.call_of_session(&events[0].session_id).or(known);
                    warn!(
                        call.id = log_name(&id),
                        code, "MongoDB refuses a call, which is kept on this machine and shown from memory"
                    );
                    return self.keep_aside(spool, &id, known, &events, heard).await;
                }
                Ok(Err(cause)) => self.mark_store_down(&cause),
                Err(_) => self.mark_store_down(&StoreError::Slow),
            }
        }
        spool.push(&id, &events).await?;
        self.show_from_memory(&id, known, &events, heard);
        Ok(())
    }

    /// What MongoDB refuses for this call alone is kept on this machine. The call is shown from memory until it ends, and then
    /// stands in the history if that takes it.
    async fn keep_aside(
        &self,
        spool: &Spool,
        id: &str,
        known: Option<Arc<Call>>,
        events: &[CallEvent],
        heard: Option<Instant>,
    ) -> Result<(), StoreError> {
        let told: Vec<CallEvent> =
            events.iter().filter(|event| matches!(event.kind, CallEventKind::Party(_))).cloned().collect();
        if !told.is_empty() {
            spool.keep_aside(id, &told).await?;
        }
        let Some(call) = self.show_from_memory(id, known, events, heard) else { return Ok(()) };
        if !call.is_over() {
            self.0.unwritten.add(id);
        } else if self.0.unwritten.remove(id)
            && let Err(cause) = self.0.store.keep_ended(call).await
        {
            debug!(error = &cause as &dyn std::error::Error, "a call is not in the history");
        }
        Ok(())
    }

    /// The call as it is with these events, if they change it.
    fn show_from_memory(
        &self,
        id: &str,
        known: Option<Arc<Call>>,
        events: &[CallEvent],
        heard: Option<Instant>,
    ) -> Option<Call> {
        let first = events.first()?;
        let ended = known.is_none() && self.0.hub.has_ended(&first.session_id);
        if ended || (known.is_none() && !first.can_begin_a_call()) {
            return None;
        }
        let begun = || Call::new(id.to_owned(), first.session_id.clone(), first.heard_at);
        let mut call = known.map_or_else(begun, |call| (*call).clone());
        let changed = events.iter().fold(false, |changed, event| call.apply(event) | changed);
        changed.then(|| {
            self.publish(Origin::Memory, call.clone(), heard);
            call
        })
    }

    /// Tells the database what it missed: calls side by side, each in its order.
    pub(super) async fn replay(&self) -> Result<(), StoreError> {
        let Some(spool) = self.0.spool.as_ref().filter(|spool| spool.depth() > 0) else { return Ok(()) };
        info!(waiting = spool.depth(), "the database is told what it missed");
        loop {
            let batch = spool.oldest(REPLAY_BATCH).await?;
            if batch.is_empty() {
                return spool.leave_no_trace().await;
            }
            let told: Vec<_> = stream::iter(self.by_call(batch))
                .map(|entries| self.tell(entries))
                .buffer_unordered(REPLAY_AT_ONCE)
                .collect()
                .await;
            let (taken, failed): (Vec<_>, Vec<_>) = told.into_iter().unzip();
            let taken: Vec<i64> = taken.into_iter().flatten().collect();
            let failed: Vec<(i64, StoreError)> = failed.into_iter().flatten().collect();
            let some_taken = !taken.is_empty();
            spool.forget(taken).await?;
            let refused = |(_, cause): &(i64, StoreError)| matches!(cause, StoreError::Refused { .. });
            let (refused, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(refused);
            for (position, cause) in &refused {
                spool.put_aside(*position).await?;
                error!(
                    position,
                    error = cause as &dyn std::error::Error,
                    "MongoDB refuses a spooled event, which is put aside"
                );
            }
            for (position, cause) in failed {
                // One that fails like all others waits with them; one that fails alone, again and again, is what the
                // database does not take.
                if !some_taken && refused.is_empty() {
                    return Err(cause);
                }
                if spool.refuse(position).await? {
                    error!(
                        position,
                        error = &cause as &dyn std::error::Error,
                        "a spooled fact was refused and is set aside"
                    );
                }
            }
        }
    }

    /// Puts entries together that may change the same call, as its turn does for live ones.
    fn by_call(&self, entries: Vec<Spooled>) -> Vec<Vec<Spooled>> {
        let mut calls: Vec<(BTreeSet<String>, Vec<Spooled>)> = Vec::new();
        for entry in entries {
            let mut sessions = self.sessions_of(&entry.events);
            let mut told = vec![entry];
            let same: Vec<_> = calls.extract_if(.., |(known, _)| !known.is_disjoint(&sessions)).collect();
            for (known, earlier) in same {
                sessions.extend(known);
                told.extend(earlier);
            }
            told.sort_by_key(|entry| entry.position);
            calls.push((sessions, told));
        }
        calls.into_iter().map(|(_, entries)| entries).collect()
    }

    /// Tells one call's entries up to the first that fails: those that were taken, and that one.
    async fn tell(&self, entries: Vec<Spooled>) -> (Vec<i64>, Option<(i64, StoreError)>) {
        let mut taken = Vec::new();
        for Spooled { position, call_id, mut events } in entries {
            self.drop_erased(&mut events);
            let told = async {
                if events.is_empty() {
                    return Ok(());
                }
                let known = self.0.store.load(&events, None).await?;
                self.replay_dismissals(&events, &known.held).await?;
                self.0.store.apply_to(&events, known, &call_id, |call| self.0.hub.publish(call, None)).await
            };
            if let Err(cause) = told.await {
                // Its viewers keep it until it ends.
                if matches!(cause, StoreError::Refused { .. }) && self.0.hub.call(&call_id).is_some() {
                    self.0.unwritten.add(&call_id);
                }
                return (taken, Some((position, cause)));
            }
            taken.push(position);
        }
        (taken, None)
    }

    pub(super) fn mark_store_down(&self, cause: &StoreError) {
        self.update_status(|status| {
            if !std::mem::replace(&mut status.store_lost, true) {
                error!(error = cause as &dyn std::error::Error, "the store does not answer");
                self.0.hub.begin_incident(Incident::StoreLost);
            }
        });
    }

    /// Whether it was lost before.
    pub(super) fn mark_store_up(&self) -> bool {
        let mut was_lost = false;
        self.update_status(|status| {
            was_lost = std::mem::replace(&mut status.store_lost, false);
            if was_lost {
                self.0.hub.end_incident(Incident::StoreLost);
            }
        });
        was_lost
    }

    /// What MongoDB cannot take now; none beside the embedded store.
    pub fn spool(&self) -> Option<&Spool> {
        self.0.spool.as_ref()
    }

    /// How many facts wait for the database.
    pub fn spooled(&self) -> usize {
        self.0.spool.as_ref().map_or(0, Spool::depth)
    }
}
