//! An SQLite file: one writer, and readers beside it.
//!
//! Writes queue up for one thread, which takes what has gathered into one transaction and answers after the commit: as
//! many webhooks as arrive during one fsync share the next. The log is written ahead and synced in full, so what was
//! answered survives a power cut. Reads use connections of their own and never wait for the writer, and short reads never for
//! long ones.
//!
//! `PRAGMA user_version` counts the migrations that a file has had. Each is one transaction: a process that is killed during one
//! leaves the file as it was.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::info;

use crate::fatal_panic;
use crate::store::{Result, StoreError};

/// Why a file is not opened.
const NEWER: &str =
    "it was written by a newer version of this program; start that one, or restore the copy from before the upgrade";

/// Writes that share one commit: more would only make the first one wait.
const MOST_IN_A_COMMIT: usize = 256;
/// Writes that may wait; beyond it callers wait for a place, which slows webhooks down instead of filling memory.
const QUEUE: usize = 1_024;
/// Prepared statements kept per connection; more than there are in this file.
const STATEMENTS: usize = 64;
/// Pages of the history, searches: more at once would only take the processor from webhooks.
const LONG_READS_AT_ONCE: usize = 2;

/// Steps of SQLite's virtual machine, some 100 µs, after which a long read lets other threads go first: while it holds a
/// processor, a webhook waits for one.
const STEPS_AT_A_TIME: i32 = 4_000;

/// The file. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    writer: mpsc::Sender<Box<dyn Write>>,
    short_reads: Arc<Readers>,
    long_reads: Arc<Readers>,
}

/// Connections that read. Who waits for one keeps no thread waiting.
struct Readers {
    free: Semaphore,
    connections: Mutex<Vec<Connection>>,
}

/// A write, and the caller that waits for it.
trait Write: Send {
    /// Writes inside a transaction. Runs again if that transaction comes to nothing.
    fn run(&mut self, db: &Connection) -> DidWork;
    /// Answers the caller: with what the last run came to if that is on disk, else with an error.
    fn answer(self: Box<Self>, committed: Committed);
}

type DidWork = bool;

/// Whether a transaction is on disk, or why not. All writes of it share the cause.
type Committed = std::result::Result<(), Arc<rusqlite::Error>>;

struct WriteJob<T, W, A> {
    work: W,
    /// Called with what is on disk, in the order of the commits.
    on_disk: A,
    result: Option<rusqlite::Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, W, A> Write for WriteJob<T, W, A>
where
    T: Send,
    W: FnMut(&Connection) -> rusqlite::Result<T> + Send,
    A: FnOnce(&T) + Send,
{
    fn run(&mut self, db: &Connection) -> DidWork {
        self.result.insert((self.work)(db)).is_ok()
    }

    fn answer(self: Box<Self>, committed: Committed) {
        let Self { work, on_disk, result, answer } = *self;
        let result = match (result, committed) {
            (Some(Err(cause)), _) => Err(cause.into()),
            (Some(Ok(done)), Ok(())) => {
                on_disk(&done);
                Ok(done)
            }
            (_, Err(cause)) => Err(StoreError::Commit(cause)),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // What the work holds is given back before the caller goes on.
        drop(work);
        // The caller may be gone; the work is done all the same.
        let _ = answer.send(result);
    }
}

impl Database {
    /// Opens or creates the file at `path`, and brings it to the newest of these migrations. Fails for a file of a newer version.
    pub fn open(path: &Path, migrations: &[&str]) -> Result<Self> {
        // The folder's error is SQLite's own "unable to open database file", which names the path.
        crate::store::private::prepare(path);
        let mut connection = connect(path)?;
        migrate(&mut connection, migrations)?;
        let (short_reads, long_reads) = (Readers::open(path, 1)?, Readers::open(path, LONG_READS_AT_ONCE)?);
        for connection in long_reads.connections().iter_mut() {
            let goes_on = || {
                thread::yield_now();
                false
            };
            connection.progress_handler(STEPS_AT_A_TIME, Some(goes_on))?;
        }
        let (writer, queue) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("sqlite".into())
            .spawn(move || fatal_panic::thread("writer of the SQLite file", || write_all(connection, queue)))
            .expect("a thread can be started while the program starts");
        Ok(Self { writer, short_reads, long_reads })
    }

    /// Runs `work` in the next transaction; when this answers, it is on disk. May run it more than once; only what the last
    /// run wrote counts.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write_and(work, |_| ()).await
    }

    /// The same. `on_disk` is called with the answer right after its commit, before that of any later write, also where the caller
    /// has given up waiting; it is dropped where nothing is written.
    pub async fn write_and<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        on_disk: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job = WriteJob { work, on_disk, result: None, answer };
        self.writer.send(Box::new(job)).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Empties the write-ahead log, which still holds what was deleted from the tables.
    pub async fn leave_no_trace(&self) -> Result<()> {
        let empty = |db: &Connection| db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        let busy: bool = self.read_at_length(empty).await?;
        if busy { Err(StoreError::Slow) } else { Ok(()) }
    }

    /// Runs `work` on what is committed. It reads few rows, by an index: others wait for it.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.short_reads.clone().run(work).await
    }

    /// The same for work that may take long.
    pub async fn read_at_length<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.long_reads.clone().run(work).await
    }
}

impl Readers {
    fn open(path: &Path, count: usize) -> Result<Arc<Self>> {
        let connections = (0..count).map(|_| connect(path)).collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Arc::new(Self { free: Semaphore::new(count), connections: Mutex::new(connections) }))
    }

    async fn run<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let readers = self.clone();
        let _permit = self.free.acquire().await.map_err(|_| StoreError::Closed)?;
        let work = move || {
            let Some(connection) = readers.connections().pop() else { return Err(StoreError::Closed) };
            let done = work(&connection);
            readers.connections().push(connection);
            Ok(done?)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA busy_timeout = 5000;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else a statement is planned again each time its parameters change, which costs more than running it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Runs those migrations that the file has not had.
fn migrate(db: &mut Connection, migrations: &[&str]) -> Result<()> {
    let newest = migrations.len();
    let version = |db: &Connection| {
        db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).map(|it| it.max(0) as usize)
    };
    if version(db)? > newest {
        return Err(StoreError::Schema(NEWER));
    }
    while version(db)? < newest {
        // Another process may be about to do the same.
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let at = version(&transaction)?;
        if let Some(migration) = migrations.get(at) {
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", (at + 1) as i64)?;
            info!(version = at + 1, "a file of the embedded store was brought to a newer version");
        }
        transaction.commit()?;
    }
    Ok(())
}

fn run(db: &Connection, sql: &str) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute([])
}

/// The writer's thread: ends when the last handle is dropped and everything queued is on disk.
fn write_all(db: Connection, mut queue: mpsc::Receiver<Box<dyn Write>>) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = vec![first];
        let mut gather = |batch: &mut Vec<_>| {
            let room = MOST_IN_A_COMMIT - batch.len();
            batch.extend(std::iter::from_fn(|| queue.try_recv().ok()).take(room));
        };
        if let Err(cause) = begin(&db) {
            gather(&mut batch);
            batch.into_iter().for_each(|write| write.answer(Err(cause.clone())));
            continue;
        }
        let mut done = 0;
        let all_work = loop {
            let Some(write) = batch.get_mut(done) else { break true };
            if !write.run(&db) {
                break false;
            }
            done += 1;
            // What came meanwhile shares the commit.
            gather(&mut batch);
        };
        let committed = end(&db, all_work);
        for mut write in batch {
            // Each write stands alone: one that fails takes nothing of the others with it.
            let committed = if all_work {
                committed.clone()
            } else {
                begin(&db).and_then(|()| {
                    let works = write.run(&db);
                    end(&db, works)
                })
            };
            write.answer(committed);
        }
    }
}

/// IMMEDIATE, so that another program writing to the file makes us wait here and not fail halfway.
fn begin(db: &Connection) -> Committed {
    run(db, "BEGIN IMMEDIATE").map(drop).map_err(Arc::new)
}

/// Ends a transaction: by a commit where everything in it worked. What a write that failed came to is in its own result.
fn end(db: &Connection, worked: bool) -> Committed {
    let committed = if worked { run(db, "COMMIT").map(drop).map_err(Arc::new) } else { Ok(()) };
    if !worked || committed.is_err() {
        // Some failures have rolled back already.
        let _ = run(db, "ROLLBACK");
    }
    committed
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "CREATE TABLE words (word TEXT UNIQUE) STRICT;";

    fn file(folder: &tempfile::TempDir) -> Database {
        Database::open(&folder.path().join("file"), &[WORDS]).unwrap()
    }

    async fn put(file: &Database, word: &'static str) -> Result<usize> {
        file.write(move |db| db.execute("INSERT INTO words VALUES (?1)", [word])).await
    }

    async fn words(file: &Database) -> Vec<String> {
        let read = |db: &Connection| {
            let mut all = db.prepare("SELECT word FROM words ORDER BY word")?;
            all.query_map([], |row| row.get(0))?.collect()
        };
        file.read(read).await.unwrap()
    }

    #[tokio::test]
    async fn a_write_that_fails_takes_nothing_of_the_others_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let (one, two, same, three) =
            tokio::join!(put(&file, "one"), put(&file, "two"), put(&file, "one"), put(&file, "three"));
        assert!(one.is_ok() && two.is_ok() && same.is_err() && three.is_ok());
        assert_eq!(words(&file).await, ["one", "three", "two"]);
    }

    #[tokio::test]
    async fn while_another_program_holds_the_file_nothing_is_written_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let other = Connection::open(folder.path().join("file")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (first, second) = tokio::join!(put(&file, "one"), put(&file, "two"));
        assert!(first.is_err() && second.is_err(), "nobody is told that it is written");
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(words(&file).await, Vec::<String>::new());
        put(&file, "three").await.unwrap();
        assert_eq!(words(&file).await, ["three"]);
    }

    #[tokio::test]
    async fn a_short_read_does_not_wait_for_long_ones() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let (end, until) = std::sync::mpsc::channel::<()>();
        let until = Arc::new(Mutex::new(until));
        let long = |file: Database| {
            let until = until.clone();
            tokio::spawn(async move {
                file.read_at_length(move |_| Ok(until.lock().unwrap().recv().is_ok())).await.unwrap()
            })
        };
        let reads: Vec<_> = (0..2 * LONG_READS_AT_ONCE).map(|_| long(file.clone())).collect();
        assert_eq!(words(&file).await, Vec::<String>::new());
        drop(end);
        for read in reads {
            assert!(!read.await.unwrap());
        }
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was_and_runs_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (broken, whole) =
            ("CREATE TABLE more (a TEXT); CREATE TABLE words (b TEXT);", "CREATE TABLE more (a TEXT);");
        assert!(Database::open(&path, &[WORDS, broken]).is_err());
        let version = |db: &Connection| db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(version(&Connection::open(&path).unwrap()), 1);
        Database::open(&path, &[WORDS, whole]).unwrap();
        assert_eq!(version(&Connection::open(&path).unwrap()), 2);
        let Err(StoreError::Schema(sentence)) = Database::open(&path, &[WORDS]) else {
            panic!("a newer file was opened")
        };
        assert_eq!(sentence, NEWER);
    }
}
