//! How the service is doing, for operators, readiness and the status light of the dashboard.

use std::sync::{Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use tracing::error;

use crate::hub::{Hub, Incident};
use crate::store::{StoreError, sources};

/// What operators and the status light want to know.
#[derive(Clone, Debug, Default)]
pub struct ServiceStatus {
    /// When the last notification of RingCentral arrived.
    pub last_event_at: Option<DateTime<Utc>>,
    /// The store did not answer the last time it was asked.
    pub store_lost: bool,
    /// What others do to `active_calls` arrives at once, and not only with the next poll.
    pub follows: bool,
    /// The service is about to end.
    pub retires: bool,
    /// Deliveries that were refused for a wrong token. RingCentral's would soon have our address blacklisted.
    pub refused: u64,
    /// When the last one was.
    pub refused_at: Option<DateTime<Utc>>,
}

/// The status, and the incidents that viewers see of it.
pub(super) struct StatusTracker {
    status: Mutex<ServiceStatus>,
    hub: Hub,
}

impl StatusTracker {
    pub(super) fn new(hub: Hub) -> Self {
        Self { status: Mutex::default(), hub }
    }

    /// A copy of it.
    pub(super) fn read(&self) -> ServiceStatus {
        self.lock().clone()
    }

    pub(super) fn store_is_down(&self) -> bool {
        self.lock().store_lost
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut ServiceStatus)) {
        change(&mut self.lock());
    }

    /// The store does not answer. The first time in a row it is logged, and viewers are informed.
    pub(super) fn mark_store_down(&self, cause: &StoreError) {
        let mut status = self.lock();
        if !std::mem::replace(&mut status.store_lost, true) {
            error!(error = %cause, error.sources = sources(cause), "the store does not answer");
            self.hub.begin_incident(Incident::StoreLost);
        }
    }

    /// The store answers. `true` when it did not before.
    pub(super) fn mark_store_up(&self) -> bool {
        let mut status = self.lock();
        let was_lost = std::mem::replace(&mut status.store_lost, false);
        if was_lost {
            self.hub.end_incident(Incident::StoreLost);
        }
        was_lost
    }

    /// Held while the hub is called, so that incidents begin and end in the order of the status.
    fn lock(&self) -> MutexGuard<'_, ServiceStatus> {
        self.status.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
