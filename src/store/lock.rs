//! One service for each `DATA_DIR`: two would replay one spool, or write one file, at once. The lock belongs to the open file, so it
//! ends with the process however that ends; commands beside a service do not take it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tracing::warn;

/// Its name in `DATA_DIR`. It is empty, and stays.
const NAME: &str = "serve.lock";

/// Held while a service runs.
#[derive(Debug)]
pub struct ServiceLock {
    _file: File,
}

/// Why a service may not use a folder.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another service holds the lock.
    #[error("another `caller-popup serve` uses it; stop that one, or give each a DATA_DIR of its own")]
    InUse,
    /// The lock file cannot be made or opened.
    #[error("its lock file cannot be opened; is the folder writable?")]
    Io(#[from] io::Error),
}

impl ServiceLock {
    /// Takes the lock of `folder`, which is made where it is missing. A file system without locks gets a warning instead.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join(NAME))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::InUse),
            Err(TryLockError::Error(error)) => {
                warn!(%error, "DATA_DIR cannot be locked; run one service on it and no more");
            }
        }
        // A copy from elsewhere may have wider permissions, and every user who can open the file can hold the lock.
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_until_its_service_ends() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data");
        let first = ServiceLock::take(&folder).unwrap();
        assert!(matches!(ServiceLock::take(&folder), Err(LockError::InUse)));
        drop(first);
        ServiceLock::take(&folder).unwrap();
    }
}
