//! The history as it is asked for.

use rusqlite::Connection;
use rusqlite::types::ToSql;
use serde_json::json;

use super::select;
use crate::call::{Call, millis};
use crate::store::HistoryQuery;

/// Ended calls that fit, newest first.
pub(super) fn history(db: &Connection, query: &HistoryQuery) -> rusqlite::Result<Vec<Call>> {
    let mut sql = String::from("SELECT * FROM call_history WHERE 1");
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut restrict = |condition: &str, value: Box<dyn ToSql>| {
        sql.push_str(&condition.replace('?', &format!("?{}", values.len() + 1)));
        values.push(value);
    };
    if let Some(before) = &query.before {
        let position = format!("{}|{}", millis::format(&before.timestamp), before.id);
        restrict(" AND (timestamp, id) < (substr(?, 1, 24), substr(?, 26))", Box::new(position));
    }
    if let Some(result) = query.result {
        restrict(" AND result = ?", Box::new(result.as_str()));
    }
    if let Some(direction) = query.direction {
        restrict(" AND direction = ?", Box::new(direction.as_str()));
    }
    if let Some(number) = &query.number {
        restrict(" AND (from_number = ? OR to_number = ?)", Box::new(number.clone()));
    }
    if let Some(customer) = &query.customer_id {
        restrict(" AND customer_id = ?", Box::new(customer.clone()));
    }
    if let Some(since) = &query.since {
        restrict(" AND timestamp >= ?", Box::new(millis::format(since)));
    }
    if let Some(extensions) = &query.extension_ids {
        restrict(
            " AND EXISTS (SELECT 1 FROM json_each(?) AS mine WHERE
               mine.value IN (SELECT value FROM json_each(iif(json_valid(more), more, '{}'), '$.call.extension_ids')
                              UNION SELECT value FROM
                              json_each(iif(json_valid(more), more, '{}'), '$.ledger.queue_ids')))",
            Box::new(json!(extensions).to_string()),
        );
    }
    restrict(" ORDER BY timestamp DESC, id DESC LIMIT ?", Box::new(query.limit as i64));
    let values: Vec<&dyn ToSql> = values.iter().map(|value| &**value).collect();
    select(db, &sql, &values)
}
