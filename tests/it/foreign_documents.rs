//! Documents that other programs wrote in forms of their own: ids, numbers and times of any BSON type are read for what they
//! say, and stay as they are in the database.

use std::collections::HashSet;

use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Decimal128, Document, Timestamp, Uuid, doc};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::{ONE_TICK, Setup, Store, TestApp, Viewer, eventually, within};

/// A document with the guide's fields, changed by these; null leaves one out.
fn document(session: impl Into<Bson>, changes: Document) -> Document {
    let mut document = doc! {
        "session_id": session.into(), "from_number": "+14165550101", "from_name": "Field Caller",
        "to_number": "+15879876543", "direction": "Inbound", "status": "ringing", "timestamp": DateTime::now(),
    };
    for (field, value) in changes {
        match value {
            Bson::Null => drop(document.remove(field)),
            value => drop(document.insert(field, value)),
        }
    }
    document
}

async fn active_calls(app: &TestApp) -> Collection<Document> {
    app.database().await.collection("active_calls")
}

async fn pops(viewer: &mut Viewer, session: &str) -> Value {
    let pops = viewer.find(session, |frame| frame.kind() == "call" && frame.call()["session_id"] == session);
    tokio::time::timeout(ONE_TICK, pops).await.unwrap_or_else(|_| panic!("{session} did not pop")).call().clone()
}

#[tokio::test]
async fn an_id_of_any_type_is_shown_and_kept() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    let active = active_calls(&app).await;
    let (oid, hex, uuid) = (ObjectId::new(), ObjectId::new().to_hex(), Uuid::new());
    let at = DateTime::from_millis(1_795_780_800_000);
    let bytes = Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] });
    let ids: [(Bson, String); 12] = [
        (oid.into(), oid.to_hex()),
        (hex.clone().into(), hex),
        ("order 7/b".into(), "order 7/b".into()),
        (7.into(), "7".into()),
        (14_165_550_101_i64.into(), "14165550101".into()),
        (2.5.into(), "2.5".into()),
        (Bson::Decimal128("12".parse::<Decimal128>().unwrap()), "12".into()),
        (uuid.into(), uuid.to_string()),
        (doc! { "tenant": "x", "n": 1 }.into(), r#"{"tenant":"x","n":{"$numberInt":"1"}}"#.into()),
        (at.into(), r#"{"$date":{"$numberLong":"1795780800000"}}"#.into()),
        (true.into(), "true".into()),
        (bytes, r#"{"$binary":{"base64":"AQID","subType":"00"}}"#.into()),
    ];
    for (number, (id, text)) in ids.iter().enumerate() {
        let session = format!("id-{number}");
        active.insert_one(document(session.as_str(), doc! { "_id": id.clone() })).await.unwrap();
        assert_eq!(pops(&mut viewer, &session).await["id"], text.as_str());
        app.answer(&session).await;
        viewer.find("the answer", |frame| frame.call()["status"] == "connected").await;
        let stored = active.find_one(doc! { "session_id": &session }).await.unwrap().unwrap();
        assert_eq!((stored.get("_id"), stored.get_str("status").unwrap()), (Some(id), "connected"));
    }
    for (number, (_, text)) in ids.iter().enumerate() {
        app.hang_up(&format!("id-{number}")).await;
        let ended = viewer.find("the end", |frame| frame.kind() == "call_ended").await;
        assert_eq!(ended.call()["id"], text.as_str());
    }
    assert_eq!(active.count_documents(doc! {}).await.unwrap(), 0);
    let history: Collection<Document> = app.database().await.collection("call_history");
    for (id, text) in &ids {
        assert_eq!(history.count_documents(doc! { "_id": id.clone() }).await.unwrap(), 1, "{text}");
    }
    let texts: HashSet<Value> = app.history().await.into_iter().map(|call| call["id"].clone()).collect();
    assert_eq!(texts, ids.iter().map(|(_, text)| Value::from(text.as_str())).collect());
}

#[tokio::test]
async fn two_ids_of_the_same_text_are_two_calls() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    let active = active_calls(&app).await;
    let oid = ObjectId::new();
    active.insert_one(document("typed", doc! { "_id": oid })).await.unwrap();
    let typed = pops(&mut viewer, "typed").await["id"].clone();
    active.insert_one(document("text", doc! { "_id": oid.to_hex() })).await.unwrap();
    let text = pops(&mut viewer, "text").await["id"].clone();
    assert_eq!(typed, oid.to_hex());
    assert_ne!(typed, text);
    app.answer("text").await;
    let answered = viewer.find("the answer", |frame| frame.call()["status"] == "connected").await;
    assert_eq!(answered.call()["id"], text);
    assert_eq!(app.active_call("typed").await.unwrap()["status"], "ringing");
    active.delete_one(doc! { "_id": oid }).await.unwrap();
    assert_eq!(viewer.wait_for("call_ended").await.call()["id"], typed);
    assert_eq!(app.active_call("text").await.unwrap()["id"], text);
}

#[tokio::test]
async fn two_ids_of_the_same_text_are_two_calls_also_at_the_start() {
    let setup = Setup::on(Store::Mongo);
    let mut app = setup.start().await;
    app.kill().await;
    let oid = ObjectId::new();
    let documents = [document("text", doc! { "_id": oid.to_hex() }), document("typed", doc! { "_id": oid })];
    active_calls(&app).await.insert_many(documents).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        app.restart().await;
        ids.push((
            app.active_call("text").await.unwrap()["id"].clone(),
            app.active_call("typed").await.unwrap()["id"].clone(),
        ));
        app.kill().await;
    }
    assert_ne!(ids[0].0, ids[0].1);
    assert_eq!(ids[0], ids[1], "a restart changes no id");
    app.restart().await;
}

/// A field and what is written into it; a field of the call and what it says.
fn values() -> Vec<(&'static str, Bson, &'static str, Value)> {
    let decimal = |text: &str| Bson::Decimal128(text.parse::<Decimal128>().unwrap());
    let oid = ObjectId::new();
    let noon = "2026-11-27T12:00:00.000Z";
    vec![
        ("from_number", 14_165_550_101_i64.into(), "from_number", "14165550101".into()),
        ("from_number", 14_165_550_101.0.into(), "from_number", "14165550101".into()),
        ("from_number", decimal("1.4165550101E+10"), "from_number", "14165550101".into()),
        ("from_number", f64::NAN.into(), "from_number", Value::Null),
        ("from_number", vec!["+14165550101"].into(), "from_number", Value::Null),
        ("to_number", 101.into(), "to_number", "101".into()),
        ("from_name", 12.into(), "from_name", "12".into()),
        ("customer_id", 7.into(), "customer_id", "7".into()),
        ("customer_id", oid.into(), "customer_id", oid.to_hex().into()),
        ("extension_ids", vec![101, 102].into(), "extension_ids", Value::Array(vec![])),
        ("ledger", "none".into(), "rev", 1.into()),
        ("ledger", doc! { "parties": 3 }.into(), "rev", 1.into()),
        ("rev", "x".into(), "rev", 1.into()),
        ("rev", i64::MAX.into(), "rev", 1.into()),
        ("rev", vec![5].into(), "rev", 1.into()),
        ("rev", 5.into(), "rev", 1.into()),
        ("customers", "Ann".into(), "customers", Value::Array(vec![])),
        ("match", 3.into(), "match", Value::Null),
        ("answered_by", "Ann".into(), "answered_by", Value::Null),
        ("queue", doc! { "id": 1 }.into(), "queue", Value::Null),
        ("status", "Call Connected".into(), "status", "connected".into()),
        ("direction", "INBOUND".into(), "direction", "Inbound".into()),
        ("timestamp", "2026-11-27 12:00:00.000456".into(), "timestamp", noon.into()),
        ("timestamp", "2026-11-27T13:00:00+01:00".into(), "timestamp", noon.into()),
        ("timestamp", 1_795_780_800.into(), "timestamp", noon.into()),
        ("timestamp", 1_795_780_800_000_i64.into(), "timestamp", noon.into()),
        ("timestamp", 1_795_780_800.0.into(), "timestamp", noon.into()),
        ("timestamp", Timestamp { time: 1_795_780_800, increment: 1 }.into(), "timestamp", noon.into()),
    ]
}

#[tokio::test]
async fn a_value_of_another_type_is_read_for_what_it_says() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    let active = active_calls(&app).await;
    for (number, (field, written, read, value)) in values().iter().enumerate() {
        let session = format!("value-{number}");
        active.insert_one(document(session.as_str(), doc! { *field: written.clone() })).await.unwrap();
        let call = if *read == "status" {
            eventually("the call", async || app.active_call(&session).await).await
        } else {
            pops(&mut viewer, &session).await
        };
        assert_eq!(&call[*read], value, "{field}: {written}");
        let stored = active.find_one(doc! { "session_id": &session }).await.unwrap().unwrap();
        if !["rev", "ledger"].contains(field) {
            assert_eq!(format!("{:?}", stored.get(field)), format!("{:?}", Some(written)), "{field} stays as it was");
        }
    }
}

#[tokio::test]
async fn a_time_that_cannot_be_read_is_when_the_call_was_first_seen() {
    let mut app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").start().await;
    let active = active_calls(&app).await;
    let unreadable =
        [Bson::Null, "yesterday".into(), DateTime::MAX.into(), f64::INFINITY.into(), vec![1].into(), 0.into()];
    let before = chrono::Utc::now();
    for (number, written) in unreadable.iter().enumerate() {
        active.insert_one(document(format!("time-{number}"), doc! { "timestamp": written.clone() })).await.unwrap();
    }
    let seen = async |app: &TestApp| {
        eventually("all calls", async || {
            let mut calls = app.active_calls().await;
            calls.sort_by_key(|call| call["session_id"].to_string());
            // A lookup may come in between, which is another `rev` and the same time.
            let times = calls.iter().map(|call| call["timestamp"].clone()).collect::<Vec<_>>();
            (calls.len() == unreadable.len()).then_some(times)
        })
        .await
    };
    let first = seen(&app).await;
    for time in &first {
        let at: chrono::DateTime<chrono::Utc> = time.as_str().unwrap().parse().unwrap();
        assert!(at >= before - chrono::TimeDelta::milliseconds(1) && at <= chrono::Utc::now(), "{at}");
    }
    // The poll goes on meanwhile, and a second instance and a restart read the same.
    app.ring("marker", "+14165550199").await;
    within(ONE_TICK, "a few polls", async || app.active_call("marker").await).await;
    app.hang_up("marker").await;
    let other = app.second_instance().await;
    assert_eq!(seen(&other).await, first);
    app.kill().await;
    app.restart().await;
    assert_eq!(seen(&app).await, first);
    let stored = active.find_one(doc! { "session_id": "time-1" }).await.unwrap().unwrap();
    assert_eq!(stored.get_str("timestamp").unwrap(), "yesterday");
}

#[tokio::test]
async fn a_session_that_is_a_number_is_the_same_session() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    let active = active_calls(&app).await;
    active.insert_one(document(7_001_001_i64, doc! {})).await.unwrap();
    let id = pops(&mut viewer, "7001001").await["id"].clone();
    app.answer("7001001").await;
    let answered = viewer.find("the answer", |frame| frame.call()["status"] == "connected").await;
    assert_eq!(answered.call()["id"], id);
    assert_eq!(active.count_documents(doc! {}).await.unwrap(), 1);
    app.hang_up("7001001").await;
    viewer.wait_for("call_ended").await;
    assert_eq!(active.count_documents(doc! {}).await.unwrap(), 0);
}

#[tokio::test]
async fn fields_of_the_other_program_stay_as_they_are() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    let active = active_calls(&app).await;
    let theirs = doc! {
        "_id": 9, "from_number": 14_165_550_101_i64, "timestamp": "2026-11-27 12:00:00", "status": "RINGING",
        "customer_id": 7, "extension_ids": [101], "their_own": { "a": [1, 2] }, "session_id": "kept",
    };
    active.insert_one(&theirs).await.unwrap();
    pops(&mut viewer, "kept").await;
    let stored = active.find_one(doc! { "_id": 9 }).await.unwrap().unwrap();
    for (field, value) in &theirs {
        assert_eq!(stored.get(field), Some(value), "{field}");
    }
    let dismiss = app.request(Method::POST, "/api/ringcentral/calls/9/dismiss").send().await.unwrap();
    assert_eq!(dismiss.status(), StatusCode::OK);
    viewer.wait_for("call_ended").await;
    let stored = active.find_one(doc! { "_id": 9 }).await.unwrap().unwrap();
    for (field, value) in &theirs {
        assert_eq!(stored.get(field), Some(value), "{field} after a write of ours");
    }
}

#[tokio::test]
async fn an_id_that_is_used_again_for_the_next_call_loses_neither() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    let active = active_calls(&app).await;
    for session in ["first", "second", "third"] {
        active.insert_one(document(session, doc! { "_id": 1 })).await.unwrap();
        pops(&mut viewer, session).await;
        app.answer(session).await;
        app.hang_up(session).await;
        viewer.wait_for("call_ended").await;
    }
    assert_eq!(active.count_documents(doc! {}).await.unwrap(), 0);
    let sessions: HashSet<String> =
        app.history().await.iter().map(|call| call["session_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sessions, ["first", "second", "third"].map(str::to_owned).into());
}

#[tokio::test]
async fn the_history_is_paged_without_gaps_whatever_the_types_of_ids() {
    let app = TestApp::start(Store::Mongo).await;
    let history: Collection<Document> = app.database().await.collection("call_history");
    let at = DateTime::now();
    let ids: [Bson; 6] = [
        1.into(),
        "x".into(),
        doc! { "a": 1 }.into(),
        Uuid::new().into(),
        ObjectId::new().into(),
        ObjectId::new().to_hex().into(),
    ];
    for (number, id) in ids.iter().enumerate() {
        let ended = doc! { "_id": id.clone(), "timestamp": at, "status": "ended" };
        history.insert_one(document(format!("page-{number}"), ended)).await.unwrap();
    }
    let (mut seen, mut path) = (HashSet::new(), "/api/ringcentral/calls?limit=1".to_owned());
    for _ in 0..=ids.len() {
        let page = app.get_json(&path).await;
        seen.extend(page["calls"].as_array().unwrap().iter().map(|call| call["session_id"].to_string()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/ringcentral/calls?limit=1&cursor={cursor}");
    }
    assert_eq!(seen.len(), ids.len());
}

#[tokio::test]
async fn a_number_of_another_type_is_erased_too() {
    let app = TestApp::start(Store::Mongo).await;
    let active = active_calls(&app).await;
    active.insert_one(document("one", doc! { "from_number": 14_165_550_101_i64 })).await.unwrap();
    active.insert_one(document(Bson::Boolean(true), doc! { "from_number": 4_165_550_101.0 })).await.unwrap();
    active.insert_one(document("other", doc! { "from_number": 14_165_550_102_i64 })).await.unwrap();
    eventually("the call", async || app.active_call("one").await).await;
    let erased = app.request(Method::DELETE, "/api/customers/by-number/+14165550101").send().await.unwrap();
    assert_eq!(erased.status(), StatusCode::OK);
    assert_eq!(active.count_documents(doc! {}).await.unwrap(), 1);
}
