//! What MongoDB cannot take stays on this machine: events in the spool while it does not answer, and events of calls that it
//! refuses set aside.

use std::time::Duration;

use super::unwritten::Unwritten;
use crate::call::{CallEvent, CallEventKind};
use crate::store::{Spool, StoreError};

/// RingCentral wants its answer within three seconds, whatever the database does.
pub(super) const STORE_PATIENCE: Duration = Duration::from_millis(2_200);

/// The spool, and the calls that are shown from memory alone.
pub(super) struct Outage {
    /// Beside MongoDB only: the embedded store is never away.
    spool: Option<Spool>,
    /// Calls that MongoDB refuses.
    pub(super) unwritten: Unwritten,
}

impl Outage {
    pub(super) fn new(spool: Option<Spool>) -> Self {
        Self { spool, unwritten: Unwritten::default() }
    }

    pub(super) fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// Events that wait for the database.
    pub(super) fn depth(&self) -> usize {
        self.spool.as_ref().map_or(0, Spool::depth)
    }

    /// Keeps what RingCentral said of a call that MongoDB refuses.
    pub(super) async fn keep_aside(&self, id: &str, events: &[CallEvent]) -> Result<(), StoreError> {
        let said = events.iter().filter(|event| matches!(event.kind, CallEventKind::Party(_)));
        let said: Vec<CallEvent> = said.cloned().collect();
        match &self.spool {
            Some(spool) if !said.is_empty() => spool.keep_aside(id, &said).await,
            _ => Ok(()),
        }
    }
}
