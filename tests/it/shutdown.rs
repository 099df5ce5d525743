//! The end: soon, in order, and also while browsers listen.

use std::time::{Duration, Instant};

use crate::support::{Store, TestApp};

/// The contract's own figure.
const SOON: Duration = Duration::from_secs(2);

on_both_stores! {
    the_server_stops_soon_with_viewers_still_listening,
    ctrl_c_stops_it_too,
}

async fn the_server_stops_soon_with_viewers_still_listening(store: Store) {
    let mut app = TestApp::start(store).await;
    let mut viewers = Vec::new();
    for _ in 0..5 {
        viewers.push(app.viewer().await);
    }
    app.ring("rings", "+14165551234").await;
    let asked = Instant::now();
    app.signal("TERM").await;
    let status = app.exit().await;
    assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
    assert!(status.success(), "{status}");
    for viewer in &mut viewers {
        viewer.end().await;
    }
}

async fn ctrl_c_stops_it_too(store: Store) {
    let mut app = TestApp::start(store).await;
    let mut viewer = app.viewer().await;
    app.signal("INT").await;
    assert!(app.exit().await.success());
    viewer.end().await;
}
