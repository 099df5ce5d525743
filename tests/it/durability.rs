//! A 200 means the event is kept: over kill -9, and while the database is away.

use mongodb::bson::{Document, doc};
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::mongod::Failure;
use crate::support::{Setup, Store, TestApp, eventually, flat};

on_both_stores! {
    a_ringing_call_survives_kill_9,
    everything_acknowledged_survives_kill_9,
    a_call_goes_on_after_a_restart,
    a_call_that_ended_does_not_ring_again_after_a_restart,
}

async fn a_ringing_call_survives_kill_9(store: Store) {
    let mut app = TestApp::start(store).await;
    app.ring("survivor", "+14165551234").await;
    let before = app.active_call("survivor").await.expect("the call is active");
    app.kill().await;
    app.restart().await;
    let after = app.active_call("survivor").await.expect("the call is still active");
    for field in ["id", "status", "from_number", "from_name", "to_number", "timestamp"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let mut viewer = app.stream().await;
    viewer.expect("connected").await;
    assert_eq!(viewer.expect("call").await.call()["id"], before["id"]);
}

async fn everything_acknowledged_survives_kill_9(store: Store) {
    let mut app = TestApp::start(store).await;
    let sessions: Vec<_> = (0..30).map(|n| format!("call-{n:02}")).collect();
    futures_util::future::join_all(sessions.iter().map(|session| app.ring(session, "+14165551234"))).await;
    app.kill().await;
    app.restart().await;
    let mut kept: Vec<_> = app.active_calls().await.iter().map(|call| call["session_id"].clone()).collect();
    kept.sort_by_key(Value::to_string);
    assert_eq!(kept, sessions);
}

async fn a_call_goes_on_after_a_restart(store: Store) {
    let mut app = TestApp::start(store).await;
    app.ring("goes-on", "+14165551234").await;
    app.kill().await;
    app.restart().await;
    app.answer("goes-on").await;
    let call = app.active_call("goes-on").await.expect("the call is active");
    assert_eq!((&call["status"], &call["from_number"]), (&json!("connected"), &json!("+14165551234")));
    app.kill().await;
    app.restart().await;
    app.hang_up("goes-on").await;
    assert_eq!(app.ended_call("goes-on").await["result"], "answered");
}

async fn a_call_that_ended_does_not_ring_again_after_a_restart(store: Store) {
    let mut app = TestApp::start(store).await;
    let ringing = flat("ended", "Ringing", json!({ "phoneNumber": "+14165551234" }));
    app.deliver(&ringing).await;
    app.hang_up("ended").await;
    app.kill().await;
    app.restart().await;
    assert_eq!(app.active_calls().await, Vec::<Value>::new());
    assert_eq!(app.ended_call("ended").await["result"], "missed");
}

#[tokio::test]
async fn a_database_that_is_away_costs_no_call_and_no_popup() {
    let app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").known_to_mongod().start().await;
    let mut viewer = app.viewer().await;
    let away = database_away(&app).await;
    let ring = flat("while-away", "Ringing", json!({ "phoneNumber": "+14165551234" }));
    assert_eq!(app.post_webhook(&ring).await.status(), StatusCode::OK);
    // What nobody understands is no reason for RingCentral to give the address up.
    let unknown = json!({ "event": "/restapi/v9/of/the/future", "body": { "who": "knows" } });
    assert_eq!(app.post_webhook(&unknown).await.status(), StatusCode::OK);
    // Both come, in whichever order.
    let (mut trouble, mut shown) = (None, None);
    while trouble.is_none() || shown.is_none() {
        let frame = viewer.next().await.expect("the stream stays open");
        match frame.kind() {
            "error" => trouble = Some(frame),
            "call" => shown = Some(frame),
            _ => {}
        }
    }
    let (trouble, shown) = (trouble.expect("it came"), shown.expect("it came"));
    assert!(
        trouble.data["error"]["code"].is_string() && trouble.data["error"]["message"].is_string(),
        "{}",
        trouble.data
    );
    assert_eq!(shown.call()["session_id"], "while-away");
    eventually("not ready", async || (!app.get("/health/ready").await.status().is_success()).then_some(())).await;
    assert_eq!(app.get("/health/live").await.status(), StatusCode::OK);
    away.end().await;

    eventually("ready", async || app.get("/health/ready").await.status().is_success().then_some(())).await;
    let stored = stored_call(&app, "while-away").await;
    let id = stored.get_object_id("_id").unwrap().to_hex();
    assert_eq!(shown.call()["id"], id.as_str(), "the call keeps the id under which it was shown");
}

#[tokio::test]
async fn what_waits_is_told_to_the_database_in_the_order_it_came() {
    let app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").known_to_mongod().start().await;
    let away = database_away(&app).await;
    let sessions: Vec<_> = (0..40).map(|n| format!("waits-{n:02}")).collect();
    for session in &sessions {
        app.ring(session, "+14165551234").await;
    }
    // To who has not heard of the ringing, an answer means nothing.
    for session in &sessions {
        app.answer(session).await;
    }
    let metrics = app.metrics().await;
    for line in ["caller_popup_store_up 0", "caller_popup_spooled 80"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
    away.end().await;
    let calls = app.database().await.collection::<Document>("active_calls");
    let connected = doc! { "status": "connected", "from_number": "+14165551234" };
    eventually("every call in the database, and answered", async || {
        let found = calls.count_documents(connected.clone()).await.expect("the database answers");
        (found == sessions.len() as u64).then_some(())
    })
    .await;
    eventually("nothing waits", async || app.metrics().await.contains("caller_popup_spooled 0\n").then_some(())).await;
}

#[tokio::test]
async fn a_spool_that_is_full_refuses_and_says_so() {
    let mut app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").known_to_mongod().start().await;
    let away = database_away(&app).await;
    app.kill().await;
    let spool = Connection::open(app.data_dir().join("spool.sqlite")).unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
                INSERT INTO spool (call_id, events) SELECT 'waits', '[]' FROM n";
    spool.execute(fill, []).unwrap();
    app.restart().await;
    app.ring("the-last", "+14165551234").await;
    let refused = app.post_webhook(&flat("one-too-many", "Ringing", json!({ "phoneNumber": "+14165551234" }))).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = refused.json().await.expect("an error is JSON");
    assert_eq!(body["error"]["code"], "store_unavailable");
    let error = |line: &&str| line.contains("\"ERROR\"") && line.contains("a request could not be answered");
    eventually("an error in the log", async || app.log().lines().any(|line| error(&line)).then_some(())).await;
    let metrics = app.metrics().await;
    for line in [
        "caller_popup_store_up 0",
        "caller_popup_spooled 100000",
        "caller_popup_webhooks_total{kind=\"guide\",status=\"503\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
    app.kill().await;
    away.end().await;
}

#[tokio::test]
async fn a_call_taken_while_the_database_is_away_survives_kill_9() {
    let mut app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").known_to_mongod().start().await;
    let away = database_away(&app).await;
    app.ring("while-away", "+14165551234").await;
    app.kill().await;
    app.restart().await;
    away.end().await;
    let mut viewer = app.viewer().await;
    assert_eq!(viewer.wait_for("call").await.call()["session_id"], "while-away");
    stored_call(&app, "while-away").await;
}

#[tokio::test]
async fn a_start_while_the_database_is_away_believes_no_stranger() {
    const MADE: &str = "made-by-an-instance-before";
    let mut app = Setup::on(Store::Mongo).known_to_mongod().start().await;
    let ring = flat("while-away", "Ringing", json!({ "phoneNumber": "+14165551234" }));
    let say = async |app: &TestApp, token: &str| {
        let request = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", token);
        request.json(&ring).send().await.expect("an answer comes").status()
    };
    assert_eq!(app.post_webhook(&ring).await.status(), StatusCode::OK, "there is no token yet");
    let settings = app.database().await.collection::<Document>("caller_popup_settings");
    let made = json!({ "token": MADE, "previous": null, "subscription_id": null }).to_string();
    settings.insert_one(doc! { "_id": "verification", "value": made }).await.unwrap();
    app.kill().await;
    app.restart().await;
    assert_eq!(app.post_webhook(&ring).await.status(), StatusCode::UNAUTHORIZED);

    let away = database_away(&app).await;
    app.kill().await;
    app.restart().await;
    assert_eq!(app.post_webhook(&ring).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(say(&app, "a-guess").await, StatusCode::UNAUTHORIZED);
    assert_eq!(say(&app, MADE).await, StatusCode::OK);
    let kept = std::fs::read(app.data_dir().join("spool.sqlite")).unwrap();
    assert!(!kept.windows(MADE.len()).any(|part| part == MADE.as_bytes()), "the token itself stands in the spool");
    away.end().await;
    // Who delivers by itself needs the token and not what tells it.
    let wish = app.request(Method::POST, "/api/simulator/calls").json(&json!({ "scenario": "guide" }));
    assert_eq!(wish.send().await.unwrap().status(), StatusCode::OK);
    eventually("the simulated call", async || (app.active_calls().await.len() == 2).then_some(())).await;
}

/// Waits until this call is an active one in the database.
async fn stored_call(app: &TestApp, session: &str) -> Document {
    let calls = app.database().await.collection::<Document>("active_calls");
    eventually("the call in the database", async || {
        calls.find_one(doc! { "session_id": session }).await.expect("the database answers")
    })
    .await
}

/// Everything that reads or writes fails, for this program only.
pub async fn database_away(app: &TestApp) -> Failure {
    let commands = ["find", "aggregate", "getMore", "insert", "update", "findAndModify", "delete", "commitTransaction"];
    let every = doc! {
        "failCommands": commands.as_slice(),
        "appName": app.database_name(),
        "errorCode": 8000, // not one the driver retries
    };
    Failure::start(&app.database().await, every).await
}
