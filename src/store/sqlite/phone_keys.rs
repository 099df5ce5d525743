//! Under which keys customers' numbers stand in `customer_phones`: E.164, as the number reader of this version and `DEFAULT_REGION`
//! read the text that was written down.
//!
//! When either of them changes, all keys are rebuilt from the texts: in slices, so that webhooks never wait long for the writer,
//! and from where the last run got to. A lookup reads the text behind each key it finds, so a key of an older version makes no wrong
//! match meanwhile.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::info;

use crate::customer::{Customer, Match, rank};
use crate::phone::{PhoneNumber, READER, Region};
use crate::store::sqlite::database::Database;
use crate::store::{Result, StoreError};

/// Under this name the store keeps what the keys were made by.
const SETTING: &str = "phone_keys";
/// Customers of one write, some 10 ms of work.
const SLICE: i64 = 250;
/// Customers of one number that are shown; more than a person can choose from.
const MOST_CUSTOMERS: usize = 20;
/// In front of the key of a text without a readable number, which is kept for a later version. No number begins like this.
const UNREADABLE: char = '?';

/// What the keys were made by.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Keys {
    reader: u32,
    region: String,
    /// The last customer whose keys are rebuilt; `None` when all are.
    rebuilt_to: Option<String>,
}

/// Refuses a file whose keys could not be rebuilt.
pub(super) fn check(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let db = Connection::open(path)?;
    let mut columns = db.prepare("SELECT name FROM pragma_table_info('customer_phones')")?;
    let columns: Vec<String> = columns.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if columns.is_empty() || columns.iter().any(|column| column == "written") {
        return Ok(());
    }
    Err(StoreError::Schema(
        "the table customer_phones has no column \"written\", from which the numbers of customers are read again; drop the table \
         and run `caller-popup customers import` again",
    ))
}

/// The keys under which the numbers in a text stand.
pub(super) fn of(written: &str, region: Region) -> Vec<String> {
    let numbers = PhoneNumber::parse_all(written, region);
    if numbers.is_empty() {
        return vec![format!("{UNREADABLE}{written}")];
    }
    numbers.iter().map(PhoneNumber::e164).collect()
}

/// The customers who have this number, or one that may reach the same line.
pub(super) fn customers(db: &Connection, number: &PhoneNumber, region: Region) -> rusqlite::Result<Vec<Customer>> {
    let mut customers = Vec::new();
    let exact = (Match::Exact, number.clone());
    let possible = number.counterparts().into_iter().map(|other| (Match::Possible, other));
    for (matched, number) in std::iter::once(exact).chain(possible) {
        let mut found = db.prepare_cached(
            "SELECT id, name, email, written FROM customer_phones JOIN customers ON id = customer_id WHERE e164 = ?1",
        )?;
        let mut rows = found.query([number.e164()])?;
        while let Some(row) = rows.next()? {
            let written: String = row.get(3)?;
            if customers.len() < MOST_CUSTOMERS && PhoneNumber::parse_all(&written, region).contains(&number) {
                customers.push(Customer { id: row.get(0)?, name: row.get(1)?, email: row.get(2)?, matched });
            }
        }
    }
    Ok(rank(customers))
}

/// Rebuilds what is not of this version and region.
pub(super) async fn rebuild(file: &Database, region: Region) -> Result<()> {
    let mut total = 0;
    loop {
        let rebuilt = file.write(move |db| rebuild_slice(db, region)).await?;
        total += rebuilt;
        if rebuilt == 0 {
            break;
        }
    }
    if total > 0 {
        info!(customers = total, "the keys of customers' numbers were rebuilt");
    }
    Ok(())
}

/// How many customers were done; 0 when all are.
fn rebuild_slice(db: &Connection, region: Region) -> rusqlite::Result<usize> {
    let stored = db
        .query_row("SELECT value FROM settings WHERE key = ?1", [SETTING], |row| row.get::<_, String>(0))
        .optional()?;
    let stored = stored.and_then(|text| serde_json::from_str::<Keys>(&text).ok());
    let current = |keys: &Keys| keys.reader == READER && keys.region == region.to_string();
    let after = match stored.filter(current) {
        Some(Keys { rebuilt_to: None, .. }) => return Ok(0),
        Some(Keys { rebuilt_to: Some(last), .. }) => last,
        None => String::new(),
    };
    let mut next = db.prepare_cached(
        "SELECT DISTINCT customer_id FROM customer_phones WHERE customer_id > ?1 ORDER BY customer_id LIMIT ?2",
    )?;
    let ids: Vec<String> = next.query_map(params![after, SLICE], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for id in &ids {
        rebuild_customer(db, id, region)?;
    }
    let keys = Keys { reader: READER, region: region.to_string(), rebuilt_to: ids.last().cloned() };
    db.execute("INSERT OR REPLACE INTO settings VALUES (?1, ?2)", params![SETTING, json!(keys).to_string()])?;
    Ok(ids.len())
}

fn rebuild_customer(db: &Connection, id: &str, region: Region) -> rusqlite::Result<()> {
    let mut texts = db.prepare_cached("SELECT DISTINCT written FROM customer_phones WHERE customer_id = ?1")?;
    let texts: Vec<String> = texts.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    db.prepare_cached("DELETE FROM customer_phones WHERE customer_id = ?1")?.execute([id])?;
    texts.iter().try_for_each(|written| insert(db, id, written, region))
}

/// Puts a text of a customer under its keys.
pub(super) fn insert(db: &Connection, customer_id: &str, written: &str, region: Region) -> rusqlite::Result<()> {
    let mut insert =
        db.prepare_cached("INSERT OR IGNORE INTO customer_phones (e164, customer_id, written) VALUES (?1, ?2, ?3)")?;
    of(written, region).iter().try_for_each(|key| insert.execute(params![key, customer_id, written]).map(drop))
}
