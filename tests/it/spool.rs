//! What waits on this machine for MongoDB: one service replays it, fast, and new calls do not wait for that.

use std::time::{Duration, Instant};

use caller_popup::call::{CallEvent, CallEventKind, GRACE};
use caller_popup::phone::Region;
use caller_popup::ringcentral::notification::{Notification, NotificationKind};
use caller_popup::store::{Spool, new_id};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use mongodb::bson::{Document, doc};
use rusqlite::Connection;
use serde_json::json;

use crate::durability::database_away;
use crate::support::{Setup, Store, TestApp, eventually, flat, from_environment, within};

on_both_stores! {
    a_second_service_on_one_folder_ends_with_a_sentence,
}

async fn a_second_service_on_one_folder_ends_with_a_sentence(store: Store) {
    let mut app = TestApp::start(store).await;
    let (status, said) = app.run(&["serve"]).await;
    assert!(!status.success() && said.contains("another `caller-popup serve` uses it"), "{said}");
    let (_, said) = app.run(&["doctor"]).await;
    assert!(said.contains("ok    store"), "a command beside it is no second service: {said}");
    app.kill().await;
    app.restart().await;
    app.ring("after", "+14165551234").await;
}

#[tokio::test]
async fn how_many_events_wait_is_right_when_another_process_took_some() {
    let app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").known_to_mongod().start().await;
    let away = database_away(&app).await;
    for n in 0..8 {
        app.ring(&format!("waits-{n}"), "+14165551234").await;
    }
    assert!(app.metrics().await.contains("caller_popup_spooled 8\n"));
    let spool = Connection::open(app.data_dir().join("spool.sqlite")).unwrap();
    assert_eq!(spool.execute("DELETE FROM spool WHERE position <= 5", []).unwrap(), 5);
    app.ring("waits-8", "+14165551234").await;
    assert!(app.metrics().await.contains("caller_popup_spooled 4\n"), "{}", app.metrics().await);
    spool.execute("DELETE FROM spool", []).unwrap();
    away.end().await;
    eventually("nothing waits", async || app.metrics().await.contains("caller_popup_spooled 0\n").then_some(())).await;
    eventually("ready", async || app.get("/health/ready").await.status().is_success().then_some(())).await;
}

#[tokio::test]
async fn a_caller_who_rings_while_the_database_is_away_is_named_when_it_is_back() {
    let setup = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "100").known_to_mongod();
    let people =
        [("Sarah Baker", "sarah@example.com", "(416) 555-0123"), ("Tom Hill", "tom@example.com", "416/555/0124")];
    let app = setup.with_customers(&people).await.start().await;
    let mut viewer = app.viewer().await;
    let away = database_away(&app).await;
    for (session, number) in [("rings", "+14165550123"), ("odd-spelling", "+14165550124"), ("over", "+14165550123")] {
        app.ring(session, number).await;
    }
    app.hang_up("over").await;
    eventually("it is over", async || app.active_call("over").await.is_none().then_some(())).await;
    away.end().await;
    // In either order.
    let mut unnamed = vec![("rings", "Sarah Baker"), ("odd-spelling", "Tom Hill")];
    viewer
        .find("both names", |frame| {
            let call = frame.call();
            unnamed.retain(|(session, name)| call["session_id"] != *session || call["customer_name"] != *name);
            unnamed.is_empty()
        })
        .await;
    assert_eq!(app.ended_call("over").await["customer_name"], "Sarah Baker");
    let calls = app.database().await.collection::<Document>("active_calls");
    for (session, name) in [("rings", "Sarah Baker"), ("odd-spelling", "Tom Hill")] {
        eventually("the name is stored", async || {
            calls.find_one(doc! { "session_id": session, "customer_name": name }).await.unwrap()
        })
        .await;
    }
}

#[tokio::test]
async fn a_restart_while_the_database_is_away_shows_the_calls_that_ring() {
    let mut app = Setup::on(Store::Mongo).known_to_mongod().start().await;
    let away = database_away(&app).await;
    for session in ["rings", "dismissed", "over"] {
        app.ring(session, "+14165551234").await;
    }
    app.answer("rings").await;
    let id = app.active_call("dismissed").await.unwrap()["id"].as_str().unwrap().to_owned();
    let dismiss = app.request(reqwest::Method::POST, &format!("/api/ringcentral/calls/{id}/dismiss"));
    assert!(dismiss.send().await.unwrap().status().is_success());
    app.hang_up("over").await;
    eventually("it is over", async || app.active_call("over").await.is_none().then_some(())).await;
    let before = app.active_call("rings").await.unwrap();
    app.kill().await;
    app.restart().await;
    let mut viewer = app.viewer().await;
    let shown = viewer.find("the call", |frame| frame.call()["session_id"] == "rings").await;
    let fields =
        |call: &serde_json::Value| ["id", "session_id", "status", "from_number"].map(|field| call[field].clone());
    assert_eq!(fields(shown.call()), fields(&before));
    app.hang_up("rings").await;
    viewer.find("its end", |frame| frame.kind() == "call_ended" && frame.call()["id"] == before["id"]).await;
    assert!(app.active_call("over").await.is_none());
    away.end().await;
    assert_eq!(app.ended_call("rings").await["result"], "answered");
}

/// What waits is stored in the background; a call that rings meanwhile is in the database before that is done.
#[tokio::test]
async fn a_long_replay_holds_up_neither_readiness_nor_new_calls() {
    let facts = from_environment("SPOOLED", 3_000);
    let mut app = Setup::on(Store::Mongo).with("POLL_INTERVAL_MS", "500").start().await;
    let database = app.database().await;
    app.kill().await;
    fill_spool(&app, facts / 4).await;
    app.restart().await;
    let begun = Instant::now();
    let calls = database.collection::<Document>("active_calls");
    let (mut slowest, mut live, mut ready_at) = (Duration::ZERO, 0, None);
    let spooled = async || {
        let text = app.metrics().await;
        text.lines().find_map(|line| line.strip_prefix("caller_popup_spooled ")?.parse::<usize>().ok()).unwrap()
    };
    let mut beat = tokio::time::interval(Duration::from_millis(50));
    let patience = Duration::from_secs(120);
    while spooled().await > 0 {
        assert!(begun.elapsed() < patience, "{} wait after {patience:?}", spooled().await);
        beat.tick().await;
        let session = format!("live-{live}");
        let asked = Instant::now();
        app.ring(&session, "+14165551234").await;
        slowest = slowest.max(asked.elapsed());
        live += 1;
        if ready_at.is_none() && app.get("/health/ready").await.status().is_success() {
            ready_at = Some((begun.elapsed(), spooled().await));
            let stored = calls.find_one(doc! { "session_id": &session }).await.unwrap();
            assert!(stored.is_some(), "ready, and a new call is stored");
        }
    }
    let took = begun.elapsed();
    let rate = facts as f64 / took.as_secs_f64();
    let (ready_at, waiting) = ready_at.expect("ready before the end");
    eprintln!(
        "{facts} facts in {took:?}: {rate:.0}/s; ready after {ready_at:?} with {waiting} waiting; {live} live webhooks, slowest {slowest:?}"
    );
    assert!(waiting > 0, "ready only when all was stored");
    let ended = database.collection::<Document>("call_history").count_documents(doc! {}).await.unwrap();
    assert_eq!(ended, (facts / 4) as u64, "each call once");
    let named = app.history().await;
    assert!(named.iter().all(|call| call["result"] == "answered"), "{:#?}", named[0]);
    within(patience, "live calls are stored", async || {
        (calls.count_documents(doc! {}).await.unwrap() == live).then_some(())
    })
    .await;
    if std::env::var("SPOOLED").is_ok() {
        assert!(rate >= 5_000.0, "{rate:.0}/s");
        assert!(slowest <= Duration::from_millis(100), "{slowest:?}");
    }
}

/// Calls that rang, were answered and hung up an hour ago, and ended: four entries each.
async fn fill_spool(app: &TestApp, calls: usize) {
    let spool = Spool::open(&app.data_dir()).await.unwrap();
    let began = DateTime::from_timestamp_millis((Utc::now() - TimeDelta::hours(1)).timestamp_millis()).unwrap();
    let ids: Vec<String> = (0..calls).map(|_| new_id()).collect();
    for (step, status) in ["Ringing", "CallConnected", "Disconnected", ""].into_iter().enumerate() {
        let at = began + TimeDelta::seconds(5 * step as i64);
        let pushed = stream::iter(0..calls).for_each_concurrent(256, async |n| {
            let session = format!("spooled-{n:06}");
            let events = if status.is_empty() {
                vec![CallEvent { session_id: session, heard_at: at + GRACE, kind: CallEventKind::Tick }]
            } else {
                events_of(&session, status, &format!("+1416{:07}", 2_000_000 + n), at)
            };
            spool.push(&ids[n], &events).await.unwrap();
        });
        pushed.await;
    }
    assert_eq!(spool.depth(), 4 * calls);
}

fn events_of(session: &str, status: &str, number: &str, at: DateTime<Utc>) -> Vec<CallEvent> {
    let body = flat(session, status, json!({ "phoneNumber": number })).to_string();
    match Notification::parse(body.as_bytes(), at, Region::default()).unwrap().kind {
        NotificationKind::Calls(events) => events,
        NotificationKind::Presence(events, _) => events,
        other => panic!("{other:?} is no call"),
    }
}
