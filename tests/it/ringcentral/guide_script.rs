//! The setup guide's Python script (Option B), word for word, with the guide's own settings.

use std::path::Path;
use std::process::Output;

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::service::delivers;
use crate::fake_ringcentral::{ACCOUNT, FakeRingCentral, OWNER};
use crate::support::{PATIENCE, Setup, Store, TestApp, eventually, fixture, flat};

on_both_stores! {
    the_subscription_of_the_guides_script_is_listed_delivers_and_outlasts_a_restart,
    with_a_public_url_the_service_takes_it_over_in_place,
    only_deliveries_that_name_the_subscription_that_was_taken_over_are_believed,
    the_command_takes_it_over_too,
    a_token_of_the_settings_replaces_it_without_a_gap,
}

/// Where the guide's deployment is.
const PUBLIC_URL: &str = "https://admin-dashboard-374.preview.emergentagent.com";

/// The program with the guide's settings, and the subscription of the script.
async fn with_script(store: Store) -> (FakeRingCentral, TestApp) {
    let fake = FakeRingCentral::start().await;
    let mut setup = Setup::on(store);
    // With sign-in it would leave local mode, and this is not about who may read.
    for (name, value) in fake.settings().iter().filter(|(name, _)| *name != "RINGCENTRAL_REDIRECT_URI") {
        setup = setup.with(name, value);
    }
    let app = setup.start().await;
    fake.forward(PUBLIC_URL, &app.url(""));
    let output = run_script(&fake).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("Webhook created:") && said.contains("'status': 'Active'"), "{said}");
    (fake, app)
}

async fn run_script(fake: &FakeRingCentral) -> Output {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/guide-script");
    let mut command = Command::new("python3");
    command.arg(fixtures.join("create_webhook.py")).env("PYTHONPATH", &fixtures).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("FAKE_RINGCENTRAL", &fake.url).envs(fake.settings()).kill_on_drop(true);
    tokio::time::timeout(PATIENCE * 2, command.output()).await.expect("the script ends").expect("python3 runs")
}

/// What the guide's filter watches: the phone of the service user.
async fn ring_owner(fake: &FakeRingCentral, session: &str) -> usize {
    let mut event = flat(session, "Ringing", json!({ "phoneNumber": "+14165551234" }));
    event["event"] = format!("/restapi/v1.0/account/{ACCOUNT}/extension/{OWNER}/presence").into();
    fake.publish(&event).await
}

async fn the_subscription_of_the_guides_script_is_listed_delivers_and_outlasts_a_restart(store: Store) {
    let (fake, mut app) = with_script(store).await;
    let [subscription] = &fake.subscriptions()[..] else { panic!("one subscription") };
    assert_eq!(subscription.address, format!("{PUBLIC_URL}/api/webhooks/ringcentral"));
    assert_eq!(ring_owner(&fake, "before").await, 1);
    assert!(app.active_call("before").await.is_some());
    let (status, listed) = app.run(&["subscription", "list"]).await;
    assert!(status.success(), "{listed}");
    for part in [&subscription.id[..], "Active", &subscription.address, &subscription.filters[0]] {
        assert!(listed.contains(part), "{part:?} is missing in:\n{listed}");
    }
    app.kill().await;
    app.restart_at_the_same_address().await;
    assert_eq!(ring_owner(&fake, "after").await, 1);
    assert!(app.active_call("after").await.is_some());
    let kept = fake.subscriptions();
    assert_eq!((kept.len(), &kept[0].id, &kept[0].blacklisted), (1, &subscription.id, &None));
    assert!(fake.requests("DELETE", "").is_empty(), "the service leaves it alone");
}

/// The same with the address that the script names, so that the service looks after the subscription.
async fn with_public_url(store: Store) -> (FakeRingCentral, TestApp, String) {
    let (fake, mut app) = with_script(store).await;
    let of_script = fake.subscriptions()[0].id.clone();
    app.kill().await;
    app.set("PUBLIC_URL", PUBLIC_URL);
    app.restart_at_the_same_address().await;
    delivers(&app).await;
    (fake, app, of_script)
}

/// The script's subscription is the only one, delivers, and has what the service's own would have, but for the token.
fn is_taken_over(fake: &FakeRingCentral, of_script: &str) {
    let [kept] = &fake.subscriptions()[..] else { panic!("one subscription: {:?}", fake.subscriptions()) };
    assert_eq!((&kept.id[..], &kept.token, &kept.blacklisted), (of_script, &None, &None));
    assert_eq!(kept.filters[0], format!("/restapi/v1.0/account/{ACCOUNT}/telephony/sessions"), "{:?}", kept.filters);
    assert_eq!((kept.filters.len(), kept.lifetime), (2, TimeDelta::days(7)), "{:?}", kept.filters);
    assert_eq!(subscription_changes(fake), ["POST", "PUT"], "the script's, and the update");
}

/// The methods of the requests that created, changed or deleted a subscription.
fn subscription_changes(fake: &FakeRingCentral) -> Vec<String> {
    let changes =
        fake.all_requests().into_iter().filter(|one| one.path.contains("/subscription") && one.method != "GET");
    changes.filter(|one| !one.path.ends_with("/renew")).map(|one| one.method).collect()
}

async fn with_a_public_url_the_service_takes_it_over_in_place(store: Store) {
    let (fake, mut app, of_script) = with_public_url(store).await;
    is_taken_over(&fake, &of_script);
    let call = fixture("direct-call-answered");
    fake.publish_all(&call[..3]).await;
    assert_eq!(app.active_calls().await.len(), 1);

    fake.end_in(TimeDelta::days(2));
    assert_eq!(fake.publish(&fixture("subscription-reminder")[0]).await, 1);
    eventually("it is renewed", async || {
        (fake.subscriptions()[0].expires_at - fake.now() > TimeDelta::days(6)).then_some(())
    })
    .await;

    app.kill().await;
    app.restart_at_the_same_address().await;
    delivers(&app).await;
    is_taken_over(&fake, &of_script);
    assert_eq!(fake.publish(&call[3]).await, 1);
    assert!(!app.log().contains(&of_script), "the id authenticates deliveries");
}

async fn only_deliveries_that_name_the_subscription_that_was_taken_over_are_believed(store: Store) {
    let (fake, app, of_script) = with_public_url(store).await;
    let forged = |id: Option<&str>| {
        let mut event = flat("forged", "Ringing", json!({ "phoneNumber": "+14165551234" }));
        event["subscriptionId"] = id.into();
        event
    };
    let mut near = of_script.clone();
    near.replace_range(..1, if of_script.starts_with('0') { "1" } else { "0" });
    for id in [None, Some(""), Some(&near[..]), Some(&of_script[1..])] {
        assert_eq!(app.post_webhook(&forged(id)).await.status(), StatusCode::UNAUTHORIZED, "{id:?}");
    }
    let in_header = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", &of_script);
    assert_eq!(in_header.json(&forged(None)).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let announced = "POST /api/webhooks/ringcentral HTTP/1.1\r\nhost: localhost\r\ncontent-length: 300000\r\n\r\n";
    let mut stranger = TcpStream::connect(&app.address).await.unwrap();
    stranger.write_all(announced.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stranger.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401", "refused before the body is read");
    assert!(app.active_calls().await.is_empty());
    eventually("further guesses are limited", async || {
        (app.post_webhook(&forged(Some(&near))).await.status() == StatusCode::TOO_MANY_REQUESTS).then_some(())
    })
    .await;
    fake.publish_all(&fixture("direct-call-answered")[..3]).await;
    assert_eq!(app.active_calls().await.len(), 1);
    assert_eq!(fake.subscriptions()[0].blacklisted, None);
}

async fn the_command_takes_it_over_too(store: Store) {
    let (fake, mut app) = with_script(store).await;
    let of_script = fake.subscriptions()[0].id.clone();
    app.set("PUBLIC_URL", PUBLIC_URL);
    for _ in 0..2 {
        let (status, printed) = app.run(&["subscription", "ensure"]).await;
        assert!(status.success() && printed.contains(r#""state": "active""#), "{printed}");
        assert!(!printed.contains(&of_script), "{printed}");
        is_taken_over(&fake, &of_script);
    }
}

async fn a_token_of_the_settings_replaces_it_without_a_gap(store: Store) {
    let (fake, mut app) = with_script(store).await;
    let of_script = fake.subscriptions()[0].id.clone();
    app.kill().await;
    app.set("PUBLIC_URL", PUBLIC_URL);
    app.set("RINGCENTRAL_VERIFICATION_TOKEN", "of-the-settings");
    app.restart_at_the_same_address().await;
    delivers(&app).await;
    let all = fake.subscriptions();
    assert_eq!((all.len(), all[0].token.as_deref()), (1, Some("of-the-settings")), "{all:?}");
    assert_ne!(all[0].id, of_script);
    assert_eq!(subscription_changes(&fake), ["POST", "POST", "DELETE"], "the successor is there before it is deleted");
    let mut event = fixture("direct-call-answered").swap_remove(0);
    event["ownerId"] = OWNER.into();
    assert_eq!(fake.publish(&event).await, 1);
}

/// Deliveries are verified by what this machine remembers.
#[tokio::test]
async fn while_the_database_is_away_the_subscription_that_was_taken_over_delivers() {
    let (fake, mut app, _) = with_public_url(Store::Mongo).await;
    let away = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200&connectTimeoutMS=200";
    app.set("MONGODB_URI", away);
    app.kill().await;
    app.restart_at_the_same_address().await;
    let forged = flat("forged", "Ringing", json!({ "phoneNumber": "+14165551234" }));
    assert_eq!(app.post_webhook(&forged).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(fake.publish(&fixture("direct-call-answered")[0]).await, 1);
}
