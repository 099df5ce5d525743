//! Moments that no test from outside can hit.

use std::sync::mpsc;

use rusqlite::Connection;
use serde_json::json;

use super::*;
use crate::phone::Region;
use crate::store::{CustomerRecord, WrittenNumber};

fn config(folder: &std::path::Path) -> Config {
    let data_dir = folder.display().to_string();
    Config::from_vars(|name| (name == "DATA_DIR").then(|| data_dir.clone())).unwrap()
}

async fn service(folder: &std::path::Path) -> App {
    let config = config(folder);
    let store = Store::open(&config).await.unwrap();
    App::start(config, store).await.unwrap()
}

/// One whose store was lost, so that it spools. The embedded store stands for MongoDB, which is back by now.
async fn away(folder: &std::path::Path) -> App {
    let store = service(folder).await.store().clone();
    let app = App::of_parts(config(folder), store, Some(Spool::open(folder).await.unwrap())).unwrap();
    app.connect_store().await.unwrap();
    app.0.core.status.update(|status| status.store_lost = true);
    app
}

fn rings(session: &str, at: DateTime<Utc>) -> Notification {
    let from = json!({ "phoneNumber": "+14165551234" });
    let body = json!({ "telephonyStatus": "Ringing", "sessionId": session, "direction": "Inbound", "from": from });
    let told = json!({ "event": "/restapi/v1.0/account/~/extension/~/presence", "body": body }).to_string();
    Notification::parse(told.as_bytes(), at, Region::default()).unwrap()
}

/// Runs a test with one thread for what blocks: work runs in the order in which it was asked for.
fn in_turn(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(test);
}

#[test]
fn a_call_that_rings_between_the_replay_and_the_look_at_the_store_goes_on() {
    in_turn(async {
        let folder = tempfile::tempdir().unwrap();
        let app = away(folder.path()).await;
        // Its commit has to wait.
        let other = Connection::open(folder.path().join("spool.sqlite")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let ring = tokio::spawn({
            let app = app.clone();
            async move { app.ingest(rings("meanwhile", Utc::now()), Instant::now()).await }
        });
        while app.spooled() == 0 {
            tokio::task::yield_now().await;
        }
        let (go_on, held) = mpsc::channel();
        let held = tokio::task::spawn_blocking(move || held.recv());
        let mut poll = std::pin::pin!(app.poll());
        assert!(futures_util::poll!(poll.as_mut()).is_pending(), "it asks what waits");
        go_on.send(()).unwrap();
        held.await.unwrap().unwrap();
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        // It was told that nothing does, and goes on when it is polled again.
        other.execute_batch("COMMIT").unwrap();
        ring.await.unwrap().unwrap();
        poll.await;
        let shown = app.hub().call_of_session("meanwhile").expect("the store does not know it yet, and it rings");

        app.poll().await;
        let stored: Vec<_> = app.store().active().await.unwrap().into_iter().map(|call| call.id).collect();
        assert_eq!(stored, std::slice::from_ref(&shown.id));
        assert!(app.hub().call(&shown.id).is_some());
    });
}

#[test]
fn a_phone_that_rings_while_the_caller_is_looked_up_waits_for_the_name() {
    in_turn(async {
        let folder = tempfile::tempdir().unwrap();
        let app = service(folder.path()).await;
        let Store::Sqlite(file) = app.store() else { panic!("the default is the embedded store") };
        let numbers = vec![WrittenNumber { e164: "+14165551234".into(), written: "(416) 555-1234".into() }];
        let name = Some("Jane Doe".into());
        let jane = CustomerRecord {
            id: "1".into(),
            name,
            email: None,
            company: None,
            numbers,
            unreadable: Vec::new(),
            adds: false,
        };
        file.import_customers(vec![jane], None).await.unwrap();
        let at = Utc::now();
        let (go_on, held) = mpsc::channel();
        let held = tokio::task::spawn_blocking(move || held.recv());
        let mut one = Box::pin(app.ingest(rings("both", at), Instant::now()));
        let mut other = Box::pin(app.ingest(rings("both", at), Instant::now()));
        assert!(futures_util::poll!(one.as_mut()).is_pending(), "it asks who is calling");
        assert!(futures_util::poll!(other.as_mut()).is_pending(), "its turn comes after that");
        go_on.send(()).unwrap();
        held.await.unwrap().unwrap();
        let (one, other) = tokio::join!(one, other);
        one.and(other).unwrap();
        let shown = app.hub().call_of_session("both").expect("it rings");
        assert_eq!((shown.rev, shown.customer_name.as_deref()), (1, Some("Jane Doe")), "nobody saw a call without");
    });
}
