//! A disk that takes nothing: calls are shown from memory, everyone who should know is informed, and when there is room again what
//! could not be stored is.

use mongodb::bson::{Document, doc};
use reqwest::StatusCode;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::durability::database_away;
use crate::support::{Setup, Store, TestApp, Viewer, bar, eventually, flat, within};

on_both_stores! {
    a_disk_without_room_is_seen_and_costs_no_popup,
}

async fn a_disk_without_room_is_seen_and_costs_no_popup(store: Store) {
    let setup = Setup::on(store).with_a_disk_to_fill();
    let setup = if store == Store::Mongo { setup.known_to_mongod() } else { setup };
    let mut app = setup.start().await;
    let mut viewer = app.viewer().await;
    // The embedded file needs the disk for every call, MongoDB's spool while the database is away.
    let away = if store == Store::Mongo { Some(database_away(&app).await) } else { None };
    app.ring("before", "+14165551234").await;
    viewer.wait_for("call").await;
    app.fill_disk();
    let refused = post(&app, "while-full", "Ringing").await;
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE, "what is on no disk is not acknowledged");
    let shown = shown_with_an_error(&mut viewer, "while-full").await;
    for session in (0..20).map(|n| format!("more-{n:02}")) {
        assert_eq!(post(&app, &session, "Ringing").await, StatusCode::SERVICE_UNAVAILABLE);
    }
    // A call that was acknowledged goes on from memory.
    assert_eq!(post(&app, "before", "CallConnected").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.active_call("before").await.unwrap()["status"], "connected");
    let said = within(bar(), "readiness", async || reason(&app, "written to disk").await).await;
    assert_eq!(said["ready"], false);
    let metrics = app.metrics().await;
    assert!(metrics.contains("caller_popup_store_up 0\n"), "{metrics}");
    // Answers of lookups are held too.
    let held = metrics.lines().find_map(|line| line.strip_prefix("caller_popup_held ")?.parse::<usize>().ok());
    assert!(held.is_some_and(|held| held >= 22), "{held:?}");
    let of_the_disk = |line: &&str| line.contains("\"ERROR\"") && line.contains("disk");
    let lines: Vec<String> = app.log().lines().filter(of_the_disk).map(str::to_owned).collect();
    assert!(lines.len() == 1 && lines[0].contains("disk I/O error"), "one line with the cause: {lines:#?}");
    assert!(!app.log().contains("the store is closed"));

    app.free_disk();
    within(bar(), "everything is kept", async || app.metrics().await.contains("caller_popup_held 0\n").then_some(()))
        .await;
    assert_eq!(post(&app, "after", "Ringing").await, StatusCode::OK);
    assert!(app.log().contains("calls are written to disk again"));
    match away {
        None => {
            within(bar(), "ready", async || app.get("/health/ready").await.status().is_success().then_some(())).await
        }
        // The spool takes calls; the database is still away.
        Some(away) => {
            assert!(reason(&app, "written to disk").await.is_none());
            away.end().await;
            eventually("ready", async || app.get("/health/ready").await.status().is_success().then_some(())).await;
        }
    }
    eventually("nothing waits", async || app.metrics().await.contains("caller_popup_spooled 0\n").then_some(())).await;
    app.kill().await;
    app.restart().await;
    let calls = app.active_calls().await;
    assert_eq!(calls.len(), 23, "stored, each once: {calls:#?}");
    for (session, status) in [("before", "connected"), ("while-full", "ringing"), ("after", "ringing")] {
        let call = app.active_call(session).await.unwrap_or_else(|| panic!("{session} was lost"));
        assert_eq!(call["status"], status, "{session}");
    }
    let call = app.active_call("while-full").await.unwrap();
    assert_eq!(call["id"], shown["id"], "the id under which it was shown");
}

#[tokio::test]
async fn a_call_that_rings_and_ends_without_room_is_in_the_history() {
    let app = Setup::on(Store::Sqlite).with_a_disk_to_fill().start().await;
    let mut viewer = app.viewer().await;
    app.fill_disk();
    for status in ["Ringing", "CallConnected", "Disconnected"] {
        assert_eq!(post(&app, "while-full", status).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    viewer.wait_for("call_ended").await;
    app.free_disk();
    assert_eq!(app.ended_call("while-full").await["result"], "answered");
}

#[tokio::test]
async fn a_trigger_that_refuses_every_call_is_seen_and_costs_no_popup() {
    let app = TestApp::start(Store::Sqlite).await;
    let mut viewer = app.viewer().await;
    let other = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON active_calls BEGIN SELECT RAISE(ABORT, 'closed'); END";
    other.execute_batch(refuse).unwrap();
    assert_eq!(post(&app, "refused", "Ringing").await, StatusCode::SERVICE_UNAVAILABLE);
    shown_with_an_error(&mut viewer, "refused").await;
    within(bar(), "readiness", async || reason(&app, "written to disk").await).await;
    other.execute_batch("DROP TRIGGER refuse").unwrap();
    within(bar(), "ready", async || app.get("/health/ready").await.status().is_success().then_some(())).await;
    let stored = "SELECT count(*) FROM active_calls WHERE session_id = 'refused'";
    within(bar(), "the call is stored", async || {
        (other.query_row(stored, [], |row| row.get::<_, i64>(0)).unwrap() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_spool_without_a_place_still_shows_calls() {
    let mut app = Setup::on(Store::Mongo).known_to_mongod().start().await;
    let away = database_away(&app).await;
    app.kill().await;
    let spool = Connection::open(app.data_dir().join("spool.sqlite")).unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
                INSERT INTO spool (call_id, events) SELECT 'waits', '[]' FROM n";
    spool.execute(fill, []).unwrap();
    app.restart().await;
    let mut viewer = app.viewer().await;
    assert_eq!(post(&app, "one-too-many", "Ringing").await, StatusCode::SERVICE_UNAVAILABLE);
    shown_with_an_error(&mut viewer, "one-too-many").await;
    spool.execute("DELETE FROM spool", []).unwrap();
    away.end().await;
    let calls = app.database().await.collection::<Document>("active_calls");
    eventually("the call in the database", async || {
        calls.find_one(doc! { "session_id": "one-too-many" }).await.expect("the database answers")
    })
    .await;
}

async fn post(app: &TestApp, session: &str, status: &str) -> StatusCode {
    app.post_webhook(&flat(session, status, json!({ "phoneNumber": "+14165551234" }))).await.status()
}

/// Readiness, when one of its reasons says this.
async fn reason(app: &TestApp, what: &str) -> Option<Value> {
    let ready: Value = app.get("/health/ready").await.json().await.unwrap();
    let said = ready["reasons"].as_array().unwrap().iter().any(|reason| reason.as_str().unwrap().contains(what));
    said.then_some(ready)
}

/// Waits for the popup and for the error, in whichever order; the call.
async fn shown_with_an_error(viewer: &mut Viewer, session: &str) -> Value {
    let (mut trouble, mut shown) = (false, None);
    while !trouble || shown.is_none() {
        let frame = viewer.next().await.expect("the stream stays open");
        match frame.kind() {
            "error" => trouble |= frame.data["error"]["message"].as_str().unwrap().contains("cannot be stored"),
            "call" if frame.call()["session_id"] == session => shown = Some(frame.call().clone()),
            _ => {}
        }
    }
    shown.unwrap()
}
