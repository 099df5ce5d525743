//! The index of customers' numbers, which answers who is calling without a search through the host's collection.
//!
//! `caller_popup_numbers` holds a document for each customer who has a number: the customer's `_id`, and `keys`, a digest of the E.164
//! form of every number in the configured fields, with an index on `keys`. No number stands there: who is erased elsewhere is not
//! found here. What it finds is read from the host's collection and its numbers
//! are parsed there, so an index that lags behind misses a customer and never names a wrong one.
//!
//! One instance at a time, the holder of a lease, keeps the index. A *pass* walks both collections in the order of `_id` and writes
//! what differs, in slices whose position is stored, so that a process that is killed goes on where it was. Then a change stream,
//! whose resume token is stored, reports what changes. Where there is no replica set, passes are repeated. The stored state names the
//! settings that the keys depend on; with others, or when the stream's history is lost, a new pass begins. Until the index is known
//! to be complete, the guide's lookup answers where the index finds nothing.
//!
//! The same instance keeps `caller_popup_customer_search`, by which customers are searched ([`crate::store::search_keys`]), in the same
//! form. Callers come first: its pass begins when numbers are indexed, in turns between changes.

mod follow;
mod pass;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use chrono::Utc;
use futures_util::TryStreamExt;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};
use mongodb::{Collection, Database, IndexModel};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::sleep;
use tracing::info;

use super::batch::{Batch, Pace};
use super::{MOST_CUSTOMERS, Mongo, is_unauthorized};
use crate::config::CustomersConfig;
use crate::customer::search::FOLDING;
use crate::customer::{Customer, rank};
use crate::phone::{self, PhoneNumber};
use crate::store::search_keys;
use crate::store::{IndexProgress, Result, StoreError, new_id, number_key};

/// The collection.
pub(super) const NUMBERS: &str = "caller_popup_numbers";
/// The collection of keys for searches.
const SEARCH: &str = "caller_popup_customer_search";
/// Where its state is stored, among the settings, and the name of its lease.
const STATE: &str = "number_index";
/// How long the lease of the instance that keeps the index lasts unless it is renewed.
const LEASE: Duration = Duration::from_secs(10);
/// How often an instance without the lease asks for it.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How long the index counts as complete after this was last confirmed.
const CONFIRMED_FOR: Duration = Duration::from_secs(10);
/// Numbers of one customer that are kept: one faulty document must not fill the index.
const MOST_KEYS: usize = 200;
/// Longest read for a lookup.
pub(super) const LONGEST_READ: Duration = Duration::from_secs(2);

/// What the keys of a collection are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Who has a number.
    Lookup,
    /// Who is called so.
    Search,
}

/// The index, and what is known of it. Shared by all handles.
pub(super) struct NumberIndex {
    index: Collection<Document>,
    pub(super) search_index: Collection<Document>,
    by_key: Batch<Vec<String>, Vec<Bson>>,
    by_id: Batch<Vec<Bson>, Vec<Document>>,
    /// The instance, for the lease.
    holder: String,
    /// Until when the index counts as complete, in milliseconds since 1970.
    complete_until: AtomicI64,
    completed: Notify,
    /// Searches find everybody.
    is_searchable: AtomicBool,
    /// Held by the one who searches the host's collection.
    search: Mutex<()>,
}

/// What is stored of the index.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct State {
    /// The settings that the keys depend on.
    of: String,
    /// The pass is done.
    complete: bool,
    /// The keeper has read every change up to some seconds ago.
    current: bool,
    /// The first customer that the pass under way has not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Bson>,
    /// The database's time before the pass began, from which changes are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<mongodb::bson::Timestamp>,
    /// The change that was read last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<Bson>,
    /// The pass of the keys for searches, after that of numbers.
    #[serde(default)]
    search: SearchPass,
}

/// What is stored of a pass that writes the keys for searches.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct SearchPass {
    of: String,
    complete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Bson>,
}

impl NumberIndex {
    pub(super) fn new(customers: &Collection<Document>, fields: &CustomersConfig, database: &Database) -> Self {
        let index = database.collection(NUMBERS);
        let (table, hosts) = (index.clone(), customers.clone());
        // The host's document may hold megabytes beside.
        let read = projection(
            &[&fields.phone_fields[..], &fields.name_fields, std::slice::from_ref(&fields.email_field)].concat(),
        );
        Self {
            by_key: Batch::start(Pace::LIVE, move |keys| ids_together(table.clone(), keys)),
            by_id: Batch::start(Pace::LIVE, move |ids| customers_together(hosts.clone(), read.clone(), ids)),
            index,
            holder: new_id(),
            search_index: database.collection(SEARCH),
            complete_until: AtomicI64::new(0),
            completed: Notify::new(),
            is_searchable: AtomicBool::new(false),
            search: Mutex::new(()),
        }
    }

    fn is_complete(&self) -> bool {
        Utc::now().timestamp_millis() < self.complete_until.load(Ordering::Relaxed)
    }

    /// One search at a time: each reads the whole collection, and many at once keep the index from being built.
    pub(super) async fn turn_to_search(&self) -> MutexGuard<'_, ()> {
        self.search.lock().await
    }

    fn confirm(&self, complete: bool) {
        if complete && !self.is_complete() {
            self.completed.notify_one();
        }
        let until = Utc::now().timestamp_millis() + CONFIRMED_FOR.as_millis() as i64;
        let until = if complete { until } else { 0 };
        self.complete_until.store(until, Ordering::Relaxed);
    }
}

impl Mongo {
    /// The customers whose indexed numbers, and numbers that may reach the same line, include this one; `None` where the index finds
    /// none and may lack some. `beside` are customers who may have it without being indexed yet.
    pub(super) async fn indexed_customers(
        &self,
        number: &PhoneNumber,
        beside: Vec<Bson>,
    ) -> Result<Option<Vec<Customer>>> {
        let keys = std::iter::once(number_key(number)).chain(number.counterparts().iter().map(number_key)).collect();
        let mut ids = self.numbers.by_key.ask(keys).await?;
        ids.extend(beside);
        if ids.is_empty() {
            return Ok(self.numbers.is_complete().then(Vec::new));
        }
        let documents = self.numbers.by_id.ask(ids).await?;
        let customers = rank(documents.iter().filter_map(|document| self.customer(document, number)).collect());
        Ok((!customers.is_empty() || self.numbers.is_complete()).then_some(customers))
    }

    /// The ids of those who have this number, or had it a moment ago.
    pub(super) async fn ids_by_number(&self, number: &PhoneNumber) -> Result<Vec<Bson>> {
        self.numbers.by_key.ask(vec![number_key(number)]).await
    }

    pub async fn number_index_progress(&self) -> Result<IndexProgress> {
        Ok(match self.index_state().await? {
            None => IndexProgress::NotBegun,
            Some(state) if state.complete && state.current => IndexProgress::Complete,
            Some(_) => IndexProgress::Building,
        })
    }

    /// Whether the index holds the numbers of all customers.
    pub fn number_index_is_complete(&self) -> bool {
        self.numbers.is_complete()
    }

    /// Whether searches find all customers.
    pub fn customer_search_is_complete(&self) -> bool {
        self.numbers.is_complete() && self.numbers.is_searchable.load(Ordering::Relaxed)
    }

    /// Waits until it is complete after it was not.
    pub async fn number_index_completed(&self) {
        self.numbers.completed.notified().await;
    }

    /// Keeps the index for ever, or waits until another instance no longer does. Ends with an error, after which it is to be called
    /// again.
    pub async fn keep_number_index(&self) -> Result<()> {
        for index in [&self.numbers.index, &self.numbers.search_index] {
            index.create_index(IndexModel::builder().keys(doc! { "keys": 1 }).build()).await?;
        }
        loop {
            if self.renew_index_lease().await? {
                self.keep_with_lease().await?;
                continue;
            }
            let state = self.index_state().await?;
            self.note_searchable(state.as_ref());
            self.numbers.confirm(state.is_some_and(|state| state.complete && state.current));
            sleep(ASK_AGAIN).await;
        }
    }

    async fn renew_index_lease(&self) -> Result<bool> {
        let now = Utc::now();
        self.lease(STATE, &self.numbers.holder, now, now + LEASE).await
    }

    /// Goes on from the stored state, until the lease or the position is lost.
    async fn keep_with_lease(&self) -> Result<()> {
        let mut state = match self.index_state().await? {
            Some(state) => state,
            None => self.begin_index().await?,
        };
        if state.search.of != self.search_settings() {
            state.search = self.begin_search_pass();
        }
        self.note_searchable(Some(&state));
        if !state.complete {
            info!("customers' numbers are being indexed");
            if !self.index_all(&mut state).await? {
                return Ok(());
            }
            info!("customers' numbers are indexed");
        }
        self.follow_customers_into_index(state).await
    }

    /// A pass is to begin.
    async fn begin_index(&self) -> Result<State> {
        self.numbers.confirm(false);
        let since = self.database.run_command(doc! { "ping": 1 }).await?.get_timestamp("operationTime").ok();
        let of = self.index_settings();
        let search = self.begin_search_pass();
        let state = State { of, complete: false, current: false, next: None, since, token: None, search };
        self.note_searchable(Some(&state));
        self.store_index_state(&state).await?;
        Ok(state)
    }

    fn begin_search_pass(&self) -> SearchPass {
        SearchPass { of: self.search_settings(), complete: false, next: None }
    }

    fn note_searchable(&self, state: Option<&State>) {
        let is_of_these = |state: &State| state.search.complete && state.search.of == self.search_settings();
        self.numbers.is_searchable.store(state.is_some_and(is_of_these), Ordering::Relaxed);
    }

    /// What is stored, if it is of these settings.
    async fn index_state(&self) -> Result<Option<State>> {
        let stored = self.settings().find_one(doc! { "_id": STATE }).await?;
        let state = stored.and_then(|stored| mongodb::bson::deserialize_from_document::<State>(stored).ok());
        Ok(state.filter(|state| state.of == self.index_settings()))
    }

    async fn store_index_state(&self, state: &State) -> Result<()> {
        let state = mongodb::bson::serialize_to_document(state).map_err(mongodb::error::Error::from)?;
        self.settings().replace_one(doc! { "_id": STATE }, state).upsert(true).await?;
        Ok(())
    }

    /// With other settings the same text may be another number, or another field may hold it.
    fn index_settings(&self) -> String {
        let fields = self.fields.phone_fields.join(",");
        format!("{} {} {} {fields}", phone::READER, self.region, self.fields.collection)
    }

    /// The same of the keys for searches.
    fn search_settings(&self) -> String {
        let CustomersConfig { name_fields, email_field, company_field, .. } = &self.fields;
        format!("{FOLDING} {} {} {email_field} {company_field}", self.index_settings(), name_fields.join(","))
    }

    fn index_for(&self, keys: Use) -> &Collection<Document> {
        match keys {
            Use::Lookup => &self.numbers.index,
            Use::Search => &self.numbers.search_index,
        }
    }

    /// Of a customer the fields that keys are made of.
    fn fields_for(&self, keys: Use) -> Document {
        match keys {
            Use::Lookup => self.phone_fields(),
            Use::Search => self.searched_fields(),
        }
    }

    /// The keys of a customer, sorted, each once.
    fn keys_for(&self, keys: Use, document: &Document) -> Vec<Bson> {
        if keys == Use::Search {
            let of = search_keys::keys_of(&self.searchable(document), self.region);
            return of.into_iter().map(binary).collect();
        }
        let numbers = self.phones(document).into_iter().flat_map(|text| PhoneNumber::parse_all(&text, self.region));
        let mut keys: Vec<String> = numbers.take(MOST_KEYS).map(|number| number_key(&number)).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter().map(Bson::String).collect()
    }

    /// Of a customer the fields that hold numbers.
    pub(super) fn phone_fields(&self) -> Document {
        projection(&self.fields.phone_fields)
    }

    /// The same of those that are searched.
    pub(super) fn searched_fields(&self) -> Document {
        let CustomersConfig { phone_fields, name_fields, email_field, company_field, .. } = &self.fields;
        projection(&[&phone_fields[..], name_fields, &[email_field.clone(), company_field.clone()]].concat())
    }

    /// Removes the keys of customers at once, where the role may write the index.
    pub(super) async fn forget_keys(&self, customers: Vec<Bson>) -> Result<()> {
        for keys in [Use::Lookup, Use::Search] {
            match self.write_keys(keys, customers.iter().map(|id| (id.clone(), Vec::new())).collect()).await {
                Err(StoreError::Mongo(error)) if is_unauthorized(&error) => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Writes keys of customers, and removes those of customers without any. The position that is stored afterwards waits for a
    /// majority, and for these with it.
    async fn write_keys(&self, of: Use, keys: Vec<(Bson, Vec<Bson>)>) -> Result<()> {
        let (removed, kept): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(_, keys)| keys.is_empty());
        let index = self.index_for(of).name();
        let quickly = doc! { "w": 1 };
        if !removed.is_empty() {
            let ids: Vec<Bson> = removed.into_iter().map(|(id, _)| id).collect();
            let gone = vec![doc! { "q": { "_id": { "$in": ids } }, "limit": 0 }];
            let command = doc! { "delete": index, "deletes": gone, "writeConcern": quickly.clone() };
            written(&self.database.run_command(command).await?)?;
        }
        if !kept.is_empty() {
            let put = |(id, keys): (Bson, Vec<Bson>)| {
                doc! { "q": { "_id": id }, "u": { "$set": { "keys": keys } }, "upsert": true }
            };
            let updates: Vec<Document> = kept.into_iter().map(put).collect();
            let command = doc! { "update": index, "updates": updates, "ordered": false, "writeConcern": quickly };
            written(&self.database.run_command(command).await?)?;
        }
        Ok(())
    }
}

/// A key for searches as it is stored.
pub(super) fn binary(key: search_keys::Key) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: key })
}

/// These paths of a document. One that lies below another cannot be named beside it.
fn projection(paths: &[String]) -> Document {
    let inside =
        |path: &String, other: &String| path.strip_prefix(other.as_str()).is_some_and(|it| it.starts_with('.'));
    let is_below = |path: &String| paths.iter().any(|other| inside(path, other));
    paths.iter().filter(|path| !is_below(path)).map(|path| (path.clone(), Bson::Int32(1))).collect()
}

fn written(answer: &Document) -> Result<()> {
    if answer.contains_key("writeErrors") || answer.contains_key("writeConcernError") {
        return Err(StoreError::from(mongodb::error::Error::custom("a key of a customer was not written")));
    }
    Ok(())
}

type Answers<A> = std::result::Result<Vec<A>, mongodb::error::Error>;

/// The customers of each of these lists of keys.
async fn ids_together(index: Collection<Document>, asked: Vec<Vec<String>>) -> Answers<Vec<Bson>> {
    let most = MOST_CUSTOMERS as usize * asked.len();
    let found = ids_of(&index, asked.concat(), most).await?;
    if found.len() < most || asked.len() == 1 {
        let has = |document: &Document, keys: &[String]| {
            let theirs = document.get_array("keys").map(Vec::as_slice).unwrap_or_default();
            theirs.iter().filter_map(Bson::as_str).any(|key| keys.iter().any(|asked| asked == key))
        };
        let of = |keys: &Vec<String>| found.iter().filter(|document| has(document, keys)).filter_map(id).collect();
        return Ok(asked.iter().map(of).collect());
    }
    // One number of very many customers must not take the place of the others.
    let mut answers = Vec::with_capacity(asked.len());
    for keys in asked {
        let found = ids_of(&index, keys, MOST_CUSTOMERS as usize).await?;
        answers.push(found.iter().filter_map(id).collect());
    }
    Ok(answers)
}

async fn ids_of(index: &Collection<Document>, keys: Vec<String>, most: usize) -> Answers<Document> {
    let found = index.find(doc! { "keys": { "$in": keys } }).limit(most as i64).max_time(LONGEST_READ);
    found.await?.try_collect().await
}

fn id(document: &Document) -> Option<Bson> {
    document.get("_id").cloned()
}

/// The customers with each of these lists of ids.
async fn customers_together(
    customers: Collection<Document>,
    read: Document,
    asked: Vec<Vec<Bson>>,
) -> Answers<Vec<Document>> {
    let found = customers.find(doc! { "_id": { "$in": asked.concat() } }).projection(read).max_time(LONGEST_READ);
    let found: Vec<Document> = found.await?.try_collect().await?;
    let of = |ids: &Vec<Bson>| {
        found.iter().filter(|document| id(document).is_some_and(|id| ids.contains(&id))).cloned().collect()
    };
    Ok(asked.iter().map(of).collect())
}
