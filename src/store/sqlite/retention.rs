//! Old history is removed in slices, between which other writes go first: the file has one writer.

use std::time::Instant;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use tokio::time::sleep;

use super::Sqlite;
use crate::call::millis;
use crate::store::Result;

/// Old calls that are removed in one commit, which takes a few milliseconds.
const PRUNED_AT_ONCE: usize = 50;

impl Sqlite {
    pub async fn prune_history(&self, before: DateTime<Utc>) -> Result<u64> {
        let before = millis::format(&before);
        let old = before.clone();
        let shapes = move |db: &Connection| db.execute("DELETE FROM notification_shapes WHERE last_seen < ?1", [&old]);
        self.file.write(shapes).await?;
        let mut all = 0;
        loop {
            let (old, begun) = (before.clone(), Instant::now());
            let pruned = self.file.write(move |db| prune_slice(db, &old)).await?;
            all += pruned as u64;
            if pruned < PRUNED_AT_ONCE {
                return Ok(all);
            }
            // Webhooks share the one writer: half of its time stays theirs.
            sleep(begun.elapsed()).await;
        }
    }
}

/// Removes the oldest of the ended calls that began before; how many.
fn prune_slice(db: &Connection, before: &str) -> rusqlite::Result<usize> {
    let oldest = "SELECT id FROM call_history WHERE timestamp < ?1 ORDER BY timestamp LIMIT ?2";
    let ids: Vec<String> = db
        .prepare_cached(oldest)?
        .query_map(params![before, PRUNED_AT_ONCE as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in &ids {
        db.prepare_cached("DELETE FROM call_sessions WHERE call_id = ?1")?.execute([id])?;
        db.prepare_cached("DELETE FROM call_history WHERE id = ?1")?.execute([id])?;
    }
    Ok(ids.len())
}
