//! How the service is doing, for operators, readiness and the status light of the dashboard.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tracing::{error, info};

use crate::hub::{Hub, Incident};
use crate::store::{StoreError, sources};

/// A disk that fails again within this time is not logged again.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// What operators and the status light want to know.
#[derive(Clone, Debug, Default)]
pub struct ServiceStatus {
    /// When the last notification of RingCentral arrived.
    pub last_event_at: Option<DateTime<Utc>>,
    /// The store did not answer the last time it was asked.
    pub store_lost: bool,
    /// Calls can be written to no disk: the embedded store's or the spool's. They are shown from memory.
    pub disk_fails: bool,
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
    /// When a disk that fails was last logged.
    logged: Mutex<Option<Instant>>,
}

impl StatusTracker {
    pub(super) fn new(hub: Hub) -> Self {
        Self { status: Mutex::default(), hub, logged: Mutex::default() }
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

    pub(super) fn disk_fails(&self) -> bool {
        self.lock().disk_fails
    }

    /// Calls cannot be written to the disk. The first time in a row viewers are informed, and it is logged unless that was a moment ago.
    pub(super) fn mark_disk_failing(&self, cause: &StoreError) {
        let mut status = self.lock();
        if std::mem::replace(&mut status.disk_fails, true) {
            return;
        }
        let mut logged = self.logged.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if logged.is_none_or(|at| at.elapsed() > LOG_PAUSE) {
            *logged = Some(Instant::now());
            error!(
                error = %cause, error.sources = sources(cause),
                "calls cannot be written to disk; they are shown from memory, and webhooks are answered 503"
            );
        }
        self.hub.begin_incident(Incident::DiskFails);
    }

    /// Calls can be written to the disk.
    pub(super) fn mark_disk_working(&self) {
        let mut status = self.lock();
        if std::mem::replace(&mut status.disk_fails, false) {
            info!("calls are written to disk again");
            self.hub.end_incident(Incident::DiskFails);
        }
    }

    /// Held while the hub is called, so that incidents begin and end in the order of the status.
    fn lock(&self) -> MutexGuard<'_, ServiceStatus> {
        self.status.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
