//! A copy of the file while a service writes to it.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// What is in a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Calls that went on.
    pub active_calls: u64,
    /// Calls that had ended.
    pub call_history: u64,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum BackupError {
    #[error("the copy cannot be created; choose a name that does not exist in a folder that does")]
    Target(#[source] io::Error),
    #[error("the file cannot be copied")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the copy is damaged: {0}")]
    Damaged(String),
}

/// Copies the file at `source` to `target`, which must not exist, as of one moment, and checks the copy. Nothing is left behind
/// where that fails. Blocks.
pub fn backup(source: &Path, target: &Path) -> Result<Copied, BackupError> {
    let source = Connection::open_with_flags(source, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // SQLite writes into an empty file, which others cannot read from the first byte on.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(target).map_err(BackupError::Target)?;
    let copied = copy(&source, target);
    if copied.is_err() {
        // The error of the copy is the one to report.
        let _ = std::fs::remove_file(target);
    }
    copied
}

fn copy(source: &Connection, target: &Path) -> Result<Copied, BackupError> {
    source.execute("VACUUM INTO ?1", [target.to_string_lossy()])?;
    let copy = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(BackupError::Damaged(found));
    }
    let count = |table| copy.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
    Ok(Copied { active_calls: count("active_calls")? as u64, call_history: count("call_history")? as u64 })
}
