//! Files for the user of the process only: they hold telephone numbers, names and the key of session cookies.
//!
//! The process has the umask 077, which covers what it makes. This covers what was there before, made by an earlier
//! version or copied from a backup, and library users without that umask. SQLite gives `-wal` and `-shm` the mode of the
//! database, so a database that is private from its first byte keeps them private.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tracing::{info, warn};

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;
/// Bits of the group and of others, and a folder's own that makes it shared, as /tmp is.
const OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;

/// Creates the folder of `database` and the file itself if they are missing, and takes away what others may do with them
/// and with every other database there. The error of a folder that cannot be made comes from the open of the file.
pub(super) fn prepare(database: &Path) {
    let Some(folder) = database.parent() else { return };
    let _ = DirBuilder::new().recursive(true).mode(FOLDER).create(folder);
    let _ = OpenOptions::new().create(true).append(true).mode(FILE).open(database);
    let mut tightened = Vec::new();
    for (path, mode) in wide(folder) {
        match fs::set_permissions(&path, Permissions::from_mode(mode)) {
            Ok(()) => tightened.push(path.display().to_string()),
            Err(error) => {
                warn!(path = %path.display(), %error, "others may read this, and the permissions cannot be changed");
            }
        }
    }
    if !tightened.is_empty() {
        info!(paths = tightened.join(", "), "permissions tightened, others could read this before");
    }
}

/// The folder and the databases in it of which others may do something, with the modes they should have.
fn wide(folder: &Path) -> Vec<(PathBuf, u32)> {
    // The path of a file in the current folder has an empty parent.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut wide = Vec::new();
    if let Ok(mode) = mode(folder)
        && mode & OTHERS != 0
    {
        if mode & STICKY == 0 {
            wide.push((folder.to_owned(), FOLDER));
        } else {
            warn!(folder = %folder.display(), "DATA_DIR is shared with others; give it a folder of its own");
        }
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let open = |path: &PathBuf| mode(path).is_ok_and(|mode| mode & OTHERS != 0);
    wide.extend(entries.filter(|path| is_database(path)).filter(open).map(|path| (path, FILE)));
    wide
}

/// Ours, with its journals.
fn is_database(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let of = |ending: &str| name.ends_with(&format!(".sqlite{ending}"));
    ["", "-wal", "-shm", "-journal"].iter().any(|ending| of(ending)) && path.is_file()
}

fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn modes(paths: &[&Path]) -> Vec<u32> {
        paths.iter().map(|path| mode(path).unwrap() & 0o7777).collect()
    }

    #[test]
    fn what_others_could_read_is_private_afterwards_and_other_files_stay() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data");
        let (database, wal, notes) = (folder.join("a.sqlite"), folder.join("a.sqlite-wal"), folder.join("notes.txt"));
        fs::create_dir(&folder).unwrap();
        for file in [&database, &wal, &notes] {
            fs::write(file, "").unwrap();
            set(file, 0o644);
        }
        set(&folder, 0o755);
        prepare(&database);
        assert_eq!(modes(&[&folder, &database, &wal, &notes]), [0o700, 0o600, 0o600, 0o644]);
        assert_eq!(wide(&folder), []);
    }

    #[test]
    fn a_shared_folder_stays_shared() {
        let home = tempfile::tempdir().unwrap();
        set(home.path(), 0o1777);
        prepare(&home.path().join("a.sqlite"));
        assert_eq!(modes(&[home.path(), &home.path().join("a.sqlite")]), [0o1777, 0o600]);
    }
}
