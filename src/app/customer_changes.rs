//! Customers who are imported, created, changed or removed while they call.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::sleep;
use tracing::{debug, error, warn};

use super::caller_lookup::logged;
use super::ingest::Ingest;
use super::sync::WATCH_AGAIN;
use super::{Core, event};
use crate::call::{Call, CallEventKind, Direction};
use crate::phone::PhoneNumber;
use crate::store::{Changed, CustomerWatch, sources};

/// Callers that are looked up at a time, so that a host's database is left to those whose phone begins to ring.
const LOOK_UPS_AT_ONCE: usize = 4;

/// How long to wait before the index of numbers is kept again after an error.
const INDEX_AGAIN: Duration = Duration::from_secs(5);

/// Follows the customers.
pub(super) struct CustomerChanges {
    pub(super) core: Arc<Core>,
    pub(super) ingest: Ingest,
}

impl CustomerChanges {
    /// Follows the customers for ever. What changes is on the card of a call that goes on, by the same way as a lookup that
    /// took long.
    pub(super) async fn follow_customers(&self) {
        loop {
            match self.core.store.watch_customers().await {
                Ok(watch) => {
                    // What changed while nothing was watched.
                    self.look_again(&Changed::Some).await;
                    self.follow_customers_until_lost(watch).await;
                }
                Err(cause) => debug!(error = %cause, error.sources = sources(&cause), "customers cannot be watched"),
            }
            sleep(rand::random_range(WATCH_AGAIN)).await;
        }
    }

    async fn follow_customers_until_lost(&self, mut watch: CustomerWatch) {
        loop {
            match watch.next().await {
                Ok(changed) => self.look_again(&changed).await,
                Err(cause) => {
                    debug!(error = %cause, error.sources = sources(&cause), "customers are watched no more");
                    return;
                }
            }
        }
    }

    /// Rebuilds the keys of an embedded store of an older version, in the background: it may hold a million customers.
    pub(super) fn rebuild_phone_keys(&self) {
        let store = self.core.store.clone();
        tokio::spawn(async move {
            if let Err(cause) = store.rebuild_phone_keys().await {
                error!(error = %cause, error.sources = sources(&cause), "the keys of customers' numbers could not be rebuilt");
            }
        });
    }

    /// Keeps the index of customers' numbers, for ever. While it cannot be kept, which is logged once, callers whom it does not have are
    /// looked up as the guide does.
    pub(super) async fn keep_number_index(&self) {
        tokio::join!(self.keep_index(), self.look_again_when_indexed());
    }

    /// While an index is built, callers wait for their turn to be searched for, and some for too long.
    async fn look_again_when_indexed(&self) {
        loop {
            self.core.store.number_index_completed().await;
            self.look_again(&Changed::Some).await;
        }
    }

    async fn keep_index(&self) {
        let mut last = String::new();
        loop {
            if let Err(cause) = self.core.store.keep_number_index().await {
                let sources = sources(&cause);
                if std::mem::replace(&mut last, sources.clone()) != sources {
                    warn!(error = %cause, error.sources = sources, "the index of customers' numbers cannot be kept");
                }
            }
            sleep(INDEX_AGAIN).await;
        }
    }

    /// Looks the callers up whom a change concerns, and stores the answers that differ.
    async fn look_again(&self, changed: &Changed) {
        let concerned = self.core.hub.calls().into_iter().filter_map(|call| {
            let number = self.looked_up_number(&call)?;
            changed.concerns(&call, &number).then_some((call, number))
        });
        let look_ups = concerned.map(|(call, number)| async move {
            // Not observed: the histogram of lookups is of calls that begin to ring.
            let answer = self.core.store.customers_after(&number, changed).await;
            let Some(customers) = logged(answer).filter(|customers| *customers != call.customers) else { return };
            self.ingest.apply_customers(event(&call.session_id, CallEventKind::Customers(customers))).await;
        });
        stream::iter(look_ups).buffer_unordered(LOOK_UPS_AT_ONCE).collect::<()>().await;
    }

    /// The number of a caller whose customers are for us to tell: another program may have written them into the call.
    fn looked_up_number(&self, call: &Call) -> Option<PhoneNumber> {
        let is_ours = call.facts.looked_up || call.customer_id.is_none();
        let is_asked = is_ours && call.direction == Direction::Inbound && call.status.visible();
        PhoneNumber::parse(call.from_number.as_deref().filter(|_| is_asked)?, self.core.config.region)
    }
}
