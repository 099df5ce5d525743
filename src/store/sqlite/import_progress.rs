//! How far an import has come, so that one that is interrupted goes on there.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Sqlite;
use super::customers::import;
use crate::store::{CustomerRecord, Result};

/// Under this name the store keeps it.
const SETTING: &str = "customer_import";

/// What is stored of an import with each of its batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportProgress {
    /// A digest of the file and of what reads it: another file, or another reader, has other batches.
    pub file: String,
    /// Batches that are stored.
    pub batches: u64,
}

impl Sqlite {
    /// Adds or replaces customers, and notes in the same transaction how far the import has come.
    pub async fn import_customers(&self, records: Vec<CustomerRecord>, progress: Option<ImportProgress>) -> Result<()> {
        let region = self.region;
        self.file
            .write(move |db| {
                import(db, &records, region)?;
                store(db, progress.as_ref())
            })
            .await
    }

    /// Batches that an interrupted import of this file has stored.
    pub async fn imported_batches(&self, file: &str) -> Result<u64> {
        let file = file.to_owned();
        self.file.read(move |db| of(db, &file)).await
    }

    /// The import is done: the same file is read from its beginning next time.
    pub async fn end_import(&self) -> Result<()> {
        self.file.write(|db| store(db, None)).await
    }
}

/// Batches of this file that are stored.
fn of(db: &Connection, file: &str) -> rusqlite::Result<u64> {
    let stored = db
        .query_row("SELECT value FROM settings WHERE key = ?1", [SETTING], |row| row.get::<_, String>(0))
        .optional()?;
    let stored = stored.and_then(|text| serde_json::from_str::<ImportProgress>(&text).ok());
    Ok(stored.filter(|stored| stored.file == file).map_or(0, |stored| stored.batches))
}

/// Replaces what is stored of any import: after another one, the batches of the first may be what it replaced.
fn store(db: &Connection, progress: Option<&ImportProgress>) -> rusqlite::Result<()> {
    match progress {
        Some(progress) => {
            let text = json!(progress).to_string();
            db.prepare_cached("INSERT OR REPLACE INTO settings VALUES (?1, ?2)")?.execute(params![SETTING, text])
        }
        None => db.prepare_cached("DELETE FROM settings WHERE key = ?1")?.execute([SETTING]),
    }
    .map(drop)
}
