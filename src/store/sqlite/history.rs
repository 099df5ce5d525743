//! The history as it is asked for.

use std::collections::BTreeSet;
use std::thread;

use rusqlite::{Connection, OptionalExtension, params_from_iter};
use serde_json::json;

use super::row::read_call;
use crate::call::millis;
use crate::store::history::HistoryPage;
use crate::store::{HistoryQuery, scope};

/// An index in the order of the history, in which the calls of a query are looked for.
struct Source {
    /// Tables, and how they are joined.
    from: &'static str,
    /// The names of the columns that order the history.
    order: [&'static str; 2],
    /// What the index begins with.
    key: Option<(&'static str, String)>,
}

/// Conditions, and their values.
#[derive(Default)]
struct Filter {
    sql: String,
    values: Vec<String>,
}

/// Ended calls that fit, newest first. Each source is read in the order of the history and no further than a page: what that
/// costs does not grow with the history.
pub(super) fn history(db: &Connection, query: &HistoryQuery) -> rusqlite::Result<HistoryPage> {
    // One more than fit says whether there are more.
    let most = query.limit + 1;
    let mut newest = BTreeSet::new();
    for source in Source::all_of(query) {
        let filter = Filter::of(query, &source);
        let [timestamp, id] = source.order;
        let sql = format!(
            "SELECT {timestamp}, {id} FROM {} WHERE {} 1 ORDER BY {timestamp} DESC, {id} DESC LIMIT {}",
            source.from, filter.sql, most
        );
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(filter.values))?;
        while let Some(row) = rows.next()? {
            newest.insert((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
            if newest.len() > most {
                newest.pop_first();
            }
        }
    }
    let mut page = HistoryPage::default();
    let mut call = db.prepare_cached("SELECT * FROM call_history WHERE id = ?1")?;
    for (_, id) in newest.into_iter().rev() {
        // A webhook may wait for this processor; parsing a call takes 20 µs, and the largest page has hundreds.
        thread::yield_now();
        let found = call.query_row([id], read_call).optional()?;
        if let Some(Ok(call)) = found
            && !page.add(call, query.limit)
        {
            break;
        }
    }
    Ok(page)
}

impl Source {
    /// What has few calls comes first: a number or a customer, then the viewer's extensions.
    fn all_of(query: &HistoryQuery) -> Vec<Self> {
        let of_calls = |key| Self { from: "call_history", order: ["call_history.timestamp", "call_history.id"], key };
        if let Some(number) = &query.number {
            return ["from_number", "to_number"].map(|column| of_calls(Some((column, number.clone())))).into();
        }
        if let Some(customer) = &query.customer_id {
            return vec![of_calls(Some(("customer_id", customer.clone())))];
        }
        let Some(extensions) = &query.extension_ids else { return vec![of_calls(None)] };
        let of_extension = |id: &String| Self {
            from: "call_extensions CROSS JOIN call_history ON call_history.id = call_id",
            order: ["call_extensions.timestamp", "call_id"],
            key: Some(("extension_id", id.clone())),
        };
        extensions.iter().map(of_extension).collect()
    }
}

impl Filter {
    fn of(query: &HistoryQuery, source: &Source) -> Self {
        let [timestamp, id] = source.order;
        let mut filter = Self::default();
        let key = source.key.as_ref().map(|(column, _)| *column);
        if let Some((column, value)) = &source.key {
            filter.add(&format!("{column} = ?"), [value.clone()]);
        }
        if let Some(before) = &query.before {
            let position = [millis::format(&before.timestamp), before.id.clone()];
            filter.add(&format!("({timestamp}, {id}) < (?, ?)"), position);
        }
        if let Some(since) = &query.since {
            filter.add(&format!("{timestamp} >= ?"), [millis::format(since)]);
        }
        if let Some(result) = query.result {
            filter.add("result = ?", [result.as_str().to_owned()]);
        }
        if let Some(direction) = query.direction {
            filter.add("direction = ?", [direction.as_str().to_owned()]);
        }
        if let Some(customer) = query.customer_id.as_ref().filter(|_| key != Some("customer_id")) {
            filter.add("customer_id = ?", [customer.clone()]);
        }
        if let Some(extensions) = query.extension_ids.as_ref().filter(|_| key != Some("extension_id")) {
            filter.add(scope::SQLITE, [json!(extensions).to_string()]);
        }
        filter
    }

    fn add<const N: usize>(&mut self, condition: &str, values: [String; N]) {
        self.sql.push_str(condition);
        self.sql.push_str(" AND ");
        self.values.extend(values);
    }
}
