//! Which customers are stored already, read without writing anything: for an import, and for a dry run of one.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::FILE;
use crate::store::Result;

/// A reader of the embedded store.
pub struct KnownCustomers(Option<Connection>);

impl KnownCustomers {
    /// Reads the file in `folder`; where there is none, no customer is known.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(Self(None));
        }
        // A reader of a write-ahead log makes files beside it. Where there is no log, nothing but the file is read.
        let has_log = folder.join(format!("{FILE}-wal")).exists();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let db =
            Connection::open_with_flags(format!("file:{escaped}{}", if has_log { "" } else { "?immutable=1" }), flags)?;
        let has_customers = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'customers'")?.exists([])?;
        Ok(Self(has_customers.then_some(db)))
    }

    /// How many of these ids are stored.
    pub fn count<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<u64> {
        let Some(db) = &self.0 else { return Ok(0) };
        let mut known = db.prepare_cached("SELECT 1 FROM customers WHERE id = ?1")?;
        let mut count = 0;
        for id in ids {
            count += u64::from(known.exists([id])?);
        }
        Ok(count)
    }
}
