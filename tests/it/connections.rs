//! Many connections, dead ones, and the end of file descriptors.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::support::{Setup, Store, eventually, flat};

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
async fn a_viewer_who_reads_nothing_costs_the_others_nothing_and_starts_over_when_they_do() {
    let app = Setup::on(Store::Sqlite).with("POLL_INTERVAL_MS", "60000").start().await;
    // A small window, so that the line is full soon.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    let mut stalled = socket.connect(app.address.parse().unwrap()).await.unwrap();
    let request = format!("GET /api/ringcentral/call-stream HTTP/1.1\r\nHost: {}\r\n\r\n", app.address);
    stalled.write_all(request.as_bytes()).await.unwrap();
    let mut viewer = app.viewer().await;
    eventually("both watch", async || (app.get_json("/health/ready").await["viewers"] == 2).then_some(())).await;
    // More changes than the log holds: whoever reads nothing meanwhile cannot be told them one by one. And so quickly
    // that the line is not yet closed for being dead.
    let calls = 2_500;
    let ringing = async {
        let one = async |number| {
            let session = format!("s-{number}");
            app.ring(&session, "+14165551234").await;
            app.hang_up(&session).await;
        };
        stream::iter(0..calls).for_each_concurrent(16, one).await;
        app.ring("last", "+14165551234").await;
    };
    let reading = async {
        let mut told = 0;
        loop {
            let frame = viewer.next().await.expect("the stream goes on");
            assert_ne!(frame.kind(), "resync", "who reads is never behind");
            told += 1;
            if frame.call()["session_id"] == "last" {
                return told;
            }
        }
    };
    let ((), told) = tokio::join!(ringing, reading);
    assert!(told > 2 * calls, "{told} frames for {calls} calls");
    // Now they read: what was on its way, then that they start over, then what rings now.
    let mut read = Vec::new();
    eventually("the stalled viewer starts over", async || {
        let mut some = [0; 65_536];
        if let Ok(Ok(count)) = tokio::time::timeout(Duration::from_millis(20), stalled.read(&mut some)).await {
            assert_ne!(count, 0, "the line is open");
            read.extend_from_slice(&some[..count]);
        }
        let text = String::from_utf8_lossy(&read);
        let anew = text.split_once("event: resync").map(|(_, rest)| rest.to_owned())?;
        anew.contains(r#""session_id":"last""#).then_some(())
    })
    .await;
}
