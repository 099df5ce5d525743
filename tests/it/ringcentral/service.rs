//! The program with RingCentral behind it: it subscribes by itself, hears, and is heard of again.

use std::net::TcpListener;

use caller_popup::ringcentral::subscription::Verification;
use mongodb::bson::{DateTime, Document, doc};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::fake_ringcentral::FakeRingCentral;
use crate::support::{Setup, Store, TestApp, eventually, fixture};

on_both_stores! {
    a_phone_that_rings_at_ringcentral_shows_at_once,
    after_a_restart_the_same_subscription_and_token_go_on,
    a_blacklisting_is_mended_at_the_next_look,
}

/// The program at an address that it can name before it listens, with the fake behind it.
async fn subscribed(store: Store) -> (FakeRingCentral, TestApp) {
    let fake = FakeRingCentral::start().await;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().to_string();
    let mut setup = Setup::on(store).with("BIND", &free).with("PUBLIC_URL", &format!("http://{free}"));
    // With sign-in it would leave local mode, and this is not about who may read.
    for (name, value) in fake.settings().iter().filter(|(name, _)| *name != "RINGCENTRAL_REDIRECT_URI") {
        setup = setup.with(name, value);
    }
    let app = setup.start().await;
    delivers(&app).await;
    (fake, app)
}

/// Waits until the program says that RingCentral delivers.
async fn delivers(app: &TestApp) {
    eventually("a subscription", async || {
        let response = app.get("/health/ready").await;
        let health: Value = response.json().await.unwrap();
        (health["subscription"]["state"] == "active").then_some(())
    })
    .await;
}

async fn a_phone_that_rings_at_ringcentral_shows_at_once(store: Store) {
    let (fake, app) = subscribed(store).await;
    let events = fixture("direct-call-answered");
    fake.publish_all(&events[..3]).await;
    assert_eq!(app.active_calls().await.len(), 1);
    assert!(fake.subscriptions().iter().all(|one| one.blacklisted.is_none()));
    // Whoever does not know the token is nobody.
    assert_eq!(app.post_webhook(&events[0]).await.status(), StatusCode::UNAUTHORIZED);
}

async fn after_a_restart_the_same_subscription_and_token_go_on(store: Store) {
    let (fake, mut app) = subscribed(store).await;
    let before = fake.subscriptions()[0].id.clone();
    app.kill().await;
    app.restart_at_the_same_address().await;
    delivers(&app).await;
    let after = fake.subscriptions();
    assert_eq!((after.len(), &after[0].id), (1, &before));
    assert_eq!(fake.publish(&fixture("direct-call-answered")[0]).await, 1);
}

async fn a_blacklisting_is_mended_at_the_next_look(store: Store) {
    let (fake, app) = subscribed(store).await;
    let token = fake.subscriptions()[0].token.clone().unwrap();
    fake.blacklist_all();
    // A reminder makes it look now instead of in five minutes.
    let reminder = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", token);
    reminder.json(&fixture("subscription-reminder")[0]).send().await.unwrap().error_for_status().unwrap();
    eventually("a new subscription", async || {
        let all = fake.subscriptions();
        (all.len() == 1 && all[0].blacklisted.is_none()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_instance_that_looks_on_learns_the_first_token_there_is() {
    let fake = FakeRingCentral::start().await;
    let first = TestApp::start(Store::Mongo).await;
    let settings = first.database().await.collection::<Document>("caller_popup_settings");
    // Somebody else looks after the subscription.
    let until = DateTime::from_millis(DateTime::now().timestamp_millis() + 3_600_000);
    settings.insert_one(doc! { "_id": "lease:subscription", "holder": "another", "until": until }).await.unwrap();
    let mut ours: Vec<_> = fake.settings().into_iter().filter(|it| it.0 != "RINGCENTRAL_REDIRECT_URI").collect();
    ours.push(("PUBLIC_URL", "http://127.0.0.1:9".into()));
    let ours: Vec<_> = ours.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let app = first.second_instance_with(&ours).await;
    let reminder = &fixture("subscription-reminder")[0];
    app.deliver(reminder).await;

    let token = "the-first-token-there-ever-was";
    let known = serde_json::to_string(&Verification::of(Some(token), None)).unwrap();
    settings.insert_one(doc! { "_id": "verification", "value": known }).await.unwrap();
    // The first reminder may lead to the look that finds the token, or one of these does: each is believed, and another
    // reminder, until it is found.
    eventually("strangers are refused", async || {
        (app.post_webhook(reminder).await.status() == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    let theirs = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", token);
    assert_eq!(theirs.json(reminder).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(fake.subscriptions().len(), 0, "it only looks on");
}
