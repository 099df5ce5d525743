//! Why the store could not do its work.

use std::sync::Arc;

use super::sources;

/// The store could not do its work. The cause is for the log, never for a client.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// MongoDB or the way to it.
    #[error("MongoDB failed")]
    Mongo(#[from] mongodb::error::Error),
    /// The file.
    #[error("SQLite failed")]
    Sqlite(#[from] rusqlite::Error),
    /// What was written to the file did not get onto its disk.
    #[error("SQLite cannot commit")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// The database works and does not take this document: a validator, a size, a type, an index of another program.
    #[error("MongoDB refuses to store this call (code {code})")]
    Refused {
        /// MongoDB's.
        code: i32,
        /// The call whose document it is, where it has one.
        id: Option<String>,
    },
    /// Others changed the same call again and again.
    #[error("the call changed too often to be stored")]
    Contention,
    /// What was spooled could not be read back.
    #[error("a spooled event cannot be read")]
    Spool(#[from] serde_json::Error),
    /// No answer in the time there is.
    #[error("the database takes too long")]
    Slow,
    /// The spool holds as much as it may.
    #[error("the spool is full")]
    Full,
    /// The file or database was made by another version in a way that this one cannot use; the text says the cure.
    #[error("{0}")]
    Schema(&'static str),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// MongoDB's codes for a missing right and a failed authentication.
const OF_THE_SETTINGS: [i32; 2] = [13, 18];

pub(super) type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    /// Whether the same settings may work a little later: the database does not run yet, cannot be reached, or elects a primary. Else
    /// a password, a right, an address or the file is wrong.
    pub fn may_pass(&self) -> bool {
        use mongodb::error::ErrorKind;
        match self {
            Self::Slow | Self::Contention => true,
            Self::Mongo(cause) => match &*cause.kind {
                ErrorKind::Authentication { .. }
                | ErrorKind::InvalidArgument { .. }
                | ErrorKind::InvalidTlsConfig { .. }
                | ErrorKind::IncompatibleServer { .. } => false,
                ErrorKind::Command(refused) => !OF_THE_SETTINGS.contains(&refused.code),
                _ => true,
            },
            _ => false,
        }
    }

    /// The error with its causes, without what a server or driver says of itself.
    pub fn in_words(&self) -> String {
        match sources(self) {
            causes if causes.is_empty() => self.to_string(),
            causes => format!("{self}: {causes}"),
        }
    }

    /// Whether nothing can be written to a file on this machine now: its disk is full, fails or is read-only, the file is damaged or
    /// held by another program. Other errors of SQLite are about what was written.
    pub fn is_of_the_disk(&self) -> bool {
        use rusqlite::ErrorCode::{ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch, Unknown};
        let cause = match self {
            Self::Sqlite(cause) => cause,
            Self::Commit(cause) => &**cause,
            Self::Full => return true,
            _ => return false,
        };
        let of_a_row = [ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch, Unknown];
        cause.sqlite_error_code().is_some_and(|code| !of_a_row.contains(&code))
    }
}
