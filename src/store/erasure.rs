//! What is remembered of an erasure, so that nothing that is still on its way writes the person back: digests of the sessions that were
//! removed and of the number, for some hours.
//!
//! A store notes the digests before it removes anything. Every instance reads them with each poll; from then on it drops facts of
//! those sessions, and facts learned before the erasure that hold the number. The instance that erases looks a second time once
//! all others must have read them.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::call::{Call, CallEvent, CallEventKind, PartyState, Source};
use crate::phone::{PhoneNumber, Region};
use crate::secret;
use crate::store::{Result, Store};

/// How long facts of an erased call may be late: a call lasts hours, and an outage of the database may spool some of its facts.
pub const REMEMBERED: TimeDelta = TimeDelta::hours(24);
/// How far instances' clocks may be apart, when what is new since the last look is asked for.
const CLOCKS: TimeDelta = TimeDelta::minutes(10);

/// What was removed of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Erased {
    /// Calls that went on.
    pub active_calls: u64,
    /// Calls that had ended.
    pub call_history: u64,
    /// Shapes of notifications that were not understood: all there were, because a field's name may be a person's, and nobody
    /// can tell whose.
    pub notification_shapes: u64,
    /// Customers.
    pub customers: u64,
    /// Customers who have the number, removed or not.
    pub customers_found: u64,
}

/// One digest that was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Of a session's id, a customer's id or a number, in hexadecimal.
    pub digest: String,
    /// When it was noted, by the clock of the instance that did.
    pub erased_at: DateTime<Utc>,
}

impl Store {
    /// Whether customers may be removed. A role of MongoDB may lack that, which must be known before anything is erased.
    pub async fn may_remove_customers(&self) -> Result<bool> {
        match self {
            Self::Mongo(mongo) => mongo.may_remove_customers().await,
            Self::Sqlite(_) => Ok(true),
        }
    }
}

/// The digest of a session's id.
pub fn of_session(id: &str) -> String {
    digest("session", id)
}

/// The digest of a number.
pub fn of_number(number: &PhoneNumber) -> String {
    digest("number", &number.e164())
}

/// The digest of a customer's id.
pub fn of_customer(id: &str) -> String {
    digest("customer", id)
}

fn digest(kind: &str, text: &str) -> String {
    secret::digest(format!("{kind}:{text}"))
}

/// What an instance knows of erasures.
#[derive(Debug, Default)]
pub struct Erasures {
    noted: HashMap<String, DateTime<Utc>>,
    latest: Option<DateTime<Utc>>,
}

impl Erasures {
    /// From when on the store is to be asked for what is new.
    pub fn ask_since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.latest.map_or(now - REMEMBERED, |latest| latest - CLOCKS)
    }

    /// Takes in what the store has; whether any of it is new here.
    pub fn learn(&mut self, stored: Vec<Erasure>, now: DateTime<Utc>) -> bool {
        self.noted.retain(|_, erased_at| now - *erased_at < REMEMBERED);
        let mut news = false;
        for Erasure { digest, erased_at } in stored {
            self.latest = self.latest.max(Some(erased_at));
            news |= self.noted.insert(digest, erased_at) != Some(erased_at);
        }
        news
    }

    /// Whether this call was erased. One that began later is another call, although its session id was used before.
    pub fn holds(&self, call: &Call) -> bool {
        let erased = |session: &String| self.noted.get(&of_session(session)).is_some_and(|at| call.timestamp <= *at);
        !self.noted.is_empty() && call.sessions().any(erased)
    }

    /// Whether a call in memory has an erased number and is older than the erasure. The store may never have had it, and then there
    /// is no digest of its sessions.
    pub fn has_number_of(&self, call: &Call, region: Region) -> bool {
        let parties = call.facts.parties.iter().flat_map(|party| {
            let numbers = [&party.from_number, &party.to_number].into_iter().flatten().map(|it| &it.value.0);
            numbers.chain([&party.from_name, &party.to_name].into_iter().flatten().map(|it| &it.value))
        });
        let own = [&call.from_number, &call.from_name, &call.to_number, &call.to_name].into_iter().flatten();
        self.has_number(own.chain(parties), call.facts.heard_at, region)
    }

    /// Whether this call names an erased customer, but is with another number of theirs.
    pub fn has_customer_of(&self, call: &Call) -> bool {
        !self.noted.is_empty()
            && call.customers.iter().any(|customer| self.noted.contains_key(&of_customer(&customer.id)))
    }

    /// Whether this fact would write an erased person back.
    pub fn forbids(&self, event: &CallEvent, region: Region) -> bool {
        if self.noted.is_empty() {
            return false;
        }
        let erased = event.sessions().filter_map(|session| self.noted.get(&of_session(session))).max();
        if let Some(erased_at) = erased {
            return !begins_again(event, *erased_at);
        }
        let CallEventKind::Party(leg) = &event.kind else { return false };
        let texts = [&leg.from.number, &leg.from.name, &leg.to.number, &leg.to.name].into_iter().flatten();
        self.has_number(texts, event.heard_at, region)
    }

    /// Whether one of these texts, known since `heard_at`, holds a number that was erased since.
    fn has_number<'a>(
        &self,
        texts: impl IntoIterator<Item = &'a String>,
        heard_at: DateTime<Utc>,
        region: Region,
    ) -> bool {
        let erased = |number: PhoneNumber| self.noted.get(&of_number(&number)).is_some_and(|at| heard_at <= *at);
        self.latest.is_some_and(|latest| heard_at <= latest)
            && texts.into_iter().any(|text| PhoneNumber::parse_all(text, region).into_iter().any(erased))
    }
}

/// The guide's body has session ids that people make up and use again: a phone that rings later is another call.
fn begins_again(event: &CallEvent, erased_at: DateTime<Utc>) -> bool {
    let CallEventKind::Party(leg) = &event.kind else { return false };
    leg.source == Source::Guide && leg.state == PartyState::Ringing && event.heard_at > erased_at
}
