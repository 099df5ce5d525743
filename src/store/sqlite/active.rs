//! Everything in `active_calls`, whichever program wrote it.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::row::{hash_of, read_call};
use crate::call::Call;
use crate::store::aside::{Asides, Why, hash};
use crate::store::unchanged::{CallsAtHand, Unchanged};

/// Every row that is a call. The others are set aside.
pub(super) fn all(
    db: &Connection,
    asides: &Asides,
    unchanged: &Unchanged,
    at_hand: &CallsAtHand,
) -> rusqlite::Result<Vec<Arc<Call>>> {
    // `more` comes last in the row, and its pages are not read for its length.
    let mut columns = db.prepare_cached(
        "SELECT rowid, id, session_id, from_number, from_name, to_number, direction, status, timestamp, customer_id,
         customer_name, customer_email, rev, octet_length(more) FROM active_calls",
    )?;
    let mut whole = db.prepare_cached("SELECT * FROM active_calls WHERE rowid = ?1")?;
    let (mut rows, mut calls, mut there) = (columns.query([])?, Vec::new(), HashSet::new());
    while let Some(row) = rows.next()? {
        let id = row.get_ref("id")?;
        let key = id.as_str().map_or_else(|_| hash(id.as_bytes().unwrap_or_default()), hash);
        let content = hash_of(row)?;
        there.insert(key);
        if let Some(call) = unchanged.find(key, content, at_hand) {
            calls.push(call);
            continue;
        }
        match whole.query_row([row.get::<_, i64>(0)?], read_call).optional()? {
            Some(Ok(call)) => {
                unchanged.note(key, content, &call, at_hand);
                calls.push(Arc::new(call));
            }
            Some(Err(why)) => asides.note(key, hash(why), "a row", Why::Unreadable(why)),
            None => {}
        }
    }
    unchanged.retain(&there);
    asides.retain(&there);
    Ok(calls)
}
