//! Other programs and other instances on the same MongoDB: what they write to `active_calls` reaches our viewers, and
//! what we write they can read.

use std::collections::HashSet;

use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use mongodb::{Collection, IndexModel};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::mongod::Failure;
use crate::support::{ONE_TICK, PATIENCE, Setup, Store, TestApp, Viewer, eventually, within};

async fn active_calls(app: &TestApp) -> Collection<Document> {
    app.database().await.collection("active_calls")
}

/// A document with the guide's fields and nothing else.
fn guides_document(session: &str) -> Document {
    doc! {
        "session_id": session,
        "from_number": "+14165551234",
        "from_name": "Sarah Customer",
        "to_number": "+15879876543",
        "direction": "Inbound",
        "status": "ringing",
        "timestamp": DateTime::now(),
        "customer_id": "68e8929ff0f6291c7d863496",
        "customer_name": "Sarah Customer",
        "customer_email": "sarah@example.com",
    }
}

/// The next event but heartbeats, which must come within one tick.
async fn within_one_tick(viewer: &mut Viewer, kind: &str) -> serde_json::Value {
    let frame = tokio::time::timeout(ONE_TICK, viewer.wait_for(kind)).await;
    frame.unwrap_or_else(|_| panic!("{kind} did not come within {ONE_TICK:?}")).call().clone()
}

#[tokio::test]
async fn a_call_another_program_inserts_pops_and_leaves_with_its_deletion() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    let active = active_calls(&app).await;
    let inserted = active.insert_one(guides_document("foreign")).await.unwrap();
    let call = within_one_tick(&mut viewer, "call").await;
    let id = inserted.inserted_id.as_object_id().unwrap().to_hex();
    let seen = ["id", "session_id", "from_number", "from_name", "to_number", "direction", "status", "customer_id"];
    let told = [
        &*id,
        "foreign",
        "+14165551234",
        "Sarah Customer",
        "+15879876543",
        "Inbound",
        "ringing",
        "68e8929ff0f6291c7d863496",
    ];
    assert_eq!(seen.map(|field| &call[field]), told);
    assert_eq!(app.active_call("foreign").await.expect("the call is active")["id"], json!(id));

    active.delete_one(doc! { "session_id": "foreign" }).await.unwrap();
    assert_eq!(within_one_tick(&mut viewer, "call_ended").await["id"], json!(id));
    assert_eq!(app.active_call("foreign").await, None);
}

#[tokio::test]
async fn a_call_another_program_inserts_again_under_its_old_id_pops_again() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    let active = active_calls(&app).await;
    let mut document = guides_document("again");
    document.insert("_id", ObjectId::new());
    let mut rev = 0;
    for _ in 0..3 {
        active.insert_one(&document).await.unwrap();
        let call = within_one_tick(&mut viewer, "call").await;
        assert!(call["rev"].as_i64().unwrap() > rev, "a reader drops what is not newer: {call}");
        active.delete_one(doc! { "session_id": "again" }).await.unwrap();
        rev = within_one_tick(&mut viewer, "call_ended").await["rev"].as_i64().unwrap();
    }
}

#[tokio::test]
async fn a_call_another_program_changes_is_updated() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    let active = active_calls(&app).await;
    active.insert_one(guides_document("foreign")).await.unwrap();
    within_one_tick(&mut viewer, "call").await;
    let filter = doc! { "session_id": "foreign" };
    active.update_one(filter.clone(), doc! { "$set": { "status": "connected" } }).await.unwrap();
    assert_eq!(within_one_tick(&mut viewer, "call_updated").await["status"], "connected");
    active.update_one(filter.clone(), doc! { "$set": { "from_name": "Renamed" } }).await.unwrap();
    assert_eq!(within_one_tick(&mut viewer, "call_updated").await["from_name"], "Renamed");
    // The guide's programs say that a call is over before they delete it.
    active.update_one(filter, doc! { "$set": { "status": "Disconnected" } }).await.unwrap();
    within_one_tick(&mut viewer, "call_ended").await;
}

#[tokio::test]
async fn a_call_that_rang_here_can_be_taken_away_by_another_program() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    app.ring("ours", "+14165551234").await;
    viewer.wait_for("call").await;
    active_calls(&app).await.delete_one(doc! { "session_id": "ours" }).await.unwrap();
    assert_eq!(within_one_tick(&mut viewer, "call_ended").await["session_id"], "ours");
}

#[tokio::test]
async fn a_webhook_about_another_programs_call_changes_that_call() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    active_calls(&app).await.insert_one(guides_document("foreign")).await.unwrap();
    let id = within_one_tick(&mut viewer, "call").await["id"].clone();
    app.answer("foreign").await;
    let call = within_one_tick(&mut viewer, "call_updated").await;
    assert_eq!((&call["id"], &call["status"]), (&id, &json!("connected")));
    app.hang_up("foreign").await;
    within_one_tick(&mut viewer, "call_ended").await;
    assert_eq!(active_calls(&app).await.count_documents(doc! {}).await.unwrap(), 0);
}

#[tokio::test]
async fn our_documents_carry_the_guides_names() {
    let app = Setup::on(Store::Mongo)
        .with_customers(&[("Sarah Customer", "sarah@example.com", "(416) 555-1234")])
        .await
        .start()
        .await;
    app.ring_as("ours", "+14165551234", "Sarah C").await;
    let active = active_calls(&app).await;
    let stored = within(ONE_TICK, "the customer in the document", async || {
        let stored = active.find_one(doc! { "session_id": "ours" }).await.unwrap()?;
        stored.get_str("customer_name").is_ok().then_some(stored)
    })
    .await;
    for (field, value) in [
        ("from_number", "+14165551234"),
        ("from_name", "Sarah C"),
        ("to_number", "+15879876543"),
        ("direction", "Inbound"),
        ("status", "ringing"),
        ("customer_name", "Sarah Customer"),
        ("customer_email", "sarah@example.com"),
    ] {
        assert_eq!(stored.get_str(field).ok(), Some(value), "{field}");
    }
    assert!(matches!(stored.get("timestamp"), Some(Bson::DateTime(_))), "timestamp is a date");
    assert!(stored.contains_key("customer_id"));
    let id = app.active_call("ours").await.expect("the call is active")["id"].clone();
    assert_eq!(id, stored.get_object_id("_id").unwrap().to_hex());
    app.hang_up("ours").await;
    assert_eq!(active.count_documents(doc! {}).await.unwrap(), 0, "an ended call leaves the collection");
}

#[tokio::test]
async fn a_session_has_one_document() {
    let app = TestApp::start(Store::Mongo).await;
    app.ring("one", "+14165551234").await;
    let names = active_calls(&app).await;
    let twice = names.insert_one(guides_document("one")).await;
    assert!(twice.is_err(), "session_id is unique");
    let with_index = names.create_index(IndexModel::builder().keys(doc! { "session_id": 1 }).build()).await;
    assert!(with_index.is_err(), "the index that is there is not a plain one: it is unique");
}

#[tokio::test]
async fn strange_documents_of_other_programs_hurt_nobody() {
    let app = TestApp::start(Store::Mongo).await;
    let mut viewer = app.viewer().await;
    let active = active_calls(&app).await;
    for (number, strange) in [
        doc! {},
        doc! { "status": 7, "from_number": ["+1"], "timestamp": "yesterday" },
        doc! { "from_number": null, "status": null, "customer_id": ObjectId::new(), "rev": "x" },
        doc! { "_id": "text-id", "status": "ringing", "timestamp": "2025-10-19T00:47:36.827000", "direction": "sideways" },
    ]
    .into_iter()
    .enumerate()
    {
        let mut strange = strange;
        strange.insert("session_id", format!("strange-{number}"));
        active.insert_one(strange).await.unwrap();
    }
    active.insert_one(guides_document("normal")).await.unwrap();
    let normal = viewer.find("the normal call", |frame| frame.call()["session_id"] == "normal");
    tokio::time::timeout(ONE_TICK, normal).await.expect("within one tick");
    app.ring("ours", "+14165551234").await;
    viewer.find("our call", |frame| frame.call()["session_id"] == "ours").await;
    assert!(app.active_call("normal").await.is_some());
}

#[tokio::test]
async fn a_call_that_rings_at_one_instance_pops_at_another() {
    let here = TestApp::start(Store::Mongo).await;
    let there = here.second_instance().await;
    let mut viewer = there.viewer().await;
    here.ring("elsewhere", "+14165551234").await;
    assert_eq!(within_one_tick(&mut viewer, "call").await["session_id"], "elsewhere");
    there.answer("elsewhere").await;
    within(ONE_TICK, "the answer, here", async || {
        here.active_call("elsewhere").await.filter(|call| call["status"] == "connected")
    })
    .await;
    here.hang_up("elsewhere").await;
    let ended = tokio::time::timeout(ONE_TICK, viewer.wait_for("call_ended")).await.expect("within one tick");
    assert_eq!(ended.call()["session_id"], "elsewhere");
}

#[tokio::test]
async fn a_popup_is_put_away_by_an_instance_that_has_not_heard_of_the_call() {
    const RARELY: (&str, &str) = ("POLL_INTERVAL_MS", "60000");
    // No change stream, so instances hear of each other by the poll only.
    let here = Setup::on_standalone_mongod().with("POLL_INTERVAL_MS", "100").start().await;
    let there = here.second_instance_with(&[RARELY]).await;
    for app in [&here, &there] {
        eventually("changes are polled", async || {
            (app.get_json("/health/ready").await["changes"] == "polled").then_some(())
        })
        .await;
    }
    let mut viewer = here.viewer().await;
    here.ring("elsewhere", "+14165551234").await;
    let id = viewer.wait_for("call").await.call()["id"].as_str().unwrap().to_owned();
    assert!(there.active_call("elsewhere").await.is_none(), "it was not to hear of the call");
    let dismiss = async |id: &str| {
        let path = format!("/api/ringcentral/calls/{id}/dismiss");
        there.request(Method::POST, &path).send().await.unwrap().status()
    };
    assert_eq!(dismiss(&id).await, StatusCode::OK);
    assert_eq!(viewer.wait_for("call_ended").await.call()["id"], id.as_str());
    assert_eq!(dismiss(&ObjectId::new().to_hex()).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_collection_that_is_dropped_is_told_and_followed_anew() {
    let app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").start().await;
    follows(&app).await;
    let mut viewer = app.viewer().await;
    app.ring("ours", "+14165551234").await;
    viewer.wait_for("call").await;
    let active = active_calls(&app).await;
    active.drop().await.unwrap();
    let mut told = Vec::new();
    while told.last().is_none_or(|kind| kind != "resync") {
        told.push(viewer.next().await.expect("the stream stays open").kind().to_owned());
    }
    assert!(told.iter().any(|kind| kind == "error"), "{told:?}");
    eventually("the call is gone", async || app.active_calls().await.is_empty().then_some(())).await;
    follows(&app).await;
    active.insert_one(guides_document("anew")).await.unwrap();
    assert_eq!(within_one_tick(&mut viewer, "call").await["session_id"], "anew");
    assert!(active.insert_one(guides_document("anew")).await.is_err(), "session_id is unique again");
}

#[tokio::test]
async fn a_change_stream_whose_history_is_lost_is_told_and_begun_anew() {
    let app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").known_to_mongod().start().await;
    follows(&app).await;
    let mut viewer = app.viewer().await;
    const CHANGE_STREAM_HISTORY_LOST: i32 = 286;
    let lost = doc! {
        "failCommands": ["getMore"], "appName": app.database_name(), "errorCode": CHANGE_STREAM_HISTORY_LOST,
    };
    let lost = Failure::start(&app.database().await, lost).await;
    assert_eq!(viewer.wait_for("error").await.data["error"]["code"], "changes_delayed");
    let active = active_calls(&app).await;
    active.insert_one(guides_document("meanwhile")).await.unwrap();
    let meanwhile = viewer.find("the poll goes on", |frame| frame.call()["session_id"] == "meanwhile");
    tokio::time::timeout(ONE_TICK, meanwhile).await.expect("within one tick");
    // It is tried again and again, so that it may look well for a moment.
    eventually("that is said", async || (app.get_json("/health/ready").await["changes"] == "polled").then_some(()))
        .await;
    lost.end().await;
    follows(&app).await;
    active.insert_one(guides_document("after")).await.unwrap();
    let after = viewer.find("the next call", |frame| frame.call()["session_id"] == "after");
    tokio::time::timeout(ONE_TICK, after).await.expect("within one tick");
}

#[tokio::test]
async fn a_viewer_goes_on_at_another_instance_where_they_stopped() {
    // So that no answer of a lookup, which is a change too, comes late and in between.
    const WITHHELD: &str = "anonymous";
    let here = TestApp::start(Store::Mongo).await;
    let mut there = here.second_instance().await;
    follows(&here).await;
    follows(&there).await;
    let mut viewer = here.viewer().await;
    here.ring("unchanged", WITHHELD).await;
    viewer.wait_for("call").await;
    // A call's own frame is older than its echo, and what was echoed last is told again: two echoes later it is not.
    let mark = |viewer: &Viewer| viewer.position.as_ref().unwrap().split('-').nth(2).map(str::to_owned);
    let mut marks = HashSet::from([mark(&viewer)]);
    for marker in 0.. {
        if marks.len() == 3 {
            break;
        }
        here.ring(&format!("marker-{marker}"), WITHHELD).await;
        viewer.wait_for("call").await;
        marks.insert(mark(&viewer));
    }
    let position = viewer.position.take().unwrap();
    drop(viewer);

    there.hang_up("marker-0").await;
    here.ring("new", WITHHELD).await;
    within(ONE_TICK, "the new call, there", async || there.active_call("new").await).await;
    let mut viewer = there.stream_at(&format!("?last_event_id={position}")).await;
    assert_eq!(viewer.expect("connected").await.data["resumed"], true);
    let mut told = Vec::new();
    while told.len() < 2 || told.last().unwrap() != "new" {
        let frame = viewer.next().await.expect("the stream goes on");
        told.push(frame.call()["session_id"].as_str().unwrap().to_owned());
        match &**told.last().unwrap() {
            "marker-0" => assert_eq!(frame.kind(), "call_ended"),
            "new" => assert_eq!(frame.kind(), "call"),
            other => assert!(other.starts_with("marker-"), "{other} did not change"),
        }
    }
    assert!(told.iter().any(|session| session == "marker-0"), "{told:?}");

    // What happened while an instance was not there it cannot know, and says so.
    there.kill().await;
    there.restart().await;
    let mut viewer = there.stream_at(&format!("?last_event_id={position}")).await;
    assert_eq!(viewer.expect("connected").await.data["resumed"], false);
}

/// Waits until changes by others reach this instance as they happen.
async fn follows(app: &TestApp) {
    within(PATIENCE, "changes are followed", async || {
        (app.get_json("/health/ready").await["changes"] == "at_once").then_some(())
    })
    .await;
}
