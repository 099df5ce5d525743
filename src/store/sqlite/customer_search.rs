//! Customers who are searched in the embedded store: by the beginnings of words and by four digits in a row in full-text indexes, by the
//! beginning of a whole name or an email address in ordinary ones. What they find is read from `customers` and compared again.
//!
//! Triggers note every customer who is written, by this program or another one, in `customer_search_due`. The program writes the rows of
//! those: in the same transaction where it wrote them itself, else within a second. When this version cuts texts into other words, or
//! reads other numbers, all customers are due, in slices from where the last run got to.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, ToSql, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Sqlite;
use crate::customer::CustomerFound;
use crate::customer::search::{self, FEWEST_DIGITS, FOLDING, MOST_FOUND, Place, SearchQuery, Searchable};
use crate::phone::{READER, Region};
use crate::store::Result;

/// Under this name the store keeps what the rows were made by.
const SETTING: &str = "customer_search";
/// Customers of one write, some 20 ms of work.
const SLICE: i64 = 250;
/// Customers of one index that are read: of a beginning that more have, some are ranked.
const CANDIDATES: i64 = 300;
/// A search is answered with what it has found by then.
const LONGEST_SEARCH: Duration = Duration::from_secs(2);

/// What the rows were made by.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    folding: u32,
    reader: u32,
    region: String,
    /// The last customer whose row is made; `None` when all are.
    to: Option<String>,
}

impl Sqlite {
    /// Writes what customers are searched by, for those who have changed; whether there may be more.
    pub async fn refresh_customer_search(&self) -> Result<bool> {
        let region = self.region;
        // The writer is asked only if there is something to write.
        if self.customer_search_is_complete() && !self.file.read(is_due).await? {
            return Ok(false);
        }
        let more = self.file.write(move |db| refresh(db, region)).await?;
        if !more {
            self.is_searchable.store(true, Ordering::Relaxed);
        }
        Ok(more)
    }

    /// Whether searches find all customers.
    pub fn customer_search_is_complete(&self) -> bool {
        self.is_searchable.load(Ordering::Relaxed)
    }

    /// The customers that match a query, the best first.
    pub async fn search_customers(&self, query: SearchQuery) -> Result<Vec<CustomerFound>> {
        let region = self.region;
        self.file.read_at_length(move |db| search(db, &query, region)).await
    }
}

/// Writes the rows of customers who have changed, and goes on with all where that is needed; whether there may be more.
pub(super) fn refresh(db: &Connection, region: Region) -> rusqlite::Result<bool> {
    let mut due = db.prepare_cached("SELECT customer_id FROM customer_search_due LIMIT ?1")?;
    let due: Vec<String> = due.query_map([SLICE], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for id in &due {
        refresh_customer(db, id, region)?;
    }
    if !due.is_empty() {
        return Ok(true);
    }
    make_slice(db, region)
}

/// Whether customers have changed.
pub(super) fn is_due(db: &Connection) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM customer_search_due")?.exists([])
}

fn make_slice(db: &Connection, region: Region) -> rusqlite::Result<bool> {
    let stored = db
        .prepare_cached("SELECT value FROM settings WHERE key = ?1")?
        .query_row([SETTING], |row| row.get::<_, String>(0))
        .optional()?;
    let stored = stored.and_then(|text| serde_json::from_str::<Made>(&text).ok());
    let current = |it: &Made| it.folding == FOLDING && it.reader == READER && it.region == region.to_string();
    let after = match stored.filter(current) {
        Some(Made { to: None, .. }) => return Ok(false),
        Some(Made { to: Some(last), .. }) => last,
        None => String::new(),
    };
    let mut next = db.prepare_cached("SELECT id FROM customers WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let ids: Vec<String> = next.query_map(params![after, SLICE], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for id in &ids {
        refresh_customer(db, id, region)?;
    }
    let to = ids.last().cloned();
    let more = to.is_some();
    let made = Made { folding: FOLDING, reader: READER, region: region.to_string(), to };
    db.execute("INSERT OR REPLACE INTO settings VALUES (?1, ?2)", params![SETTING, json!(made).to_string()])?;
    Ok(more)
}

/// Writes a customer's row, or removes it. One that says the same stays: removing words from the file is costly.
pub(super) fn refresh_customer(db: &Connection, id: &str, region: Region) -> rusqlite::Result<()> {
    let row = customer(db, id)?.map(|customer| row_of(&customer, region));
    let mut same = db.prepare_cached(
        "SELECT 1 FROM customer_search WHERE customer_id = ?1 AND name = ?2 AND email = ?3 AND words = ?4 AND digits = ?5",
    )?;
    let is_same = match &row {
        Some([name, email, words, digits]) => same.exists(params![id, name, email, words, digits])?,
        None => false,
    };
    if !is_same {
        db.prepare_cached("DELETE FROM customer_search WHERE customer_id = ?1")?.execute([id])?;
        if let Some([name, email, words, digits]) = row {
            db.prepare_cached(
                "INSERT INTO customer_search (customer_id, name, email, words, digits) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![id, name, email, words, digits])?;
        }
    }
    db.prepare_cached("DELETE FROM customer_search_due WHERE customer_id = ?1")?.execute([id]).map(drop)
}

fn row_of(customer: &Searchable, region: Region) -> [String; 4] {
    let words: Vec<String> = search::words(customer).into_iter().collect();
    let mut windows: Vec<String> = search::digits(customer, region).iter().flat_map(|number| windows(number)).collect();
    windows.sort();
    windows.dedup();
    [
        search::name_key(customer.name.as_deref()),
        search::email_key(customer.email.as_deref()),
        words.join(" "),
        windows.join(" "),
    ]
}

/// Every four digits in a row.
fn windows(digits: &str) -> Vec<String> {
    digits.as_bytes().windows(FEWEST_DIGITS).map(|some| String::from_utf8_lossy(some).into_owned()).collect()
}

fn customer(db: &Connection, id: &str) -> rusqlite::Result<Option<Searchable>> {
    let mut found = db.prepare_cached("SELECT name, email, company FROM customers WHERE id = ?1")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Searchable {
            id: id.to_owned(),
            name: row.get(0)?,
            email: row.get(1)?,
            company: row.get(2)?,
            phones: Vec::new(),
        })
    };
    let Some(mut customer) = found.query_row([id], read).optional()? else { return Ok(None) };
    let mut phones = db.prepare_cached("SELECT DISTINCT written FROM customer_phones WHERE customer_id = ?1")?;
    customer.phones = phones.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(customer))
}

/// The customers that match a query, the best first.
pub(super) fn search(db: &Connection, query: &SearchQuery, region: Region) -> rusqlite::Result<Vec<CustomerFound>> {
    let until = Instant::now() + LONGEST_SEARCH;
    let mut found = Found { db, until, seen: HashSet::new(), customers: Vec::new() };
    if let Some(number) = &query.number {
        found.add("SELECT customer_id FROM customer_phones WHERE e164 = ?1 LIMIT ?2", &[&number.e164()])?;
    }
    if !query.name.is_empty() {
        const BY_NAME: &str = "SELECT customer_id FROM customer_search WHERE name <> '' AND name >= ?1 AND name < ?2
                               ORDER BY name, customer_id LIMIT ?3";
        found.add(BY_NAME, &[&query.name, &behind(&query.name)])?;
    }
    let is_better =
        |customer: &&Searchable| query.place(customer, region).is_some_and(|place| place < Place::Elsewhere);
    // All others rank behind these.
    if found.customers.iter().filter(is_better).count() < MOST_FOUND {
        const BY_EMAIL: &str =
            "SELECT customer_id FROM customer_search WHERE email <> '' AND email >= ?1 AND email < ?2 LIMIT ?3";
        const BY_WORDS: &str =
            "SELECT customer_id FROM customer_words JOIN customer_search ON key = customer_words.rowid
                                WHERE customer_words MATCH ?1 LIMIT ?2";
        const BY_DIGITS: &str =
            "SELECT customer_id FROM customer_digits JOIN customer_search ON key = customer_digits.rowid
                                 WHERE customer_digits MATCH ?1 LIMIT ?2";
        if let Some(email) = &query.email {
            found.add(BY_EMAIL, &[email, &behind(email)])?;
        }
        if !query.words.is_empty() {
            // Words have letters and digits only, so there is nothing to escape.
            let all: Vec<String> = query.words.iter().map(|word| format!("\"{word}\" *")).collect();
            found.add(BY_WORDS, &[&all.join(" AND ")])?;
        }
        for digits in &query.digits {
            let all: Vec<String> = windows(digits).iter().map(|window| format!("\"{window}\"")).collect();
            found.add(BY_DIGITS, &[&all.join(" AND ")])?;
        }
    }
    Ok(query.answer(found.customers, region))
}

/// What comes after all texts that begin like this.
fn behind(text: &str) -> String {
    format!("{text}{}", char::MAX)
}

/// Customers who may be the answer.
struct Found<'a> {
    db: &'a Connection,
    until: Instant,
    seen: HashSet<String>,
    customers: Vec<Searchable>,
}

impl Found<'_> {
    fn add(&mut self, sql: &str, of: &[&dyn ToSql]) -> rusqlite::Result<()> {
        let mut ids = self.db.prepare_cached(sql)?;
        let limited: Vec<&dyn ToSql> = of.iter().copied().chain([&CANDIDATES as &dyn ToSql]).collect();
        let mut rows = ids.query(&limited[..])?;
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            if Instant::now() > self.until {
                break;
            }
            if self.seen.insert(id.clone()) {
                self.customers.extend(customer(self.db, &id)?);
            }
        }
        Ok(())
    }
}
