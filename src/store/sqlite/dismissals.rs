//! Which viewer dismissed which active call.

use rusqlite::{Connection, Row, params};

use super::Sqlite;
use crate::call::millis;
use crate::store::{Dismissal, Result};

impl Sqlite {
    pub async fn dismiss(&self, dismissal: Dismissal) -> Result<()> {
        self.file
            .write(move |db| {
                let Dismissal { call_id, viewer, at } = &dismissal;
                db.prepare_cached("INSERT OR IGNORE INTO dismissals VALUES (?1, ?2, ?3)")?
                    .execute(params![call_id, viewer, millis::format(at)])
                    .map(drop)
            })
            .await
    }

    pub async fn dismissals(&self) -> Result<Vec<Dismissal>> {
        let read = |row: &Row<'_>| {
            let at = millis::parse(&row.get::<_, String>(2)?).unwrap_or_default();
            Ok(Dismissal { call_id: row.get(0)?, viewer: row.get(1)?, at })
        };
        self.file
            .read(move |db| {
                db.prepare_cached("SELECT call_id, viewer, at FROM dismissals")?.query_map([], read)?.collect()
            })
            .await
    }

    pub async fn forget_dismissals(&self, calls: Vec<String>) -> Result<()> {
        self.file.write(move |db| calls.iter().try_for_each(|call_id| forget(db, call_id))).await
    }
}

pub(super) fn forget(db: &Connection, call_id: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM dismissals WHERE call_id = ?1")?.execute([call_id]).map(drop)
}

/// Adds to a call who dismissed another, which became part of it.
pub(super) fn inherit(db: &Connection, from: &str, to: &str) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR IGNORE INTO dismissals SELECT ?2, viewer, at FROM dismissals WHERE call_id = ?1")?
        .execute([from, to])
        .map(drop)
}
