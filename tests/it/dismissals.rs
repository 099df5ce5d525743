//! A dismissal is one viewer's: it changes no call, reaches that viewer on every instance, and is kept.

use std::time::Duration;

use chrono::Utc;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use mongodb::bson::{Document, doc, oid::ObjectId};
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::durability::database_away;
use crate::support::{Setup, Store, TestApp, Viewer, eventually, flat, token};

const AGENTS: [&str; 5] = ["ann", "ben", "cid", "dee", "eve"];
/// Longer than a poll, so that whatever a dismissal could lead to has happened.
const A_WHILE: Duration = Duration::from_millis(2_500);

on_both_stores!(
    a_dismissal_is_sent_to_its_viewer_alone,
    a_dismissal_survives_a_restart,
    a_dismissal_stored_by_an_earlier_version_is_kept,
    a_dismissal_holds_when_the_call_becomes_part_of_another,
    dismissals_go_with_an_erased_person,
);

async fn a_dismissal_is_sent_to_its_viewer_alone(store: Store) {
    let app = start(store).await;
    let mut streams = Vec::new();
    for agent in AGENTS {
        streams.push((agent, watch(&app, agent, None).await));
    }
    let mut ringing = ring_withheld(&app).await;
    let mut seen = Vec::new();
    for (agent, stream) in &mut streams {
        seen.push((*agent, stream.expect("call").await.call().clone()));
    }
    let id = seen[0].1["id"].as_str().unwrap().to_owned();
    for agent in &AGENTS[..4] {
        assert_eq!(dismiss(&app, agent, &id).await, StatusCode::OK);
        assert_eq!(dismiss(&app, agent, &id).await, StatusCode::OK, "again");
    }
    for (_, stream) in &mut streams[..4] {
        let ended = stream.expect("call_ended").await;
        assert_eq!((&ended.call()["rev"], &ended.call()["status"]), (&seen[0].1["rev"], &json!("ringing")));
        assert!(ended.id.is_some(), "it carries a position");
    }
    let listening =
        join_all(streams.iter_mut().map(async |(agent, stream)| (*agent, stream.listen_for(A_WHILE).await)));
    for (agent, more) in listening.await {
        assert!(more.iter().all(|frame| frame.kind() == "heartbeat"), "{agent} got more: {more:?}");
    }
    // A viewer who comes back to where they were, or starts over, ends in the same state.
    let back = watch(&app, "ann", streams[0].1.position.clone()).await;
    assert!(without_the_call(back).await);
    assert!(without_the_call(watch(&app, "ann", None).await).await);
    assert!(!without_the_call(watch(&app, "eve", None).await).await);
    ringing["body"]["telephonyStatus"] = "CallConnected".into();
    ringing["timestamp"] = Utc::now().to_rfc3339().into();
    app.deliver(&ringing).await;
    assert_eq!(streams[4].1.expect("call_updated").await.call()["rev"], json!(seen[0].1["rev"].as_i64().unwrap() + 1));
}

async fn a_dismissal_survives_a_restart(store: Store) {
    let mut app = start(store).await;
    app.ring_at("101", "popup").await;
    let id = id_of(&app).await;
    assert_eq!(dismiss(&app, "ann", &id).await, StatusCode::OK);
    app.kill().await;
    app.restart().await;
    assert!(without_the_call(watch(&app, "ann", None).await).await);
    assert!(!without_the_call(watch(&app, "eve", None).await).await);
    app.tell_of("101", "popup", "Disconnected").await;
    eventually("the end", async || active(&app).await.is_empty().then_some(())).await;
}

async fn a_dismissal_stored_by_an_earlier_version_is_kept(store: Store) {
    let mut app = start(store).await;
    app.ring_at("101", "popup").await;
    app.kill().await;
    if store == Store::Sqlite {
        let file = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
        let old = "UPDATE active_calls SET more = json_set(more, '$.ledger.dismissed_by', json_array('user-ann'))";
        assert_eq!(file.execute(old, []).unwrap(), 1);
    } else {
        let calls = app.database().await.collection::<Document>("active_calls");
        calls.update_one(doc! {}, doc! { "$set": { "ledger.dismissed_by": ["user-ann"] } }).await.unwrap();
    }
    app.restart().await;
    assert!(without_the_call(watch(&app, "ann", None).await).await);
    assert!(!without_the_call(watch(&app, "eve", None).await).await);
    app.tell_of("101", "popup", "CallConnected").await;
    assert!(without_the_call(watch(&app, "ann", None).await).await);
}

async fn a_dismissal_holds_when_the_call_becomes_part_of_another(store: Store) {
    let mut app = start(store).await;
    app.deliver(&leg("7002", "b", json!({ "code": "Proceeding" }))).await;
    let id = id_of(&app).await;
    assert_eq!(dismiss(&app, "ann", &id).await, StatusCode::OK);
    app.deliver(&leg("7001", "a", json!({ "code": "Proceeding" }))).await;
    let mut stream = watch(&app, "ann", None).await;
    assert_eq!(stream.expect("call").await.call()["session_id"], "7001");
    let linked = json!({ "code": "Answered", "peerId": { "sessionId": "7001", "telephonySessionId": "s-7001" } });
    app.deliver(&leg("7002", "b", linked)).await;
    assert_eq!(active(&app).await.len(), 1);
    assert_eq!(stream.wait_for("call_ended").await.call()["session_id"], "7001");
    assert!(without_the_call(watch(&app, "ann", None).await).await);
    assert!(!without_the_call(watch(&app, "eve", None).await).await);
    app.kill().await;
    app.restart().await;
    assert!(without_the_call(watch(&app, "ann", None).await).await);
}

async fn dismissals_go_with_an_erased_person(store: Store) {
    let app = start(store).await;
    app.ring_at("101", "popup").await;
    let id = id_of(&app).await;
    assert_eq!(dismiss(&app, "ann", &id).await, StatusCode::OK);
    assert_eq!(stored(store, &app).await, 1);
    let erase = app.request(Method::DELETE, "/api/customers/by-number/+14165551234").bearer_auth(ADMIN);
    assert_eq!(erase.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(stored(store, &app).await, 0);
}

#[tokio::test]
async fn a_dismissal_reaches_the_viewers_streams_at_other_instances() {
    let here = start(Store::Mongo).await;
    let there = here.second_instance_with(&settings()).await;
    let mut ann = watch(&there, "ann", None).await;
    let mut eve = watch(&there, "eve", None).await;
    ring_withheld(&here).await;
    let id = ann.expect("call").await.call()["id"].as_str().unwrap().to_owned();
    eve.expect("call").await;
    assert_eq!(dismiss(&here, "ann", &id).await, StatusCode::OK);
    assert_eq!(ann.expect("call_ended").await.call()["id"], id.as_str());
    assert!(without_the_call(watch(&there, "ann", None).await).await);
    let more = eve.listen_for(A_WHILE).await;
    assert!(more.iter().all(|frame| frame.kind() == "heartbeat"), "eve got more: {more:?}");
    // From one instance to the other, with a mark.
    let left = watch(&here, "ann", ann.position.clone()).await;
    assert!(without_the_call(left).await);
}

#[tokio::test]
async fn a_dismissal_while_the_database_is_away_is_stored_later() {
    let mut app = Setup::on(Store::Mongo).known_to_mongod();
    for (name, value) in settings() {
        app = app.with(name, value);
    }
    let mut app = app.start().await;
    app.ring_at("101", "popup").await;
    let id = id_of(&app).await;
    let mut stream = watch(&app, "ann", None).await;
    stream.expect("call").await;
    let away = database_away(&app).await;
    assert_eq!(dismiss(&app, "ann", &id).await, StatusCode::OK);
    stream.wait_for("call_ended").await;
    away.end().await;
    eventually("the dismissal in the database", async || (stored(Store::Mongo, &app).await == 1).then_some(())).await;
    app.kill().await;
    app.restart().await;
    assert!(without_the_call(watch(&app, "ann", None).await).await);
}

/// A viewer who dismisses made-up ids must not have the whole collection read.
#[tokio::test]
async fn dismissing_an_unknown_id_does_not_read_every_call() {
    let app = start(Store::Mongo).await;
    let there = app.second_instance_with(&settings()).await;
    app.ring_at("101", "popup").await;
    let id = id_of(&app).await;
    eventually("the other instance knows", async || (active(&there).await.len() == 1).then_some(())).await;
    let database = app.database().await;
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    for _ in 0..20 {
        assert_eq!(dismiss(&there, "ann", &ObjectId::new().to_hex()).await, StatusCode::NOT_FOUND);
    }
    assert_eq!(dismiss(&there, "ann", &id).await, StatusCode::OK);
    let finds = doc! { "command.find": "active_calls" };
    let finds = database.collection::<Document>("system.profile").find(finds).await.unwrap();
    let finds: Vec<Document> = finds.try_collect().await.unwrap();
    let by_id =
        |find: &&Document| find.get_document("command").unwrap().get_document("filter").unwrap().contains_key("_id");
    let (by_id, whole): (Vec<_>, Vec<_>) = finds.iter().partition(by_id);
    // The poll reads everything now and then.
    assert!(by_id.len() >= 20 && whole.len() < 10, "{} by id, {} of everything", by_id.len(), whole.len());
}

const ADMIN: &str = "an-admins-token-of-some-length-0123456789";

fn settings() -> [(&'static str, &'static str); 2] {
    [("API_TOKENS", ADMIN), ("JWT_SECRET", token::SECRET)]
}

async fn start(store: Store) -> TestApp {
    settings().into_iter().fold(Setup::on(store), |setup, (name, value)| setup.with(name, value)).start().await
}

/// A call without a number: nothing is looked up, which would change the call by itself.
async fn ring_withheld(app: &TestApp) -> Value {
    let mut ringing = flat("popup", "Ringing", json!({}));
    ringing["event"] = "/restapi/v1.0/account/~/extension/101/presence".into();
    app.deliver(&ringing).await;
    ringing
}

fn leg(session: &str, party: &str, status: Value) -> Value {
    json!({ "event": "/restapi/v1.0/account/~/telephony/sessions", "body": {
        "sessionId": session, "telephonySessionId": format!("s-{session}"),
        "sequence": if status["code"] == "Proceeding" { 1 } else { 2 },
        "parties": [{ "id": party, "extensionId": "101", "direction": "Inbound", "status": status }] } })
}

async fn watch(app: &TestApp, agent: &str, position: Option<String>) -> Viewer {
    let request = app.client.get(app.url("/api/ringcentral/call-stream"));
    let request = request.bearer_auth(token::agent(agent, &["101"]));
    let mut stream =
        Viewer::open(position.into_iter().fold(request, |request, id| request.header("last-event-id", id))).await;
    stream.expect("connected").await;
    stream
}

/// Whether the only call is not on this viewer's screen: one is told of it after `connected`, or only that it left.
async fn without_the_call(mut stream: Viewer) -> bool {
    let first = stream.next().await.expect("a heartbeat comes at least");
    assert!(["heartbeat", "call", "call_updated", "call_ended"].contains(&first.kind()), "{}", first.data);
    !["call", "call_updated"].contains(&first.kind())
}

async fn dismiss(app: &TestApp, agent: &str, id: &str) -> StatusCode {
    let request = app.request(Method::POST, &format!("/api/ringcentral/calls/{id}/dismiss"));
    request.bearer_auth(token::agent(agent, &["101"])).send().await.unwrap().status()
}

async fn active(app: &TestApp) -> Vec<Value> {
    let list = app.bearing(ADMIN).get_json("/api/ringcentral/active-calls").await;
    list["calls"].as_array().unwrap().clone()
}

async fn id_of(app: &TestApp) -> String {
    active(app).await[0]["id"].as_str().unwrap().to_owned()
}

/// How many dismissals are stored.
async fn stored(store: Store, app: &TestApp) -> u64 {
    if store == Store::Sqlite {
        let file = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
        return file.query_row("SELECT count(*) FROM dismissals", [], |row| row.get::<_, i64>(0)).unwrap() as u64;
    }
    let dismissals = app.database().await.collection::<Document>("caller_popup_dismissals");
    dismissals.count_documents(doc! {}).await.unwrap()
}
