//! Documents in `active_calls` that cannot be calls, cannot be written to, or have the session of another: they are set aside,
//! logged once, counted, and harm no other call.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{ONE_TICK, PATIENCE, Setup, Store, TestApp, eventually, within};

const LINE: &str = "set aside";

fn document(session: impl Into<Bson>) -> Document {
    doc! {
        "session_id": session.into(), "from_number": "+14165550101", "from_name": "Field Caller",
        "to_number": "+15879876543", "direction": "Inbound", "status": "ringing", "timestamp": DateTime::now(),
    }
}

async fn active_calls(app: &TestApp) -> Collection<Document> {
    app.database().await.collection("active_calls")
}

/// A program whose `active_calls` has a validator that lets other programs write what they like, and nobody set a `rev`
/// where `locked` is.
async fn with_a_validator() -> TestApp {
    let app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").start().await;
    let rule = doc! { "$or": [{ "locked": { "$exists": false } }, { "rev": { "$exists": false } }] };
    app.database().await.run_command(doc! { "collMod": "active_calls", "validator": rule }).await.unwrap();
    app
}

async fn warnings(app: &TestApp) -> Vec<String> {
    let ready = app.get("/health/ready").await;
    assert_eq!(ready.status(), StatusCode::OK, "readiness does not depend on a document");
    let ready: Value = ready.json().await.unwrap();
    let warnings = ready["warnings"].as_array().unwrap().iter();
    warnings.map(|it| it.as_str().unwrap().to_owned()).filter(|it| it.contains(LINE)).collect()
}

async fn warns(app: &TestApp, expected: bool) {
    eventually(format!("a warning: {expected}"), async || {
        (warnings(app).await.len() == usize::from(expected)).then_some(())
    })
    .await;
}

fn lines(app: &TestApp) -> usize {
    app.log().lines().filter(|line| line.contains(LINE)).count()
}

async fn counted(app: &TestApp) -> String {
    let text = app.get("/metrics").await.text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with("caller_popup_documents_set_aside_total"));
    line.unwrap().rsplit(' ').next().unwrap().to_owned()
}

/// Waits until `active_calls` was read some times more.
async fn some_polls(app: &TestApp) {
    for marker in 0..3 {
        let session = format!("marker-{marker}-{}", chrono::Utc::now().timestamp_micros());
        let active = active_calls(app).await;
        active.insert_one(document(session.as_str())).await.unwrap();
        eventually("a marker", async || app.active_call(&session).await).await;
        active.delete_one(doc! { "session_id": &session }).await.unwrap();
        eventually("no marker", async || app.active_call(&session).await.is_none().then_some(())).await;
    }
}

fn with(session: Bson, field: &str, value: Bson) -> Document {
    let mut document = document(session);
    document.insert(field, value);
    document
}

/// One document of each kind; of the last two, which have one session, one is a call.
fn malformed() -> Vec<Document> {
    vec![
        doc! {},
        doc! { "status": "ringing" },
        document(Bson::Null),
        document(""),
        document(true),
        document(f64::NAN),
        document(vec!["a"]),
        document(doc! { "a": 1 }),
        document("x".repeat(5_000)),
        with("long-id".into(), "_id", "y".repeat(5_000).into()),
        with("locked".into(), "locked", true.into()),
        with("large".into(), "filling", "z".repeat(16 * 1024 * 1024 - 260).into()),
        document(4_242),
        document("4242"),
    ]
}

#[tokio::test]
async fn one_document_of_each_malformed_kind_beside_fifty_calls() {
    const CALLS: usize = 50;
    let customers: Vec<(String, String, String)> = (0..CALLS)
        .map(|n| {
            (format!("Customer Number{n}"), format!("number{n}@example.com"), format!("(416) 555-{:04}", 1_000 + n))
        })
        .collect();
    let customers: Vec<(&str, &str, &str)> = customers.iter().map(|(a, b, c)| (&**a, &**b, &**c)).collect();
    let app = Setup::on(Store::Mongo).with_customers(&customers).await.start().await;
    let rule = doc! { "$or": [{ "locked": { "$exists": false } }, { "rev": { "$exists": false } }] };
    app.database().await.run_command(doc! { "collMod": "active_calls", "validator": rule }).await.unwrap();
    let active = active_calls(&app).await;
    let malformed = malformed();
    let mut viewer = app.viewer().await;
    let shown = tokio::spawn(async move {
        let mut shown: HashMap<String, Instant> = HashMap::new();
        while shown.len() < CALLS {
            let frame = viewer.find("a customer", |frame| frame.call()["customer_name"].is_string()).await;
            shown.entry(frame.call()["session_id"].as_str().unwrap().to_owned()).or_insert_with(Instant::now);
        }
        shown
    });
    // Half of the calls are another program's and half are ours, with malformed documents before and among them.
    let (before, among) = malformed.split_at(malformed.len() / 2);
    active.insert_many(before).await.unwrap();
    let mut among = among.iter();
    let mut began = HashMap::new();
    for n in 0..CALLS {
        let (session, number) = (format!("healthy-{n}"), format!("+1416555{:04}", 1_000 + n));
        began.insert(session.clone(), Instant::now());
        if n % 2 == 0 {
            app.ring(&session, &number).await;
        } else {
            active.insert_one(with(session.into(), "from_number", number.into())).await.unwrap();
        }
        if let Some(malformed) = among.next() {
            active.insert_one(malformed).await.unwrap();
        }
    }
    let shown = tokio::time::timeout(PATIENCE, shown).await.expect("all calls pop with their customers").unwrap();
    let slowest = shown.iter().map(|(session, at)| *at - began[session]).max().unwrap();
    println!("{CALLS} calls popped with their customers, the slowest after {slowest:?}");
    let mut app = app;
    within(PATIENCE, "every document is judged", async || {
        (counted(&app).await.parse::<usize>().unwrap() >= 13).then_some(())
    })
    .await;
    some_polls(&app).await;
    assert_eq!(warnings(&app).await.len(), 1);
    // Of the two of a session one is a call, and the other may have been it for a moment.
    assert!((13..=14).contains(&lines(&app)), "at most one line for each");
    assert!(app.active_call("4242").await.is_some());
    let ready = app.get_json("/health/ready").await;
    assert_eq!((&ready["ready"], &ready["changes"], &ready["spooled"]), (&true.into(), &"at_once".into(), &0.into()));
    assert!(!app.log().contains("the store does not answer"));
    app.restart_with("POLL_INTERVAL_MS", "100").await;
    assert_eq!(app.active_calls().await.len(), CALLS + 1, "the start does not mind them");
}

#[tokio::test]
async fn a_document_that_is_mended_is_shown_and_one_that_is_removed_is_forgotten() {
    let app = with_a_validator().await;
    let active = active_calls(&app).await;
    let mut locked = document("locked");
    locked.insert("locked", true);
    let mut nameless = document(Bson::Null);
    nameless.insert("_id", "nameless");
    active.insert_many([locked, nameless]).await.unwrap();
    warns(&app, true).await;
    within(ONE_TICK, "both are counted", async || (counted(&app).await == "2").then_some(())).await;
    some_polls(&app).await;
    assert_eq!(lines(&app), 2);
    assert!(app.active_calls().await.is_empty());

    active.update_one(doc! { "session_id": "locked" }, doc! { "$unset": { "locked": 1 } }).await.unwrap();
    within(ONE_TICK, "the mended one", async || app.active_call("locked").await).await;
    warns(&app, true).await;
    active.update_one(doc! { "_id": "nameless" }, doc! { "$set": { "session_id": "named" } }).await.unwrap();
    within(ONE_TICK, "the other", async || app.active_call("named").await).await;
    warns(&app, false).await;

    active.insert_one(document(false)).await.unwrap();
    warns(&app, true).await;
    active.delete_many(doc! { "session_id": false }).await.unwrap();
    warns(&app, false).await;
    assert_eq!((lines(&app), counted(&app).await.as_str()), (3, "3"));
}

#[tokio::test]
async fn a_webhook_pops_although_its_sessions_document_cannot_be_written_to() {
    let app = with_a_validator().await;
    let active = active_calls(&app).await;
    let mut locked = document("locked");
    locked.insert("locked", true);
    active.insert_one(locked).await.unwrap();
    warns(&app, true).await;
    let mut viewer = app.viewer().await;
    app.ring("locked", "+14165550177").await;
    let call = tokio::time::timeout(ONE_TICK, viewer.wait_for("call")).await.expect("it pops").call().clone();
    assert_eq!((&call["session_id"], &call["from_number"]), (&"locked".into(), &"+14165550177".into()));
    // Others are stored at once, and the polls do not take it away.
    app.ring("other", "+14165550178").await;
    assert_eq!(active.count_documents(doc! { "session_id": "other" }).await.unwrap(), 1);
    some_polls(&app).await;
    app.answer("locked").await;
    let answered = viewer.find("the answer", |frame| frame.call()["status"] == "connected").await;
    assert_eq!((answered.kind(), &answered.call()["id"]), ("call_updated", &call["id"]));
    app.hang_up("locked").await;
    let ended = viewer.find("the end", |frame| frame.kind() == "call_ended" && frame.call()["id"] == call["id"]).await;
    assert_eq!(ended.call()["status"], "ended");
    assert_eq!(app.ended_call("locked").await["result"], "answered");
    let ready = app.get_json("/health/ready").await;
    assert_eq!((&ready["ready"], &ready["spooled"]), (&true.into(), &0.into()));
    assert!(!app.log().contains("the store does not answer"));
    let theirs = active.find_one(doc! { "session_id": "locked" }).await.unwrap().unwrap();
    assert_eq!((theirs.get_bool("locked").unwrap(), theirs.get("rev")), (true, None));
}

#[tokio::test]
async fn a_call_that_is_only_in_memory_is_erased_from_resumed_streams_too() {
    let app = with_a_validator().await;
    let mut locked = document("locked");
    locked.insert("locked", true);
    active_calls(&app).await.insert_one(locked).await.unwrap();
    warns(&app, true).await;
    let mut viewer = app.viewer().await;
    app.ring_as("locked", "+14165550177", "Wilhelmine").await;
    viewer.find("the call", |frame| frame.call()["from_name"] == "Wilhelmine").await;
    let position = viewer.position.clone().expect("frames have ids");
    let erase = app.request(Method::DELETE, "/api/customers/by-number/+14165550177").send().await.unwrap();
    assert_eq!(erase.status(), StatusCode::OK);
    // What was sent before the erasure may still be on its way.
    viewer.find("the new start", |frame| frame.kind() == "resync").await;
    for mut viewer in [viewer, app.stream_at(&format!("?last_event_id={position}")).await] {
        let frames: Vec<_> = viewer.listen_for(ONE_TICK).await.into_iter().map(|frame| frame.data).collect();
        let said = json!(frames).to_string();
        assert!(!said.contains("Wilhelmine") && !said.contains("4165550177"), "{said}");
    }
    let shown = json!(app.active_calls().await).to_string();
    assert!(!shown.contains("4165550177"), "{shown}");
}

#[tokio::test]
async fn what_was_kept_aside_goes_into_the_document_once_that_is_mended() {
    let app = with_a_validator().await;
    let active = active_calls(&app).await;
    let mut locked = document("locked");
    locked.insert("locked", true);
    active.insert_one(locked).await.unwrap();
    warns(&app, true).await;
    app.ring("locked", "+14165550177").await;
    app.answer("locked").await;
    active.update_one(doc! { "session_id": "locked" }, doc! { "$unset": { "locked": 1 } }).await.unwrap();
    let id = active.find_one(doc! { "session_id": "locked" }).await.unwrap().unwrap().get_object_id("_id").unwrap();
    eventually("one call, with what was told of it", async || {
        let calls = app.active_calls().await;
        (calls.len() == 1 && calls[0]["id"] == id.to_hex() && calls[0]["status"] == "connected").then_some(())
    })
    .await;
    warns(&app, false).await;
    // Until what was kept aside is replayed, an end waits behind it in the spool.
    let replayed = async || app.metrics().await.lines().any(|line| line == "caller_popup_spooled 0").then_some(());
    eventually("an empty spool", replayed).await;
    app.hang_up("locked").await;
    assert_eq!(active.count_documents(doc! {}).await.unwrap(), 0);
}

#[tokio::test]
async fn a_call_that_the_collection_refuses_altogether_is_shown_until_it_ends() {
    let app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").start().await;
    let rule = doc! { "tenant": { "$type": "string" } };
    app.database().await.run_command(doc! { "collMod": "active_calls", "validator": rule }).await.unwrap();
    let mut viewer = app.viewer().await;
    app.ring("ours", "+14165550177").await;
    let id = viewer.wait_for("call").await.call()["id"].clone();
    let mut theirs = document("theirs");
    theirs.insert("tenant", "a");
    active_calls(&app).await.insert_one(theirs).await.unwrap();
    within(ONE_TICK, "a call that is taken", async || app.active_call("theirs").await).await;
    assert_eq!(app.active_call("ours").await.unwrap()["id"], id);
    assert_eq!(warnings(&app).await.len(), 1);
    app.hang_up("ours").await;
    assert_eq!(viewer.wait_for("call_ended").await.call()["id"], id);
    assert_eq!(app.ended_call("ours").await["id"], id);
    warns(&app, false).await;
}

#[tokio::test]
async fn of_two_documents_with_one_session_one_is_the_call() {
    let app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").start().await;
    let active = active_calls(&app).await;
    active.insert_many([document(5_150), document("5150"), document(5_150.0)]).await.unwrap();
    warns(&app, true).await;
    some_polls(&app).await;
    assert!((2..=3).contains(&lines(&app)), "at most one line for each");
    let calls = app.active_calls().await;
    assert_eq!((calls.len(), &calls[0]["session_id"]), (1, &"5150".into()));
    let shown = ObjectId::parse_str(calls[0]["id"].as_str().unwrap()).unwrap();
    active.delete_one(doc! { "_id": shown }).await.unwrap();
    let next = async || app.active_call("5150").await.filter(|call| call["id"] != calls[0]["id"]);
    eventually("the next one", next).await;
    assert_eq!(app.active_calls().await.len(), 1);
    assert_eq!(app.get("/health/ready").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_collection_with_duplicates_and_an_index_of_its_own_is_served() {
    let setup = Setup::on(Store::Mongo);
    let mut app = setup.start().await;
    app.kill().await;
    let active = active_calls(&app).await;
    active.drop().await.unwrap();
    active.insert_many([document("twice"), document("twice"), document("once")]).await.unwrap();
    app.restart().await;
    assert_eq!(app.active_calls().await.len(), 2);
    app.ring("ours", "+14165550177").await;
    assert_eq!(active.count_documents(doc! { "session_id": "ours" }).await.unwrap(), 1);
    assert!(warnings(&app).await.len() == 1);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_still_lost() {
    use crate::support::mongod::Failure;
    const NOT_PRIMARY: i32 = 10_107;
    let app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").known_to_mongod().start().await;
    let failing = doc! {
        "failCommands": ["find", "insert", "update"], "appName": app.database_name(), "errorCode": NOT_PRIMARY,
    };
    let failure = Failure::start(&app.database().await, failing).await;
    app.ring("meanwhile", "+14165550177").await;
    let lost = async || (app.get("/health/ready").await.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(());
    within(Duration::from_secs(10), "not ready", lost).await;
    failure.end().await;
    eventually("ready", async || (app.get("/health/ready").await.status() == StatusCode::OK).then_some(())).await;
    let active = active_calls(&app).await;
    eventually("it is stored", async || active.find_one(doc! { "session_id": "meanwhile" }).await.unwrap()).await;
}
