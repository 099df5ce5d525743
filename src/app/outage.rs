//! What the store cannot take stays on this machine: events in the spool while MongoDB does not answer, events of calls that it
//! refuses set aside, and in memory what no disk takes.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::held::Held;
use super::unwritten::Unwritten;
use crate::call::{CallEvent, CallEventKind};
use crate::hub::Hub;
use crate::store::{Spool, StoreError};

/// RingCentral wants its answer within three seconds, whatever the database does.
pub(super) const STORE_PATIENCE: Duration = Duration::from_millis(2_200);

/// The spool, and the calls that are shown from memory alone.
pub(super) struct Outage {
    /// Beside MongoDB only: the embedded store is never away.
    spool: Option<Spool>,
    /// Calls that MongoDB refuses.
    pub(super) unwritten: Unwritten,
    /// Events that no disk takes.
    pub(super) held: Held,
}

impl Outage {
    pub(super) fn new(spool: Option<Spool>) -> Self {
        Self { spool, unwritten: Unwritten::default(), held: Held::default() }
    }

    pub(super) fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// Events that wait for the database.
    pub(super) fn depth(&self) -> usize {
        self.spool.as_ref().map_or(0, Spool::depth)
    }

    /// Whether events that name one of these sessions wait for the database, so that later ones have to wait behind them.
    pub(super) async fn waits(&self, sessions: impl FnOnce() -> BTreeSet<String>) -> bool {
        match &self.spool {
            // Where that cannot be read, what comes late does less harm than what comes too early.
            Some(spool) if spool.depth() > 0 => spool.holds(&sessions()).await.unwrap_or(true),
            _ => false,
        }
    }

    /// The live calls that the store does not have as they are shown: their events wait for it.
    pub(super) async fn behind(&self, hub: &Hub) -> Result<HashSet<String>, StoreError> {
        let mut behind = self.held.calls();
        if let Some(spool) = self.spool.as_ref().filter(|spool| spool.depth() > 0) {
            behind.extend(spool.calls_waiting(hub.calls().iter().map(|call| call.id.clone()).collect()).await?);
        }
        Ok(behind)
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
