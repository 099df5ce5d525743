//! Customers that are imported.

use rusqlite::{Connection, params};

use super::phone_keys;
use crate::phone::{PhoneNumber, Region};
use crate::store::CustomerRecord;

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
