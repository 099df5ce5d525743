//! What events change in the two tables of calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, ToSql};

use super::dismissals;
use super::row::{more_of, read_call};
use crate::call::{Call, CallEvent, millis};
use crate::store::call_merge::{LoadedCalls, Step, StoredCall, Table, WritePlan, tombstones};

/// Events, and parties of the call they belong to, with which a change is drafted: more would take the async worker for milliseconds.
const MOST_DRAFTED: usize = 32;

/// A change that is worked out, and encoded, before the writer is asked: its one thread then does little but write. It holds if the
/// file has the call that was at hand as it was, or no call where none was.
pub(super) struct Draft {
    plan: WritePlan,
    more: String,
}

impl Draft {
    pub(super) fn of(known: &LoadedCalls, events: &[CallEvent], new_id: &str) -> Option<Self> {
        let parties = known.held.iter().map(|it| it.call.facts.parties.len()).sum::<usize>();
        if events.len() + parties > MOST_DRAFTED {
            return None;
        }
        match known.plan(events, new_id) {
            Step::Write(plan) => plan.map(|plan| Self::from(*plan)),
            Step::Load(_) => None,
        }
    }
}

impl From<WritePlan> for Draft {
    fn from(plan: WritePlan) -> Self {
        Self { more: more_of(&plan.call), plan }
    }
}

/// Takes events in; the calls that changed.
pub(super) fn apply(
    db: &Connection,
    draft: Option<Draft>,
    events: &[CallEvent],
    mut known: LoadedCalls,
    new_id: &str,
) -> rusqlite::Result<Vec<Call>> {
    let mut as_drafted = known.held.first().map_or(Ok(false), |it| is_held(db, &it.call))?;
    if !as_drafted {
        let knew_none = known.held.is_empty();
        known.held = load(db, &known.sessions)?;
        as_drafted = knew_none && known.held.is_empty();
    }
    let Draft { plan: change, more } = match draft.filter(|_| as_drafted) {
        Some(draft) => draft,
        None => loop {
            match known.plan(events, new_id) {
                Step::Write(Some(plan)) => break Draft::from(*plan),
                Step::Write(None) => return Ok(Vec::new()),
                Step::Load(sessions) => known.add(load(db, &sessions)?, sessions),
            }
        },
    };
    for gone in &change.gone {
        dismissals::inherit(db, &gone.call.id, &change.call.id)?;
        forget(db, &gone.call.id)?;
    }
    let call = &change.call;
    match Table::of(call) {
        Table::Active => put_active(db, call, &more)?,
        Table::History => {
            if change.held_in(Table::Active).is_some() {
                db.prepare_cached("DELETE FROM active_calls WHERE id = ?1")?.execute([&call.id])?;
            }
            put_ended(db, call, &more)?;
        }
    }
    let linked = call.facts.linked.iter().filter(|_| !change.news.is_empty());
    for name in linked {
        db.prepare_cached("INSERT OR IGNORE INTO call_sessions VALUES (?1, ?2)")?.execute([name, &call.id])?;
    }
    let mut changed = vec![change.call];
    changed.extend(tombstones(change.gone));
    Ok(changed)
}

/// Whether the active call with this id still is as `known`: only this program changes `rev`, and others change columns.
fn is_held(db: &Connection, known: &Call) -> rusqlite::Result<bool> {
    let values: [&dyn ToSql; 12] = [
        &known.id,
        &known.session_id,
        &known.from_number,
        &known.from_name,
        &known.to_number,
        &known.direction.as_str(),
        &known.status.as_str(),
        &millis::format(&known.timestamp),
        &known.customer_id,
        &known.customer_name,
        &known.customer_email,
        &known.rev,
    ];
    db.prepare_cached(
        "SELECT 1 FROM active_calls WHERE id = ?1 AND session_id = ?2 AND from_number IS ?3 AND from_name IS ?4
         AND to_number IS ?5 AND direction = ?6 AND status = ?7 AND timestamp = ?8 AND customer_id IS ?9
         AND customer_name IS ?10 AND customer_email IS ?11 AND rev = ?12",
    )?
    .exists(&values[..])
}

/// Every call that these sessions lead to, and of those that ended the newest.
fn load(db: &Connection, names: &BTreeSet<String>) -> rusqlite::Result<Vec<StoredCall>> {
    const LOOKS: [(Table, &str); 4] = [
        (Table::Active, "SELECT * FROM active_calls WHERE session_id = ?1"),
        (Table::Active, "SELECT active_calls.* FROM call_sessions JOIN active_calls ON id = call_id WHERE key = ?1"),
        (Table::History, "SELECT * FROM call_history WHERE session_id = ?1 ORDER BY timestamp DESC, id DESC LIMIT 8"),
        (Table::History, "SELECT call_history.* FROM call_sessions JOIN call_history ON id = call_id WHERE key = ?1"),
    ];
    let mut held: Vec<StoredCall> = Vec::new();
    for (name, (place, sql)) in names.iter().flat_map(|name| LOOKS.iter().map(move |look| (name, look))) {
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query([name])?;
        while let Some(row) = rows.next()? {
            let id: String = row.get("id")?;
            // Many sessions may lead to one large call, which is read once.
            if held.iter().all(|it| it.call.id != id)
                && let Ok(call) = read_call(row)?
            {
                held.push(StoredCall { place: *place, call: Arc::new(call) });
            }
        }
    }
    Ok(held)
}

/// Removes a call from both tables.
pub(super) fn forget(db: &Connection, id: &str) -> rusqlite::Result<()> {
    db.execute("DELETE FROM active_calls WHERE id = ?1", [id])?;
    db.execute("DELETE FROM call_history WHERE id = ?1", [id])?;
    dismissals::forget(db, id)?;
    db.execute("DELETE FROM call_sessions WHERE call_id = ?1", [id]).map(drop)
}

/// Stores a call that goes on. `more` is what its columns do not hold.
pub(super) fn put_active(db: &Connection, call: &Call, more: &str) -> rusqlite::Result<()> {
    put(
        db,
        (call, more),
        "INSERT INTO active_calls (id, session_id, from_number, from_name, to_number, direction, status,
         timestamp, customer_id, customer_name, customer_email, rev, more)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (id) DO UPDATE SET session_id = ?2, from_number = ?3, from_name = ?4, to_number = ?5,
         direction = ?6, status = ?7, timestamp = ?8, customer_id = ?9, customer_name = ?10, customer_email = ?11,
         rev = ?12, more = ?13",
        false,
    )
}

/// Stores a call that ended.
pub(super) fn put_ended(db: &Connection, call: &Call, more: &str) -> rusqlite::Result<()> {
    put(
        db,
        (call, more),
        "INSERT OR REPLACE INTO call_history (id, session_id, from_number, from_name, to_number, direction, status,
         timestamp, customer_id, customer_name, customer_email, rev, more, result)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        true,
    )
}

fn put(db: &Connection, (call, more): (&Call, &str), sql: &str, with_result: bool) -> rusqlite::Result<()> {
    let (timestamp, result) = (millis::format(&call.timestamp), call.result.map(|result| result.as_str()));
    let values: [&dyn ToSql; 14] = [
        &call.id,
        &call.session_id,
        &call.from_number,
        &call.from_name,
        &call.to_number,
        &call.direction.as_str(),
        &call.status.as_str(),
        &timestamp,
        &call.customer_id,
        &call.customer_name,
        &call.customer_email,
        &call.rev,
        &more,
        &result,
    ];
    db.prepare_cached(sql)?.execute(&values[..if with_result { 14 } else { 13 }]).map(drop)
}
