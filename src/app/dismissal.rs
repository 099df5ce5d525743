//! A viewer dismisses a popup: a record of its own beside the call, which stays as it is.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use tokio::time::timeout;

use super::outage::STORE_PATIENCE;
use super::{App, fact};
use crate::call::{Call, CallEvent, CallEventKind};
use crate::hub::Viewer;
use crate::store::{Dismissal, Spool, StoreError, StoredCall, Table};

/// Dismissals of calls that are over are kept so long, because a call may be known to another instance before this one.
const KEPT: TimeDelta = TimeDelta::minutes(5);

impl App {
    /// A viewer dismisses a call, on all of their screens. `false` when there is no such call for them.
    pub async fn dismiss(&self, id: &str, viewer: &Viewer) -> Result<bool, StoreError> {
        let Some(call) = self.find(id).await?.filter(|call| viewer.can_read(call)) else { return Ok(false) };
        let event = fact(&call.session_id, CallEventKind::Dismissed(viewer.id.clone()));
        let _turn = self.turn(std::slice::from_ref(&event)).await;
        // It may have become part of another call meanwhile.
        let same = || self.0.hub.call(id).or_else(|| self.0.hub.call_of_session(&call.session_id));
        let Some(call) = same() else { return Ok(false) };
        if self.0.hub.has_dismissed(&call.id, &viewer.id) {
            return Ok(true);
        }
        let dismissal = Dismissal { call_id: call.id.clone(), viewer: viewer.id.clone(), at: event.heard_at };
        match &self.0.spool {
            Some(spool) => self.store_or_spool_dismissal(spool, dismissal, event).await?,
            None => self.0.store.dismiss(dismissal).await?,
        }
        self.0.hub.dismiss(&call.id, &viewer.id);
        Ok(true)
    }

    /// The live call with this id. A viewer may have it from another instance, and word of it still be on its way here.
    async fn find(&self, id: &str) -> Result<Option<Arc<Call>>, StoreError> {
        if self.0.spool.is_some() && self.0.hub.rev(id).is_none() {
            let since = self.0.hub.head();
            let found = timeout(STORE_PATIENCE, self.0.store.active_call(id)).await.unwrap_or(Err(StoreError::Slow))?;
            if let Some(foreign) = found.and_then(|call| self.0.hub.compare(call, since)) {
                self.import_foreign(foreign).await?;
            }
        }
        Ok(self.0.hub.call(id))
    }

    async fn store_or_spool_dismissal(
        &self,
        spool: &Spool,
        dismissal: Dismissal,
        event: CallEvent,
    ) -> Result<(), StoreError> {
        let call_id = dismissal.call_id.clone();
        if spool.depth() == 0 && !self.status().store_lost {
            match timeout(STORE_PATIENCE, self.0.store.dismiss(dismissal)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(cause)) => self.mark_store_down(&cause),
                Err(_) => self.mark_store_down(&StoreError::Slow),
            }
        }
        spool.push(&call_id, &[event]).await
    }

    /// Stores the dismissals among replayed events, of the active call that the store has for them: while it was away the
    /// call may have become part of another, or another instance may have begun it under an id of its own.
    pub(super) async fn replay_dismissals(&self, events: &[CallEvent], held: &[StoredCall]) -> Result<(), StoreError> {
        let Some(active) = held.iter().find(|it| it.place == Table::Active) else { return Ok(()) };
        let call_id = &active.call.id;
        for event in events {
            if let CallEventKind::Dismissed(viewer) = &event.kind {
                let (call_id, viewer) = (call_id.clone(), viewer.clone());
                self.0.store.dismiss(Dismissal { call_id, viewer, at: event.heard_at }).await?;
            }
        }
        let viewers = events.iter().filter_map(|event| match &event.kind {
            CallEventKind::Dismissed(viewer) => Some(viewer),
            CallEventKind::Party(_) | CallEventKind::Customers(_) | CallEventKind::Tick | CallEventKind::Gone => None,
        });
        viewers.for_each(|viewer| self.0.hub.dismiss(call_id, viewer));
        Ok(())
    }

    /// Loads what was stored, here or by other instances. To be called before the calls are compared, so that none is
    /// shown to a viewer who dismissed it.
    pub(super) fn load_dismissals(&self, stored: &[Dismissal]) {
        self.0.hub.load_dismissals(stored.iter().map(|it| (&*it.call_id, &*it.viewer)));
    }

    /// Removes the dismissals of calls that have been over for a while.
    pub(super) async fn forget_dismissals(&self, stored: Vec<Dismissal>) -> Result<(), StoreError> {
        let old = Utc::now() - KEPT;
        let over = stored.into_iter().filter(|it| it.at < old && self.0.hub.call(&it.call_id).is_none());
        let mut calls: Vec<String> = over.map(|it| it.call_id).collect();
        calls.dedup();
        if calls.is_empty() { Ok(()) } else { self.0.store.forget_dismissals(calls).await }
    }
}
