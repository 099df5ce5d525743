//! A viewer dismisses a popup: a record of its own beside the call, which stays as it is.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use tokio::time::timeout;

use super::outage::{Outage, STORE_PATIENCE};
use super::session_locks::SessionLocks;
use super::{Core, event};
use crate::call::{Call, CallEvent, CallEventKind};
use crate::store::{Dismissal, StoreError, StoredCall, Table};
use crate::viewer::Viewer;

/// Dismissals of calls that are over are kept so long, because a call may be known to another instance before this one.
const KEPT: TimeDelta = TimeDelta::minutes(5);

/// Stores dismissals and publishes them to their viewer.
pub(super) struct Dismissals {
    core: Arc<Core>,
    locks: Arc<SessionLocks>,
    outage: Arc<Outage>,
}

impl Dismissals {
    pub(super) fn new(core: Arc<Core>, locks: Arc<SessionLocks>, outage: Arc<Outage>) -> Self {
        Self { core, locks, outage }
    }

    /// A viewer dismisses a live call, on all of their screens. `false` when it has ended meanwhile.
    pub(super) async fn dismiss(&self, call: &Call, viewer: &Viewer) -> Result<bool, StoreError> {
        let hub = &self.core.hub;
        let event = event(&call.session_id, CallEventKind::Dismissed(viewer.id.clone()));
        let _locked = self.locks.lock(std::slice::from_ref(&event)).await;
        // It may have become part of another call meanwhile.
        let Some(call) = hub.call(&call.id).or_else(|| hub.call_of_session(&call.session_id)) else {
            return Ok(false);
        };
        if hub.has_dismissed(&call.id, &viewer.id) {
            return Ok(true);
        }
        self.store(Dismissal { call_id: call.id.clone(), viewer: viewer.id.clone(), at: event.heard_at }, event)
            .await?;
        hub.dismiss(&call.id, &viewer.id);
        Ok(true)
    }

    async fn store(&self, dismissal: Dismissal, event: CallEvent) -> Result<(), StoreError> {
        let (store, status) = (&self.core.store, &self.core.status);
        let Some(spool) = self.outage.spool() else { return store.dismiss(dismissal).await };
        let call_id = dismissal.call_id.clone();
        if !status.store_is_down() && !self.outage.waits(|| self.locks.sessions_of(std::slice::from_ref(&event))).await
        {
            match timeout(STORE_PATIENCE, store.dismiss(dismissal)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(cause)) => status.mark_store_down(&cause),
                Err(_) => status.mark_store_down(&StoreError::Slow),
            }
        }
        spool.push(&call_id, &[event]).await
    }

    /// Stores the dismissals among replayed events, of the active call that the store has for them: while it was away the call
    /// may have become part of another, or another instance may have begun it under an id of its own.
    pub(super) async fn replay(&self, events: &[CallEvent], stored: &[StoredCall]) -> Result<(), StoreError> {
        let Some(active) = stored.iter().find(|it| it.place == Table::Active) else { return Ok(()) };
        let call_id = &active.call.id;
        let dismissed = events.iter().filter_map(|event| match &event.kind {
            CallEventKind::Dismissed(viewer) => Some((viewer, event.heard_at)),
            CallEventKind::Party(_) | CallEventKind::Customers(_) | CallEventKind::Tick | CallEventKind::Gone => None,
        });
        for (viewer, at) in dismissed.clone() {
            let (call_id, viewer) = (call_id.clone(), viewer.clone());
            self.core.store.dismiss(Dismissal { call_id, viewer, at }).await?;
        }
        dismissed.for_each(|(viewer, _)| self.core.hub.dismiss(call_id, viewer));
        Ok(())
    }

    /// Loads what was stored, here or by other instances. To be called before the calls are compared, so that none is shown to a
    /// viewer who dismissed it.
    pub(super) fn load(&self, stored: &[Dismissal]) {
        self.core.hub.load_dismissals(stored.iter().map(|it| (&*it.call_id, &*it.viewer)));
    }

    /// Removes the dismissals of calls that have been over for a while.
    pub(super) async fn forget(&self, stored: Vec<Dismissal>) -> Result<(), StoreError> {
        let old = Utc::now() - KEPT;
        let over = stored.into_iter().filter(|it| it.at < old && self.core.hub.call(&it.call_id).is_none());
        let mut calls: Vec<String> = over.map(|it| it.call_id).collect();
        calls.dedup();
        if calls.is_empty() { Ok(()) } else { self.core.store.forget_dismissals(calls).await }
    }
}
