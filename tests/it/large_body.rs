//! Bodies that list more than any real call has.

use std::time::{Duration, Instant};

use caller_popup::call::{Call, CallEvent, MOST_NAMED, MOST_PARTIES, MOST_SESSIONS};
use caller_popup::phone::Region;
use caller_popup::ringcentral::notification::{MOST_CALLS, Notification, NotificationKind};
use caller_popup::store::calls_of;
use chrono::Utc;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{self, Store, TestApp};

on_both_stores!(
    parties_beyond_the_most_are_dropped_and_the_shape_is_recorded,
    parties_beyond_the_most_of_one_call_are_dropped_and_recorded,
    active_calls_beyond_the_most_are_dropped_and_the_shape_is_recorded,
    active_calls_of_one_telephony_session_are_one_change,
    sessions_beyond_the_most_are_not_linked,
    names_and_numbers_of_parties_beyond_the_most_are_not_kept,
);

async fn parties_beyond_the_most_are_dropped_and_the_shape_is_recorded(store: Store) {
    let app = TestApp::start(store).await;
    app.deliver(&telephony("7001", (0..6_000).map(|index| party(index, "Proceeding")).collect())).await;
    let call = app.active_call("7001").await.unwrap();
    assert_eq!(call["extension_ids"].as_array().unwrap().len(), MOST_PARTIES);
    let shapes = shapes(store, &app).await;
    assert!(shapes.len() == 1 && shapes[0].contains("parties:[{id:string"), "{shapes:?}");
}

async fn parties_beyond_the_most_of_one_call_are_dropped_and_recorded(store: Store) {
    let app = TestApp::start(store).await;
    app.deliver(&telephony("7001", (0..400).map(|index| party(index, "Proceeding")).collect())).await;
    assert!(shapes(store, &app).await.is_empty());
    app.deliver(&telephony("7001", (400..800).map(|index| party(index, "Proceeding")).collect())).await;
    let ringing = app.active_call("7001").await.unwrap();
    assert_eq!(ringing["extension_ids"].as_array().unwrap().len(), MOST_PARTIES);
    assert_eq!(shapes(store, &app).await.len(), 1);
    // A party that is known is followed all the same.
    let mut answered = telephony("7001", vec![party(7, "Answered")]);
    answered["body"]["sequence"] = 2.into();
    app.deliver(&answered).await;
    let call = app.active_call("7001").await.unwrap();
    assert_eq!((&call["status"], &call["answered_by"]["extension_id"]), (&json!("connected"), &json!("7")));
}

async fn active_calls_beyond_the_most_are_dropped_and_the_shape_is_recorded(store: Store) {
    let app = TestApp::start(store).await;
    let listed =
        |index| json!({ "sessionId": format!("8{index:06}"), "telephonyStatus": "Ringing", "direction": "Inbound" });
    app.deliver(&presence((0..MOST_CALLS + 200).map(listed).collect())).await;
    assert_eq!(app.active_calls().await.len(), MOST_CALLS);
    let shapes = shapes(store, &app).await;
    assert!(shapes.len() == 1 && shapes[0].contains("activeCalls:[{sessionId:string"), "{shapes:?}");
}

async fn active_calls_of_one_telephony_session_are_one_change(store: Store) {
    let app = TestApp::start(store).await;
    let listed = |index| json!({ "sessionId": format!("8{index:06}"), "telephonySessionId": "s-1", "telephonyStatus": "Ringing", "direction": "Inbound" });
    app.deliver(&presence((0..40).map(listed).collect())).await;
    let calls = app.active_calls().await;
    let seen: Vec<_> = calls.iter().map(|call| (&call["session_id"], &call["rev"])).collect();
    assert_eq!(seen, [(&json!("8000000"), &json!(1))]);
}

async fn sessions_beyond_the_most_are_not_linked(store: Store) {
    let (config, _folder) = support::own_store(store);
    let store = caller_popup::store::Store::open(&config).await.unwrap();
    store.prepare().await.unwrap();
    let moved = |index: usize| {
        let mut party = party(index, "Proceeding");
        party["status"]["peerId"] =
            json!({ "sessionId": format!("9{index:06}"), "telephonySessionId": format!("t-{index}") });
        party
    };
    for indexes in [0..400, 400..500] {
        for call in calls_of(events(&telephony("7001", indexes.map(moved).collect()))) {
            store.apply(&call).await.unwrap();
        }
    }
    let call = store.active().await.unwrap().remove(0);
    assert_eq!((call.facts.parties.len(), call.facts.linked.len()), (500, MOST_SESSIONS));
}

async fn names_and_numbers_of_parties_beyond_the_most_are_not_kept(store: Store) {
    let (config, _folder) = support::own_store(store);
    let store = caller_popup::store::Store::open(&config).await.unwrap();
    store.prepare().await.unwrap();
    let named = |index: usize| {
        let mut party = party(index, "Proceeding");
        party["from"] = json!({ "phoneNumber": "+14165550101", "name": "N".repeat(256) });
        party
    };
    let told = calls_of(events(&telephony("7001", (0..MOST_PARTIES).map(named).collect()))).remove(0);
    store.apply(&told).await.unwrap();
    let call = store.active().await.unwrap().remove(0);
    let names = call.facts.parties.iter().filter(|party| party.from_name.is_some()).count();
    assert_eq!((call.facts.parties.len(), names), (MOST_PARTIES, MOST_NAMED));
    let numbers = call.facts.parties.iter().filter(|party| party.from_number.is_some()).count();
    assert_eq!(numbers, MOST_NAMED);
    assert_eq!(call.from_name.map(|name| name.len()), Some(256));
    assert!(store.apply(&told).await.unwrap().is_empty(), "a repeated body changes nothing");
}

/// Eight times the parties must not cost 64 times as much; each call is derived once, by one pass.
#[test]
fn what_a_call_costs_is_linear_in_its_parties() {
    let flat = |index: usize| {
        json!({ "event": format!("/restapi/v1.0/account/~/extension/{index}/presence"),
            "body": { "telephonyStatus": "Ringing", "sessionId": "7001", "extensionId": format!("{index}") } })
    };
    let listed = |index: usize| {
        let call = json!({ "sessionId": "7001", "telephonyStatus": "Ringing", "direction": "Inbound" });
        let mut body = presence(vec![call]);
        body["body"]["extensionId"] = index.to_string().into();
        body
    };
    for (source, told) in [
        (
            "telephony",
            &(|n| vec![telephony("7001", (0..n).rev().map(|index| party(index, "Proceeding")).collect())])
                as &dyn Fn(usize) -> Vec<Value>,
        ),
        ("presence", &|n| (0..n).rev().map(listed).collect()),
        ("flat", &|n| (0..n).rev().map(flat).collect()),
    ] {
        let few = cost(&told(MOST_PARTIES / 8));
        let many = cost(&told(MOST_PARTIES));
        assert!(many < few * 32, "{source}: {few:?} for an eighth of the parties, {many:?} for all");
    }
}

/// The least time of several that it takes to apply all facts of these bodies to a new call.
fn cost(bodies: &[Value]) -> Duration {
    let now = Utc::now();
    let events: Vec<CallEvent> = bodies.iter().flat_map(events).collect();
    let apply = |_| {
        let mut call = Call::new("id".into(), "7001".into(), now);
        let begin = Instant::now();
        assert!(call.apply_all(&events));
        assert_eq!(call.facts.parties.len(), events.len());
        begin.elapsed()
    };
    (0..7).map(apply).min().unwrap()
}

fn events(body: &Value) -> Vec<CallEvent> {
    let told = Notification::parse(body.to_string().as_bytes(), Utc::now(), Region::default()).unwrap();
    match told.kind {
        NotificationKind::Calls(events) | NotificationKind::Presence(events, _) => events,
        other => panic!("no calls: {other:?}"),
    }
}

fn telephony(session: &str, parties: Vec<Value>) -> Value {
    json!({ "event": "/restapi/v1.0/account/~/telephony/sessions", "body": {
        "sessionId": session, "telephonySessionId": format!("s-{session}"), "sequence": 1, "parties": parties } })
}

fn party(index: usize, code: &str) -> Value {
    json!({ "id": format!("p{index}"), "extensionId": index.to_string(), "direction": "Inbound", "status": { "code": code } })
}

fn presence(calls: Vec<Value>) -> Value {
    json!({ "event": "/restapi/v1.0/account/~/extension/101/presence", "body": {
        "extensionId": "101", "sequence": 1, "telephonyStatus": "Ringing", "activeCalls": calls } })
}

async fn shapes(store: Store, app: &TestApp) -> Vec<String> {
    if store == Store::Sqlite {
        let file = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
        let mut shapes = file.prepare("SELECT shape FROM notification_shapes").unwrap();
        return shapes.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    }
    let shapes = app.database().await.collection::<Document>("notification_shapes");
    let all: Vec<Document> = shapes.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    all.iter().map(|shape| shape.get_str("_id").unwrap().to_owned()).collect()
}
