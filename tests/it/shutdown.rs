//! The end: soon, in order, and also while browsers listen.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Store, TestApp};

/// The contract's own figure.
const SOON: Duration = Duration::from_secs(2);
/// Over at least so much of it viewers are sent away.
const SPREAD: Duration = Duration::from_millis(300);

on_both_stores! {
    the_server_stops_soon_with_viewers_still_listening,
    ctrl_c_stops_it_too,
    a_lost_terminal_stops_nothing,
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

async fn a_lost_terminal_stops_nothing(store: Store) {
    let mut app = TestApp::start(store).await;
    let mut viewer = app.viewer().await;
    app.signal("HUP").await;
    app.ring("rings", "+14165551234").await;
    viewer.expect("call").await;
    app.signal("TERM").await;
    assert!(app.exit().await.success());
}

async fn ctrl_c_stops_it_too(store: Store) {
    let mut app = TestApp::start(store).await;
    let mut viewer = app.viewer().await;
    app.signal("INT").await;
    assert!(app.exit().await.success());
    viewer.end().await;
}

#[tokio::test]
async fn it_says_that_it_stops_and_sends_viewers_where_they_are_served() {
    let mut app = TestApp::start(Store::Sqlite).await;
    let mut viewers = Vec::new();
    for _ in 0..20 {
        viewers.push(app.viewer().await);
    }
    let health = app.request(Method::GET, "/health/ready");
    let asking = tokio::spawn(async move {
        let mut said = Vec::new();
        // Until nobody is accepted any more.
        while let Ok(answer) = health.try_clone().expect("it has no body").send().await {
            let health: Value = answer.json().await.expect("JSON");
            said.extend(health["reasons"][0].as_str().map(str::to_owned));
        }
        said
    });
    app.signal("TERM").await;
    assert!(app.exit().await.success());
    assert!(asking.await.unwrap().iter().any(|reason| reason.contains("stopping")), "a load balancer was not told");
    let mut retries = std::collections::HashSet::new();
    for viewer in &mut viewers {
        assert_eq!(viewer.wait_for("error").await.data["error"]["code"], "shutting_down");
        let retry = viewer.retry.expect("when to come back");
        assert!((1_000..4_000).contains(&retry), "another instance is there at once: {retry}");
        retries.insert(retry);
        viewer.end().await;
    }
    assert!(retries.len() > 10, "not all at once: {retries:?}");
}

#[tokio::test]
async fn viewers_are_not_all_sent_away_at_the_same_moment() {
    for crowd in [3, 20] {
        let mut app = TestApp::start(Store::Sqlite).await;
        let mut viewers = Vec::new();
        for _ in 0..crowd {
            viewers.push(app.viewer().await);
        }
        let ends = viewers.into_iter().map(async |mut viewer| {
            viewer.end().await;
            Instant::now()
        });
        let ends = tokio::spawn(join_all(ends));
        app.signal("TERM").await;
        assert!(app.exit().await.success());
        let mut ends = ends.await.unwrap();
        ends.sort();
        let (first, window) = (ends[0], *ends.last().unwrap() - ends[0]);
        assert!(window > SPREAD, "{crowd} left within {window:?}");
        // However busy the machine is, not most of them in one of three parts.
        let part = |end: &Instant| ((*end - first).as_secs_f64() / window.as_secs_f64() * 2.999) as usize;
        let mut parts = [0; 3];
        ends.iter().for_each(|end| parts[part(end)] += 1);
        assert!(parts.iter().all(|together| *together <= crowd * 2 / 3), "{parts:?} within {window:?}");
    }
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_it() {
    let mut app = TestApp::start(Store::Sqlite).await;
    let mut endless = TcpStream::connect(&app.address).await.unwrap();
    let head = "POST /api/webhooks/ringcentral HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\
                content-type: application/json\r\nexpect: 100-continue\r\n\r\n";
    endless.write_all(head.as_bytes()).await.unwrap();
    // Its handler waits for the body.
    let mut said = [0; 12];
    endless.read_exact(&mut said).await.unwrap();
    assert_eq!(said, *b"HTTP/1.1 100");
    endless.write_all(b"{").await.unwrap();
    app.signal("TERM").await;
    assert!(app.exit().await.success());
    assert!(app.log().contains("did not finish in time"), "{}", app.log());
}
