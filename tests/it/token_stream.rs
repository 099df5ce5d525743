//! Streams that are opened with a token in a form, as pages of other origins do it without a preflight.

use std::collections::HashMap;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::token::{SECRET, agent, seconds_from_now, signed};
use crate::support::{ADMIN_TOKEN, Setup, Store, TestApp, Viewer, header};

const STREAM: &str = "/api/ringcentral/call-stream";
const CRM: &str = "https://crm.example.com";

on_both_stores! {
    a_token_in_a_form_opens_the_stream_of_its_viewer_and_resumes,
    a_token_that_expires_ends_its_stream,
}

fn shared(store: Store) -> Setup {
    Setup::on(store).with("API_TOKENS", ADMIN_TOKEN).with("JWT_SECRET", SECRET).with("ALLOWED_ORIGINS", CRM)
}

fn asked(app: &TestApp, form: &[(&str, &str)]) -> RequestBuilder {
    app.request(Method::POST, STREAM).form(&form.iter().copied().collect::<HashMap<_, _>>())
}

async fn refusal(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("it answers");
    (answer.status().as_u16(), answer.json().await.expect("an error is JSON"))
}

async fn a_token_in_a_form_opens_the_stream_of_its_viewer_and_resumes(store: Store) {
    let app = shared(store).start().await;
    let dana = agent("dana", &["101"]);
    let mut viewer = Viewer::open(asked(&app, &[("token", &dana)])).await;
    assert_eq!(header(&viewer.response, "content-type"), "text/event-stream");
    assert_eq!(viewer.expect("connected").await.data["resumed"], false);
    app.ring_at("102", "of-kim").await;
    app.ring_at("101", "of-dana").await;
    let frame = viewer.expect("call").await;
    assert_eq!((frame.call()["session_id"].as_str(), frame.event.as_deref()), (Some("of-dana"), Some("call")));
    let position = viewer.position.take().expect("frames carry an id");
    drop(viewer);
    app.tell_of("101", "of-dana", "Disconnected").await;

    let form = [("token", dana.as_str()), ("last_event_id", &position), ("events", "message")];
    let mut viewer = Viewer::open(asked(&app, &form)).await;
    assert_eq!(viewer.expect("connected").await.data["resumed"], true);
    let end = viewer.wait_for("call_ended").await;
    assert_eq!((end.call()["session_id"].as_str(), end.event.as_deref()), (Some("of-dana"), None));
}

async fn a_token_that_expires_ends_its_stream(store: Store) {
    let app = shared(store).start().await;
    // With the leeway of a minute it is good for three seconds.
    let token = signed(json!({ "sub": "dana", "exp": seconds_from_now(-57), "extension_ids": ["101"] }));
    let mut viewer = Viewer::open(asked(&app, &[("token", &token)])).await;
    let end = viewer.wait_for("error").await;
    assert_eq!(end.data["error"]["code"], "signed_out");
    viewer.end().await;
    assert_eq!(refusal(asked(&app, &[("token", &token)])).await.1["error"]["code"], "expired");
}

/// Each is refused with this status and code.
async fn all_refused<const N: usize>(requests: [(&str, RequestBuilder, u16, &str); N]) {
    for (what, request, status, code) in requests {
        let (actual, body) = refusal(request).await;
        assert_eq!((actual, &body["error"]["code"]), (status, &json!(code)), "{what}");
    }
}

#[tokio::test]
async fn only_a_token_opens_it_and_the_refusal_says_why() {
    let app = shared(Store::Sqlite).start().await;
    let dana = agent("dana", &["101"]);
    let signing_in =
        app.request(Method::POST, "/api/auth/session").json(&json!({ "token": dana })).send().await.unwrap();
    let cookie = header(&signing_in, "set-cookie").split(';').next().unwrap().to_owned();
    let ticket: Value = app.bearing(&dana).post("/api/auth/ticket").await.json().await.unwrap();
    let ticket = ticket["ticket"].as_str().expect("a ticket is text");
    let no_role = signed(json!({ "sub": "dana", "exp": seconds_from_now(600) }));
    all_refused([
        ("nothing", app.request(Method::POST, STREAM), 401, "unauthorized"),
        ("a wrong token", asked(&app, &[("token", "guessed")]), 401, "unauthorized"),
        ("a JWT without a role", asked(&app, &[("token", &no_role)]), 403, "no_rights"),
        ("a cookie", app.request(Method::POST, STREAM).header("Cookie", &cookie), 401, "unauthorized"),
        (
            "a cookie of our page",
            asked(&app, &[]).header("Cookie", &cookie).header("Sec-Fetch-Site", "same-origin"),
            401,
            "unauthorized",
        ),
        (
            "a cookie of an allowed page",
            asked(&app, &[]).header("Cookie", &cookie).header("Origin", CRM),
            401,
            "unauthorized",
        ),
        (
            "a cookie and a wrong token",
            asked(&app, &[("token", "guessed")]).header("Cookie", &cookie),
            401,
            "unauthorized",
        ),
        ("a ticket", app.request(Method::POST, &format!("{STREAM}?ticket={ticket}")), 401, "unauthorized"),
        (
            "a token in the address",
            app.request(Method::POST, &format!("{STREAM}?token={dana}")),
            400,
            "secret_in_address",
        ),
    ])
    .await;
    let mut viewer = Viewer::open(app.client.get(app.url(&format!("{STREAM}?ticket={ticket}")))).await;
    viewer.expect("connected").await;
}

#[tokio::test]
async fn a_right_token_of_another_page_or_in_another_form_opens_nothing() {
    let app = shared(Store::Sqlite).start().await;
    let dana = agent("dana", &["101"]);
    let form = "application/x-www-form-urlencoded";
    let body = |content_type: &str, body: String| {
        app.request(Method::POST, STREAM).header("Content-Type", content_type).body(body)
    };
    all_refused([
        (
            "a right token of another page",
            asked(&app, &[("token", &dana)]).header("Origin", "https://evil.example.com"),
            403,
            "foreign_origin",
        ),
        (
            "a right token of a page without an origin",
            asked(&app, &[("token", &dana)]).header("Origin", "null"),
            403,
            "foreign_origin",
        ),
        (
            "a right token of a page that does not say",
            asked(&app, &[("token", &dana)]).header("Sec-Fetch-Site", "cross-site"),
            403,
            "foreign_origin",
        ),
        ("JSON", body("application/json", json!({ "token": dana }).to_string()), 400, "bad_body"),
        ("two tokens", body(form, format!("token={dana}&token={dana}")), 400, "bad_body"),
        ("too much", body(form, format!("token={}", "x".repeat(70_000))), 413, "too_large"),
        ("unknown events", asked(&app, &[("token", &dana), ("events", "all")]), 400, "unknown_events"),
    ])
    .await;
}

#[tokio::test]
async fn an_allowed_page_reads_the_stream_and_the_refusal_and_no_other_does() {
    let app = shared(Store::Sqlite).start().await;
    let dana = agent("dana", &["101"]);
    let mut viewer = Viewer::open(asked(&app, &[("token", &dana)]).header("Origin", CRM)).await;
    viewer.expect("connected").await;
    let refused = asked(&app, &[("token", "guessed")]).header("Origin", CRM).send().await.unwrap();
    let foreign = asked(&app, &[("token", &dana)]).header("Origin", "https://evil.example.com").send().await.unwrap();
    for (answer, page) in [(&viewer.response, CRM), (&refused, CRM), (&foreign, "")] {
        assert_eq!(header(answer, "access-control-allow-origin"), page);
        assert!(header(answer, "vary").contains("origin"));
    }
}

#[tokio::test]
async fn streams_of_both_kinds_count_for_the_same_viewer_and_wrong_tokens_for_the_address() {
    let app = shared(Store::Sqlite).start().await;
    let dana = agent("dana", &["101"]);
    let mut streams = Vec::new();
    for n in 0..50 {
        let request = if n % 2 == 0 { app.bearing(&dana).stream() } else { asked(&app, &[("token", &dana)]) };
        let mut viewer = Viewer::open(request).await;
        viewer.expect("connected").await;
        streams.push(viewer);
    }
    let mut refused = Viewer::open(asked(&app, &[("token", &dana)])).await;
    assert_eq!(refused.expect("error").await.data["error"]["code"], "too_many_streams");
    assert!((10_000..30_000).contains(&refused.retry.expect("when to come back")));
    drop(streams);
    let mut statuses = Vec::new();
    for n in 0..60 {
        statuses.push(refusal(asked(&app, &[("token", &format!("guess-{n}"))])).await.0);
    }
    assert_eq!((statuses[0], statuses[59]), (401, 429));
}
