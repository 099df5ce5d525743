//! Room on the disk, and whether it can be used.

use std::path::Path;

use rusqlite::Connection;

use super::Result;
use super::sqlite::Sqlite;
use super::sqlite::database::Database;

/// Less than this is no room: a few calls, with the log that is written ahead.
const LEAST: u64 = 256 * 1024;
/// What is written to see whether there is room: more than a call needs.
const PROBE: usize = 64 * 1024;

/// Whether the file system of `folder` has no room left. `false` where it does not say.
pub fn disk_is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) < LEAST)
}

/// A row that another program's trigger may refuse, as it would a call, and that readers never see.
const CALL: &str = "SAVEPOINT write_probe;
    INSERT INTO active_calls (id, session_id) VALUES ('write_probe', 'write_probe');
    ROLLBACK TO write_probe; RELEASE write_probe;";

impl Sqlite {
    pub async fn probe(&self) -> Result<()> {
        self.file.write(|db| db.execute_batch(CALL)).await?;
        let put = "INSERT OR REPLACE INTO settings VALUES ('write_probe', ?1)";
        put_and_remove(&self.file, put, "DELETE FROM settings WHERE key = 'write_probe'").await
    }
}

/// Writes a text, and removes it with the next commit.
pub(super) async fn put_and_remove(file: &Database, put: &'static str, remove: &'static str) -> Result<()> {
    file.write(move |db: &Connection| db.execute(put, ["x".repeat(PROBE)]).map(drop)).await?;
    file.write(move |db: &Connection| db.execute(remove, []).map(drop)).await
}
