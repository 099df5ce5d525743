//! The stream as a dashboard reads it.

use std::time::Duration;

use chrono::DateTime;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::durability::database_away;
use crate::support::{Frame, Setup, Store, TestApp, Viewer, eventually};

/// A tick that never comes during a test: what arrives was pushed.
const NO_TICKS: (&str, &str) = ("POLL_INTERVAL_MS", "60000");

on_both_stores! {
    a_call_is_pushed_the_moment_it_is_stored,
    a_stream_follows_a_call_to_its_end,
    a_late_viewer_sees_the_calls_that_ring_now,
    a_viewer_who_comes_back_misses_nothing,
    a_viewer_with_an_unknown_position_starts_over,
    a_viewer_who_comes_back_after_a_restart_ends_in_the_same_state,
    a_dismissed_call_leaves_this_viewers_streams,
    every_viewer_gets_the_call,
}

async fn a_call_is_pushed_the_moment_it_is_stored(store: Store) {
    let app = Setup::on(store).with(NO_TICKS.0, NO_TICKS.1).start().await;
    let mut viewer = app.viewer().await;
    app.ring_as("pushed", "+14165551234", "Test Caller").await;
    let frame = viewer.expect("call").await;
    let call = frame.call();
    assert_eq!((&call["session_id"], &call["status"]), (&json!("pushed"), &json!("ringing")));
    let listed = app.active_call("pushed").await.expect("the call is active");
    assert_eq!(call["id"], listed["id"], "the stream and active-calls tell the same call");
    let fields = |call: &Value| call.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(call), fields(&listed));
}

async fn a_stream_follows_a_call_to_its_end(store: Store) {
    let app = Setup::on(store).with(NO_TICKS.0, NO_TICKS.1).start().await;
    let mut viewer = app.viewer().await;
    app.ring("followed", "+14165551234").await;
    let mut rev = viewer.expect("call").await.call()["rev"].as_i64().expect("a number");
    for (theirs, ours) in [("CallConnected", "connected"), ("OnHold", "on_hold"), ("CallConnected", "connected")] {
        app.tell("followed", theirs).await;
        let change = viewer.find(ours, |frame| frame.kind() == "call_updated" && frame.call()["status"] == ours).await;
        let newer = change.call()["rev"].as_i64().expect("a number");
        assert!(newer > rev, "rev went from {rev} to {newer}");
        rev = newer;
    }
    app.hang_up("followed").await;
    let end = viewer.wait_for("call_ended").await;
    let call = end.call();
    assert_eq!((&call["status"], &call["result"]), (&json!("ended"), &json!("answered")));
    assert!(call["rev"].as_i64().expect("a number") > rev);
}

async fn a_late_viewer_sees_the_calls_that_ring_now(store: Store) {
    let app = Setup::on(store).with(NO_TICKS.0, NO_TICKS.1).start().await;
    for session in ["rings", "ended", "rings-too"] {
        app.ring(session, "+14165551234").await;
    }
    app.hang_up("ended").await;
    let mut viewer = app.stream().await;
    let connected = viewer.expect("connected").await;
    let mut sessions = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let frame = viewer.expect("call").await;
        sessions.push(frame.call()["session_id"].as_str().expect("text").to_owned());
        ids.push(frame.call()["id"].clone());
    }
    sessions.sort();
    assert_eq!(sessions, ["rings", "rings-too"]);
    let active = connected.data["active"].as_array().expect("the ids of what is active");
    assert!(active.len() == 2 && ids.iter().all(|id| active.contains(id)), "{active:?} and {ids:?}");
}

async fn a_viewer_who_comes_back_misses_nothing(store: Store) {
    let app = Setup::on(store).with(NO_TICKS.0, NO_TICKS.1).start().await;
    let mut viewer = app.viewer().await;
    app.ring("first", "+14165551234").await;
    viewer.expect("call").await;
    let position = viewer.position.take().expect("frames carry an id");
    drop(viewer);
    app.hang_up("first").await;
    app.ring("second", "+14165551234").await;

    // As EventSource does it, and as a page does it that was closed in between.
    let path = "/api/ringcentral/call-stream";
    let by_header = app.client.get(app.url(path)).header("Last-Event-ID", &position);
    let by_query = app.client.get(app.url(path)).query(&[("last_event_id", &position)]);
    for request in [by_header, by_query] {
        let mut viewer = Viewer::open(request).await;
        assert_eq!(viewer.expect("connected").await.data["resumed"], true);
        let end = viewer.wait_for("call_ended").await;
        assert_eq!(end.call()["session_id"], "first");
        let call = viewer.wait_for("call").await;
        assert_eq!(call.call()["session_id"], "second");
    }
}

async fn a_viewer_with_an_unknown_position_starts_over(store: Store) {
    let app = Setup::on(store).with(NO_TICKS.0, NO_TICKS.1).start().await;
    app.ring("rings", "+14165551234").await;
    for position in ["0", "nonsense", "99999999999999999999", "%00%FF", ""] {
        let mut viewer = app.stream_at(&format!("?last_event_id={position}")).await;
        assert_eq!(viewer.expect("connected").await.data["resumed"], false, "for {position:?}");
        assert_eq!(viewer.expect("call").await.call()["session_id"], "rings");
    }
}

async fn a_viewer_who_comes_back_after_a_restart_ends_in_the_same_state(store: Store) {
    let mut app = TestApp::start(store).await;
    let mut viewer = app.viewer().await;
    app.ring("goes-on", "+14165551234").await;
    viewer.expect("call").await;
    let position = viewer.position.take().expect("frames carry an id");
    app.kill().await;
    app.restart().await;
    app.ring("new", "+14165551234").await;
    let mut viewer = app.stream_at(&format!("?last_event_id={position}")).await;
    let connected = viewer.expect("connected").await;
    assert_eq!(connected.data["active"].as_array().map(Vec::len), Some(2), "{}", connected.data);
    // Whether it resumed or started over is the server's choice; what the viewer knows in the end is not.
    let knows = if connected.data["resumed"] == true { vec!["new"] } else { vec!["goes-on", "new"] };
    let mut told = Vec::new();
    while told.len() < knows.len() {
        told.push(viewer.wait_for("call").await.call()["session_id"].as_str().expect("text").to_owned());
    }
    told.sort();
    assert_eq!(told, knows);
}

async fn a_dismissed_call_leaves_this_viewers_streams(store: Store) {
    let app = Setup::on(store).with(NO_TICKS.0, NO_TICKS.1).start().await;
    let (mut here, mut on_another_tab) = (app.viewer().await, app.viewer().await);
    app.ring("dismissed", "+14165551234").await;
    app.ring("stays", "+14165550199").await;
    let call = here.find("the call", |frame| frame.kind() == "call" && frame.call()["session_id"] == "dismissed").await;
    let id = call.call()["id"].as_str().expect("text").to_owned();
    let answer = app.request(Method::POST, &format!("/api/ringcentral/calls/{id}/dismiss")).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    for viewer in [&mut here, &mut on_another_tab] {
        let gone = viewer.wait_for("call_ended").await;
        assert_eq!(gone.call()["session_id"], "dismissed");
        assert_eq!(gone.call()["status"], "ringing", "the caller is still on the line");
    }
    assert!(app.active_call("dismissed").await.is_some(), "others may see it");
    let polled = app.get_json("/api/ringcentral/active-calls?dismissed=false").await;
    assert_eq!(polled["calls"].as_array().unwrap().len(), 1, "a screen that polls does not: {polled}");
    let mut later = app.stream().await;
    later.expect("connected").await;
    assert_eq!(later.expect("call").await.call()["session_id"], "stays");
    app.ring("next", "+14165550198").await;
    assert_eq!(later.wait_for("call").await.call()["session_id"], "next", "the dismissed call did not come back");
}

async fn every_viewer_gets_the_call(store: Store) {
    let app = Setup::on(store).with(NO_TICKS.0, NO_TICKS.1).start().await;
    let mut viewers = Vec::new();
    for _ in 0..50 {
        viewers.push(app.viewer().await);
    }
    app.ring("for-all", "+14165551234").await;
    for mut viewer in viewers {
        assert_eq!(viewer.expect("call").await.call()["session_id"], "for-all");
    }
}

#[tokio::test]
async fn the_stream_is_one_that_no_proxy_holds_back() {
    let app = TestApp::start(Store::Sqlite).await;
    let viewer = app.stream().await;
    assert_eq!(viewer.response.status(), StatusCode::OK);
    let headers = viewer.response.headers();
    assert!(headers["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    assert_eq!(headers["cache-control"], "no-cache, no-transform");
    assert_eq!(headers["x-accel-buffering"], "no");
}

#[tokio::test]
async fn connected_comes_first_and_at_once() {
    let app = TestApp::start(Store::Sqlite).await;
    let mut viewer = app.stream().await;
    let frame = viewer.next().await.expect("the stream says something");
    assert_eq!((frame.kind(), frame.event.as_deref()), ("connected", Some("connected")));
    assert_eq!((&frame.data["resumed"], &frame.data["active"]), (&json!(false), &json!([])));
    DateTime::parse_from_rfc3339(frame.data["server_time"].as_str().expect("a time")).expect("RFC 3339");
    viewer.wait_for("heartbeat").await;
    assert!(viewer.retry.is_some(), "retry: was sent");
}

#[tokio::test]
async fn retry_differs_from_viewer_to_viewer() {
    let app = TestApp::start(Store::Sqlite).await;
    let mut retries = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let mut viewer = app.stream().await;
        viewer.wait_for("connected").await;
        retries.extend(viewer.retry);
    }
    assert!(retries.len() > 1, "a thousand browsers would all come back at once: {retries:?}");
}

#[tokio::test]
async fn frames_carry_their_name_and_an_id() {
    let app = Setup::on(Store::Sqlite).with("POLL_INTERVAL_MS", "100").start().await;
    let mut viewer = app.viewer().await;
    viewer.wait_for("heartbeat").await;
    assert!(viewer.position.is_some(), "who has seen what rings now has a position, also when nothing does");
    let mut ids = std::collections::BTreeSet::new();
    app.ring("named", "+14165551234").await;
    app.answer("named").await;
    app.hang_up("named").await;
    for kind in ["call", "call_updated", "call_ended", "heartbeat"] {
        let frame = viewer.wait_for(kind).await;
        assert_eq!(frame.event.as_deref(), Some(kind));
        ids.extend(frame.id);
    }
    assert!(ids.len() >= 3, "each change has an id of its own: {ids:?}");
}

#[tokio::test]
async fn clients_that_only_know_messages_get_frames_without_names() {
    let app = Setup::on(Store::Sqlite).with("POLL_INTERVAL_MS", "100").start().await;
    let mut viewer = app.stream_at("?events=message").await;
    app.ring("unnamed", "+14165551234").await;
    app.hang_up("unnamed").await;
    for kind in ["connected", "call", "call_ended", "heartbeat"] {
        assert_eq!(viewer.wait_for(kind).await.event, None, "{kind}");
    }
}

#[tokio::test]
async fn a_heartbeat_comes_on_each_tick_while_nobody_calls() {
    let app = TestApp::start(Store::Sqlite).await;
    let time = |frame: &Frame| {
        DateTime::parse_from_rfc3339(frame.data["server_time"].as_str().expect("a time")).expect("RFC 3339")
    };
    let mut viewer = app.stream().await;
    let connected = time(&viewer.expect("connected").await);
    let mut last = connected;
    for _ in 0..3 {
        last = time(&viewer.wait_for("heartbeat").await);
    }
    // By the program's own clock: before the third there were at least two whole pauses of two seconds, which is the
    // contract's own figure; the room is for a busy machine.
    let took = (last - connected).num_milliseconds();
    assert!((3_900..10_500).contains(&took), "three heartbeats within {took} ms");
}

#[tokio::test]
async fn ticks_are_silent_while_somebody_calls() {
    let app = Setup::on(Store::Sqlite).with("POLL_INTERVAL_MS", "100").start().await;
    let mut viewer = app.viewer().await;
    app.ring("rings", "+14165551234").await;
    viewer.expect("call").await;
    let meanwhile = viewer.listen_for(Duration::from_millis(550)).await;
    assert!(meanwhile.iter().all(|frame| frame.kind() == "call_updated"), "{meanwhile:?}");
    app.hang_up("rings").await;
    viewer.wait_for("call_ended").await;
    viewer.wait_for("heartbeat").await;
}

#[tokio::test]
async fn whoever_comes_while_something_is_wrong_is_told_so() {
    let app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").known_to_mongod().start().await;
    let health = async || app.request(Method::GET, "/health/ready").send().await.ok()?.json::<Value>().await.ok();
    let changes = async |how: &str| health().await.is_some_and(|health| health["changes"] == how).then_some(());
    eventually("changes are followed", async || changes("at_once").await).await;
    app.ring("rings", "+14165551234").await;
    let away = database_away(&app).await;
    let mut early = app.stream().await;
    let lost = |frame: &Frame| frame.kind() == "error" && frame.data["error"]["code"] == "store_unavailable";
    early.find("word of the loss", lost).await;
    let position = early.position.expect("frames carry an id");
    for query in [String::new(), format!("?last_event_id={position}")] {
        let mut late = app.stream_at(&query).await;
        late.expect("connected").await;
        late.find("word of the loss", lost).await;
    }
    away.end().await;
    eventually("all is well", async || {
        app.get("/health/ready").await.status().is_success().then_some(())?;
        changes("at_once").await
    })
    .await;
    let mut viewer = app.viewer().await;
    viewer.expect("call").await;
    app.ring("next", "+14165551234").await;
    // A late answer of the lookup may come between.
    viewer.wait_for("call").await;
}

#[tokio::test]
async fn a_call_nobody_needs_to_see_never_reaches_the_stream() {
    let app = Setup::on(Store::Sqlite).with(NO_TICKS.0, NO_TICKS.1).start().await;
    let mut viewer = app.viewer().await;
    app.deliver_fixture("own-outbound-call").await;
    app.ring("inbound", "+14165551234").await;
    assert_eq!(viewer.expect("call").await.call()["session_id"], "inbound");
}
