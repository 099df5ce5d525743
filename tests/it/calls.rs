//! What dashboards and admins read: active calls, history, one error form, the pages.

use chrono::DateTime;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Setup, Store, TestApp, eventually};

/// The guide's, in its spelling.
const ELEVEN: [&str; 11] = [
    "id",
    "session_id",
    "from_number",
    "from_name",
    "to_number",
    "direction",
    "status",
    "timestamp",
    "customer_id",
    "customer_name",
    "customer_email",
];
/// Ours beside them.
#[rustfmt::skip]
const OURS: [&str; 14] = [
    "telephony_session_id", "to_name", "queue", "extension_ids", "answered_by", "answered_at", "ended_at", "result",
    "customers", "match", "rev", "from_display", "to_display", "status",
];

on_both_stores! {
    a_call_has_the_guides_eleven_fields_and_ours,
    active_calls_come_newest_first_and_can_be_filtered,
    every_change_grows_rev_by_one,
    a_call_that_ends_moves_to_the_history,
    the_history_is_read_page_by_page,
    the_history_can_be_had_as_csv,
    a_simulated_call_rings_through_the_webhook,
    the_program_says_that_it_is_alive_and_ready,
}

async fn a_call_has_the_guides_eleven_fields_and_ours(store: Store) {
    let app =
        Setup::on(store).with_customers(&[("Sarah Customer", "sarah@example.com", "+14165551234")]).await.start().await;
    app.ring_as("known", "+14165551234", "Sarah C").await;
    let call = eventually("the customer", async || {
        app.active_call("known").await.filter(|call| !call["customer_id"].is_null())
    })
    .await;
    for field in ELEVEN.into_iter().chain(OURS) {
        assert!(call.get(field).is_some(), "{field} is absent in {call}");
    }
    let seen = ["from_number", "from_name", "to_number", "direction", "status", "customer_name", "customer_email"];
    let told = ["+14165551234", "Sarah C", "+15879876543", "Inbound", "ringing", "Sarah Customer", "sarah@example.com"];
    assert_eq!(seen.map(|field| &call[field]), told);
    assert!(call["id"].as_str().is_some_and(|id| id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit())));

    let timestamp = call["timestamp"].as_str().expect("a timestamp is text");
    assert_eq!((timestamp.len(), timestamp.chars().nth(19), timestamp.ends_with('Z')), (24, Some('.'), true));
    DateTime::parse_from_rfc3339(timestamp).expect("a timestamp is RFC 3339");
}

async fn active_calls_come_newest_first_and_can_be_filtered(store: Store) {
    let app = TestApp::start(store).await;
    for session in ["first", "second", "third"] {
        app.ring(session, "+14165551234").await;
    }
    app.answer("second").await;
    let sessions = |answer: Value| {
        let calls = answer["calls"].as_array().cloned().expect("a list of calls");
        calls.iter().map(|call| call["session_id"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(sessions(app.get_json("/api/ringcentral/active-calls").await), ["third", "second", "first"]);
    let filtered =
        async |status| sessions(app.get_json(&format!("/api/ringcentral/active-calls?status={status}")).await);
    assert_eq!(filtered("ringing").await, ["third", "first"]);
    assert_eq!(filtered("connected").await, ["second"]);
    assert_eq!(filtered("on_hold").await, Vec::<String>::new());
}

async fn every_change_grows_rev_by_one(store: Store) {
    let app = TestApp::start(store).await;
    // A withheld number, because the answer of a lookup is a change too and may come at any time.
    app.ring("changes", "anonymous").await;
    let revs =
        async || app.active_call("changes").await.expect("the call is active")["rev"].as_i64().expect("a number");
    for status in ["CallConnected", "OnHold", "CallConnected"] {
        let before = revs().await;
        app.tell("changes", status).await;
        assert_eq!(revs().await, before + 1, "after {status}");
    }
}

async fn a_call_that_ends_moves_to_the_history(store: Store) {
    let app = TestApp::start(store).await;
    app.ring("answered", "+14165551234").await;
    app.ring("missed", "+14165550199").await;
    app.answer("answered").await;
    app.hang_up("missed").await;
    app.hang_up("answered").await;
    assert_eq!(app.active_calls().await, Vec::<Value>::new());
    let answered = app.ended_call("answered").await;
    let missed = app.ended_call("missed").await;
    assert_eq!((&answered["status"], &answered["result"]), (&json!("ended"), &json!("answered")));
    assert_eq!((&missed["status"], &missed["result"]), (&json!("ended"), &json!("missed")));
    assert!(answered["answered_at"].is_string() && answered["ended_at"].is_string());
    assert!(missed["answered_at"].is_null() && missed["ended_at"].is_string());
}

async fn the_history_is_read_page_by_page(store: Store) {
    let app = TestApp::start(store).await;
    for number in 1..=5 {
        let session = format!("call-{number}");
        app.ring(&session, "+14165551234").await;
        app.hang_up(&session).await;
        app.ended_call(&session).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = app.get_json(&format!("/api/ringcentral/calls?limit=2{cursor}")).await;
        let calls = page["calls"].as_array().expect("a list of calls");
        seen.extend(calls.iter().map(|call| call["session_id"].as_str().expect("text").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["call-5", "call-4", "call-3", "call-2", "call-1"]);
    assert!(app.get_json("/api/ringcentral/calls").await["next_cursor"].is_null());
}

async fn the_history_can_be_had_as_csv(store: Store) {
    let app = TestApp::start(store).await;
    app.ring_as("csv", "+14165551234", "=HYPERLINK(\"http://x\"), \"Quoted\"").await;
    app.hang_up("csv").await;
    app.ended_call("csv").await;
    let answer = app.request(Method::GET, "/api/ringcentral/calls").header(ACCEPT, "text/csv").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers()[CONTENT_TYPE].to_str().unwrap().starts_with("text/csv"));
    let csv = answer.text().await.unwrap();
    let (header, rest) = csv.split_once('\n').expect("a header and a call");
    assert!(header.contains("session_id") && header.contains("from_number"), "{header}");
    assert!(rest.contains("csv") && rest.contains("4165551234"), "{rest}");
    // A spreadsheet would run a cell that begins with "=".
    assert!(!rest.contains(",=") && !rest.contains(",\"="), "{rest}");
}

async fn a_simulated_call_rings_through_the_webhook(store: Store) {
    let app = Setup::on(store).with("RINGCENTRAL_VERIFICATION_TOKEN", "not-even-this-is-bypassed").start().await;
    let mut viewer = app.viewer().await;
    let play = |scenario: &str| {
        app.request(Method::POST, "/api/simulator/calls").json(&json!({ "scenario": scenario })).send()
    };
    let answer = play("direct").await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    let ringing = viewer.wait_for("call").await;
    assert_eq!(ringing.call()["status"], "ringing");
    let answer = play("no such thing").await.unwrap();
    assert!(answer.status().is_client_error(), "{}", answer.status());
    let error: Value = answer.json().await.unwrap();
    assert!(error["error"]["code"].is_string() && error["error"]["message"].is_string(), "{error}");
}

async fn the_program_says_that_it_is_alive_and_ready(store: Store) {
    let app = TestApp::start(store).await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(app.get(path).await.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn errors_have_one_form() {
    let app = TestApp::start(Store::Sqlite).await;
    for (method, path, status) in [
        (Method::GET, "/api/no/such/thing", StatusCode::NOT_FOUND),
        (Method::POST, "/api/ringcentral/calls/68f4352898bd3935fcc83293/dismiss", StatusCode::NOT_FOUND),
        (Method::POST, "/api/ringcentral/active-calls", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/api/simulator/calls", StatusCode::BAD_REQUEST),
        (Method::GET, "/api/ringcentral/calls?cursor=nonsense", StatusCode::BAD_REQUEST),
        (Method::GET, "/api/ringcentral/calls?limit=many", StatusCode::BAD_REQUEST),
        (Method::GET, "/api/ringcentral/calls?direction=sideways", StatusCode::BAD_REQUEST),
        (Method::GET, "/api/ringcentral/active-calls?status=gone", StatusCode::BAD_REQUEST),
    ] {
        let answer = app.request(method.clone(), path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        let body: Value = answer.json().await.expect("an error is JSON");
        assert!(body["error"]["code"].is_string(), "{method} {path}: {body}");
        assert!(
            body["error"]["message"].as_str().is_some_and(|message| message.contains(' ')),
            "{method} {path}: {body}"
        );
    }
}

#[tokio::test]
async fn the_dashboard_and_the_widget_are_served() {
    let app = TestApp::start(Store::Sqlite).await;
    for (path, kind, holds) in [
        ("/", "text/html", "call-popup"),
        ("/demo.html", "text/html", "call-popup"),
        ("/call-popup.js", "javascript", "export const { CallPopup }"),
        ("/widget/call-popup.js", "javascript", "customElements.define"),
        ("/model/call.js", "javascript", "export"),
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let served = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        assert!(served.contains(kind), "{path} is {served}");
        assert!(answer.text().await.unwrap().contains(holds), "{path}");
    }
}

#[tokio::test]
async fn the_widget_is_told_where_customers_are_shown() {
    let app = Setup::on(Store::Sqlite).with("CUSTOMER_URL", "https://crm.example.com/people/{id}").start().await;
    assert_eq!(app.get_json("/api/ringcentral/config").await["customer_url"], "https://crm.example.com/people/{id}");
}
