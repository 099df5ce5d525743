//! Customers that are imported.

use rusqlite::{Connection, params};

use crate::store::CustomerRecord;

/// Adds or replaces customers with their numbers.
pub(super) fn import(db: &Connection, records: &[CustomerRecord]) -> rusqlite::Result<()> {
    for CustomerRecord { id, name, email, numbers, adds } in records {
        if !adds {
            db.prepare_cached("DELETE FROM customers WHERE id = ?1")?.execute([id])?;
        }
        db.prepare_cached(
            "INSERT INTO customers (id, name, email) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET name = coalesce(?2, name), email = coalesce(?3, email)",
        )?
        .execute(params![id, name, email])?;
        for number in numbers {
            db.prepare_cached(
                "INSERT OR IGNORE INTO customer_phones (e164, customer_id, written) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![number.e164, id, number.written])?;
        }
    }
    Ok(())
}
