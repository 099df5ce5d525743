//! More connections than there is room for, and those that never say what they want.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Setup, Store, TestApp, eventually, flat};

#[tokio::test]
async fn too_few_descriptors_are_said_at_the_start_and_webhooks_keep_theirs() {
    let app = Setup::on(Store::Sqlite).with_descriptors(200).start().await;
    assert!(app.log().contains("too few file descriptors"), "{}", app.log());
    let mut viewers = Vec::new();
    let refused = loop {
        let mut viewer = app.stream().await;
        assert_eq!(viewer.response.status(), StatusCode::OK);
        match viewer.next().await.expect("a first word").kind() {
            "connected" => viewers.push(viewer),
            _ => break viewer,
        }
    };
    assert_eq!(viewers.len(), 100, "half of the descriptors");
    let retry = refused.retry.expect("when to come back");
    assert!((10_000..30_000).contains(&retry), "{retry}");
    for number in 0..50 {
        let ring = flat(&format!("s-{number}"), "Ringing", json!({ "phoneNumber": "+14165551234" }));
        assert_eq!(app.post_webhook(&ring).await.status(), StatusCode::OK);
    }
    viewers.pop();
    eventually("the place is free again", async || {
        (app.stream().await.next().await?.kind() == "connected").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_viewer_who_is_sent_away_frees_the_connection() {
    let app = Setup::on(Store::Sqlite).with_descriptors(200).start().await;
    let mut viewers = Vec::new();
    while viewers.len() < 100 {
        viewers.push(app.viewer().await);
    }
    let mut sent_away = TcpStream::connect(&app.address).await.expect("a connection opens");
    let request = format!("GET /api/ringcentral/call-stream HTTP/1.1\r\nHost: {}\r\n\r\n", app.address);
    sent_away.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, sent_away.read_to_end(&mut answer)).await;
    ended.expect("the connection is closed").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("too_many_viewers") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn half_a_head_is_not_waited_for_and_an_idle_connection_is() {
    let app = TestApp::start(Store::Sqlite).await;
    let mut idle = TcpStream::connect(&app.address).await.expect("a connection opens");
    let request = format!("GET /health/live HTTP/1.1\r\nHost: {}\r\n\r\n", app.address);
    let mut answer = [0; 4_096];
    idle.write_all(request.as_bytes()).await.unwrap();
    assert_ne!(idle.read(&mut answer).await.unwrap(), 0);

    let (mut rest, mut half) = TcpStream::connect(&app.address).await.expect("a connection opens").into_split();
    half.write_all(b"POST /api/webhooks/ringcentral HTTP/1.1\r\nX-Slow: ").await.unwrap();
    // Whoever goes on sending a head that never ends is no better.
    let drip = async {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        while half.write_all(b"x").await.is_ok() {
            beat.tick().await;
        }
        std::future::pending::<()>().await
    };
    let closed = async {
        let mut some = [0; 64];
        // Its end, or the reset that answers what was still being sent.
        while rest.read(&mut some).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        closed = tokio::time::timeout(2 * PATIENCE, closed) => closed.expect("it is closed although it goes on"),
        () = drip => unreachable!("it drips for ever"),
    }
    idle.write_all(request.as_bytes()).await.unwrap();
    let read = idle.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "a client may keep its connection");
}

#[tokio::test]
async fn a_head_is_as_large_as_a_browsers_and_no_larger() {
    let app = TestApp::start(Store::Sqlite).await;
    for (length, status) in [(24 * 1_024, 200), (33 * 1_024, 431)] {
        let answer = app.request(Method::GET, "/health/live").header("X-Large", "x".repeat(length)).send().await;
        assert_eq!(answer.expect("an answer comes").status(), status, "{length} bytes");
    }
}
