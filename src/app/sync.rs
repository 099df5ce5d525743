//! What others do to `active_calls`: other instances, other programs.

use std::collections::HashSet;
use std::time::Duration;

use chrono::Utc;
use futures_util::{StreamExt, stream};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::{App, Integration, fact};
use crate::call::{Call, CallEventKind, Status};
use crate::hub::Incident;
use crate::phone::PhoneNumber;
use crate::store::{CallChangeStream, StoreError};

/// How long to wait before watching again; the poll serves meanwhile.
pub(super) const WATCH_AGAIN: std::ops::Range<Duration> = Duration::from_millis(500)..Duration::from_secs(5);

/// Documents of other programs that are taken in at a time.
const ADOPT_AT_ONCE: usize = 16;

impl App {
    /// Reads `active_calls` once for everyone: what other programs and instances wrote becomes visible. Viewers are
    /// told when the store stops answering, once, and when it is back.
    pub async fn poll(&self) {
        match self.catch_up().await {
            Ok(()) => {
                if self.mark_store_up() {
                    info!("the store answers again");
                    self.integration().into_iter().for_each(Integration::compare_soon);
                }
            }
            Err(cause) => self.mark_store_down(&cause),
        }
    }

    /// Tells the store what waits for it, then reads what it has.
    pub(super) async fn catch_up(&self) -> Result<(), StoreError> {
        // Before anything is told: a call that is spooled while this goes on is not in the store yet, and not gone.
        let since = self.0.hub.head();
        self.0.store.prepare().await?;
        self.learn_erasures().await?;
        self.replay().await?;
        self.refresh(since).await
    }

    /// Compares with the store, which has everything that was told up to `since`.
    pub(super) async fn refresh(&self, since: u64) -> Result<(), StoreError> {
        let (mut active, dismissals) = tokio::try_join!(self.0.store.active(), self.0.store.dismissals())?;
        active.retain(|call| !self.is_erased(call));
        self.load_dismissals(&dismissals);
        let stored: HashSet<String> = active.iter().map(|call| call.id.clone()).collect();
        self.take_back(&active).await?;
        let kept = self.0.unwritten.compare(&stored, |id| self.0.hub.call(id).is_some());
        let (foreign, gone) = self.0.hub.reconcile(active, since);
        // First what is gone: the next document of its session is then the only one.
        for id in gone.iter().filter(|id| !kept.contains(*id)) {
            self.call_disappeared(id).await?;
        }
        // Side by side: a document takes a write, and one that is slow or refused must not delay the others.
        let mut adoptions =
            stream::iter(foreign.into_iter().map(|call| self.import_foreign(call))).buffer_unordered(ADOPT_AT_ONCE);
        while let Some(adopted) = adoptions.next().await {
            adopted?;
        }
        self.forget_dismissals(dismissals).await
    }

    /// Of a session whose document could not be written to, what was kept aside waits for the database again once a document
    /// of it is stored, by whichever instance.
    async fn take_back(&self, active: &[Call]) -> Result<(), StoreError> {
        let Some(spool) = self.0.spool.as_ref().filter(|_| self.0.unwritten.count() > 0) else { return Ok(()) };
        for known in self.0.hub.calls().iter().filter(|known| self.0.unwritten.has(&known.id)) {
            let its = |call: &&Call| call.rev > 0 && call.session_id == known.session_id && call.id != known.id;
            if active.iter().any(|call| its(&call)) {
                let _turn = self.turn(&[fact(&known.session_id, CallEventKind::Tick)]).await;
                spool.take_back(&known.id).await?;
                self.0.unwritten.remove(&known.id);
            }
        }
        Ok(())
    }

    /// Follows what others do to `active_calls` as it happens, for ever. Where the database cannot tell, and while it
    /// does not, the poll finds out a little later.
    pub async fn follow_changes(&self) {
        let mut lost = false;
        loop {
            match self.0.store.watch().await {
                Ok(None) => return std::future::pending().await,
                Ok(Some(watch)) => {
                    // First the stream, then what is there, then what changes: nothing falls between.
                    self.poll().await;
                    // If that failed, what lies between is not known, and the stream alone is no use.
                    if !self.status().store_lost {
                        if std::mem::replace(&mut lost, false) {
                            info!("changes by other instances arrive again");
                            self.0.hub.end_incident(Incident::ChangesDelayed);
                            self.0.hub.resync();
                        }
                        watch.since().into_iter().for_each(|since| self.0.hub.set_watermark_source(since));
                        self.update_status(|status| status.follows = true);
                        let cause = self.follow_until_lost(watch).await;
                        self.0.hub.clear_watermark_source();
                        warn!(
                            error = &cause as &dyn std::error::Error,
                            "changes by other instances do not arrive at once"
                        );
                    }
                }
                Err(cause) => debug!(error = &cause as &dyn std::error::Error, "changes cannot be watched"),
            }
            if !std::mem::replace(&mut lost, true) {
                self.update_status(|status| status.follows = false);
                self.0.hub.begin_incident(Incident::ChangesDelayed);
            }
            sleep(rand::random_range(WATCH_AGAIN)).await;
        }
    }

    async fn follow_until_lost(&self, mut watch: CallChangeStream) -> StoreError {
        loop {
            if let Err(cause) = self.take_in_change(&mut watch).await {
                return cause;
            }
        }
    }

    async fn take_in_change(&self, watch: &mut CallChangeStream) -> Result<(), StoreError> {
        let since = self.0.hub.head();
        let seen = watch.next().await?;
        // Clocks of two machines differ; what would be negative says nothing.
        seen.lag.into_iter().for_each(|lag| self.0.metrics.change_lag.observe(lag.as_secs_f64()));
        if let Some(viewer) = &seen.dismissed_by {
            self.0.hub.dismiss(&seen.names[0], viewer);
            return Ok(());
        }
        let is_known = |name: &&String| self.0.hub.call(name).is_some_and(|call| seen.is_of(&call));
        let id = seen.names.iter().find(is_known).unwrap_or(&seen.names[0]).clone();
        let call = seen.call.filter(|call| !self.is_erased(call));
        let left = call.is_none() && seen.rev.is_none();
        match call.map(|call| self.0.hub.compare(*call, since)) {
            Some(Some(foreign)) => self.import_foreign(foreign).await?,
            Some(None) => {}
            None if left => self.call_disappeared(&id).await?,
            None => {}
        }
        // Not before viewers can be told: whoever has this time as their mark is not told again.
        if let Some(at) = seen.at {
            self.0.hub.acknowledge(&id, seen.rev, at);
        }
        Ok(())
    }

    /// Whether a document is not to be taken in now: its call is kept from the database, or another document of its session is
    /// the call, and the poll, which sees both, decides which it is.
    fn has_another(&self, found: &Call) -> bool {
        let known = self.0.hub.call_of_session(&found.session_id).filter(|known| known.id != found.id);
        let stored = known.filter(|known| known.session_id == found.session_id && !self.0.unwritten.has(&known.id));
        stored.is_some() || self.0.unwritten.has(&found.id)
    }

    /// A call is no longer active, and it was not this instance that ended it: another one did, or another program
    /// took it away.
    async fn call_disappeared(&self, id: &str) -> Result<(), StoreError> {
        let Some(known) = self.0.hub.call(id) else { return Ok(()) };
        self.0.unwritten.remove(id);
        let ended = self.0.store.ended(&known).await?;
        if ended.is_none() {
            // Another call may get this id, and what became part of a call has handed its dismissals on.
            self.0.store.forget_dismissals(vec![id.to_owned()]).await?;
        }
        let mut call = ended.unwrap_or_else(|| Call { status: Status::Ended, ..(*known).clone() });
        // What was shown from memory while the database was away may be ahead of it.
        call.rev = call.rev.max(known.rev + 1);
        self.0.hub.publish(call, None);
        Ok(())
    }

    /// Another program inserted or changed a call: it gets a `rev`, so that it is news, and its caller is looked up.
    pub(super) async fn import_foreign(&self, mut found: Call) -> Result<(), StoreError> {
        if self.0.hub.call(&found.id).is_some_and(|known| known.key != found.key) {
            self.0.store.rename(&mut found);
        }
        // The poll and the change stream may see two documents of a session at once.
        let _turn = self.turn(&[fact(&found.session_id, CallEventKind::Tick)]).await;
        if self.has_another(&found) {
            return Ok(());
        }
        let region = self.0.config.region;
        let number = |raw: &Option<String>| PhoneNumber::parse(raw.as_deref()?, region);
        let caller = number(&found.from_number);
        let mut next = found.clone();
        next.rev = found.rev.max(self.0.hub.rev(&found.id).unwrap_or(0)) + 1;
        // Silence is measured from when we first saw it, not from when it began: its author may sweep as it likes.
        next.facts.heard_at = Utc::now();
        next.facts.adopted_at.get_or_insert(found.timestamp);
        next.from_display = caller.as_ref().map(|number| number.display(region));
        next.to_display = number(&found.to_number).map(|number| number.display(region));
        let Some(adopted) = self.0.store.adopt(found, next).await? else { return Ok(()) };
        info!(call.id = log_name(&adopted.id), status = adopted.status.as_str(), "another program changed a call");
        let unknown = adopted.customer_id.is_none() && !adopted.facts.looked_up && adopted.status.visible();
        let session = adopted.session_id.clone();
        self.0.hub.publish(adopted, None);
        if let Some(caller) = caller.filter(|_| unknown) {
            // Other calls must not wait for the lookup of this customer.
            let app = self.clone();
            tokio::spawn(async move {
                if let Some(customers) = app.lookup_with_budget(session, caller).await
                    && let Err(cause) = app.apply_events(vec![customers]).await
                {
                    warn!(error = &cause as &dyn std::error::Error, "a customer was found and could not be stored");
                }
            });
        }
        Ok(())
    }
}

/// A call's id for the log. One that another program chose may be a person's number or name.
pub(super) fn log_name(id: &str) -> &str {
    let opaque = matches!(id.len(), 24 | 36) && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if opaque { id } else { "chosen by another program" }
}
