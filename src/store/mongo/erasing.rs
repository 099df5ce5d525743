//! Removing a person from MongoDB. Patterns find what may be theirs; every find is read before it is removed, because a longer
//! number has the same digits in it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::{Bson, DateTime as BsonDateTime, Document, doc};

use super::customers::any_spelling;
use super::document::{by_rev, changes, from_document};
use super::id::id_text;
use super::{Mongo, is_unauthorized};
use crate::call::Call;
use crate::customer::Match;
use crate::store::erasure::{self, Erasure, REMEMBERED};
use crate::store::person::Person;
use crate::store::{Erased, Result};

/// Every field of a call that may hold a number, in whatever form.
const PLACES: [&str; 14] = [
    "from_number",
    "from_name",
    "to_number",
    "to_name",
    "queue",
    "session_id",
    "telephony_session_id",
    "answered_by.name",
    "ledger.linked",
    "ledger.parties.from_number.value",
    "ledger.parties.from_name.value",
    "ledger.parties.to_number.value",
    "ledger.parties.to_name.value",
    "ledger.parties.extension_name.value",
];

/// In front of a digest in `caller_popup_tickets`, so that the role of an earlier version need not change.
const NOTED: &str = "erased:";
/// Digests that one command notes.
const NOTED_AT_A_TIME: usize = 500;

impl Mongo {
    /// One pass over everything there is.
    pub async fn erase(&self, person: &Person, with_customers: bool) -> Result<Erased> {
        let now = Utc::now();
        let mut erased = Erased::default();
        let customers = self.customers_of(person).await?;
        let ids: BTreeSet<String> = customers.iter().map(|id| id_text(Some(id))).collect();
        let digests = ids.iter().map(|id| erasure::of_customer(id)).chain([erasure::of_number(person.number())]);
        self.note(digests.collect(), now).await?;
        for (calls, count) in [(&self.active, &mut erased.active_calls), (&self.history, &mut erased.call_history)] {
            *count = self.erase_calls(calls, person, &ids, now).await?;
        }
        erased.notification_shapes = self.shapes().erase().await?;
        erased.customers_found = customers.len() as u64;
        if with_customers {
            let theirs = doc! { "_id": { "$in": &customers } };
            erased.customers = self.customers.delete_many(theirs).await?.deleted_count;
            self.forget_keys(customers).await?;
        }
        Ok(erased)
    }

    /// Removes none, which fails like the removal of some.
    pub async fn may_remove_customers(&self) -> Result<bool> {
        let none = doc! { "_id": { "$in": Vec::<Bson>::new() } };
        match self.customers.delete_many(none).await {
            Ok(_) => Ok(true),
            Err(error) if is_unauthorized(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The ids of the customers who have the number.
    async fn customers_of(&self, person: &Person) -> Result<Vec<Bson>> {
        let spelled = doc! { "$regex": any_spelling(person.number()) };
        let fields: Vec<Document> =
            self.fields.phone_fields.iter().map(|field| doc! { field.as_str(): spelled.clone() }).collect();
        let mut found = self.customers.find(doc! { "$or": fields }).await?;
        let mut ids = Vec::new();
        while let Some(document) = found.try_next().await? {
            let theirs = self.customer(&document, person.number()).is_some_and(|it| it.matched == Match::Exact);
            ids.extend(document.get("_id").filter(|_| theirs).cloned());
        }
        Ok(ids)
    }

    /// Removes the calls that hold the number, and takes the customers off those that are with another of their numbers.
    async fn erase_calls(
        &self,
        calls: &Collection<Document>,
        person: &Person,
        customers: &BTreeSet<String>,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        let spelled = any_spelling(person.number());
        let mut may: Vec<Document> = PLACES.into_iter().map(|place| doc! { place: { "$regex": &spelled } }).collect();
        // Another program may have written the number as a number.
        let (code, national) = (person.number().country_code(), person.number().national());
        let digits = [format!("{code}{national}").parse::<i64>(), national.parse::<i64>()].into_iter().flatten();
        let numerals = doc! { "$in": digits.collect::<Vec<_>>() };
        may.extend(["from_number", "to_number"].map(|place| doc! { place: numerals.clone() }));
        let known: Vec<&String> = customers.iter().collect();
        may.push(doc! { "customer_id": { "$in": &known } });
        may.push(doc! { "customers.id": { "$in": known } });
        let mut found = calls.find(doc! { "$or": may }).await?;
        let (mut theirs, mut digests, mut others) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(document) = found.try_next().await? {
            let id = document.get("_id").cloned();
            let texts = ["from_number", "from_name", "to_number", "to_name", "session_id"];
            let raw = texts.iter().filter_map(|field| document.get(field)).any(|value| match value {
                Bson::String(text) => person.is_in_text(text),
                Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) => person.is_in_text(&id_text(Some(value))),
                _ => false,
            });
            match from_document(document) {
                Ok(call) if person.is_in(&call) => {
                    theirs.extend(id);
                    digests.extend(digests_of(&call, now));
                }
                Ok(call) => others.push(call),
                // What is no call is removed by what it says as it is.
                Err(_) => theirs.extend(id.filter(|_| raw)),
            }
        }
        self.note(digests, now).await?;
        for before in others {
            let mut call = before.clone();
            if call.forget_customers(customers) {
                calls.update_one(by_rev(&before), doc! { "$set": changes(&before, &call)? }).await?;
            }
        }
        let theirs = doc! { "_id": { "$in": theirs } };
        self.forget_dismissals_of(calls, theirs.clone()).await?;
        Ok(calls.delete_many(theirs).await?.deleted_count)
    }

    async fn note(&self, digests: Vec<String>, now: DateTime<Utc>) -> Result<()> {
        let time = |at: DateTime<Utc>| BsonDateTime::from_millis(at.timestamp_millis());
        let (at, until) = (time(now), time(now + REMEMBERED));
        let note = |digest: &String| {
            let noted = doc! { "$set": { "erased_at": at, "until": until } };
            doc! { "q": { "_id": format!("{NOTED}{digest}") }, "u": noted, "upsert": true }
        };
        for some in digests.chunks(NOTED_AT_A_TIME) {
            let updates: Vec<Document> = some.iter().map(note).collect();
            let safely = doc! { "w": "majority", "j": true };
            let order =
                doc! { "update": "caller_popup_tickets", "updates": updates, "ordered": false, "writeConcern": safely };
            let answer = self.database.run_command(order).await?;
            // What is removed next must not come back, so every digest has to be there.
            if answer.contains_key("writeErrors") || answer.contains_key("writeConcernError") {
                return Err(mongodb::error::Error::custom("digests of an erasure were not acknowledged").into());
            }
        }
        Ok(())
    }

    /// What was noted at or after `since`.
    pub async fn erased_since(&self, since: DateTime<Utc>) -> Result<Vec<Erasure>> {
        let since = BsonDateTime::from_millis(since.timestamp_millis());
        let ids = doc! { "$gte": NOTED, "$lt": "erased;" };
        let found: Vec<Document> =
            self.tickets().find(doc! { "_id": ids, "erased_at": { "$gte": since } }).await?.try_collect().await?;
        let erasure = |document: Document| {
            let erased_at =
                DateTime::from_timestamp_millis(document.get_datetime("erased_at").ok()?.timestamp_millis())?;
            Some(Erasure { digest: document.get_str("_id").ok()?.strip_prefix(NOTED)?.to_owned(), erased_at })
        };
        Ok(found.into_iter().filter_map(erasure).collect())
    }
}

/// The digests of a call whose events may still arrive.
fn digests_of(call: &Call, now: DateTime<Utc>) -> Vec<String> {
    let recent = now - call.facts.heard_at.max(call.timestamp) < REMEMBERED;
    call.sessions().filter(|_| recent).map(|session| erasure::of_session(session)).collect()
}
