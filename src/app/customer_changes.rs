//! Customers who are imported, created, changed or removed while they call.

use futures_util::{StreamExt, stream};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::sync::WATCH_AGAIN;
use super::{App, answered, fact};
use crate::call::{Call, CallEventKind, Direction};
use crate::phone::PhoneNumber;
use crate::store::{Changed, CustomerWatch};

/// Callers that are looked up at a time, so that a host's database is left to those whose phone begins to ring.
const LOOK_UPS_AT_ONCE: usize = 4;

impl App {
    /// Follows the customers for ever. What changes is on the card of a call that goes on, by the same way as a lookup that
    /// took long.
    pub async fn follow_customers(&self) {
        loop {
            match self.0.store.watch_customers().await {
                Ok(watch) => {
                    // What changed while nothing was watched.
                    self.look_again(&Changed::Some).await;
                    self.follow_customers_until_lost(watch).await;
                }
                Err(cause) => debug!(error = &cause as &dyn std::error::Error, "customers cannot be watched"),
            }
            sleep(rand::random_range(WATCH_AGAIN)).await;
        }
    }

    async fn follow_customers_until_lost(&self, mut watch: CustomerWatch) {
        loop {
            match watch.next().await {
                Ok(changed) => self.look_again(&changed).await,
                Err(cause) => {
                    debug!(error = &cause as &dyn std::error::Error, "customers are watched no more");
                    return;
                }
            }
        }
    }

    /// Looks the callers up whom a change concerns, and stores the answers that differ.
    async fn look_again(&self, changed: &Changed) {
        let concerned = self.0.hub.calls().into_iter().filter_map(|call| {
            let number = self.looked_up_number(&call)?;
            changed.concerns(&call, &number).then_some((call, number))
        });
        let look_ups = concerned.map(|(call, number)| async move {
            // Not observed: the histogram of lookups is of calls that begin to ring.
            let answer = self.0.store.customers_by_phone(&number).await;
            let Some(customers) = answered(answer).filter(|customers| *customers != call.customers) else { return };
            if let Err(cause) =
                self.apply_events(vec![fact(&call.session_id, CallEventKind::Customers(customers))]).await
            {
                warn!(error = &cause as &dyn std::error::Error, "a customer was found and could not be stored");
            }
        });
        stream::iter(look_ups).buffer_unordered(LOOK_UPS_AT_ONCE).collect::<()>().await;
    }

    /// The number of a caller whose customers are for us to tell: another program may have written them into the call.
    fn looked_up_number(&self, call: &Call) -> Option<PhoneNumber> {
        let is_ours = call.facts.looked_up || call.customer_id.is_none();
        let is_asked = is_ours && call.direction == Direction::Inbound && call.status.visible();
        PhoneNumber::parse(call.from_number.as_deref().filter(|_| is_asked)?, self.0.config.region)
    }
}
