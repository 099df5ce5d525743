//! Removing a person from the embedded store: the history is searched on a reader, in slices, because webhooks must not wait for it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::calls::{forget, put_active, put_ended};
use super::row::{more_of, numbers, read_call};
use super::{customer_search, select};
use crate::call::{Call, millis};
use crate::phone::Region;
use crate::store::Erased;
use crate::store::erasure::{self, Erasure, REMEMBERED};
use crate::store::person::Person;

/// Rows of one read, so that other readers do not wait long.
const ROWS_AT_A_TIME: i64 = 500;
/// In SQLite's words.
const NO_LIMIT: i64 = -1;

/// What a search has found of a person.
pub(super) struct Search {
    person: Person,
    /// The person's customers; read first.
    customers: Option<BTreeSet<String>>,
    /// Ended calls that hold the number.
    ended: Vec<Call>,
    /// Ended calls with another number of theirs.
    others: BTreeSet<String>,
    /// The last row looked at.
    read_to: i64,
}

impl Search {
    pub(super) fn of(person: Person) -> Self {
        Self { person, customers: None, ended: Vec::new(), others: BTreeSet::new(), read_to: 0 }
    }

    /// Looks at the next rows of the history; `false` when there are none.
    pub(super) fn next(&mut self, db: &Connection) -> rusqlite::Result<bool> {
        self.look_at(db, ROWS_AT_A_TIME)
    }

    /// Removes what was found, and first looks at what ended since.
    pub(super) fn erase(&mut self, db: &Connection, with_customers: bool, region: Region) -> rusqlite::Result<Erased> {
        self.customers = None;
        self.look_at(db, NO_LIMIT)?;
        let now = Utc::now();
        note(db, &erasure::of_number(self.person.number()), now)?;
        let mut erased = Erased { call_history: self.ended.len() as u64, ..Erased::default() };
        self.ended.iter().try_for_each(|call| remove(db, call, now))?;
        let customers = self.customers.clone().unwrap_or_default();
        customers.iter().try_for_each(|id| note(db, &erasure::of_customer(id), now))?;
        for mut call in select(db, "SELECT * FROM active_calls", &[])? {
            if self.person.is_in(&call) {
                remove(db, &call, now)?;
                erased.active_calls += 1;
            } else if call.forget_customers(&customers) {
                put_active(db, &call, &more_of(&call))?;
            }
        }
        erased.active_calls += self.erase_unreadable(db)?;
        for id in &self.others {
            for mut call in select(db, "SELECT * FROM call_history WHERE id = ?1", &[id])? {
                if call.forget_customers(&customers) {
                    put_ended(db, &call, &more_of(&call))?;
                }
            }
        }
        erased.notification_shapes = db.execute("DELETE FROM notification_shapes", [])? as u64;
        erased.customers_found = customers.len() as u64;
        if with_customers {
            for id in &customers {
                erased.customers += db.execute("DELETE FROM customers WHERE id = ?1", [id])? as u64;
                customer_search::refresh_customer(db, id, region)?;
            }
        }
        Ok(erased)
    }

    /// A row that cannot be a call holds a number all the same.
    fn erase_unreadable(&self, db: &Connection) -> rusqlite::Result<u64> {
        let mut all = db.prepare_cached("SELECT rowid, * FROM active_calls")?;
        let (mut rows, mut theirs) = (all.query([])?, Vec::new());
        while let Some(row) = rows.next()? {
            let has_it = |written: String| self.person.is_in_text(&written);
            if read_call(row)?.is_err() && numbers(row)?.into_iter().flatten().any(has_it) {
                theirs.push(row.get::<_, i64>("rowid")?);
            }
        }
        let mut delete = db.prepare_cached("DELETE FROM active_calls WHERE rowid = ?1")?;
        theirs.into_iter().try_fold(0, |gone, row| Ok(gone + delete.execute([row])? as u64))
    }

    fn look_at(&mut self, db: &Connection, most: i64) -> rusqlite::Result<bool> {
        if self.customers.is_none() {
            let mut theirs = db.prepare_cached("SELECT customer_id FROM customer_phones WHERE e164 = ?1")?;
            let ids = theirs.query_map([self.person.number().e164()], |row| row.get(0))?;
            self.customers = Some(ids.collect::<rusqlite::Result<_>>()?);
        }
        let customers = self.customers.get_or_insert_default();
        let mut some =
            db.prepare_cached("SELECT rowid, * FROM call_history WHERE rowid > ?1 ORDER BY rowid LIMIT ?2")?;
        let mut rows = some.query(params![self.read_to, most])?;
        let from = self.read_to;
        while let Some(row) = rows.next()? {
            self.read_to = row.get("rowid")?;
            let Ok(call) = read_call(row)? else { continue };
            if self.person.is_in(&call) {
                self.ended.push(call);
            } else if call.customers.iter().any(|customer| customers.contains(&customer.id)) {
                self.others.insert(call.id);
            }
        }
        Ok(self.read_to > from)
    }
}

fn remove(db: &Connection, call: &Call, now: DateTime<Utc>) -> rusqlite::Result<()> {
    if now - call.facts.heard_at.max(call.timestamp) < REMEMBERED {
        call.sessions().try_for_each(|session| note(db, &erasure::of_session(session), now))?;
    }
    forget(db, &call.id)
}

fn note(db: &Connection, digest: &str, now: DateTime<Utc>) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM erasures WHERE until <= ?1")?.execute([millis::format(&now)])?;
    let times = [millis::format(&now), millis::format(&(now + REMEMBERED))];
    db.prepare_cached("INSERT OR REPLACE INTO erasures (digest, erased_at, until) VALUES (?1, ?2, ?3)")?
        .execute(params![digest, times[0], times[1]])
        .map(drop)
}

/// What was noted at or after `since`.
pub(super) fn erased_since(db: &Connection, since: DateTime<Utc>) -> rusqlite::Result<Vec<Erasure>> {
    let mut noted = db.prepare_cached("SELECT digest, erased_at FROM erasures WHERE erased_at >= ?1")?;
    let noted = noted.query_map([millis::format(&since)], |row| {
        let erased_at = millis::parse(&row.get::<_, String>(1)?).unwrap_or_default();
        Ok(Erasure { digest: row.get(0)?, erased_at })
    })?;
    noted.collect()
}
