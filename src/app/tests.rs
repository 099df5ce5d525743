//! Moments that no test from outside can hit.

use std::sync::mpsc;

use rusqlite::Connection;
use serde_json::json;

use super::*;
use crate::phone::Region;

/// A service whose store was lost, so that it spools. The embedded store stands for MongoDB, which is back by now.
async fn away(folder: &std::path::Path) -> App {
    let data_dir = folder.display().to_string();
    let config = Config::from_vars(|name| (name == "DATA_DIR").then(|| data_dir.clone())).unwrap();
    let store = Store::open(&config).await.unwrap();
    let mut app = App::start(config, store).await.unwrap();
    Arc::get_mut(&mut app.0).unwrap().spool = Some(Spool::open(folder).await.unwrap());
    app.feel(|pulse| pulse.store_lost = true);
    app
}

fn rings(session: &str) -> Notification {
    let from = json!({ "phoneNumber": "+14165551234" });
    let body = json!({ "telephonyStatus": "Ringing", "sessionId": session, "direction": "Inbound", "from": from });
    let told = json!({ "event": "/restapi/v1.0/account/~/extension/~/presence", "body": body }).to_string();
    Notification::parse(told.as_bytes(), Utc::now(), Region::default()).unwrap()
}

#[test]
fn a_call_that_rings_between_the_replay_and_the_look_at_the_store_goes_on() {
    // One thread for what blocks: whoever waits for it comes after whoever asked before.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let app = away(folder.path()).await;
        // Its commit has to wait.
        let other = Connection::open(folder.path().join("spool.sqlite")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let ring = tokio::spawn({
            let app = app.clone();
            async move { app.ingest(rings("meanwhile"), Instant::now()).await }
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
