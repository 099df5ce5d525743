//! What others do to `active_calls`: other instances, other programs.

use std::time::Duration;

use chrono::Utc;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::{App, Link};
use crate::call::{Call, Status};
use crate::hub::Trouble;
use crate::phone::PhoneNumber;
use crate::store::{StoreError, Watch};

/// How long to wait before watching again; the poll serves meanwhile.
const WATCH_AGAIN: std::ops::Range<Duration> = Duration::from_millis(500)..Duration::from_secs(5);

impl App {
    /// Reads `active_calls` once for everyone: what other programs and instances wrote becomes visible. Viewers are
    /// told when the store stops answering, once, and when it is back.
    pub async fn poll(&self) {
        match self.catch_up().await {
            Ok(()) => {
                if self.find_store() {
                    info!("the store answers again");
                    self.link().into_iter().for_each(Link::compare_soon);
                }
            }
            Err(cause) => self.lose_store(&cause),
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
        let (foreign, gone) = self.0.hub.reconcile(active, since);
        for call in foreign {
            self.adopt(call).await?;
        }
        for id in gone {
            self.lose_call(&id).await?;
        }
        self.forget_dismissals(dismissals).await
    }

    /// Follows what others do to `active_calls` as it happens, for ever. Where the database cannot tell, and while it
    /// does not, the poll finds out a little later.
    pub async fn follow(&self) {
        let mut lost = false;
        loop {
            match self.0.store.watch().await {
                Ok(None) => return std::future::pending().await,
                Ok(Some(watch)) => {
                    // First the stream, then what is there, then what changes: nothing falls between.
                    self.poll().await;
                    // If that failed, what lies between is not known, and the stream alone is no use.
                    if !self.pulse().store_lost {
                        if std::mem::replace(&mut lost, false) {
                            info!("changes by other instances arrive again");
                            self.0.hub.recover(Trouble::ChangesDelayed);
                            self.0.hub.resync();
                        }
                        watch.since().into_iter().for_each(|since| self.0.hub.cover(since));
                        self.feel(|pulse| pulse.follows = true);
                        let cause = self.follow_until_lost(watch).await;
                        self.0.hub.uncover();
                        warn!(
                            error = &cause as &dyn std::error::Error,
                            "changes by other instances do not arrive at once"
                        );
                    }
                }
                Err(cause) => debug!(error = &cause as &dyn std::error::Error, "changes cannot be watched"),
            }
            if !std::mem::replace(&mut lost, true) {
                self.feel(|pulse| pulse.follows = false);
                self.0.hub.trouble(Trouble::ChangesDelayed);
            }
            sleep(rand::random_range(WATCH_AGAIN)).await;
        }
    }

    async fn follow_until_lost(&self, mut watch: Watch) -> StoreError {
        loop {
            if let Err(cause) = self.take_in_change(&mut watch).await {
                return cause;
            }
        }
    }

    async fn take_in_change(&self, watch: &mut Watch) -> Result<(), StoreError> {
        let since = self.0.hub.head();
        let seen = watch.next().await?;
        // Clocks of two machines differ; what would be negative says nothing.
        seen.told_after.into_iter().for_each(|lag| self.0.metrics.change_lag.observe(lag.as_secs_f64()));
        if let Some(viewer) = &seen.dismissed_by {
            self.0.hub.dismiss(&seen.id, viewer);
            return Ok(());
        }
        let call = seen.call.filter(|call| !self.is_erased(call));
        let left = call.is_none() && seen.rev.is_none();
        match call.map(|call| self.0.hub.compare(*call, since)) {
            Some(Some(foreign)) => self.adopt(foreign).await?,
            Some(None) => {}
            None if left => self.lose_call(&seen.id).await?,
            None => {}
        }
        // Not before viewers can be told: whoever has this time as their mark is not told again.
        if let Some(at) = seen.at {
            self.0.hub.confirm(&seen.id, seen.rev, at);
        }
        Ok(())
    }

    /// A call is no longer active, and it was not this instance that ended it: another one did, or another program
    /// took it away.
    async fn lose_call(&self, id: &str) -> Result<(), StoreError> {
        let Some(known) = self.0.hub.call(id) else { return Ok(()) };
        let ended = self.0.store.ended(id).await?;
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
    pub(super) async fn adopt(&self, found: Call) -> Result<(), StoreError> {
        let region = self.0.config.region;
        let number = |raw: &Option<String>| PhoneNumber::parse(raw.as_deref()?, region);
        let caller = number(&found.from_number);
        let mut next = found.clone();
        next.rev = found.rev.max(self.0.hub.rev(&found.id).unwrap_or(0)) + 1;
        // Silence is measured from when we first saw it, not from when it began: its author may sweep as it likes.
        next.ledger.heard_at = Utc::now();
        next.from_display = caller.as_ref().map(|number| number.display(region));
        next.to_display = number(&found.to_number).map(|number| number.display(region));
        let Some(adopted) = self.0.store.adopt(found, next).await? else { return Ok(()) };
        info!(call.id = %adopted.id, status = adopted.status.as_str(), "another program changed a call");
        let unknown = adopted.customer_id.is_none() && !adopted.ledger.looked_up && adopted.status.visible();
        let session = adopted.session_id.clone();
        self.0.hub.publish(adopted, None);
        if let Some(caller) = caller.filter(|_| unknown)
            && let Some(customers) = self.look_up(session, caller).await
        {
            self.learn(vec![customers]).await?;
        }
        Ok(())
    }
}
