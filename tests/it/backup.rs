//! `caller-popup backup`: copies of the embedded store.

use std::os::unix::fs::PermissionsExt;

use reqwest::Method;
use serde_json::Value;

use crate::support::{Setup, Store, TestApp, eventually};

async fn history(app: &TestApp) -> Value {
    app.get_json("/api/ringcentral/calls").await["calls"].clone()
}

#[tokio::test]
async fn a_copy_made_while_calls_come_in_is_whole_and_private() {
    let app = Setup::on(Store::Sqlite)
        .with_customers(&[("Jane Doe", "jane@example.com", "(416) 555-1234")])
        .await
        .start()
        .await;
    for session in ["one", "two"] {
        app.ring(session, "+14165551234").await;
        app.hang_up(session).await;
        app.ended_call(session).await;
    }
    app.ring("goes-on", "+14165551234").await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.sqlite");
    let (status, output) = app.run(&["backup", &copy.display().to_string()]).await;
    assert!(status.success(), "{output}");
    assert!(output.contains("active_calls  1") && output.contains("call_history  2"), "{output}");
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);

    let restored = Setup::on(Store::Sqlite);
    std::fs::create_dir(restored.data_dir()).unwrap();
    std::fs::copy(&copy, restored.data_dir().join("caller-popup.sqlite")).unwrap();
    let restored = restored.start().await;
    assert_eq!(history(&restored).await, history(&app).await);
    restored.ring("later", "+14165551234").await;
    let named = eventually("the customer's name", async || restored.active_call("later").await).await;
    assert_eq!(named["customer_name"], "Jane Doe");
}

#[tokio::test]
async fn a_copy_overwrites_nothing() {
    let app = TestApp::start(Store::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.sqlite");
    std::fs::write(&copy, "something else").unwrap();
    let (status, output) = app.run(&["backup", &copy.display().to_string()]).await;
    assert!(!status.success() && output.contains("choose a name that does not exist"), "{output}");
    assert_eq!(std::fs::read(&copy).unwrap(), b"something else");
    let (status, _) = app.run(&["backup", &folder.path().join("none/copy").display().to_string()]).await;
    assert!(!status.success());
    assert_eq!(app.request(Method::GET, "/health/ready").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn beside_mongodb_there_is_nothing_to_copy() {
    let app = TestApp::start(Store::Mongo).await;
    let (status, output) = app.run(&["backup", "copy.sqlite"]).await;
    assert!(!status.success() && output.contains("mongodump"), "{output}");
}
