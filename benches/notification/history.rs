//! A history of many calls, written past the server.

use std::thread;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use mongodb::bson::{DateTime as BsonDateTime, Document, doc};
use serde_json::json;

use crate::server::{Line, Server};

/// Fills the history with as many ended calls at extension 101, from 30 days ago to a day ago, and adds a customer who has their number.
/// `mongodb` is the address and the database.
pub fn fill(server: &Server, mongodb: Option<(&str, &str)>, calls: usize) {
    match mongodb {
        Some((uri, database)) => fill_mongodb(uri, database, calls),
        None => fill_sqlite(server, calls),
    }
}

/// A call of a known customer at the viewer's extension, in the guide's flat body.
pub fn notification(session: &str, status: &str) -> String {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
    let body = json!({
        "telephonyStatus": status, "sessionId": session, "direction": "Inbound",
        "from": { "phoneNumber": "+14165551234", "name": "Caller" }, "to": { "phoneNumber": "+15879876543" },
    });
    json!({ "event": "/restapi/v1.0/account/~/extension/101/presence", "timestamp": now, "body": body }).to_string()
}

/// When a call of so many began. Ids grow with it, as RingCentral's do: a lookup in MongoDB walks past removed neighbours in an index.
fn began(number: usize, calls: usize) -> DateTime<Utc> {
    Utc::now() - TimeDelta::days(30) + TimeDelta::days(29) / calls as i32 * number as i32
}

/// One call that the server wrote, many times, and a customer.
fn fill_sqlite(server: &Server, calls: usize) {
    Line::to(server.address).post(&notification("first", "Ringing"));
    Line::to(server.address).post(&notification("first", "NoCall"));
    let mut db = rusqlite::Connection::open(server.folder().join("caller-popup.sqlite")).expect("the file is there");
    db.busy_timeout(Duration::from_secs(30)).expect("a timeout can be set");
    let ended = "SELECT count(*) FROM call_history";
    while db.query_row(ended, [], |row| row.get::<_, i64>(0)).expect("the history can be read") == 0 {
        thread::sleep(Duration::from_millis(50));
    }
    let filled = db.transaction().expect("a transaction begins");
    for number in 0..calls {
        let values = (format!("id{number:09}"), began(number, calls).to_rfc3339_opts(SecondsFormat::Millis, true));
        filled
            .prepare_cached(
                "INSERT INTO call_history SELECT ?1, ?1, from_number, from_name, to_number, direction, status, ?2, customer_id,
                 customer_name, customer_email, rev, more, result FROM call_history WHERE session_id = 'first'",
            )
            .and_then(|mut insert| insert.execute(values))
            .expect("a call can be written");
    }
    let customer = "INSERT INTO customers (id, name) VALUES ('c1', 'Jane Doe');
                    INSERT INTO customer_phones VALUES ('+14165551234', 'c1', '+14165551234');";
    filled.execute_batch(customer).expect("a customer can be written");
    filled.commit().expect("the calls can be stored");
}

fn fill_mongodb(uri: &str, database: &str, calls: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let database = mongodb::Client::with_uri_str(uri).await.expect("the database is there").database(database);
        let history = database.collection::<Document>("call_history");
        for slice in (0..calls).collect::<Vec<_>>().chunks(5_000) {
            let document = |&number: &usize| {
                doc! {
                    "_id": format!("id{number:09}"), "session_id": format!("id{number:09}"), "from_number": "+14165551234",
                    "to_number": "+15879876543", "direction": "Inbound", "status": "ended", "result": "missed",
                    "timestamp": BsonDateTime::from_millis(began(number, calls).timestamp_millis()),
                    "extension_ids": ["101"], "rev": 3_i64,
                }
            };
            history.insert_many(slice.iter().map(document)).await.expect("calls can be written");
        }
        let customers = database.collection::<Document>("customers");
        customers.insert_one(doc! { "name": "Jane Doe", "phone": "+14165551234" }).await.expect("a customer can be");
    });
}
