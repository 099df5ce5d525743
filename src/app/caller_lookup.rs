//! Who is calling: the caller's number is looked up among the customers while the first popup waits a moment for the answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::time::timeout;
use tracing::warn;

use super::{Core, event};
use crate::call::{CallEvent, CallEventKind, Direction, PartyState};
use crate::customer::Customer;
use crate::phone::{PhoneNumber, Region};
use crate::store::{StoreError, sources};

/// How long the first popup waits for the customer's name. An indexed lookup takes a millisecond or two; an answer that takes
/// longer follows as an update, and no screen shows a number turn into a name for the sake of a fast database.
const LOOKUP_BUDGET: Duration = Duration::from_millis(25);
/// A database that does not answer for so long is asked again when it is back.
const LONGEST_LOOKUP: Duration = Duration::from_secs(10);

/// Looks callers up. Cheap to clone.
#[derive(Clone)]
pub(super) struct CallerLookup {
    core: Arc<Core>,
    /// Sessions whose lookup takes longer than the budget.
    late: Arc<Mutex<HashSet<String>>>,
}

/// The answer of a lookup.
pub(super) enum Lookup {
    /// There is no caller to look up, it failed, or the answer is known already.
    None,
    /// It came within the budget.
    InTime(CallEvent),
    /// It comes later: the session, and the answer, to be polled in a task and applied.
    Late(String, BoxFuture<'static, Option<CallEvent>>),
}

impl CallerLookup {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, late: Arc::default() }
    }

    /// Who is calling, if a phone begins to ring.
    pub(super) async fn identify_caller(&self, events: &[CallEvent]) -> Lookup {
        let ringing = events.iter().find_map(|event| caller_of(event, self.core.config.region));
        let Some((session, number)) = ringing else { return Lookup::None };
        let is_known = self.core.hub.call_of_session(&session).is_some_and(|call| call.facts.looked_up);
        if is_known || self.core.status.store_is_down() {
            return Lookup::None;
        }
        self.lookup_with_budget(session, number).await
    }

    /// Looks a number up for a session.
    pub(super) async fn lookup_with_budget(&self, session: String, number: PhoneNumber) -> Lookup {
        if self.late().contains(&session) {
            return Lookup::None;
        }
        let (store, metrics) = (self.core.store.clone(), self.core.metrics.clone());
        let mut lookup = Box::pin(async move {
            let asked = Instant::now();
            let answer = timeout(LONGEST_LOOKUP, store.customers_by_phone(&number)).await;
            let answer = answer.unwrap_or(Err(StoreError::Slow));
            metrics.lookup.observe(asked.elapsed().as_secs_f64());
            answer
        });
        let found =
            |session: &str, answer| logged(answer).map(|customers| event(session, CallEventKind::Customers(customers)));
        if let Ok(answer) = timeout(LOOKUP_BUDGET, &mut lookup).await {
            return found(&session, answer).map_or(Lookup::None, Lookup::InTime);
        }
        self.core.metrics.lookups_late.inc();
        self.late().insert(session.clone());
        Lookup::Late(session.clone(), Box::pin(async move { found(&session, lookup.await) }))
    }

    /// A late answer was applied.
    pub(super) fn finish(&self, session: &str) {
        self.late().remove(session);
    }

    fn late(&self) -> MutexGuard<'_, HashSet<String>> {
        self.late.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The session and the number of a caller from outside, if a phone begins to ring.
pub(super) fn caller_of(event: &CallEvent, region: Region) -> Option<(String, PhoneNumber)> {
    match &event.kind {
        CallEventKind::Party(party)
            if party.direction == Direction::Inbound && party.state == PartyState::Ringing && !party.ours =>
        {
            let number = PhoneNumber::parse(party.from.number.as_deref()?, region)?;
            Some((event.session_id.clone(), number))
        }
        _ => None,
    }
}

/// A lookup that fails leaves the caller unknown for now; the popup comes all the same.
pub(super) fn logged(answer: Result<Vec<Customer>, StoreError>) -> Option<Vec<Customer>> {
    answer
        .inspect_err(|cause| warn!(error = %cause, error.sources = sources(cause), "the caller could not be looked up"))
        .ok()
}
