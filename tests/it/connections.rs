//! More connections than there is room for.

use reqwest::StatusCode;
use serde_json::json;

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
