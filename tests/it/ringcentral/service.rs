//! The program with RingCentral behind it: it subscribes by itself, hears, and is heard of again.

use std::net::TcpListener;

use caller_popup::ringcentral::subscription::WebhookSecret;
use mongodb::bson::{DateTime, Document, doc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fake_ringcentral::FakeRingCentral;
use crate::support::{Setup, Store, TestApp, eventually, fixture, flat, token};

on_both_stores! {
    a_phone_that_rings_at_ringcentral_shows_at_once,
    after_a_restart_the_same_subscription_and_token_go_on,
    a_blacklisting_is_mended_at_the_next_look,
    before_the_first_subscription_a_forged_webhook_is_refused,
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

#[tokio::test]
async fn a_host_application_may_name_an_extension_by_its_number() {
    let fake = FakeRingCentral::start().await;
    let mut setup = Setup::on(Store::Sqlite).with("JWT_SECRET", token::SECRET);
    for (name, value) in fake.settings() {
        setup = setup.with(name, &value);
    }
    let app = setup.start().await;
    // At once, while the account is still being read.
    for (named, id) in [("101", "297277020"), ("297278020", "297278020"), ("999", "999")] {
        let ask = app.request(Method::GET, "/api/auth/session").bearer_auth(token::agent("dana", &[named]));
        let session: Value = ask.send().await.unwrap().json().await.unwrap();
        assert_eq!(session["viewer"]["extension_ids"], json!([id]), "{named}");
    }
}

/// Waits until the program says that RingCentral delivers.
pub(super) async fn delivers(app: &TestApp) {
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

async fn before_the_first_subscription_a_forged_webhook_is_refused(store: Store) {
    let fake = FakeRingCentral::start().await;
    // RingCentral will not have a subscription of ours.
    fake.permit("CallControl ReadAccounts ReadPresence");
    let settings = with_public_url(&fake);
    let app = settings.iter().fold(Setup::on(store), |setup, (name, value)| setup.with(name, value)).start().await;
    let forged = flat("forged", "Ringing", json!({ "phoneNumber": "+14165551234" }));
    assert_eq!(app.post_webhook(&forged).await.status(), StatusCode::UNAUTHORIZED);
    assert!(app.active_calls().await.is_empty());
    let kept = app.open_store().await.setting("verification").await.unwrap().expect("the token is stored");
    let token = serde_json::from_str::<WebhookSecret>(&kept).unwrap().token;
    let theirs = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", &token);
    assert_eq!(theirs.json(&forged).send().await.unwrap().status(), StatusCode::OK);
    if store == Store::Mongo {
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let other = app.second_instance_with(&settings).await;
        assert_eq!(other.post_webhook(&forged).await.status(), StatusCode::UNAUTHORIZED);
        let theirs = other.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", token);
        assert_eq!(theirs.json(&forged).send().await.unwrap().status(), StatusCode::OK, "both have the same token");
    }
}

#[tokio::test]
async fn while_the_database_is_away_no_token_is_not_a_reason_to_believe_everybody() {
    let fake = FakeRingCentral::start().await;
    let mut app = TestApp::start(Store::Mongo).await;
    // It worked once, without a token.
    app.ring("before", "+14165551234").await;
    for (name, value) in with_public_url(&fake) {
        app.set(name, &value);
    }
    app.restart_with("MONGODB_URI", "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200&connectTimeoutMS=200").await;
    let forged = flat("forged", "Ringing", json!({ "phoneNumber": "+14165551234" }));
    assert_eq!(app.post_webhook(&forged).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn strangers_who_shake_hands_do_not_keep_ringcentral_from_it() {
    let fake = FakeRingCentral::start().await;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().to_string();
    let setup = Setup::on(Store::Sqlite).with("BIND", &free).with("PUBLIC_URL", &format!("http://{free}"));
    // Not in local mode, which answers no proxy.
    let setup = setup.with("TRUSTED_PROXIES", "127.0.0.1");
    let settings = fake.settings();
    let url = format!("http://{free}/api/webhooks/ringcentral");
    let flood = async {
        let client = reqwest::Client::new();
        let mut networks = 0_u32..;
        loop {
            let some = networks.by_ref().take(64).map(|n| {
                let from = std::net::Ipv4Addr::from_bits(0x0b00_0000 + n * 256).to_string();
                client.post(&url).header("Validation-Token", "of-a-stranger").header("X-Forwarded-For", from).send()
            });
            // Until it listens there is nobody to answer.
            let _ = futures_util::future::join_all(some).await;
            tokio::task::yield_now().await;
        }
    };
    let served = async {
        let app = settings.iter().fold(setup, |setup, (name, value)| setup.with(name, value)).start().await;
        delivers(&app).await;
        assert_eq!(fake.subscriptions().len(), 1);
    };
    tokio::select! {
        () = served => {}
        () = flood => {}
    }
}

/// The settings of a program that makes its own subscription, at an address that does not matter.
fn with_public_url(fake: &FakeRingCentral) -> Vec<(&'static str, String)> {
    let without_sign_in = fake.settings().into_iter().filter(|(name, _)| *name != "RINGCENTRAL_REDIRECT_URI");
    without_sign_in.chain([("PUBLIC_URL", "http://127.0.0.1:9".to_owned())]).collect()
}

#[tokio::test]
async fn an_instance_that_looks_on_learns_the_token_of_another() {
    let fake = FakeRingCentral::start().await;
    let first = TestApp::start(Store::Mongo).await;
    let settings = first.database().await.collection::<Document>("caller_popup_settings");
    // Somebody else looks after the subscription.
    let until = DateTime::from_millis(DateTime::now().timestamp_millis() + 3_600_000);
    settings.insert_one(doc! { "_id": "lease:subscription", "holder": "another", "until": until }).await.unwrap();
    let ours = with_public_url(&fake);
    let ours: Vec<_> = ours.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let app = first.second_instance_with(&ours).await;
    let reminder = &fixture("subscription-reminder")[0];
    assert_eq!(app.post_webhook(reminder).await.status(), StatusCode::UNAUTHORIZED);

    let token = "the-token-another-instance-made";
    let known = serde_json::to_string(&WebhookSecret::of(Some(token), None)).unwrap();
    settings.replace_one(doc! { "_id": "verification" }, doc! { "value": known }).await.unwrap();
    let theirs = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", token);
    assert_eq!(theirs.json(reminder).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(fake.subscriptions().len(), 0, "it only looks on");
}
