//! The embedded store: the default, so that the program runs with no server at all.

mod active;
mod backup;
mod calls;
mod customer_search;
mod customers;
pub(super) mod database;
mod dismissals;
mod erasing;
mod history;
mod import_progress;
mod known_customers;
mod phone_keys;
mod phone_texts;
mod retention;
mod row;
mod sessions;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::{DateTime, Utc};
use rusqlite::types::ToSql;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use tokio::sync::OnceCell;

use super::aside::{Asides, Why, hash};
use super::call_merge::LoadedCalls;
use super::erasure::Erasure;
use super::person::Person;
use super::unchanged::{CallsAtHand, Unchanged};
use super::{Erased, HistoryPage, HistoryQuery, MOST_SHAPES, Result};
use crate::call::{Call, CallEvent, millis};
use crate::customer::{Customer, CustomerDetails};
use crate::phone::{PhoneNumber, Region};
pub use backup::{BackupError, Copied, backup};
use calls::Draft;
use database::Database;
use erasing::Search;
pub use import_progress::ImportProgress;
pub use known_customers::KnownCustomers;
use row::{more_of, read_call, time};

/// What brings the file from each version to the next. A migration that was released is never changed. The first one is also run
/// on files from before there were versions.
const MIGRATIONS: &[&str] = &[
    include_str!("sqlite/migrations/0001_initial.sql"),
    include_str!("sqlite/migrations/0002_call_extensions.sql"),
    include_str!("sqlite/migrations/0003_customer_changes.sql"),
    include_str!("sqlite/migrations/0004_one_parse_of_a_call.sql"),
    include_str!("sqlite/migrations/0005_customer_search.sql"),
];

/// The file's name in `DATA_DIR`.
const FILE: &str = "caller-popup.sqlite";

/// The embedded store. Cheap to clone.
#[derive(Clone)]
pub struct Sqlite {
    pub(super) file: Database,
    region: Region,
    /// Set when the keys of customers' numbers are those of this version and region.
    phone_keys: Arc<OnceCell<()>>,
    /// Searches find all customers.
    is_searchable: Arc<AtomicBool>,
    asides: Asides,
    unchanged: Unchanged,
}

impl Sqlite {
    /// Opens or creates the file in `folder`.
    pub fn open(folder: &Path, region: Region) -> Result<Self> {
        let path = folder.join(FILE);
        phone_keys::check(&path)?;
        let file = Database::open(&path, MIGRATIONS)?;
        Ok(Self {
            file,
            region,
            phone_keys: Arc::default(),
            is_searchable: Arc::default(),
            asides: Asides::default(),
            unchanged: Unchanged::default(),
        })
    }

    pub async fn apply(&self, events: &[CallEvent], known: LoadedCalls, new_id: &str) -> Result<Vec<Call>> {
        let mut draft = Draft::of(&known, events, new_id);
        let (events, new_id) = (events.to_vec(), new_id.to_owned());
        self.file.write(move |db| calls::apply(db, draft.take(), &events, known.clone(), &new_id)).await
    }

    pub async fn active(&self, at_hand: CallsAtHand) -> Result<Vec<Arc<Call>>> {
        let (asides, unchanged) = (self.asides.clone(), self.unchanged.clone());
        self.file.read_at_length(move |db| active::all(db, &asides, &unchanged, &at_hand)).await
    }

    /// Rows that are set aside now, and since the start.
    pub fn rows_set_aside(&self) -> (usize, u64) {
        self.asides.count()
    }

    pub async fn active_call(&self, id: &str) -> Result<Option<Call>> {
        let id = id.to_owned();
        self.file.read(move |db| Ok(select(db, "SELECT * FROM active_calls WHERE id = ?1", &[&id])?.pop())).await
    }

    pub async fn ended(&self, id: &str) -> Result<Option<Call>> {
        let id = id.to_owned();
        self.file.read(move |db| Ok(select(db, "SELECT * FROM call_history WHERE id = ?1", &[&id])?.pop())).await
    }

    pub async fn adopt(&self, found: Call, next: Call) -> Result<Option<Call>> {
        let asides = self.asides.clone();
        self.file
            .write(move |db| match adopt(db, &found, &next) {
                // A trigger of another program, which is about this row alone.
                Err(rusqlite::Error::SqliteFailure(cause, _)) if cause.code == ErrorCode::ConstraintViolation => {
                    let (key, content) = (hash(&found.id), hash(&found.session_id));
                    asides.note(key, content, "a row", Why::Refused(cause.extended_code));
                    Ok(None)
                }
                adopted => {
                    asides.forget(hash(&found.id));
                    adopted
                }
            })
            .await
    }

    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage> {
        self.file.read_at_length(move |db| history::history(db, &query)).await
    }

    pub async fn customers_by_phone(&self, number: &PhoneNumber) -> Result<Vec<Customer>> {
        let (number, region) = (number.clone(), self.region);
        self.file.read(move |db| phone_keys::customers(db, &number, region)).await
    }

    pub async fn customer_by_id(&self, id: &str) -> Result<Option<CustomerDetails>> {
        let (id, region) = (id.to_owned(), self.region);
        self.file.read(move |db| customers::by_id(db, &id, region)).await
    }

    /// Brings the keys of customers' numbers in line with what reads numbers now, once.
    pub async fn rebuild_phone_keys(&self) -> Result<()> {
        self.phone_keys.get_or_try_init(|| phone_keys::rebuild(&self.file, self.region)).await.map(drop)
    }

    /// Differs from the one before when a customer was written, by this program or another.
    pub async fn customer_changes(&self) -> Result<i64> {
        self.file.read(|db| db.query_row("SELECT count FROM customer_changes", [], |row| row.get(0))).await
    }

    pub async fn record_shape(&self, shape: &str, at: DateTime<Utc>) -> Result<()> {
        let (shape, at) = (shape.to_owned(), millis::format(&at));
        self.file.write(move |db| record_shape(db, &shape, &at)).await
    }

    pub async fn setting(&self, key: &str) -> Result<Option<String>> {
        let key = key.to_owned();
        self.file
            .read(move |db| {
                db.query_row("SELECT value FROM settings WHERE key = ?1", [key], |row| row.get(0)).optional()
            })
            .await
    }

    pub async fn set_setting(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.file
            .write(move |db| {
                db.execute("INSERT OR REPLACE INTO settings VALUES (?1, ?2)", params![key, value]).map(drop)
            })
            .await
    }

    pub async fn get_or_insert_setting(&self, key: &str, value: &str) -> Result<String> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.file
            .write(move |db| {
                db.execute("INSERT OR IGNORE INTO settings VALUES (?1, ?2)", params![key, value])?;
                db.query_row("SELECT value FROM settings WHERE key = ?1", [&key], |row| row.get(0))
            })
            .await
    }

    pub async fn put_ticket(&self, id: &str, value: &str, until: DateTime<Utc>) -> Result<()> {
        let (id, value, until) = (id.to_owned(), value.to_owned(), millis::format(&until));
        let now = millis::format(&Utc::now());
        self.file
            .write(move |db| {
                db.execute("DELETE FROM tickets WHERE until <= ?1", [&now])?;
                db.execute("INSERT INTO tickets VALUES (?1, ?2, ?3)", params![id, value, until]).map(drop)
            })
            .await
    }

    pub async fn take_ticket(&self, id: &str, now: DateTime<Utc>) -> Result<Option<String>> {
        let (id, now) = (id.to_owned(), millis::format(&now));
        self.file
            .write(move |db| {
                let take = "DELETE FROM tickets WHERE id = ?1 AND until > ?2 RETURNING value";
                db.query_row(take, [&id, &now], |row| row.get(0)).optional()
            })
            .await
    }

    /// One pass over everything there is.
    pub async fn erase(&self, person: Person, with_customers: bool) -> Result<Erased> {
        self.rebuild_phone_keys().await?;
        let mut search = Search::of(person);
        loop {
            let look = move |db: &Connection| Ok((search.next(db)?, search));
            let more;
            (more, search) = self.file.read_at_length(look).await?;
            if !more {
                break;
            }
        }
        let region = self.region;
        let erased = self.file.write(move |db| search.erase(db, with_customers, region)).await?;
        self.file.leave_no_trace().await?;
        Ok(erased)
    }

    /// What was erased at or after `since`.
    pub async fn erased_since(&self, since: DateTime<Utc>) -> Result<Vec<Erasure>> {
        self.file.read(move |db| erasing::erased_since(db, since)).await
    }

    pub async fn ping(&self) -> Result<()> {
        self.file.read(|db| db.query_row("SELECT 1", [], |_| Ok(()))).await
    }
}

/// Only a shape that is new can be one too many; then the index is walked to the first that is.
fn record_shape(db: &Connection, shape: &str, at: &str) -> rusqlite::Result<()> {
    let seen = "UPDATE notification_shapes SET count = count + 1, last_seen = max(last_seen, ?2) WHERE shape = ?1";
    if db.execute(seen, params![shape, at])? > 0 {
        return Ok(());
    }
    db.execute("INSERT INTO notification_shapes VALUES (?1, 1, ?2, ?2)", params![shape, at])?;
    db.execute(
        "DELETE FROM notification_shapes WHERE shape IN
         (SELECT shape FROM notification_shapes ORDER BY last_seen DESC LIMIT -1 OFFSET ?1)",
        [MOST_SHAPES],
    )
    .map(drop)
}

fn select(db: &Connection, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<Vec<Call>> {
    let mut statement = db.prepare_cached(sql)?;
    let calls = statement.query_map(values, read_call)?;
    calls.filter_map(|call| call.map(std::result::Result::ok).transpose()).collect()
}

/// Adds what is ours to a row of another program, if it is still as it was found.
fn adopt(db: &Connection, found: &Call, next: &Call) -> rusqlite::Result<Option<Call>> {
    let Some(mut current) = select(db, "SELECT * FROM active_calls WHERE id = ?1", &[&found.id])?.pop() else {
        return Ok(None);
    };
    if current.rev == 0 {
        // Where its own time cannot be read, it is that of the reading.
        let mut row = db.prepare_cached("SELECT timestamp FROM active_calls WHERE id = ?1")?;
        current.facts.heard_at = found.facts.heard_at;
        if row.query_row([&found.id], time)?.is_none() {
            current.timestamp = found.timestamp;
        }
    }
    if current != *found {
        return Ok(None);
    }
    db.prepare_cached("UPDATE active_calls SET rev = ?2, more = ?3 WHERE id = ?1")?.execute(params![
        next.id,
        next.rev,
        more_of(next)
    ])?;
    Ok(Some(next.clone()))
}
