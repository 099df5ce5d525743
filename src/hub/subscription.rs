//! The hub's second kind of consumer: parts of the program that act on changed calls, such as push messages, where a viewer's
//! [`Cursor`](super::Cursor) gets bytes of what concerns them.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::Hub;
use super::state::ChangeKind;
use crate::call::Call;

/// A call that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct CallChange {
    /// As it was; `None` where it was not known as live.
    pub before: Option<Arc<Call>>,
    /// As it is. An ended call is over.
    pub after: Arc<Call>,
}

/// More changed than the log holds, or all viewers start over: what was missed is found by a look at [`Hub::calls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed;

/// The changes from one moment on, in the order of the log. A consumer that is slow misses changes instead of holding up others.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    head: watch::Receiver<u64>,
    position: u64,
    /// Changes that were read from the log and not given out yet.
    read: VecDeque<CallChange>,
}

impl Subscription {
    pub(super) fn new(hub: Hub) -> Self {
        let head = hub.head_changes();
        let position = hub.head();
        Self { hub, head, position, read: VecDeque::new() }
    }

    /// Waits for the next change. Cancel safe.
    pub async fn next(&mut self) -> Result<CallChange, Missed> {
        loop {
            if let Some(change) = self.read.pop_front() {
                return Ok(change);
            }
            let position = self.position;
            // The hub holds the sender, and this the hub.
            let _ = self.head.wait_for(|head| *head > position).await;
            self.read_log()?;
        }
    }

    fn read_log(&mut self) -> Result<(), Missed> {
        let state = self.hub.read();
        let from = std::mem::replace(&mut self.position, state.head);
        let entries = state.since(from).ok_or(Missed)?;
        self.read.extend(entries.filter_map(|entry| match &entry.kind {
            ChangeKind::Call { before, after, .. } => Some(CallChange { before: before.clone(), after: after.clone() }),
            ChangeKind::Notice => None,
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::super::state::LOG_LENGTH;
    use super::*;
    use crate::call::Status;
    use crate::hub::Incident;
    use crate::metrics::Metrics;

    fn call(session: &str, status: Status, rev: i64) -> Call {
        Call { status, rev, ..Call::new(format!("id-{session}"), session.into(), Utc::now()) }
    }

    #[tokio::test]
    async fn changes_come_in_order_each_with_the_call_before_and_after() {
        let hub = Hub::new(Arc::new(Metrics::default()));
        hub.publish(call("earlier", Status::Ringing, 1), None);
        let mut changes = hub.subscribe();
        let mut next = Box::pin(async move { (changes.next().await, changes) });
        assert!(futures_util::poll!(next.as_mut()).is_pending(), "what was before is not told");
        hub.publish(call("one", Status::Ringing, 1), None);
        hub.publish(call("one", Status::Ringing, 1), None);
        hub.begin_incident(Incident::StoreLost);
        hub.publish(call("one", Status::Connected, 2), None);
        hub.publish(call("one", Status::Ended, 3), None);
        let (first, mut changes) = next.await;
        let statuses = |change: Result<CallChange, Missed>| {
            let change = change.unwrap();
            (change.before.map(|call| call.status), change.after.status)
        };
        assert_eq!(statuses(first), (None, Status::Ringing));
        assert_eq!(statuses(changes.next().await), (Some(Status::Ringing), Status::Connected));
        assert_eq!(statuses(changes.next().await), (Some(Status::Connected), Status::Ended));
        assert!(futures_util::poll!(Box::pin(changes.next())).is_pending());
    }

    #[tokio::test]
    async fn a_consumer_that_is_too_slow_is_told_so_and_goes_on() {
        let hub = Hub::new(Arc::new(Metrics::default()));
        let mut changes = hub.subscribe();
        for number in 0..=LOG_LENGTH {
            hub.publish(call(&format!("s{number}"), Status::Ringing, 1), None);
        }
        assert_eq!(changes.next().await, Err(Missed));
        assert_eq!(hub.calls().len(), LOG_LENGTH + 1);
        hub.publish(call("s0", Status::Connected, 2), None);
        assert_eq!(changes.next().await.unwrap().after.session_id, "s0");
        hub.resync();
        assert_eq!(changes.next().await, Err(Missed));
    }
}
