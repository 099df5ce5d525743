//! The store of production: MongoDB, with the guide's collections and field names.
//!
//! A change reads the call, computes the next one and writes the document only if its `rev` is still the one read;
//! otherwise it starts over. A call that moves, or takes another in, is written first and removed second. Every write
//! waits for a majority and its journal, so an acknowledged event survives the loss of the primary.

mod active;
mod batch;
mod calls;
mod cause;
pub(super) mod change_stream;
mod customers;
mod dismissals;
mod document;
mod erasing;
mod id;
mod refusal;
mod sessions;
mod shapes;
mod value;
mod writes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, DateTime as BsonDateTime, Document, doc};
use mongodb::options::{Acknowledgment, ClientOptions, FindOptions, IndexOptions, ReturnDocument, WriteConcern};
use mongodb::{Client, Collection, Database, IndexModel};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::aside::Asides;
use super::call_merge::{LoadedCalls, Step, StoredCall, Table, WritePlan, tombstones};
use super::{HistoryPage, HistoryQuery, Position, Result, StoreError, scope};
use crate::call::{Call, CallEvent, CallEventKind};
use crate::config::{Config, CustomersConfig, MongoConfig};
use crate::phone::Region;
use calls::{Calls, Written, as_found};
pub(super) use cause::describe;
use change_stream::CallChangeStream;
pub(super) use customers::matched;
pub(super) use dismissals::{DISMISSALS, dismissal, is_unauthorized};
pub(super) use document::{fields, from_document};
use id::bson_id;
pub(super) use id::{extended, id_text, raw_id, rename};
use refusal::{DUPLICATE, refusal};
use shapes::Shapes;

/// RingCentral waits 3 s for an answer, so looking for a primary must give up before.
const SERVER_SELECTION: Duration = Duration::from_secs(2);
/// A dozen phones that ring at once write the same call; each loser tries again.
const MOST_ATTEMPTS: usize = 40;
/// Another's document of the same session is found by the next look; what is in the way and still not found is no call.
const MOST_DUPLICATES: usize = 3;
/// Documents of one answer while a page of the history is read: a page may end early.
const HISTORY_BATCH: u32 = 100;
/// Old calls that are removed with one command.
const PRUNED_AT_ONCE: i64 = 500;
/// Calls that began in one millisecond, among which a place in the history is looked for.
const MOST_AT_ONCE: i64 = 1_000;
/// The codes of an index that is there in another form, or cannot be unique because of what is in the collection.
const INDEX_DIFFERS: [i32; 3] = [85, 86, DUPLICATE];

/// MongoDB. Cheap to clone.
#[derive(Clone)]
pub struct Mongo {
    database: Database,
    active: Collection<Document>,
    /// The same two, for changes.
    calls: Arc<Calls>,
    history: Collection<Document>,
    customers: Collection<Document>,
    fields: CustomersConfig,
    region: Region,
    options: Box<ClientOptions>,
    prepared: Arc<AtomicBool>,
    /// It was logged that a role does not allow dismissals.
    warned: Arc<AtomicBool>,
    /// The same of changes.
    warned_watch: Arc<AtomicBool>,
    asides: Asides,
}

/// A filter with all of these conditions and one of the alternatives, which each hold them all, so that each can use an index.
fn each_with(all: Vec<Document>, alternatives: Vec<Document>) -> Document {
    let with = |it: Document| {
        let conditions: Vec<_> = all.iter().cloned().chain([it]).filter(|it| !it.is_empty()).collect();
        if conditions.is_empty() {
            doc! {}
        } else {
            doc! { "$and": conditions }
        }
    };
    doc! { "$or": alternatives.into_iter().map(with).collect::<Vec<_>>() }
}

impl Mongo {
    /// Reads the connection string; the first use connects.
    pub async fn open(config: &MongoConfig, all: &Config) -> Result<Self> {
        let mut options = ClientOptions::parse(&config.uri).await?;
        options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
        options.app_name.get_or_insert("caller-popup".into());
        options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
        let database = Client::with_options(options.clone())?.database(&config.database);
        let (active, history) = (database.collection("active_calls"), database.collection("call_history"));
        Ok(Self {
            calls: Arc::new(Calls::new(&active, &history, &database)),
            active,
            history,
            customers: database.collection(&all.customers.collection),
            fields: all.customers.clone(),
            region: all.region,
            database,
            options: Box::new(options),
            prepared: Arc::default(),
            warned: Arc::default(),
            warned_watch: Arc::default(),
            asides: Asides::default(),
        })
    }

    /// Creates the indexes, once.
    pub async fn prepare(&self) -> Result<()> {
        if self.prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        // A document of another program may lack a session id; two such must not collide.
        let only_texts = doc! { "session_id": { "$type": "string" } };
        let unique = IndexOptions::builder().unique(true).partial_filter_expression(only_texts).build();
        let index = |keys: Document| IndexModel::builder().keys(keys).build();
        let by_session = IndexModel::builder().keys(doc! { "session_id": 1 }).options(unique).build();
        if let Err(error) = self.active.create_index(by_session).await {
            let differs = |code| INDEX_DIFFERS.contains(&code);
            if !command_code(&error).is_some_and(differs) {
                return Err(error.into());
            }
            // Another program's index serves as well; only two instances that begin one call at once may store it twice, and
            // join it when they meet.
            tracing::warn!(
                "active_calls has no unique index on session_id, and cannot get one: see its indexes and duplicates"
            );
        }
        self.active.create_index(index(doc! { "ledger.linked": 1 })).await?;
        let by_time = index(doc! { "timestamp": -1, "_id": -1 });
        let sessions = [index(doc! { "session_id": 1 }), index(doc! { "ledger.linked": 1 })];
        // What a history is narrowed down by, in the order of the history; then what a call may be passed over for without
        // reading it.
        let of_call = ["from_number", "to_number", "customer_id"];
        let narrow = scope::MONGODB_FIELDS
            .into_iter()
            .chain(of_call)
            .map(|field| index(doc! { field: 1, "timestamp": -1, "_id": -1, "result": 1, "direction": 1 }));
        self.history.create_indexes([by_time].into_iter().chain(sessions).chain(narrow)).await?;
        // MongoDB itself removes the tickets that were not used.
        let at_once = IndexOptions::builder().expire_after(Duration::ZERO).build();
        let by_end = IndexModel::builder().keys(doc! { "until": 1 }).options(at_once).build();
        self.tickets().create_index(by_end).await?;
        self.shapes().prepare().await?;
        self.index_dismissals().await?;
        self.prepare_sessions().await?;
        self.prepared.store(true, Ordering::Release);
        Ok(())
    }

    pub async fn load(&self, events: &[CallEvent], at_hand: Option<Arc<Call>>) -> Result<LoadedCalls> {
        // What is at hand is tried once; if it is no longer so, the comparison of `rev` says it. A tick looks all the
        // same, so that what was left twice is found and merged.
        let ticks = events.iter().any(|event| matches!(event.kind, CallEventKind::Tick));
        let known = LoadedCalls::at_hand(events, at_hand.filter(|call| !call.is_over() && !ticks));
        if !known.held.is_empty() {
            return Ok(known);
        }
        Ok(LoadedCalls { held: self.calls.load(&known.sessions).await?, ..known })
    }

    pub async fn apply(
        &self,
        events: &[CallEvent],
        known: LoadedCalls,
        new_id: &str,
        tell: impl Fn(Call) + Send + Sync,
    ) -> Result<()> {
        let (code, id) = match self.apply_beside(None, events, known, new_id, &tell).await {
            Err(StoreError::Refused { code, id: Some(id) }) => (code, id),
            done => return done,
        };
        // The session's document is another program's and cannot be changed. If its session is in a form of its own, there
        // is room for a document of ours beside it.
        let held = self.load(events, None).await?.held;
        let theirs = held.iter().find(|it| it.call.id == id && it.place == Table::Active);
        if let Some(theirs) = theirs {
            self.set_aside(&theirs.call, code).await?;
        }
        if theirs.is_none() || id == new_id || !events.first().is_some_and(CallEvent::can_begin_a_call) {
            return Err(StoreError::Refused { code, id: Some(id) });
        }
        self.apply_beside(Some(&id), events, LoadedCalls::at_hand(events, None), new_id, &tell).await
    }

    /// Takes events in, as if the call `barred` did not exist.
    async fn apply_beside(
        &self,
        barred: Option<&str>,
        events: &[CallEvent],
        mut known: LoadedCalls,
        new_id: &str,
        tell: &(impl Fn(Call) + Send + Sync),
    ) -> Result<()> {
        let (mut told, mut lost, mut leaving, mut duplicates) = (false, false, Vec::new(), 0);
        let end = |leaving| {
            tombstones(leaving).into_iter().for_each(tell);
            Ok(())
        };
        for _ in 0..MOST_ATTEMPTS {
            let Some(change) = self.plan_write(barred, &mut known, events, new_id).await? else {
                // After a race that was lost, or may have been, the winner wrote this, and it is news all the same.
                if lost && !told {
                    as_found(known.held).into_iter().for_each(tell);
                }
                return end(leaving);
            };
            if !change.gone.is_empty() {
                self.inherit_dismissals(&change.gone, &change.call.id).await?;
            }
            let written = self.calls.write(&change).await?;
            let settled = written == Written::All && change.news.is_empty();
            duplicates += usize::from(written == Written::Duplicate);
            if duplicates == MOST_DUPLICATES {
                return Err(StoreError::Refused { code: DUPLICATE, id: None });
            }
            if matches!(written, Written::All | Written::Kept) {
                // It is on disk, and a phone is ringing: viewers do not wait for the second read, which hardly ever finds anything.
                tell(change.call);
                told = true;
                leaving.extend(change.gone);
            }
            if settled {
                return end(leaving);
            }
            lost |= written != Written::All;
            // Insert first, then read again. A concurrent insert or merge does the same, so at least one of the two sees
            // the other's write.
            known.held = self.load_beside(barred, &known.sessions).await?;
            // Changed by another writer while it was to be removed, so it is still there to be joined.
            leaving.retain(|gone: &StoredCall| known.held.iter().all(|it| it.call.id != gone.call.id));
        }
        Err(StoreError::Contention)
    }

    async fn load_beside(&self, barred: Option<&str>, names: &BTreeSet<String>) -> Result<Vec<StoredCall>> {
        let mut held = self.calls.load(names).await?;
        held.retain(|it| Some(it.call.id.as_str()) != barred);
        Ok(held)
    }

    /// What has to be written.
    async fn plan_write(
        &self,
        barred: Option<&str>,
        known: &mut LoadedCalls,
        events: &[CallEvent],
        new_id: &str,
    ) -> Result<Option<WritePlan>> {
        loop {
            match known.plan(events, new_id) {
                Step::Write(plan) => return Ok(plan.map(|plan| *plan)),
                Step::Load(sessions) => known.add(self.load_beside(barred, &sessions).await?, sessions),
            }
        }
    }

    pub async fn active_call(&self, id: &str) -> Result<Option<Call>> {
        self.calls.find(id).await
    }

    /// Watches what others do to `active_calls`.
    pub async fn watch(&self) -> Result<Option<CallChangeStream>> {
        // The stream before may have ended because the collection was dropped, and its indexes with it.
        self.prepared.store(false, Ordering::Release);
        CallChangeStream::open((*self.options).clone(), self.database.name(), &self.warned_watch).await
    }

    /// How a call ended that was known as this one.
    pub async fn ended(&self, known: &Call) -> Result<Option<Call>> {
        Ok(self.history.find_one(doc! { "_id": raw_id(known) }).await?.and_then(|ended| from_document(ended).ok()))
    }

    /// The `_id` at a place in the history. Its text may not say the type.
    async fn id_at(&self, place: &Position) -> Result<Bson> {
        let at = BsonDateTime::from_millis(place.timestamp.timestamp_millis());
        let ids = self.history.find(doc! { "timestamp": at }).projection(doc! { "_id": 1 }).limit(MOST_AT_ONCE);
        let ids: Vec<Document> = ids.await?.try_collect().await?;
        let same = |id: &Bson| id_text(Some(id)) == place.id || extended(id) == place.id;
        let found = ids.into_iter().filter_map(|mut it| it.remove("_id")).find(same);
        Ok(found.unwrap_or_else(|| bson_id(&place.id)))
    }

    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage> {
        let mut all = Vec::new();
        if let Some(before) = &query.before {
            let at = BsonDateTime::from_millis(before.timestamp.timestamp_millis());
            // A plain comparison would leave out ids of other types. The range is what an index can use.
            let before_id = doc! { "$expr": { "$lt": ["$_id", { "$literal": self.id_at(before).await? }] } };
            let not_at = doc! { "timestamp": { "$ne": at } };
            all.extend([doc! { "timestamp": { "$lte": at } }, doc! { "$or": [not_at, before_id] }]);
        }
        all.extend(query.result.map(|result| doc! { "result": result.as_str() }));
        all.extend(query.direction.map(|direction| doc! { "direction": direction.as_str() }));
        all.extend(query.customer_id.map(|id| doc! { "customer_id": id }));
        all.extend(
            query.since.map(|at| doc! { "timestamp": { "$gte": BsonDateTime::from_millis(at.timestamp_millis()) } }),
        );
        // Each of these pairs has an index in the order of the history; MongoDB merges what it reads from both.
        let numbers = query.number.map(|number| ["from_number", "to_number"].map(|field| doc! { field: &number }));
        let extensions = query.extension_ids.map(|ids| scope::mongodb(&ids));
        let filter = match (numbers, extensions) {
            (None, None) => each_with(all, vec![doc! {}]),
            (Some(pair), None) | (None, Some(pair)) => each_with(all, pair.into()),
            (Some(numbers), Some(extensions)) => {
                all.push(doc! { "$or": extensions.to_vec() });
                each_with(all, numbers.into())
            }
        };
        let limit = query.limit;
        let options = FindOptions::builder()
            .sort(doc! { "timestamp": -1, "_id": -1 })
            .limit(limit as i64 + 1)
            .batch_size(HISTORY_BATCH)
            .build();
        let mut documents = self.history.find(filter).with_options(options).await?;
        let mut page = HistoryPage::default();
        while let Some(document) = documents.try_next().await? {
            // Reading a document takes 30 µs of a worker's time, which a webhook may wait for.
            thread::yield_now();
            yield_now().await;
            if let Ok(call) = from_document(document)
                && !page.add(call, limit)
            {
                break;
            }
        }
        Ok(page)
    }

    pub async fn record_shape(&self, shape: &str, at: DateTime<Utc>) -> Result<()> {
        self.shapes().record(shape, at).await
    }

    pub async fn setting(&self, key: &str) -> Result<Option<String>> {
        let setting = self.settings().find_one(doc! { "_id": key }).await?;
        Ok(setting.and_then(|setting| setting.get_str("value").ok().map(str::to_owned)))
    }

    pub async fn set_setting(&self, key: &str, value: &str) -> Result<()> {
        self.settings().replace_one(doc! { "_id": key }, doc! { "value": value }).upsert(true).await?;
        Ok(())
    }

    pub async fn get_or_insert_setting(&self, key: &str, value: &str) -> Result<String> {
        let settings = self.settings();
        let keep = || {
            let ours = doc! { "$setOnInsert": { "value": value } };
            let update = settings.find_one_and_update(doc! { "_id": key }, ours);
            update.upsert(true).return_document(ReturnDocument::After)
        };
        let kept = match keep().await {
            // Another instance was first by a hair; now there is one to be found.
            Err(error) if is_duplicate(&error) => keep().await?,
            kept => kept?,
        };
        Ok(kept.and_then(|setting| setting.get_str("value").ok().map(str::to_owned)).unwrap_or_default())
    }

    pub async fn put_ticket(&self, id: &str, value: &str, until: DateTime<Utc>) -> Result<()> {
        let until = BsonDateTime::from_millis(until.timestamp_millis());
        self.tickets().insert_one(doc! { "_id": id, "value": value, "until": until }).await?;
        Ok(())
    }

    pub async fn take_ticket(&self, id: &str, now: DateTime<Utc>) -> Result<Option<String>> {
        let now = BsonDateTime::from_millis(now.timestamp_millis());
        let taken = self.tickets().find_one_and_delete(doc! { "_id": id, "until": { "$gt": now } }).await?;
        Ok(taken.and_then(|ticket| ticket.get_str("value").ok().map(str::to_owned)))
    }

    pub async fn lease(&self, name: &str, holder: &str, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool> {
        let time = |at: DateTime<Utc>| BsonDateTime::from_millis(at.timestamp_millis());
        let free =
            doc! { "_id": format!("lease:{name}"), "$or": [{ "holder": holder }, { "until": { "$lt": time(now) } }] };
        let taken = doc! { "$set": { "holder": holder, "until": time(until) } };
        match self.settings().update_one(free, taken).upsert(true).await {
            Ok(_) => Ok(true),
            // The lease exists and is another instance's: the upsert runs into its own id.
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn prune_history(&self, before: DateTime<Utc>) -> Result<u64> {
        let before = BsonDateTime::from_millis(before.timestamp_millis());
        self.shapes().prune(before).await?;
        let mut all = 0;
        loop {
            let begun = Instant::now();
            let old = self.history.find(doc! { "timestamp": { "$lt": before } }).projection(doc! { "_id": 1 });
            let old: Vec<Document> = old.limit(PRUNED_AT_ONCE).await?.try_collect().await?;
            let ids: Vec<Bson> = old.into_iter().filter_map(|mut it| it.remove("_id")).collect();
            if ids.is_empty() {
                return Ok(all);
            }
            all += self.history.delete_many(doc! { "_id": { "$in": ids } }).await?.deleted_count;
            // Half of the time is for others.
            sleep(begun.elapsed()).await;
        }
    }

    pub async fn ping(&self) -> Result<()> {
        self.database.run_command(doc! { "ping": 1 }).await?;
        Ok(())
    }

    fn settings(&self) -> Collection<Document> {
        self.database.collection("caller_popup_settings")
    }

    fn shapes(&self) -> Shapes {
        Shapes::of(&self.database)
    }

    fn tickets(&self) -> Collection<Document> {
        self.database.collection("caller_popup_tickets")
    }
}

fn is_duplicate(error: &mongodb::error::Error) -> bool {
    refusal(error) == Some(DUPLICATE)
}

fn command_code(error: &mongodb::error::Error) -> Option<i32> {
    match &*error.kind {
        mongodb::error::ErrorKind::Command(error) => Some(error.code),
        _ => None,
    }
}
