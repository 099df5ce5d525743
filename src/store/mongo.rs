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
mod customer_search;
mod customers;
mod dismissals;
mod document;
mod erasing;
mod history;
mod id;
mod number_index;
mod phone_texts;
mod refusal;
mod retention;
mod sessions;
mod settings;
mod shapes;
mod value;
mod writes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use mongodb::bson::{Document, doc};
use mongodb::options::{Acknowledgment, ClientOptions, IndexOptions, WriteConcern};
use mongodb::{Client, Collection, Database, IndexModel};

use super::aside::Asides;
use super::call_merge::{LoadedCalls, Step, StoredCall, Table, WritePlan, tombstones};
use super::unchanged::Unchanged;
use super::{Result, StoreError, scope};
use crate::call::{Call, CallEvent, CallEventKind};
use crate::config::{Config, CustomersConfig, MongoConfig};
use crate::phone::Region;
use batch::Pace;
use calls::{Calls, Written, as_found};
pub(super) use cause::describe;
use change_stream::CallChangeStream;
use customers::MOST_CUSTOMERS;
pub(super) use customers::matched;
pub(super) use dismissals::{DISMISSALS, dismissal, is_unauthorized};
pub(super) use document::{fields, from_document};
pub(super) use id::{extended, id_text, raw_id, rename};
use number_index::NumberIndex;
use refusal::{DUPLICATE, refusal};
use shapes::Shapes;

/// RingCentral waits 3 s for an answer, so looking for a primary must give up before.
const SERVER_SELECTION: Duration = Duration::from_secs(2);
/// A dozen phones that ring at once write the same call; each loser tries again.
const MOST_ATTEMPTS: usize = 40;
/// Another's document of the same session is found by the next look; what is in the way and still not found is no call.
const MOST_DUPLICATES: usize = 3;
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
    unchanged: Unchanged,
    numbers: Arc<NumberIndex>,
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
        let customers = database.collection(&all.customers.collection);
        Ok(Self {
            calls: Arc::new(Calls::new(&active, &history, &database, Pace::LIVE)),
            active,
            history,
            numbers: Arc::new(NumberIndex::new(&customers, &all.customers, &database)),
            customers,
            fields: all.customers.clone(),
            region: all.region,
            database,
            options: Box::new(options),
            prepared: Arc::default(),
            warned: Arc::default(),
            warned_watch: Arc::default(),
            asides: Asides::default(),
            unchanged: Unchanged::default(),
        })
    }

    /// The same, with queues of its own that take more at a time.
    pub fn for_many_writes(&self) -> Self {
        let calls = Calls::new(&self.active, &self.history, &self.database, Pace::BULK);
        Self { calls: Arc::new(calls), ..self.clone() }
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
            let (all, news) = (written == Written::All, !change.news.is_empty());
            let (id, rev) = (change.call.id.clone(), change.call.rev);
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
            // Insert first, then read again. A concurrent insert or merge does the same, so at least one of the two sees
            // the other's write.
            if all && (!news || self.is_alone(barred, &known.sessions, &id, rev).await?) {
                return end(leaving);
            }
            lost |= !all;
            known.held = self.load_beside(barred, &known.sessions).await?;
            // Changed by another writer while it was to be removed, so it is still there to be joined.
            leaving.retain(|gone: &StoredCall| known.held.iter().all(|it| it.call.id != gone.call.id));
        }
        Err(StoreError::Contention)
    }

    /// Whether these sessions lead to this call alone, as it was written.
    async fn is_alone(&self, barred: Option<&str>, names: &BTreeSet<String>, id: &str, rev: i64) -> Result<bool> {
        let found = self.calls.load_in_brief(names).await?;
        let mut found = found.iter().filter(|it| Some(it.call.id.as_str()) != barred);
        let same = |it: &StoredCall| it.place == Table::Active && it.call.id == id && it.call.rev == rev;
        Ok(found.next().is_some_and(same) && found.next().is_none())
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

    pub async fn record_shape(&self, shape: &str, at: DateTime<Utc>) -> Result<()> {
        self.shapes().record(shape, at).await
    }

    pub async fn ping(&self) -> Result<()> {
        self.database.run_command(doc! { "ping": 1 }).await?;
        Ok(())
    }

    fn shapes(&self) -> Shapes {
        Shapes::of(&self.database)
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
