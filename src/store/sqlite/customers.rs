//! Customers that are imported.

use rusqlite::{Connection, OptionalExtension, params};

use super::{customer_search, phone_keys};
use crate::customer::{CustomerDetails, CustomerNumber};
use crate::phone::Region;
use crate::store::CustomerRecord;

/// Adds or replaces customers with their numbers.
pub(super) fn import(db: &Connection, records: &[CustomerRecord], region: Region) -> rusqlite::Result<()> {
    for CustomerRecord { id, name, email, company, numbers, unreadable, adds } in records {
        if !adds {
            db.prepare_cached("DELETE FROM customers WHERE id = ?1")?.execute([id])?;
        }
        db.prepare_cached(
            "INSERT INTO customers (id, name, email, company) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id)
             DO UPDATE SET name = coalesce(?2, name), email = coalesce(?3, email), company = coalesce(?4, company)",
        )?
        .execute(params![id, name, email, company])?;
        for number in numbers {
            db.prepare_cached(
                "INSERT OR IGNORE INTO customer_phones (e164, customer_id, written) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![number.e164, id, number.written])?;
        }
        for text in unreadable {
            phone_keys::insert(db, id, text, region)?;
        }
    }
    customer_search::refresh(db, region)?;
    for CustomerRecord { id, .. } in records {
        customer_search::refresh_customer(db, id, region)?;
    }
    Ok(())
}

/// A customer with all their numbers.
pub(super) fn by_id(db: &Connection, id: &str, region: Region) -> rusqlite::Result<Option<CustomerDetails>> {
    let mut customer = db.prepare_cached("SELECT name, email FROM customers WHERE id = ?1")?;
    let found = customer.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((name, email)) = found else { return Ok(None) };
    let mut phones = db.prepare_cached("SELECT written FROM customer_phones WHERE customer_id = ?1 ORDER BY e164")?;
    let texts = phones.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(Some(CustomerDetails { id: id.to_owned(), name, email, numbers: CustomerNumber::all_of(&texts, region) }))
}
