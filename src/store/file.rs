//! An SQLite file: one writer, and a reader beside it.
//!
//! Writes queue up for one thread, which takes what has gathered into one transaction and answers after the commit: as
//! many webhooks as arrive during one fsync share the next. The log is written ahead and synced in full, so what was
//! answered survives a power cut. Reads use a connection of their own and never wait for the writer.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{Result, StoreError};

/// Writes that share one commit: more would only make the first one wait.
const MOST_IN_A_COMMIT: usize = 256;
/// Writes that may wait; beyond it callers wait for a place, which slows webhooks down instead of filling memory.
const QUEUE: usize = 1_024;
/// Prepared statements kept per connection; more than there are in this file.
const STATEMENTS: usize = 64;

/// The file. Cheap to clone.
#[derive(Clone)]
pub struct File {
    writer: mpsc::Sender<Write>,
    reader: Arc<Mutex<Connection>>,
}

/// Runs inside the transaction; what it returns runs after the commit and answers whoever waits.
type Write = Box<dyn FnOnce(&Connection) -> (Worked, Answer) + Send>;
type Worked = bool;
type Answer = Box<dyn FnOnce(bool) + Send>;

impl File {
    /// Opens or creates the file at `path` with its tables.
    pub fn open(path: &Path, schema: &str) -> Result<Self> {
        // The folder's error is SQLite's own "unable to open database file", which names the path.
        let _ = path.parent().map(std::fs::create_dir_all);
        let connection = connect(path)?;
        connection.execute_batch(schema)?;
        let reader = Arc::new(Mutex::new(connect(path)?));
        let (writer, queue) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("sqlite".into())
            .spawn(move || write_all(connection, queue))
            .expect("a thread can be started while the program starts");
        Ok(Self { writer, reader })
    }

    /// Runs `work` in the next transaction; when this answers, it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let write: Write = Box::new(move |db| {
            let result = work(db);
            let worked = result.is_ok();
            let reply = move |committed| {
                // Whoever asked may be gone; the work is done all the same.
                let result = result.map_err(StoreError::from);
                let _ = answer.send(if committed || result.is_err() { result } else { Err(StoreError::Closed) });
            };
            (worked, Box::new(reply))
        });
        self.writer.send(write).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Empties the write-ahead log, which still holds what was deleted from the tables.
    pub async fn leave_no_trace(&self) -> Result<()> {
        self.read(|db| db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))).await
    }

    /// Runs `work` on what is committed.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let reader = self.reader.clone();
        let work = move || work(&reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        Ok(tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)??)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA busy_timeout = 5000;",
    )?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn run(db: &Connection, sql: &str) -> rusqlite::Result<usize> {
    db.prepare_cached(sql)?.execute([])
}

/// The writer's thread: ends when the last handle is dropped and everything queued is on disk.
fn write_all(db: Connection, mut queue: mpsc::Receiver<Write>) {
    while let Some(first) = queue.blocking_recv() {
        let mut answers = Vec::new();
        // IMMEDIATE, so that another program writing to the file makes us wait here and not fail halfway.
        let mut committed = run(&db, "BEGIN IMMEDIATE").is_ok();
        let mut next = Some(first);
        while let Some(write) = next {
            // Each write stands alone: one that fails takes nothing of the others with it.
            committed = committed && run(&db, "SAVEPOINT one").is_ok();
            let (worked, answer) = write(&db);
            answers.push(answer);
            committed = committed && (worked || run(&db, "ROLLBACK TO one").is_ok()) && run(&db, "RELEASE one").is_ok();
            next = if answers.len() < MOST_IN_A_COMMIT { queue.try_recv().ok() } else { None };
        }
        committed = committed && run(&db, "COMMIT").is_ok();
        if !committed {
            tracing::error!("the embedded store could not commit");
            let _ = db.execute_batch("ROLLBACK");
        }
        answers.into_iter().for_each(|answer| answer(committed));
    }
}
