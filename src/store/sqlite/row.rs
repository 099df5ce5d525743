//! A call as a row with the guide's columns, and back.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use crate::call::{Call, CallFacts, Direction, Status};
use crate::store::aside::hash;
use crate::store::foreign::{self, LONGEST_ID, MOST_REV};

/// What the columns do not hold.
#[derive(Deserialize, Serialize)]
struct More<'a> {
    call: Cow<'a, Call>,
    #[serde(rename = "ledger")]
    facts: Cow<'a, CallFacts>,
}

/// What goes into the column `more`.
pub(super) fn more_of(call: &Call) -> String {
    serde_json::to_string(&More { call: Cow::Borrowed(call), facts: Cow::Borrowed(&call.facts) })
        .expect("a call has text keys and finite numbers only")
}

/// Reads a row for what it says: another program may have written it. Columns win over `more`, because another program
/// changes columns. The inner error says why a row cannot be a call.
pub(super) fn read_call(row: &Row<'_>) -> rusqlite::Result<Result<Call, &'static str>> {
    let now = Utc::now();
    let (Some(id), Some(session_id)) = (key(row, "id")?, key(row, "session_id")?) else {
        return Ok(Err("its id or session_id is empty, too long or no text"));
    };
    let rev = row.get::<_, i64>("rev")?;
    let more = text(row, "more")?.filter(|_| (1..MOST_REV).contains(&rev));
    let more = more.and_then(|more| serde_json::from_str::<More<'_>>(&more).ok());
    let mut call = match more {
        Some(more) => Call { facts: more.facts.into_owned(), rev, ..more.call.into_owned() },
        None => Call::new(id.clone(), session_id.clone(), now),
    };
    (call.id, call.session_id, call.timestamp) = (id, session_id, time(row)?.or(call.facts.adopted_at).unwrap_or(now));
    call.from_number = number(row, "from_number")?;
    call.from_name = said(row, "from_name")?;
    call.to_number = number(row, "to_number")?;
    call.direction = Direction::from_word(&text(row, "direction")?.unwrap_or_default());
    call.status = Status::from_word(&text(row, "status")?.unwrap_or_default());
    call.customer_id = text(row, "customer_id")?.and_then(|id| foreign::id(&id));
    call.customer_name = said(row, "customer_name")?;
    call.customer_email = said(row, "customer_email")?;
    Ok(Ok(call))
}

/// A hash of all that was selected, types included.
pub(super) fn hash_of(row: &Row<'_>) -> rusqlite::Result<u64> {
    let values = (0..row.as_ref().column_count()).map(|column| row.get_ref(column));
    let of = |value: ValueRef<'_>| match value {
        ValueRef::Null => hash(0),
        ValueRef::Integer(number) => hash((1, number)),
        ValueRef::Real(number) => hash((2, number.to_bits())),
        ValueRef::Text(text) => hash((3, text)),
        ValueRef::Blob(bytes) => hash((4, bytes)),
    };
    Ok(hash(values.map(|value| value.map(of)).collect::<rusqlite::Result<Vec<u64>>>()?))
}

/// The numbers in a row, whether or not it is a call.
pub(super) fn numbers(row: &Row<'_>) -> rusqlite::Result<[Option<String>; 2]> {
    Ok([number(row, "from_number")?, number(row, "to_number")?])
}

/// When a row says that its call began.
pub(super) fn time(row: &Row<'_>) -> rusqlite::Result<Option<DateTime<Utc>>> {
    Ok(text(row, "timestamp")?.and_then(|written| foreign::time(&written)))
}

/// A text of any bytes: SQLite does not check that they are UTF-8.
fn text<'a>(row: &'a Row<'_>, column: &str) -> rusqlite::Result<Option<Cow<'a, str>>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes)),
        _ => None,
    })
}

fn said(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<String>> {
    Ok(text(row, column)?.and_then(|written| foreign::text(&written)))
}

/// A telephone number. One that was inserted as a number of SQLite's has become a text such as `14165550101.0`.
fn number(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<String>> {
    let written = said(row, column)?;
    let is_real = |written: &String| written.contains('.') && written.parse::<f64>().is_ok();
    Ok(written.map(|written| match is_real(&written).then(|| foreign::plain_number(&written)).flatten() {
        Some(plain) => plain,
        None => written,
    }))
}

/// An id or a session, by which the row can be found again.
fn key(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<String>> {
    let written = row.get_ref(column)?.as_str().ok();
    Ok(written.filter(|key| key.len() <= LONGEST_ID && !key.trim().is_empty()).map(str::to_owned))
}
