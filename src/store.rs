//! Where calls are kept: MongoDB in production, an embedded SQLite file otherwise. Only this room knows BSON and SQL.
//!
//! Both keep `active_calls` (a call that goes on) and `call_history` (one row a call that ended), and both promise the
//! same: [`Store::apply_to`] takes in the facts of one session at a time as if there were no other writer, and when it returns they
//! are on disk. SQLite has one writer; MongoDB compares `rev` and tries again.

mod aside;
pub mod call_merge;
mod customer_record;
mod customer_watch;
mod customers;
mod disk;
pub mod erasure;
mod error;
mod error_sources;
mod foreign;
mod history;
mod lock;
mod mongo;
pub mod person;
mod phone_texts;
mod private;
mod scope;
mod search_keys;
mod sessions;
mod settings;
mod spool;
mod sqlite;
mod unchanged;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::timeout;

use crate::call::{Call, CallEvent};
use crate::config::Config;
pub use call_merge::{LoadedCalls, StoredCall, Table, calls_of};
pub use customer_record::{CustomerRecord, WrittenNumber};
pub use customer_watch::{Changed, CustomerWatch};
pub use customers::{IndexProgress, number_key};
pub use disk::disk_is_full;
pub use erasure::Erased;
use erasure::Erasure;
use error::Result;
pub use error::StoreError;
pub use error_sources::sources;
pub use history::{HistoryPage, HistoryQuery, Position};
pub use lock::{LockError, ServiceLock};
use mongo::Mongo;
pub use mongo::change_stream::{CallChangeStream, ChangeEvent};
use person::Person;
pub use phone_texts::{CustomerTexts, TextsPosition};
pub use sessions::{LONGEST_SESSION, NewSession, Revocation, Revocations, SessionLimits};
pub use spool::{Spool, Spooled};
use sqlite::Sqlite;
pub use sqlite::{BackupError, Copied, ImportProgress, KnownCustomers, backup};
pub use unchanged::CallsAtHand;

/// A service gives an attempt to store a call up after 2.2 s.
pub const LONGEST_WRITE: Duration = Duration::from_millis(2_500);

/// How long a setting, a ticket, a lease or a page of the history may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shapes of notifications that are kept. RingCentral has some dozens of kinds, and a kind has a few shapes; more than
/// that is a sender whose field names are data.
const MOST_SHAPES: u32 = 1_000;

/// The database of choice. Cheap to clone.
#[derive(Clone)]
pub enum Store {
    /// `MONGODB_URI` is set.
    Mongo(Mongo),
    /// The default: a file in `DATA_DIR`.
    Sqlite(Sqlite),
}

/// A viewer dismissed a call that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dismissal {
    /// The call's id.
    pub call_id: String,
    /// The viewer's.
    pub viewer: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl Store {
    /// Opens the configured store. MongoDB is not asked before [`Store::prepare`].
    pub async fn open(config: &Config) -> Result<Self> {
        Ok(match &config.mongodb {
            Some(mongodb) => Self::Mongo(Mongo::open(mongodb, config).await?),
            None => Self::Sqlite(Sqlite::open(&config.data_dir, config.region)?),
        })
    }

    /// Makes sure the database is reachable and has its indexes; does nothing once it has.
    pub async fn prepare(&self) -> Result<()> {
        match self {
            Self::Mongo(mongo) => mongo.prepare().await,
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// The same store, with queues of its own for calls that are written by the hundred, behind which no live one waits.
    pub fn for_many_writes(&self) -> Self {
        match self {
            Self::Mongo(mongo) => Self::Mongo(mongo.for_many_writes()),
            Self::Sqlite(sqlite) => Self::Sqlite(sqlite.clone()),
        }
    }

    /// The word /health says.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mongo(_) => "mongodb",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// Takes in what was learned of one session, durably. Answers every call that changed: none when all of it was
    /// known, two when the session turned out to belong to another call, which then took it in.
    pub async fn apply(&self, events: &[CallEvent]) -> Result<Vec<Call>> {
        let known = self.load(events, None).await?;
        let changed = Mutex::new(Vec::new());
        let tell = |call: Call| {
            let mut changed = changed.lock().expect("nobody panics while telling");
            changed.retain(|earlier: &Call| earlier.id != call.id);
            changed.push(call);
        };
        self.apply_to(events, known, &new_id(), tell).await?;
        Ok(changed.into_inner().expect("nobody panics while telling"))
    }

    /// The calls that `events` may change. A caller that has the active call at hand that these belong to
    /// spares the store the look.
    pub async fn load(&self, events: &[CallEvent], at_hand: Option<Arc<Call>>) -> Result<LoadedCalls> {
        match self {
            Self::Mongo(mongo) => mongo.load(events, at_hand).await,
            // Its file has one writer, and looking there costs nothing.
            Self::Sqlite(_) => Ok(LoadedCalls::at_hand(events, at_hand)),
        }
    }

    /// Like [`Store::apply`], after [loading](Store::load) the calls concerned. A call that begins gets `new_id`. Every
    /// call that changed is told to `tell` as soon as it is on disk: a phone is ringing. The same call may be told again
    /// when there was more to it.
    pub async fn apply_to(
        &self,
        events: &[CallEvent],
        known: LoadedCalls,
        new_id: &str,
        tell: impl Fn(Call) + Send + Sync,
    ) -> Result<()> {
        match self {
            Self::Mongo(mongo) => mongo.apply(events, known, new_id, tell).await,
            Self::Sqlite(sqlite) => {
                sqlite.apply(events, known, new_id).await?.into_iter().for_each(tell);
                Ok(())
            }
        }
    }

    /// Everything in `active_calls`, also what other programs wrote.
    pub async fn active(&self) -> Result<Vec<Call>> {
        let calls = self.active_beside(CallsAtHand::new()).await?;
        Ok(calls.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    /// The same. What has not changed since it was last read, and is at hand, is taken from there.
    pub async fn active_beside(&self, at_hand: CallsAtHand) -> Result<Vec<Arc<Call>>> {
        match self {
            Self::Mongo(mongo) => mongo.active(&at_hand).await,
            Self::Sqlite(sqlite) => sqlite.active(at_hand).await,
        }
    }

    /// An active call by its id, also one of another program.
    pub async fn active_call(&self, id: &str) -> Result<Option<Call>> {
        match self {
            Self::Mongo(mongo) => mongo.active_call(id).await,
            Self::Sqlite(sqlite) => sqlite.active_call(id).await,
        }
    }

    /// Adds a dismissal, durably; one that is there stays as it is.
    pub async fn dismiss(&self, dismissal: Dismissal) -> Result<()> {
        match self {
            Self::Mongo(mongo) => mongo.dismiss(dismissal).await,
            Self::Sqlite(sqlite) => sqlite.dismiss(dismissal).await,
        }
    }

    /// Every dismissal of calls that go on, and some of calls that ended not long ago.
    pub async fn dismissals(&self) -> Result<Vec<Dismissal>> {
        match self {
            Self::Mongo(mongo) => mongo.dismissals().await,
            Self::Sqlite(sqlite) => sqlite.dismissals().await,
        }
    }

    /// Removes the dismissals of these calls.
    pub async fn forget_dismissals(&self, calls: Vec<String>) -> Result<()> {
        match self {
            Self::Mongo(mongo) => mongo.forget_dismissals(calls).await,
            Self::Sqlite(sqlite) => sqlite.forget_dismissals(calls).await,
        }
    }

    /// Watches what others do to `active_calls`; `None` where only polling can.
    pub async fn watch(&self) -> Result<Option<CallChangeStream>> {
        match self {
            Self::Mongo(mongo) => mongo.watch().await,
            Self::Sqlite(_) => Ok(None),
        }
    }

    /// How a call ended, which another instance may have ended.
    pub async fn ended(&self, known: &Call) -> Result<Option<Call>> {
        match self {
            Self::Mongo(mongo) => mongo.ended(known).await,
            Self::Sqlite(sqlite) => sqlite.ended(&known.id).await,
        }
    }

    /// Gives a call that was not stored yet a longer id, because another call's is the same text.
    pub fn rename(&self, call: &mut Call) {
        match self {
            Self::Mongo(_) => mongo::rename(call),
            // A column has one type.
            Self::Sqlite(_) => {}
        }
    }

    /// Documents or rows in `active_calls` that cannot be calls or cannot be written to: how many now, and since the start.
    pub fn set_aside(&self) -> (usize, u64) {
        match self {
            Self::Mongo(mongo) => mongo.documents_set_aside(),
            Self::Sqlite(sqlite) => sqlite.rows_set_aside(),
        }
    }

    /// Stores `next`, which is `found` with what is ours added: another program wrote it, and with its own `rev` it is
    /// news to readers. `None` when it has changed since it was read, and the next poll will see it again; or when the
    /// database refuses to change it, and it is set aside.
    pub async fn adopt(&self, found: Call, next: Call) -> Result<Option<Call>> {
        match self {
            Self::Mongo(mongo) => mongo.adopt(found, next).await,
            Self::Sqlite(sqlite) => sqlite.adopt(found, next).await,
        }
    }

    /// Stores a call that ended and never was in the store.
    pub async fn keep_ended(&self, call: Call) -> Result<()> {
        match self {
            Self::Mongo(mongo) => mongo.keep_ended(call).await,
            // It refuses nothing.
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Ended calls, newest first.
    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage> {
        match self {
            Self::Mongo(mongo) => in_time(mongo.history(query)).await,
            Self::Sqlite(sqlite) => sqlite.history(query).await,
        }
    }

    /// Forgets calls that began before `before`, and shapes last seen before; how many calls.
    pub async fn prune_history(&self, before: DateTime<Utc>) -> Result<u64> {
        match self {
            Self::Mongo(mongo) => mongo.prune_history(before).await,
            Self::Sqlite(sqlite) => sqlite.prune_history(before).await,
        }
    }

    /// Removes every call that holds a person's number, every shape, and on request the customers who have it; in MongoDB those
    /// belong to the host application. Calls with another number of these customers lose the customer and the name.
    ///
    /// Looks twice. `settled` is awaited between, after which no instance writes what was on its way: each has read what was noted.
    pub async fn erase(
        &self,
        person: &Person,
        with_customers: bool,
        settled: impl Future<Output = Result<()>>,
    ) -> Result<Erased> {
        let first = self.erase_once(person, with_customers).await?;
        settled.await?;
        let second = self.erase_once(person, with_customers).await?;
        Ok(Erased {
            active_calls: first.active_calls + second.active_calls,
            call_history: first.call_history + second.call_history,
            notification_shapes: first.notification_shapes + second.notification_shapes,
            customers: first.customers + second.customers,
            customers_found: first.customers_found.max(second.customers_found),
        })
    }

    async fn erase_once(&self, person: &Person, with_customers: bool) -> Result<Erased> {
        match self {
            Self::Mongo(mongo) => mongo.erase(person, with_customers).await,
            Self::Sqlite(sqlite) => sqlite.erase(person.clone(), with_customers).await,
        }
    }

    /// What was erased at or after `since`, on any instance.
    pub async fn erased_since(&self, since: DateTime<Utc>) -> Result<Vec<Erasure>> {
        match self {
            Self::Mongo(mongo) => mongo.erased_since(since).await,
            Self::Sqlite(sqlite) => sqlite.erased_since(since).await,
        }
    }

    /// Whether the embedded store takes a call, and as much as a call needs. Leaves nothing behind.
    pub async fn probe(&self) -> Result<()> {
        match self {
            Self::Mongo(mongo) => mongo.ping().await,
            Self::Sqlite(sqlite) => sqlite.probe().await,
        }
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<()> {
        match self {
            Self::Mongo(mongo) => mongo.ping().await,
            Self::Sqlite(sqlite) => sqlite.ping().await,
        }
    }
}

/// A server that hangs closes no connection; who asked for something small must not wait for ever.
async fn in_time<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PATIENCE, answer).await.unwrap_or(Err(StoreError::Slow))
}

/// A new call's id: 24 hex digits that grow with time, as the guide's examples show it.
pub fn new_id() -> String {
    mongodb::bson::oid::ObjectId::new().to_hex()
}
