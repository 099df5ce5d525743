//! `scripts/test_call_popup.sh`, which people run against their own server.

use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use crate::support::{ADMIN_TOKEN, PATIENCE, Setup, Store, TestApp};

on_both_stores! {
    the_script_follows_a_call_through_a_working_server,
}

async fn the_script_follows_a_call_through_a_working_server(store: Store) {
    let app =
        Setup::on(store).with_customers(&[("Sarah Customer", "sarah@example.com", "416-555-1234")]).await.start().await;
    let output = run_script(&app.url(""), &[]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for seen in ["Validation-Token came back", "connected", "eleven fields", "the caller was ", "left active-calls"] {
        assert!(said.contains(seen), "{seen:?} is missing in:\n{said}");
    }
}

#[tokio::test]
async fn the_script_knows_the_verification_token() {
    let app = Setup::on(Store::Sqlite).with("RINGCENTRAL_VERIFICATION_TOKEN", "s3cret").start().await;
    let with = run_script(&app.url(""), &[("VERIFICATION_TOKEN", "s3cret")]).await;
    assert!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
    let without = run_script(&app.url(""), &[]).await;
    assert!(!without.status.success());
    assert!(String::from_utf8_lossy(&without.stderr).contains("set VERIFICATION_TOKEN"));
}

#[tokio::test]
async fn the_script_knows_an_admins_token() {
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", ADMIN_TOKEN).start().await;
    let with = run_script(&app.url(""), &[("API_TOKEN", ADMIN_TOKEN)]).await;
    assert!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
    let without = run_script(&app.url(""), &[]).await;
    assert!(!without.status.success());
    assert!(String::from_utf8_lossy(&without.stderr).contains("set API_TOKEN"));
}

#[tokio::test]
async fn the_script_fails_where_no_server_is() {
    let mut app = TestApp::start(Store::Sqlite).await;
    app.kill().await;
    let output = run_script(&app.url(""), &[]).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("is the server running"));
}

async fn run_script(url: &str, settings: &[(&str, &str)]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test_call_popup.sh");
    let mut command = Command::new(script);
    command.arg(url).envs(settings.iter().copied()).kill_on_drop(true);
    tokio::time::timeout(PATIENCE * 2, command.output()).await.expect("the script ends").expect("the script runs")
}
