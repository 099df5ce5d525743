//! The setup guide's Python script (Option B), word for word, with the guide's own settings.

use std::path::Path;
use std::process::Output;

use serde_json::json;
use tokio::process::Command;

use super::service::delivers;
use crate::fake_ringcentral::{ACCOUNT, FakeRingCentral, OWNER};
use crate::support::{PATIENCE, Setup, Store, TestApp, flat};

on_both_stores! {
    the_subscription_of_the_guides_script_is_listed_delivers_and_outlasts_a_restart,
    with_a_public_url_the_service_replaces_it_by_its_own_without_a_gap,
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

async fn with_a_public_url_the_service_replaces_it_by_its_own_without_a_gap(store: Store) {
    let (fake, mut app) = with_script(store).await;
    let of_script = fake.subscriptions()[0].id.clone();
    app.kill().await;
    app.set("PUBLIC_URL", PUBLIC_URL);
    app.restart_at_the_same_address().await;
    delivers(&app).await;
    let all = fake.subscriptions();
    assert_eq!((all.len(), all[0].token.is_some()), (1, true), "{all:?}");
    assert_ne!(all[0].id, of_script);
    let changes: Vec<_> = fake.all_requests().into_iter().filter(|one| one.path.contains("/subscription")).collect();
    let place = |method: &str| changes.iter().rposition(|one| one.method == method).expect("it was asked");
    assert!(place("POST") < place("DELETE"), "the successor is there before it is deleted");
    let mut event = crate::support::fixture("direct-call-answered").swap_remove(0);
    event["ownerId"] = OWNER.into();
    assert_eq!(fake.publish(&event).await, 1);
}
