//! Whom the embedded store knows: customers that are brought in, and a person who is to be forgotten.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::{forget, phone_keys, read_call, select};
use crate::phone::{PhoneNumber, Region};
use crate::store::advance::mentions;
use crate::store::{CustomerRecord, Erased};

/// Rows of one read, so that nobody waits long for the reader.
const ROWS_AT_A_TIME: i64 = 500;
/// In SQLite's words.
const NO_LIMIT: i64 = -1;

/// Answers how many of their numbers can never match.
pub(super) fn import(db: &Connection, records: &[CustomerRecord], region: Region) -> rusqlite::Result<usize> {
    let mut unusable = 0;
    for record in records {
        db.prepare_cached("DELETE FROM customers WHERE id = ?1")?.execute([&record.id])?;
        db.prepare_cached("INSERT INTO customers (id, name, email) VALUES (?1, ?2, ?3)")?.execute(params![
            record.id,
            record.name,
            record.email
        ])?;
        for written in &record.phones {
            unusable += usize::from(PhoneNumber::parse_all(written, region).is_empty());
            phone_keys::insert(db, &record.id, written, region)?;
        }
    }
    Ok(unusable)
}

/// What is known of a person's calls while the history is searched, on the reader: webhooks must not wait for it.
pub(super) struct Theirs {
    number: PhoneNumber,
    region: Region,
    /// Ids of ended calls.
    ended: BTreeSet<String>,
    /// The last row looked at.
    read_to: i64,
}

impl Theirs {
    pub(super) fn new(number: &PhoneNumber, region: Region) -> Self {
        Self { number: number.clone(), region, ended: BTreeSet::new(), read_to: 0 }
    }

    /// Looks at the next rows of the history; `false` when there are none.
    pub(super) fn look_on(&mut self, db: &Connection) -> rusqlite::Result<bool> {
        self.look_at(db, ROWS_AT_A_TIME)
    }

    /// Removes them, and first looks at what ended since.
    pub(super) fn erase(&mut self, db: &Connection, with_customers: bool) -> rusqlite::Result<Erased> {
        self.look_at(db, NO_LIMIT)?;
        let mut erased = Erased { call_history: self.ended.len() as u64, ..Erased::default() };
        self.ended.iter().try_for_each(|id| forget(db, id))?;
        let active = select(db, "SELECT * FROM active_calls", &[])?;
        for call in active.iter().filter(|call| mentions(call, &self.number, self.region)) {
            forget(db, &call.id)?;
            erased.active_calls += 1;
        }
        erased.notification_shapes = db.execute("DELETE FROM notification_shapes", [])? as u64;
        let theirs = "SELECT customer_id FROM customer_phones WHERE e164 = ?1";
        erased.customers_found = db.query_row(
            &format!("SELECT count(*) FROM ({theirs})"),
            [self.number.e164()],
            |row| row.get::<_, i64>(0),
        )? as u64;
        if with_customers {
            erased.customers =
                db.execute(&format!("DELETE FROM customers WHERE id IN ({theirs})"), [self.number.e164()])? as u64;
        }
        Ok(erased)
    }

    fn look_at(&mut self, db: &Connection, most: i64) -> rusqlite::Result<bool> {
        let mut some =
            db.prepare_cached("SELECT rowid, * FROM call_history WHERE rowid > ?1 ORDER BY rowid LIMIT ?2")?;
        let mut rows = some.query(params![self.read_to, most])?;
        let from = self.read_to;
        while let Some(row) = rows.next()? {
            self.read_to = row.get("rowid")?;
            let call = read_call(row)?;
            if mentions(&call, &self.number, self.region) {
                self.ended.insert(call.id);
            }
        }
        Ok(self.read_to > from)
    }
}
