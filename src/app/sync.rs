//! What other instances and other programs write to `active_calls` is read: as it happens by the change stream, and by a poll.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::Utc;
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::dismissals::Dismissals;
use super::erasures::ErasureFilter;
use super::ingest::Ingest;
use super::outage::{Outage, STORE_PATIENCE};
use super::replay::Replay;
use super::session_locks::SessionLocks;
use super::{Core, event, log_name};
use crate::call::{Call, CallEventKind, Status};
use crate::hub::Incident;
use crate::phone::PhoneNumber;
use crate::store::{CallChangeStream, ChangeEvent, StoreError, disk_is_full, sources};

/// How long to wait before watching again; the poll serves meanwhile.
pub(super) const WATCH_AGAIN: std::ops::Range<Duration> = Duration::from_millis(500)..Duration::from_secs(5);

/// How long opening the change stream may take, and taking in a change.
const WATCH_PATIENCE: Duration = Duration::from_secs(5);

/// How long after a ping the next is sent, while a poll takes its time.
const PING_PAUSE: Duration = Duration::from_secs(1);

/// Documents of other programs that are imported at a time.
const IMPORTS_AT_ONCE: usize = 16;

/// Reads what others write.
pub(super) struct Sync {
    pub(super) core: Arc<Core>,
    pub(super) locks: Arc<SessionLocks>,
    pub(super) outage: Arc<Outage>,
    pub(super) erasures: Arc<ErasureFilter>,
    pub(super) dismissals: Arc<Dismissals>,
    pub(super) replay: Arc<Replay>,
    pub(super) ingest: Ingest,
    /// Notified when the store answers again: calls may have been missed.
    pub(super) recovered: Arc<Notify>,
    /// The indexes were there once.
    pub(super) prepared: AtomicBool,
}

impl Sync {
    /// Reads `active_calls` once for everyone: what other programs and instances wrote becomes visible. Viewers are
    /// informed when the store stops answering, once, and when it is back.
    pub(super) async fn poll(&self) {
        let polled = tokio::select! {
            polled = self.replay_and_refresh() => polled,
            cause = self.store_hangs() => Err(cause),
        };
        match polled {
            Ok(()) => {
                if self.core.status.mark_store_up() {
                    info!("the store answers again");
                    self.recovered.notify_one();
                    self.ingest.name_callers();
                }
            }
            Err(cause) if cause.is_of_the_disk() => self.core.status.mark_disk_failing(&cause),
            Err(cause) => self.core.status.mark_store_down(&cause),
        }
        self.store_held().await;
    }

    /// Waits until MongoDB leaves a ping unanswered. A server that is stopped or cut off closes no connection, and what was sent to
    /// it would be waited for until the operating system gives up.
    pub(super) async fn store_hangs(&self) -> StoreError {
        if self.outage.spool().is_none() {
            return std::future::pending().await;
        }
        loop {
            // A database that is known to hang is asked again soon: there may be another primary by then.
            let patience = if self.core.status.store_is_down() { PING_PAUSE } else { STORE_PATIENCE };
            match timeout(patience, self.core.store.ping()).await {
                Ok(Ok(())) => sleep(PING_PAUSE).await,
                Ok(Err(cause)) => return cause,
                Err(_) => return StoreError::Slow,
            }
        }
    }

    /// Stores what no disk took, once one takes as much as a call needs. A disk without room is noticed also while no phone rings.
    async fn store_held(&self) {
        let (status, held) = (&self.core.status, &self.outage.held);
        let spool = self.outage.spool();
        if !status.disk_fails() && held.is_empty() && (spool.is_some() || !disk_is_full(&self.core.config.data_dir)) {
            return;
        }
        let probed = match spool {
            Some(spool) if status.store_is_down() => spool.probe().await,
            // The database takes what the spool does not.
            Some(_) => Ok(()),
            None => self.core.store.probe().await,
        };
        let stored = match probed {
            Ok(()) => self.ingest.store_held().await,
            Err(cause) => Err(cause),
        };
        match stored {
            Ok(()) => status.mark_disk_working(),
            Err(cause) => status.mark_disk_failing(&cause),
        }
    }

    /// Stores what is spooled, then reads what the store has.
    pub(super) async fn replay_and_refresh(&self) -> Result<(), StoreError> {
        // Taken first: a call that is spooled while this goes on is not in the store yet, and has not disappeared.
        let since = self.core.hub.head();
        self.prepare().await?;
        self.erasures.refresh().await?;
        self.replay.begin().await?;
        self.refresh(since).await
    }

    /// Makes sure that the indexes are there: the first time before anything else, and later, when others may have removed them, only
    /// as far as there is time. After an election it may be a while until a majority has them.
    async fn prepare(&self) -> Result<(), StoreError> {
        if self.prepared.load(Ordering::Relaxed) {
            return timeout(PING_PAUSE, self.core.store.prepare()).await.unwrap_or(Ok(()));
        }
        self.core.store.prepare().await?;
        self.prepared.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Compares with the store, which has everything that was published up to `since`.
    pub(super) async fn refresh(&self, since: u64) -> Result<(), StoreError> {
        // Asked first: what is stored meanwhile is then among the active calls.
        let behind = self.outage.behind(&self.core.hub).await?;
        let at_hand = self.core.hub.calls().into_iter().map(|call| (call.id.clone(), call)).collect();
        let store = &self.core.store;
        let (mut active, dismissals) = tokio::try_join!(store.active_beside(at_hand), store.dismissals())?;
        active.retain(|call| !self.erasures.is_erased(call));
        self.dismissals.load(&dismissals);
        let stored: HashSet<String> = active.iter().map(|call| call.id.clone()).collect();
        self.take_back(&active).await?;
        let kept = self.outage.unwritten.compare(&stored, |id| self.core.hub.call(id).is_some());
        // The store has an older state of these, or the one that another instance has.
        let is_behind = |call: &Call| {
            let shown = self.core.hub.call_of_session(&call.session_id);
            behind.contains(&call.id) || shown.is_some_and(|shown| behind.contains(&shown.id))
        };
        active.retain(|call| !is_behind(call));
        let (foreign, gone) = self.core.hub.reconcile(active, since);
        // First what is gone: the next document of its session is then the only one.
        for id in gone.iter().filter(|id| !kept.contains(*id) && !behind.contains(*id)) {
            self.call_disappeared(id).await?;
        }
        // Side by side: a document takes a write, and one that is slow or refused must not delay the others.
        let mut imports =
            stream::iter(foreign.into_iter().map(|call| self.import_foreign(call))).buffer_unordered(IMPORTS_AT_ONCE);
        while let Some(imported) = imports.next().await {
            imported?;
        }
        self.dismissals.forget(dismissals).await
    }

    /// Of a session whose document could not be written to, what was kept aside waits for the database again once a document
    /// of it is stored, by whichever instance.
    async fn take_back(&self, active: &[Arc<Call>]) -> Result<(), StoreError> {
        let Some(spool) = self.outage.spool().filter(|_| self.outage.unwritten.count() > 0) else { return Ok(()) };
        for known in self.core.hub.calls().iter().filter(|known| self.outage.unwritten.has(&known.id)) {
            let its = |call: &Call| call.rev > 0 && call.session_id == known.session_id && call.id != known.id;
            if active.iter().any(|call| its(call)) {
                let _locked = self.locks.lock(&[event(&known.session_id, CallEventKind::Tick)]).await;
                spool.take_back(&known.id).await?;
                self.outage.unwritten.remove(&known.id);
            }
        }
        Ok(())
    }

    /// Follows what others do to `active_calls` as it happens, for ever. Where the database cannot tell, and while it
    /// does not, the poll finds out a little later.
    pub(super) async fn follow_changes(&self) {
        let mut lost = false;
        loop {
            match timeout(WATCH_PATIENCE, self.core.store.watch()).await.unwrap_or(Err(StoreError::Slow)) {
                Ok(None) => return std::future::pending().await,
                Ok(Some(changes)) => {
                    // First the stream, then what is there, then what changes: nothing falls between.
                    self.poll().await;
                    // If that failed, what lies between is not known, and the stream alone is no use.
                    if !self.core.status.store_is_down() {
                        if std::mem::replace(&mut lost, false) {
                            info!("changes by other instances arrive again");
                            self.core.hub.end_incident(Incident::ChangesDelayed);
                            self.core.hub.resync();
                        }
                        changes.since().into_iter().for_each(|since| self.core.hub.set_watermark_source(since));
                        self.core.status.update(|status| status.follows = true);
                        let cause = self.follow_until_lost(changes).await;
                        self.core.hub.clear_watermark_source();
                        warn!(
                            error = %cause, error.sources = sources(&cause),
                            "changes by other instances do not arrive at once"
                        );
                    }
                }
                Err(cause) => debug!(error = %cause, error.sources = sources(&cause), "changes cannot be watched"),
            }
            if !std::mem::replace(&mut lost, true) {
                self.core.status.update(|status| status.follows = false);
                self.core.hub.begin_incident(Incident::ChangesDelayed);
            }
            sleep(rand::random_range(WATCH_AGAIN)).await;
        }
    }

    async fn follow_until_lost(&self, mut changes: CallChangeStream) -> StoreError {
        loop {
            let since = self.core.hub.head();
            let change = match changes.next().await {
                Ok(change) => change,
                Err(cause) => return cause,
            };
            match timeout(WATCH_PATIENCE, self.apply_change(change, since)).await {
                Ok(Ok(())) => {}
                Ok(Err(cause)) => return cause,
                Err(_) => return StoreError::Slow,
            }
        }
    }

    /// Takes in a change that came after `since` was the end of the hub's log.
    async fn apply_change(&self, change: ChangeEvent, since: u64) -> Result<(), StoreError> {
        let hub = &self.core.hub;
        // Clocks of two machines differ; what would be negative says nothing.
        change.lag.into_iter().for_each(|lag| self.core.metrics.change_lag.observe(lag.as_secs_f64()));
        if let Some(viewer) = &change.dismissed_by {
            hub.dismiss(&change.names[0], viewer);
            return Ok(());
        }
        let is_its = |name: &&String| hub.call(name).is_some_and(|call| change.is_of(&call));
        let id = change.names.iter().find(is_its).unwrap_or(&change.names[0]).clone();
        // A change of this instance, or one that the poll has read, is not decoded again: each `rev` of a call has one content.
        let is_known = change.rev.is_some_and(|rev| rev > 0 && hub.rev(&id).is_some_and(|known| known >= rev));
        if change.left() {
            self.call_disappeared(&id).await?;
        } else if !is_known {
            let Some(call) = change.call() else { return Ok(()) };
            if !self.erasures.is_erased(&call)
                && let Some(foreign) = hub.compare(call, since)
            {
                self.import_foreign(foreign).await?;
            }
        }
        // Only after the change is published: a viewer who resumes from this watermark is not sent it again.
        if let Some(at) = change.at {
            hub.acknowledge(&id, change.rev, at);
        }
        Ok(())
    }

    /// Whether a document is not to be taken in now: its call is kept from the database, or another document of its session is
    /// the call, and the poll, which sees both, decides which it is.
    fn has_another(&self, found: &Call) -> bool {
        let known = self.core.hub.call_of_session(&found.session_id).filter(|known| known.id != found.id);
        let stored =
            known.filter(|known| known.session_id == found.session_id && !self.outage.unwritten.has(&known.id));
        stored.is_some() || self.outage.unwritten.has(&found.id)
    }

    /// The live call with this id. A viewer may have it from another instance whose change has not arrived here yet.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Arc<Call>>, StoreError> {
        let hub = &self.core.hub;
        if self.outage.spool().is_some() && hub.rev(id).is_none() {
            let since = hub.head();
            let stored = timeout(STORE_PATIENCE, self.core.store.active_call(id)).await;
            let foreign = stored.unwrap_or(Err(StoreError::Slow))?.and_then(|call| hub.compare(call, since));
            if let Some(foreign) = foreign {
                self.import_foreign(foreign).await?;
            }
        }
        Ok(hub.call(id))
    }

    /// A call is no longer active, and it was not this instance that ended it: another one did, or another program
    /// took it away.
    async fn call_disappeared(&self, id: &str) -> Result<(), StoreError> {
        let Some(known) = self.core.hub.call(id) else { return Ok(()) };
        self.outage.unwritten.remove(id);
        let ended = self.core.store.ended(&known).await?;
        if ended.is_none() {
            // Another call may get this id, and what became part of a call has handed its dismissals on.
            self.core.store.forget_dismissals(vec![id.to_owned()]).await?;
        }
        let mut call = ended.unwrap_or_else(|| Call { status: Status::Ended, ..(*known).clone() });
        // What was shown from memory while the database was away may be ahead of it.
        call.rev = call.rev.max(known.rev + 1);
        self.core.hub.publish(call, None);
        Ok(())
    }

    /// Another program inserted or changed a call: it gets a `rev`, so that it is news, and its caller is looked up.
    pub(super) async fn import_foreign(&self, mut found: Call) -> Result<(), StoreError> {
        if self.core.hub.call(&found.id).is_some_and(|known| known.key != found.key) {
            self.core.store.rename(&mut found);
        }
        // The poll and the change stream may see two documents of a session at once.
        let _locked = self.locks.lock(&[event(&found.session_id, CallEventKind::Tick)]).await;
        if self.has_another(&found) {
            return Ok(());
        }
        let region = self.core.config.region;
        let number = |raw: &Option<String>| PhoneNumber::parse(raw.as_deref()?, region);
        let caller = number(&found.from_number);
        let mut next = found.clone();
        next.rev = found.rev.max(self.core.hub.rev(&found.id).unwrap_or(0)) + 1;
        // Silence is measured from when we first saw it, not from when it began: its author may sweep as it likes.
        next.facts.heard_at = Utc::now();
        next.facts.adopted_at.get_or_insert(found.timestamp);
        next.from_display = caller.as_ref().map(|number| number.display(region));
        next.to_display = number(&found.to_number).map(|number| number.display(region));
        let Some(adopted) = self.core.store.adopt(found, next).await? else { return Ok(()) };
        info!(call.id = log_name(&adopted.id), status = adopted.status.as_str(), "another program changed a call");
        let unknown = adopted.customer_id.is_none() && !adopted.facts.looked_up && adopted.status.visible();
        let session = adopted.session_id.clone();
        self.core.hub.publish(adopted, None);
        if let Some(caller) = caller.filter(|_| unknown) {
            // Other calls must not wait for the lookup of this customer.
            self.ingest.look_up_later(session, caller);
        }
        Ok(())
    }
}
