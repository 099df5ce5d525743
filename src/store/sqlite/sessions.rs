//! Sessions in the file. Its one process reads its own revocations again only after a start.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Sqlite;
use crate::call::millis;
use crate::store::Result;
use crate::store::sessions::{
    CLOCK_DIFFERENCE, NewSession, Revocation, Revocations, SessionLimits, State, longest_end, up_to_id,
};

/// Expired records deleted with each session that begins: more than one, so that the table shrinks after a rush.
const PRUNED_AT_A_TIME: i64 = 100;

impl Sqlite {
    pub async fn begin_session(&self, session: &NewSession, limits: SessionLimits) -> Result<Option<i64>> {
        let session = session.clone();
        self.file
            .write(move |db| {
                prune(db, Utc::now())?;
                put(db, &session, State::Open)?;
                let open = nth_newest(db, &session.viewer, State::Open, limits.open)?;
                Ok(open.max(nth_newest(db, &session.viewer, State::Revoked, limits.revoked)?))
            })
            .await
    }

    pub async fn revoke(&self, revocation: &Revocation) -> Result<()> {
        let revocation = revocation.clone();
        self.file.write(move |db| revoke(db, &revocation)).await
    }

    pub async fn revocations(&self, after: i64) -> Result<Revocations> {
        self.file
            .read(move |db| {
                let mut rows = db.prepare_cached(
                    "SELECT id, viewer, begun, until, revoked, mark FROM sessions WHERE mark > ?1 ORDER BY mark",
                )?;
                let mut read = Revocations { mark: after.max(0), ..Revocations::default() };
                for row in rows.query_map([after], read_session)? {
                    let (session, state, mark) = row?;
                    read.mark = read.mark.max(mark);
                    read.found.extend(session.revocation(state));
                }
                Ok(read)
            })
            .await
    }

    pub async fn use_once(&self, id: &str, until: DateTime<Utc>) -> Result<bool> {
        let (id, until, now) = (id.to_owned(), millis::format(&until), millis::format(&Utc::now()));
        self.file
            .write(move |db| {
                db.execute("DELETE FROM tickets WHERE until <= ?1", [&now])?;
                Ok(db.execute("INSERT OR IGNORE INTO tickets VALUES (?1, '', ?2)", [&id, &until])? == 1)
            })
            .await
    }

    pub async fn peek_ticket(&self, id: &str, now: DateTime<Utc>) -> Result<Option<String>> {
        let (id, now) = (id.to_owned(), millis::format(&now));
        let sql = "SELECT value FROM tickets WHERE id = ?1 AND until > ?2";
        self.file.read(move |db| db.query_row(sql, [&id, &now], |row| row.get(0)).optional()).await
    }
}

fn revoke(db: &Connection, revocation: &Revocation) -> rusqlite::Result<()> {
    match revocation {
        Revocation::Session(session) => put(db, session, State::Revoked),
        Revocation::UpTo { viewer, begun } => up_to(db, viewer, *begun),
        Revocation::Everywhere { viewer, begun } => {
            up_to(db, viewer, *begun)?;
            let soon = begun + CLOCK_DIFFERENCE.num_microseconds().unwrap_or_default();
            let mut open = db.prepare(
                "SELECT id, viewer, begun, until, revoked, 0 FROM sessions
                 WHERE viewer = ?1 AND revoked = 0 AND begun <= ?2",
            )?;
            let open: Vec<_> = open.query_map(params![viewer, soon], read_session)?.collect::<rusqlite::Result<_>>()?;
            open.into_iter().try_for_each(|(session, ..)| put(db, &session, State::Revoked))
        }
    }
}

/// Revokes what the viewer began up to this moment. The one record stands for all of theirs, which are deleted.
fn up_to(db: &Connection, viewer: &str, begun: i64) -> rusqlite::Result<()> {
    let id = up_to_id(viewer);
    let before = db.query_row("SELECT begun FROM sessions WHERE id = ?1", [&id], |row| row.get(0)).optional()?;
    let begun = before.map_or(begun, |before: i64| before.max(begun));
    let record = NewSession { id, viewer: viewer.to_owned(), begun, until: longest_end(begun) };
    put(db, &record, State::UpTo)?;
    db.execute("DELETE FROM sessions WHERE viewer = ?1 AND revoked < 2 AND begun <= ?2", params![viewer, begun])
        .map(drop)
}

fn put(db: &Connection, session: &NewSession, state: State) -> rusqlite::Result<()> {
    let NewSession { id, viewer, begun, until } = session;
    db.prepare_cached(
        "INSERT OR REPLACE INTO sessions (id, viewer, begun, until, revoked, mark) VALUES (?1, ?2, ?3, ?4, ?5,
         CASE WHEN ?5 = 0 THEN NULL ELSE max(?6, (SELECT coalesce(max(mark), 0) + 1 FROM sessions WHERE mark IS NOT NULL)) END)",
    )?
    // The clock, because the record with the highest mark may have been deleted.
    .execute(params![id, viewer, begun, millis::format(until), state as i64, Utc::now().timestamp_micros()])
    .map(drop)
}

/// When the newest of the viewer's sessions beyond the first `n` began.
fn nth_newest(db: &Connection, viewer: &str, state: State, n: u32) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(
        "SELECT begun FROM sessions WHERE viewer = ?1 AND revoked = ?2 ORDER BY begun DESC LIMIT 1 OFFSET ?3",
    )?
    .query_row(params![viewer, state as i64, n], |row| row.get(0))
    .optional()
}

fn prune(db: &Connection, now: DateTime<Utc>) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE until <= ?1 LIMIT ?2)")?
        .execute(params![millis::format(&now), PRUNED_AT_A_TIME])
        .map(drop)
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<(NewSession, i64, i64)> {
    let until: String = row.get(3)?;
    let until = millis::parse(&until).unwrap_or_default();
    Ok((NewSession { id: row.get(0)?, viewer: row.get(1)?, begun: row.get(2)?, until }, row.get(4)?, row.get(5)?))
}
