//! Whether the files that the program writes are still those in `DATA_DIR`. A folder that was removed or replaced leaves them open
//! and without a name: writes succeed, and everything is gone at the next start.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::error;

use crate::config::Config;

/// Device and inode of a file.
type Identity = (u64, u64);

/// The database or, beside MongoDB, the spool, as it was at the start.
pub(super) struct DataDir {
    file: PathBuf,
    opened: Option<Identity>,
    lost: AtomicBool,
}

impl DataDir {
    /// Reads which file is open now.
    pub(super) fn new(config: &Config) -> Self {
        let name = if config.mongodb.is_some() { "spool.sqlite" } else { "caller-popup.sqlite" };
        let file = config.data_dir.join(name);
        Self { opened: identity(&file), file, lost: AtomicBool::new(false) }
    }

    /// Looks again. What is lost stays so until the program is started again.
    pub(super) fn check(&self) {
        if identity(&self.file) != self.opened && !self.lost.swap(true, Ordering::Relaxed) {
            error!(
                "DATA_DIR was removed or replaced while the program runs; what is written now is lost when it ends: restart it"
            );
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

fn identity(file: &PathBuf) -> Option<Identity> {
    fs::metadata(file).ok().map(|found| (found.dev(), found.ino()))
}
