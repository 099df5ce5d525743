//! The texts of telephone numbers in the embedded store, which has one field for all.

use rusqlite::{Connection, params};

use super::Sqlite;
use crate::store::Result;
use crate::store::phone_texts::{CustomerTexts, SLICE, TextsPosition, paged};

/// As imports and the database's table have it.
const FIELD: &str = "phone";

impl Sqlite {
    /// The texts that hold numbers of some customers; `None` when the position is none.
    pub async fn phone_texts(
        &self,
        from: Option<TextsPosition>,
    ) -> Result<Option<(Vec<CustomerTexts>, Option<TextsPosition>)>> {
        let Ok(from) = String::from_utf8(from.map(|from| from.0).unwrap_or_default()) else { return Ok(None) };
        self.file.read_at_length(move |db| read(db, &from)).await.map(Some)
    }
}

/// Some customers from an id on, and where to go on.
fn read(db: &Connection, from: &str) -> rusqlite::Result<(Vec<CustomerTexts>, Option<TextsPosition>)> {
    let mut ids = db.prepare_cached(
        "SELECT DISTINCT customer_id FROM customer_phones WHERE customer_id >= ?1 ORDER BY customer_id LIMIT ?2",
    )?;
    let mut texts =
        db.prepare_cached("SELECT DISTINCT written FROM customer_phones WHERE customer_id = ?1 ORDER BY written")?;
    let ids = ids.query_map(params![from, SLICE as i64 + 1], |row| row.get(0))?;
    let mut customers = Vec::new();
    for id in ids.collect::<rusqlite::Result<Vec<String>>>()? {
        let texts = texts.query_map([&id], |row| Ok((FIELD.to_owned(), row.get(0)?)))?;
        let texts = texts.collect::<rusqlite::Result<_>>()?;
        customers.push(CustomerTexts { position: TextsPosition(id.clone().into_bytes()), id, texts });
    }
    Ok(paged(customers))
}
