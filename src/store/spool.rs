//! What arrives while MongoDB is away: facts on this machine's disk, in the order they came.
//!
//! RingCentral gives an address up that answers anything but 200, and a ringing phone does not wait for an election. So
//! what cannot be stored is spooled durably, shown from memory, and told to the database when it is back. Facts may come
//! twice, so a crash between telling and forgetting does no harm.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::disk::put_and_remove;
use super::person::Person;
use super::sqlite::database::Database;
use super::{Result, Revocation, StoreError};
use crate::call::{CallEvent, millis};

/// A busy account tells a few facts a second, so this is most of a day; some 100 MB.
const MOST: usize = 100_000;

/// How often an entry may fail where others succeed.
const MOST_REFUSALS: i64 = 20;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS spool (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        call_id  TEXT NOT NULL,
        events   TEXT NOT NULL,
        refusals INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    -- Refused by a healthy database: kept for a person to look at, out of the way of the rest.
    CREATE TABLE IF NOT EXISTS refused (
        position INTEGER PRIMARY KEY,
        call_id  TEXT NOT NULL,
        events   TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS databases (name TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS tokens (
        database TEXT NOT NULL,
        digest   TEXT NOT NULL,
        PRIMARY KEY (database, digest)
    ) STRICT, WITHOUT ROWID;
    -- Sessions that were revoked and are not recorded in the database yet.
    CREATE TABLE IF NOT EXISTS revocations (
        database   TEXT NOT NULL,
        revocation TEXT NOT NULL,
        PRIMARY KEY (database, revocation)
    ) STRICT, WITHOUT ROWID;
";
/// How many entries wait, and of which sessions, kept by triggers: so both are right whichever program changes the table.
const DEPTH: &str = "
    CREATE TABLE spool_depth (count INTEGER NOT NULL) STRICT;
    CREATE TABLE spool_sessions (
        session  TEXT NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (session, position)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX spool_sessions_by_position ON spool_sessions (position);
    CREATE INDEX spool_by_call ON spool (call_id);
    CREATE TABLE write_probe (filler TEXT NOT NULL) STRICT;

    -- What belongs into it.
    CREATE VIEW sessions_of_spool AS
    WITH events AS (
        SELECT position, value AS event FROM spool, json_each(iif(json_valid(spool.events), spool.events, '[]'))
    )
    SELECT json_extract(event, '$.session_id') AS session, position FROM events
    UNION ALL SELECT json_extract(event, '$.fact.Leg.telephony_session_id'), position FROM events
    UNION ALL SELECT peer.value, position FROM events, json_each(event, '$.fact.Leg.peers') AS peer;

    INSERT INTO spool_depth SELECT count(*) FROM spool;
    INSERT OR IGNORE INTO spool_sessions SELECT session, position FROM sessions_of_spool WHERE session IS NOT NULL;

    CREATE TRIGGER spool_entry_added AFTER INSERT ON spool BEGIN
        UPDATE spool_depth SET count = count + 1;
        INSERT OR IGNORE INTO spool_sessions
        SELECT session, position FROM sessions_of_spool WHERE position = NEW.position AND session IS NOT NULL;
    END;
    CREATE TRIGGER spool_entry_removed AFTER DELETE ON spool BEGIN
        UPDATE spool_depth SET count = count - 1;
        DELETE FROM spool_sessions WHERE position = OLD.position;
    END;
";

/// The spool. Cheap to clone.
#[derive(Clone)]
pub struct Spool {
    file: Database,
    depth: Arc<Depth>,
}

/// How many entries wait, without a look at the file.
#[derive(Default)]
struct Depth {
    /// As of the last commit.
    stored: AtomicUsize,
    /// On their way to the disk.
    under_way: AtomicUsize,
}

/// An entry on its way, until it is on disk or given up.
struct UnderWay(Arc<Depth>);

impl UnderWay {
    fn begin(depth: &Arc<Depth>) -> Self {
        depth.under_way.fetch_add(1, Ordering::AcqRel);
        Self(depth.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Facts of one session that wait for the database.
#[derive(Debug)]
pub struct Spooled {
    /// Their place.
    pub position: i64,
    /// The id under which viewers know the call, if it begins with these.
    pub call_id: String,
    /// The facts.
    pub events: Vec<CallEvent>,
}

impl Spool {
    /// Opens or creates the spool in `folder`.
    pub async fn open(folder: &Path) -> Result<Self> {
        let file = Database::open(&folder.join("spool.sqlite"), &[SCHEMA, DEPTH])?;
        let stored = file.read(count).await?;
        Ok(Self { file, depth: Arc::new(Depth { stored: stored.into(), under_way: AtomicUsize::new(0) }) })
    }

    /// How many entries wait.
    pub fn depth(&self) -> usize {
        self.depth.stored.load(Ordering::Acquire) + self.depth.under_way.load(Ordering::Acquire)
    }

    /// Reads again how many wait, for what another process did.
    pub async fn recount(&self) -> Result<()> {
        self.change(|_| Ok(())).await
    }

    /// Changes the table, and learns how many entries wait then.
    async fn change<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let depth = self.depth.clone();
        let work = move |db: &Connection| Ok((work(db)?, count(db)?));
        let changed = self.file.write_and(work, move |(_, count)| depth.stored.store(*count, Ordering::Release));
        Ok(changed.await?.0)
    }

    /// Adds facts, durably. [`StoreError::Full`] when there is no room.
    pub async fn push(&self, call_id: &str, events: &[CallEvent]) -> Result<()> {
        let under_way = UnderWay::begin(&self.depth);
        if self.depth() > MOST {
            return Err(StoreError::Full);
        }
        let (call_id, events) = (call_id.to_owned(), serde_json::to_string(events)?);
        self.change(move |db| {
            // Until it is counted among what is stored, or given up.
            let _under_way = &under_way;
            db.prepare_cached("INSERT INTO spool (call_id, events) VALUES (?1, ?2)")?
                .execute(params![call_id, events])
                .map(drop)
        })
        .await
    }

    /// Whether entries that name one of these sessions wait.
    pub async fn holds(&self, sessions: &BTreeSet<String>) -> Result<bool> {
        let sessions = serde_json::to_string(sessions)?;
        let look = "SELECT EXISTS (SELECT 1 FROM json_each(?1) JOIN spool_sessions ON session = value)";
        self.file.read(move |db| db.prepare_cached(look)?.query_row([&sessions], |row| row.get(0))).await
    }

    /// Which of these calls have entries that wait.
    pub async fn calls_waiting(&self, ids: Vec<String>) -> Result<HashSet<String>> {
        let ids = serde_json::to_string(&ids)?;
        let look = "SELECT value FROM json_each(?1) WHERE EXISTS (SELECT 1 FROM spool WHERE call_id = value)";
        self.file.read(move |db| db.prepare_cached(look)?.query_map([&ids], |row| row.get(0))?.collect()).await
    }

    /// Whether something can be written: as much as a call needs.
    pub async fn probe(&self) -> Result<()> {
        put_and_remove(&self.file, "INSERT INTO write_probe VALUES (?1)", "DELETE FROM write_probe").await
    }

    /// Every entry of the calls to which these many entries belong that wait longest: whole calls, so that none is stored as it
    /// stood for a moment long ago.
    pub async fn oldest(&self, most: usize) -> Result<Vec<Spooled>> {
        self.entries(
            "SELECT position, call_id, events FROM spool
             WHERE call_id IN (SELECT call_id FROM spool ORDER BY position LIMIT ?1) ORDER BY position",
            [most as i64],
        )
        .await
    }

    /// The next entries after this position.
    pub async fn after(&self, position: i64, most: usize) -> Result<Vec<Spooled>> {
        self.entries(
            "SELECT position, call_id, events FROM spool WHERE position > ?1 ORDER BY position LIMIT ?2",
            [position, most as i64],
        )
        .await
    }

    /// Entries, parsed where that blocks no webhook.
    async fn entries<const N: usize>(&self, sql: &'static str, values: [i64; N]) -> Result<Vec<Spooled>> {
        let read = |row: &rusqlite::Row<'_>| {
            let (position, call_id, events) = (row.get(0)?, row.get(1)?, row.get::<_, String>(2)?);
            Ok(serde_json::from_str(&events).map(|events| Spooled { position, call_id, events }))
        };
        let look = move |db: &Connection| {
            let mut rows = db.prepare_cached(sql)?;
            rows.query_map(rusqlite::params_from_iter(values), read)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows: Vec<serde_json::Result<Spooled>> = self.file.read_at_length(look).await?;
        Ok(rows.into_iter().collect::<std::result::Result<_, _>>()?)
    }

    /// Forgets entries that the database has taken.
    pub async fn forget(&self, positions: Vec<i64>) -> Result<()> {
        self.change(move |db| {
            let mut forget = db.prepare_cached("DELETE FROM spool WHERE position = ?1")?;
            positions.iter().try_for_each(|position| forget.execute([position]).map(drop))
        })
        .await
    }

    /// Notes that the database refused an entry while it took others. An election does that once or twice; an entry that
    /// is refused again and again is put aside, so that the others get through, and then this is `true`.
    pub async fn refuse(&self, position: i64) -> Result<bool> {
        let aside = self.change(move |db| {
            db.execute("UPDATE spool SET refusals = refusals + 1 WHERE position = ?1", [position])?;
            let refusals: Option<i64> = db
                .query_row("SELECT refusals FROM spool WHERE position = ?1", [position], |row| row.get(0))
                .optional()?;
            if refusals.is_some_and(|refusals| refusals >= MOST_REFUSALS) { put_aside(db, position) } else { Ok(0) }
        });
        Ok(aside.await? > 0)
    }

    /// Puts an entry aside that the database will never take.
    pub async fn put_aside(&self, position: i64) -> Result<()> {
        self.change(move |db| put_aside(db, position)).await.map(drop)
    }

    /// Keeps facts, durably, that the database does not take, beside those that wait.
    pub async fn keep_aside(&self, call_id: &str, events: &[CallEvent]) -> Result<()> {
        let (call_id, events) = (call_id.to_owned(), serde_json::to_string(events)?);
        let kept = self.change(move |db| {
            // Only the first table hands out positions.
            db.execute("INSERT INTO spool (call_id, events) VALUES (?1, ?2)", params![call_id, events])?;
            put_aside(db, db.last_insert_rowid())
        });
        kept.await.map(drop)
    }

    /// Lets the facts of a call wait for the database again that were put aside; how many entries.
    pub async fn take_back(&self, call_id: &str) -> Result<usize> {
        let call_id = call_id.to_owned();
        self.change(move |db| {
            let again = "INSERT INTO spool (call_id, events) SELECT call_id, events FROM refused WHERE call_id = ?1
                         ORDER BY position";
            db.execute(again, [&call_id])?;
            db.execute("DELETE FROM refused WHERE call_id = ?1", [&call_id])
        })
        .await
    }

    /// Empties the write-ahead log, which still holds what the database has taken.
    pub async fn leave_no_trace(&self) -> Result<()> {
        self.file.leave_no_trace().await
    }

    /// Removes a person from what was set aside. What waits is stored first, and removed there.
    pub async fn erase(&self, person: &Person) -> Result<()> {
        let person = person.clone();
        let erase = self.file.write(move |db| {
            let mut rows = db.prepare("SELECT position, events FROM refused")?;
            let rows: Vec<(i64, String)> =
                rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
            let theirs = |events: &str| match serde_json::from_str::<Vec<CallEvent>>(events) {
                Ok(events) => events.iter().any(|event| person.is_in_event(event)),
                // Entries that cannot be read any more cannot be told apart, and must not keep a person's number.
                Err(_) => true,
            };
            for (position, _) in rows.iter().filter(|(_, events)| theirs(events)) {
                db.execute("DELETE FROM refused WHERE position = ?1", [position])?;
            }
            Ok(())
        });
        erase.await?;
        self.leave_no_trace().await
    }

    /// Forgets what was set aside and is older than this.
    pub async fn prune(&self, before: DateTime<Utc>) -> Result<()> {
        let before = millis::format(&before);
        let forget = self.file.write(move |db| {
            db.execute("DELETE FROM refused WHERE json_extract(events, '$[0].heard_at') < ?1", [&before])
        });
        forget.await.map(drop)
    }

    /// Keeps a revocation that the database cannot take now.
    pub async fn keep_revocation(&self, database: &str, revocation: &Revocation) -> Result<()> {
        let row = [database.to_owned(), serde_json::to_string(revocation)?];
        self.file
            .write(move |db| {
                db.execute("INSERT OR IGNORE INTO revocations VALUES (?1, ?2)", [&row[0], &row[1]]).map(drop)
            })
            .await
    }

    /// The revocations that this database has not taken yet.
    pub async fn revocations(&self, database: &str) -> Result<Vec<Revocation>> {
        let database = database.to_owned();
        let rows = self.file.read(move |db| {
            let mut rows = db.prepare_cached("SELECT revocation FROM revocations WHERE database = ?1")?;
            rows.query_map([&database], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
        });
        Ok(rows.await?.iter().map(|row| serde_json::from_str(row)).collect::<std::result::Result<_, _>>()?)
    }

    /// Forgets a revocation that the database has taken.
    pub async fn forget_revocation(&self, database: &str, revocation: &Revocation) -> Result<()> {
        let row = [database.to_owned(), serde_json::to_string(revocation)?];
        let forget = "DELETE FROM revocations WHERE database = ?1 AND revocation = ?2";
        self.file.write(move |db| db.execute(forget, [&row[0], &row[1]]).map(drop)).await
    }

    /// Remembers a database that worked, so that a start without it is an outage and not a wrong setting; and what tells
    /// the tokens deliveries carry, so that an outage is not a time to believe everyone.
    pub async fn remember(&self, database: &str, tokens: Vec<String>) -> Result<()> {
        let name = database.to_owned();
        let remember = self.file.write(move |db| {
            db.execute("INSERT OR IGNORE INTO databases VALUES (?1)", [&name])?;
            db.execute("DELETE FROM tokens WHERE database = ?1", [&name])?;
            let mut insert = db.prepare_cached("INSERT OR IGNORE INTO tokens VALUES (?1, ?2)")?;
            tokens.iter().try_for_each(|digest| insert.execute([&name, digest]).map(drop))
        });
        remember.await
    }

    /// What tells the tokens of a database that once worked; `None` for one that never did.
    pub async fn remembered(&self, database: &str) -> Result<Option<Vec<String>>> {
        let name = database.to_owned();
        let remembered = self.file.read(move |db| {
            let known = db.query_row("SELECT 1 FROM databases WHERE name = ?1", [&name], |_| Ok(())).optional()?;
            let mut tokens = db.prepare_cached("SELECT digest FROM tokens WHERE database = ?1")?;
            let digests = tokens.query_map([&name], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            Ok(known.map(|()| digests))
        });
        remembered.await
    }
}

/// How many entries wait.
fn count(db: &Connection) -> rusqlite::Result<usize> {
    db.prepare_cached("SELECT count FROM spool_depth")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(|it| it.max(0) as usize)
}

/// Moves an entry from those that wait to those that were refused; how many did move.
fn put_aside(db: &Connection, position: i64) -> rusqlite::Result<usize> {
    db.execute("DELETE FROM refused WHERE position <= ?1 - ?2", params![position, MOST as i64])?;
    let moved = "INSERT OR IGNORE INTO refused SELECT position, call_id, events FROM spool WHERE position = ?1";
    db.execute(moved, [position])?;
    db.execute("DELETE FROM spool WHERE position = ?1", [position])
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use crate::call::CallEventKind;

    use super::*;

    fn tick(session: &str, heard_at: DateTime<Utc>) -> [CallEvent; 1] {
        [CallEvent { session_id: session.into(), heard_at, kind: CallEventKind::Tick }]
    }

    #[tokio::test]
    async fn a_call_is_read_whole_and_its_sessions_wait_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).await.unwrap();
        for call in ["a", "b", "a", "c", "b"] {
            spool.push(call, &tick(call, Utc::now())).await.unwrap();
        }
        let oldest = spool.oldest(1).await.unwrap();
        assert_eq!(oldest.iter().map(|entry| entry.position).collect::<Vec<_>>(), [1, 3]);
        let sessions = |name: &str| BTreeSet::from([name.to_owned()]);
        assert!(spool.holds(&sessions("a")).await.unwrap() && !spool.holds(&sessions("d")).await.unwrap());
        spool.forget(vec![1, 3]).await.unwrap();
        assert!(!spool.holds(&sessions("a")).await.unwrap());
        let waiting = spool.calls_waiting(["a", "b", "d"].map(str::to_owned).to_vec()).await.unwrap();
        assert_eq!((waiting, spool.depth()), (HashSet::from(["b".to_owned()]), 3));
        spool.probe().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_set_aside_is_forgotten_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).await.unwrap();
        let heard_at = Utc::now() - TimeDelta::days(3);
        spool.push("a", &tick("s", heard_at)).await.unwrap();
        let position = spool.oldest(1).await.unwrap()[0].position;
        while !spool.refuse(position).await.unwrap() {}
        let aside = async || {
            let count = |db: &rusqlite::Connection| db.query_row("SELECT count(*) FROM refused", [], |row| row.get(0));
            spool.file.read::<i64>(count).await.unwrap()
        };
        spool.prune(Utc::now() - TimeDelta::days(4)).await.unwrap();
        assert_eq!(aside().await, 1);
        spool.prune(Utc::now() - TimeDelta::days(2)).await.unwrap();
        assert_eq!(aside().await, 0);
    }
}
