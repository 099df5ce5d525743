//! MongoDB with access control: the role of docs/operations.md is enough, and what it lacks is said.

use std::path::Path;

use mongodb::bson::{Document, doc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::mongod::Guarded;
use crate::support::{ADMIN_TOKEN, Setup, TestApp, eventually, flat};

/// Both are the customer's.
const NUMBER: &str = "+14165550163";
const OTHER_NUMBER: &str = "+14165550164";

/// The role, as the documentation gives it to `createRole`.
fn documented() -> Value {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (_, role) = docs.split_once("db.createRole(").expect("the role is in the documentation");
    serde_json::from_str(role.split_once(");\n").unwrap().0).expect("the role is JSON")
}

/// The role without an action on a collection.
fn without(action: &str, collection: &str) -> Value {
    let mut role = documented();
    for privilege in role["privileges"].as_array_mut().unwrap() {
        if privilege["resource"]["collection"] == collection {
            privilege["actions"].as_array_mut().unwrap().retain(|known| known != action);
        }
    }
    role["privileges"].as_array_mut().unwrap().retain(|it| !it["actions"].as_array().unwrap().is_empty());
    role
}

async fn start(role: Value) -> TestApp {
    let mongod = Guarded::start().await;
    let setup = guarded(&mongod, role).await;
    setup.with("API_TOKENS", ADMIN_TOKEN).with("RINGCENTRAL_VERIFICATION_TOKEN", "expected-token").start().await
}

async fn guarded(mongod: &Guarded, role: Value) -> Setup {
    let customer = doc! { "name": "Agathe", "phone": NUMBER, "mobile": OTHER_NUMBER };
    Setup::on_guarded_mongod(mongod, role, customer).await
}

/// What was logged above `info`.
fn complaints(app: &TestApp) -> Vec<String> {
    let log = app.log();
    let is_above = |line: &&str| line.contains("\"WARN\"") || line.contains("\"ERROR\"");
    log.lines().filter(is_above).map(str::to_owned).collect()
}

/// Everything that the service does with the database. What did not work.
async fn use_everything(app: &TestApp) -> Vec<String> {
    let mut wrong = Vec::new();
    let post = async |path: &str, body: &Value| {
        let post =
            app.request(Method::POST, path).bearer_auth(ADMIN_TOKEN).header("Verification-Token", "expected-token");
        post.json(body).send().await.expect("an answer")
    };
    // The calls with the customer's other number stay when the person is erased, without the customer.
    for (session, status, number) in [
        ("kept", "Ringing", OTHER_NUMBER),
        ("kept", "CallConnected", OTHER_NUMBER),
        ("over", "Ringing", NUMBER),
        ("over", "Disconnected", NUMBER),
        ("past", "Ringing", OTHER_NUMBER),
        ("past", "Disconnected", OTHER_NUMBER),
    ] {
        let told = flat(session, status, json!({ "phoneNumber": number }));
        wrong.extend(refusal("webhook", post("/api/webhooks/ringcentral", &told).await.status()));
    }
    let odd = post("/api/webhooks/ringcentral", &json!({ "of": "an unknown kind" })).await;
    wrong.extend(refusal("unknown notification", odd.status()));
    let active: Value = app.as_admin().get("/api/ringcentral/active-calls").await.json().await.unwrap();
    let id = active["calls"][0]["id"].as_str().unwrap_or("none").to_owned();
    wrong
        .extend(refusal("dismissal", post(&format!("/api/ringcentral/calls/{id}/dismiss"), &json!({})).await.status()));
    wrong.extend(refusal("history", app.as_admin().get("/api/ringcentral/calls").await.status()));
    let ticket: Value = post("/api/auth/ticket", &json!({})).await.json().await.unwrap();
    let stream = format!("/api/ringcentral/call-stream?ticket={}", ticket["ticket"].as_str().unwrap_or("none"));
    wrong.extend(refusal("stream", app.get(&stream).await.status()));
    let session = post("/api/auth/session", &json!({ "token": ADMIN_TOKEN })).await;
    wrong.extend(refusal("sign in", session.status()));
    let cookie =
        session.headers().get("set-cookie").map_or("", |it| it.to_str().unwrap()).split(';').next().unwrap_or("");
    let end = app.request(Method::DELETE, "/api/auth/session").header("Cookie", cookie).send().await.unwrap();
    wrong.extend(refusal("sign out", end.status()));
    let erase = app.request(Method::DELETE, &format!("/api/customers/by-number/{NUMBER}")).bearer_auth(ADMIN_TOKEN);
    wrong.extend(refusal("erase", erase.send().await.unwrap().status()));
    wrong
}

fn refusal(what: &str, status: StatusCode) -> Option<String> {
    (!status.is_success()).then(|| format!("{what}: {status}"))
}

#[tokio::test]
async fn the_documented_role_is_enough() {
    let app = start(documented()).await;
    eventually("changes arrive at once", async || {
        (app.get_json("/health/ready").await["changes"] == "at_once").then_some(())
    })
    .await;
    assert_eq!(use_everything(&app).await, Vec::<String>::new());
    let (status, output) = app.run(&["erase", NUMBER]).await;
    assert!(status.success(), "{output}");
    assert_eq!(complaints(&app), Vec::<String>::new());
}

#[tokio::test]
async fn a_role_that_may_not_watch_is_a_warning() {
    let mut role = without("changeStream", "active_calls");
    role["privileges"].as_array_mut().unwrap().retain(|privilege| privilege["resource"]["collection"] != "");
    let app = start(role).await;
    eventually("a warning", async || {
        complaints(&app).iter().any(|line| line.contains("may not watch active_calls")).then_some(())
    })
    .await;
    assert_eq!(use_everything(&app).await, Vec::<String>::new());
    assert_eq!(app.get_json("/health/ready").await["changes"], "polled");
}

#[tokio::test]
async fn nothing_is_erased_where_customers_may_not_be() {
    let app = start(documented()).await;
    let ring = flat("stays", "Ringing", json!({ "phoneNumber": NUMBER }));
    let post = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", "expected-token");
    assert_eq!(post.json(&ring).send().await.unwrap().status(), StatusCode::OK);
    let (status, output) = app.run(&["erase", NUMBER, "--with-customers"]).await;
    assert!(!status.success() && output.contains("nothing was erased") && output.contains("`remove`"), "{output}");
    let database = app.database().await;
    let calls = database.collection::<Document>("active_calls");
    assert_eq!(calls.count_documents(doc! {}).await.unwrap(), 1, "the call is still there");
}

/// With `CHAOS=1`, as in `scripts/long`: each action of the role is taken away, and something does not work then.
#[tokio::test]
async fn each_action_of_the_documented_role_is_needed() {
    let long = std::env::var("CHAOS").is_ok();
    let mongod = Guarded::start().await;
    let mut unneeded = Vec::new();
    for privilege in documented()["privileges"].as_array().unwrap() {
        let collection = privilege["resource"]["collection"].as_str().unwrap();
        for action in privilege["actions"].as_array().unwrap().iter().map(|action| action.as_str().unwrap()) {
            if collection.is_empty() || (!long && (collection, action) != ("caller_popup_tickets", "insert")) {
                continue;
            }
            // The optional privilege is for every collection, and would stand in for what is taken away.
            let mut role = without(action, collection);
            role["privileges"].as_array_mut().unwrap().retain(|privilege| privilege["resource"]["collection"] != "");
            let setup = guarded(&mongod, role).await;
            let setup = setup.with("API_TOKENS", ADMIN_TOKEN).with("RINGCENTRAL_VERIFICATION_TOKEN", "expected-token");
            let Some(app) = setup.try_start().await else { continue };
            let wrong = use_everything(&app).await;
            let needed = eventually("a complaint", async || (!complaints(&app).is_empty()).then_some(()));
            let needed = async { !wrong.is_empty() || tokio::time::timeout(QUIET, needed).await.is_ok() };
            if !needed.await {
                eprintln!("{action} on {collection} is not needed");
                unneeded.push(format!("{action} on {collection}"));
            }
        }
    }
    assert_eq!(unneeded, Vec::<String>::new());
}

/// How long a complaint may take: the slowest is that of the hourly removal, which runs at the start too.
const QUIET: std::time::Duration = std::time::Duration::from_secs(4);
