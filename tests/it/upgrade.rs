//! Data of the first version, which was written by running it (`tests/first-version/make.py`), opened by this one.

use std::time::Duration;

use caller_popup::store::{HistoryQuery, Revocation};
use chrono::{DateTime, TimeDelta, Utc};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime as BsonDateTime, Document};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Setup, Store, eventually, flat};

const TOKEN: &str = "an-admin-token-of-the-fixture-0001";
const WEBHOOK_TOKEN: &str = "fixture-token-0001";

on_both_stores! {
    calls_customers_dismissals_and_sessions_of_the_first_version_are_kept,
    a_migration_that_is_killed_is_completed_by_the_next_start,
}

const MADE_AT: &str = "2026-11-28T09:10:";
const EXPIRES_AT: [&str; 2] = ["2026-11-28T21:10:", "2026-11-28T21:11:"];
/// Calls in the history of the second test: so many that a migration takes longer than the shortest time before the kill.
const MANY: usize = 5_000;

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/first-version/{name}", env!("CARGO_MANIFEST_DIR"));
    // As if it had been made a minute ago: what is live would else have gone silent, and what is revoked expired.
    let minute = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:").to_string();
    let made = Utc::now() - TimeDelta::minutes(1);
    let text = std::fs::read_to_string(path).expect("the fixture is there").replace(MADE_AT, &minute(made));
    EXPIRES_AT.iter().fold(text, |text, at| text.replace(at, &minute(made + TimeDelta::hours(12))))
}

fn expected(store: Store) -> Value {
    let name = if store == Store::Sqlite { "sqlite.json" } else { "mongodb.json" };
    serde_json::from_str(&fixture(name)).unwrap()
}

/// A program that is about to be started for the first time since the first version ran.
async fn first_version(store: Store) -> Setup {
    let setup = Setup::on(store).with("API_TOKENS", TOKEN).with("RINGCENTRAL_VERIFICATION_TOKEN", WEBHOOK_TOKEN);
    if store == Store::Sqlite {
        std::fs::create_dir(setup.data_dir()).unwrap();
        // The dump has tables in the order of their names.
        open(&setup).execute_batch(&format!("PRAGMA foreign_keys = OFF; {}", fixture("sqlite.sql"))).unwrap();
        return setup;
    }
    let database = setup.database().await;
    for line in fixture("mongodb.jsonl").lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let Bson::Document(document) = bson(line["document"].take()) else { panic!("a document is an object") };
        database.collection(line["collection"].as_str().unwrap()).insert_one(document).await.unwrap();
    }
    setup
}

fn open(setup: &Setup) -> rusqlite::Connection {
    rusqlite::Connection::open(setup.data_dir().join("caller-popup.sqlite")).unwrap()
}

/// Reads relaxed extended JSON.
fn bson(json: Value) -> Bson {
    match json {
        Value::Object(fields) => match fields.iter().next() {
            Some((name, id)) if name == "$oid" => ObjectId::parse_str(id.as_str().unwrap()).unwrap().into(),
            Some((name, at)) if name == "$date" => {
                let at: DateTime<Utc> = at.as_str().unwrap().parse().unwrap();
                BsonDateTime::from_millis(at.timestamp_millis()).into()
            }
            _ => fields.into_iter().map(|(name, value)| (name, bson(value))).collect::<Document>().into(),
        },
        Value::Array(items) => items.into_iter().map(bson).collect::<Vec<_>>().into(),
        Value::Number(number) if number.is_i64() => number.as_i64().unwrap().into(),
        Value::String(text) => text.into(),
        other => mongodb::bson::serialize_to_bson(&other).unwrap(),
    }
}

fn by_id(calls: &Value) -> Vec<Value> {
    let mut calls = calls.as_array().expect("calls are a list").clone();
    calls.sort_by_key(|call| call["id"].as_str().map(str::to_owned));
    calls
}

async fn calls_customers_dismissals_and_sessions_of_the_first_version_are_kept(store: Store) {
    let expected = expected(store);
    let app = first_version(store).await.start().await;
    let read = async |path: &str| -> Value {
        app.request(Method::GET, path).bearer_auth(TOKEN).send().await.unwrap().json().await.unwrap()
    };
    let active = read("/api/ringcentral/active-calls").await;
    assert_eq!(by_id(&active["calls"]), by_id(&expected["active"]));
    let history = read("/api/ringcentral/calls?limit=500").await;
    assert_eq!(by_id(&history["calls"]), by_id(&expected["history"]));
    let left = read("/api/ringcentral/active-calls?dismissed=false").await;
    let left: Vec<_> = by_id(&left["calls"]).iter().map(|call| call["id"].clone()).collect();
    assert!(left.len() == 2 && !left.contains(&expected["dismissed"]), "{left:?}");
    let narrowed = read("/api/ringcentral/calls?number=%2B14165551234").await;
    assert_eq!(narrowed["calls"].as_array().unwrap().len(), 2);

    let request = app.request(Method::GET, "/api/auth/session").header("Cookie", expected["cookie"].as_str().unwrap());
    assert_eq!(request.send().await.unwrap().status(), 401, "it was signed out of");
    let store = app.open_store().await;
    let revoked = store.revocations(i64::MIN).await.unwrap().found;
    assert!(revoked.iter().any(|one| matches!(one, Revocation::Session(_))), "{}", revoked.len());
    assert!(store.setting("session_key").await.unwrap().is_some());

    // A call that was live goes on, and a customer is known again.
    let mut end = flat("guide-2", "NoCall", json!({ "phoneNumber": "+14165559999" }));
    end["event"] = "/restapi/v1.0/account/~/extension/103/presence".into();
    let delivery = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", WEBHOOK_TOKEN);
    assert_eq!(delivery.json(&end).send().await.unwrap().status(), 200);
    let ended = eventually("the end of a call of the first version", async || {
        let history = read("/api/ringcentral/calls?limit=500").await;
        by_id(&history["calls"]).into_iter().find(|call| call["session_id"] == "guide-2")
    })
    .await;
    assert_eq!((ended["result"].as_str(), ended["customer_name"].as_str()), (Some("missed"), Some("John Roe")));
}

async fn a_migration_that_is_killed_is_completed_by_the_next_start(on: Store) {
    let setup = first_version(on).await;
    multiply(&setup, on).await;
    for wait in [5, 15, 30, 60, 120, 240] {
        setup.kill_after(Duration::from_millis(wait)).await;
    }
    let app = setup.start().await;
    let store = app.open_store().await;
    let query = HistoryQuery { limit: 2 * MANY, extension_ids: Some(vec!["102".into()]), ..HistoryQuery::default() };
    assert_eq!(store.history(query).await.unwrap().calls.len(), MANY + 1);
    if on == Store::Sqlite {
        let db = rusqlite::Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, 5);
        let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
}

/// Copies one ended call of extension 102.
async fn multiply(setup: &Setup, store: Store) {
    if store == Store::Sqlite {
        let copies = format!(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {MANY})
             INSERT INTO call_history SELECT 'copy' || n, session_id, from_number, from_name, to_number, direction, status, timestamp,
             customer_id, customer_name, customer_email, rev, more, result FROM call_history, numbers WHERE session_id = '71002'"
        );
        open(setup).execute_batch(&copies).unwrap();
        return;
    }
    let history = setup.database().await.collection::<Document>("call_history");
    let call = history.find_one(mongodb::bson::doc! { "session_id": "71002" }).await.unwrap().unwrap();
    let copies = (0..MANY).map(|n| {
        let mut copy = call.clone();
        copy.insert("_id", format!("copy{n}"));
        copy
    });
    history.insert_many(copies).await.unwrap();
}
