//! Access by route: every route and every kind of caller; and who sees which calls.

use std::collections::BTreeSet;
use std::time::Duration;

use caller_popup::http::ROUTES;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, Frame, Setup, Store, TestApp, Viewer, token};

const TOKEN: &str = ADMIN_TOKEN;

/// Status by route and caller. `/` is not a route of the table, but a page.
#[rustfmt::skip]
const TABLE: &[(&str, [u16; 9])] = &[
    //                                           none wrong expired agent other admin foreign | local mode: rebound forwarded
    ("POST /api/webhooks/ringcentral",          [401, 401,  401,    401,  401,  401,  403,      403, 403]),
    ("GET /api/ringcentral/call-stream",        [401, 401,  401,    200,  200,  200,  403,      403, 403]),
    ("POST /api/ringcentral/call-stream",       [401, 401,  401,    200,  200,  200,  403,      403, 403]),
    ("GET /api/ringcentral/active-calls",       [401, 401,  401,    200,  200,  200,  403,      403, 403]),
    ("GET /api/ringcentral/calls",              [401, 401,  401,    200,  200,  200,  403,      403, 403]),
    ("POST /api/ringcentral/calls/{id}/dismiss",[401, 401,  401,    200,  404,  200,  403,      403, 403]),
    ("GET /api/customers",                      [401, 401,  401,    200,  200,  200,  403,      403, 403]),
    ("GET /api/customers/unmatchable",          [401, 401,  401,    403,  403,  200,  403,      403, 403]),
    ("GET /api/customers/{id}",                 [401, 401,  401,    200,  404,  200,  403,      403, 403]),
    ("DELETE /api/customers/by-number/{number}",[401, 401,  401,    403,  403,  200,  403,      403, 403]),
    ("GET /api/ringcentral/config",             [401, 401,  401,    200,  200,  200,  403,      403, 403]),
    ("POST /api/simulator/calls",               [401, 401,  401,    403,  403,  200,  403,      403, 403]),
    ("GET /api/simulator/scenarios",            [401, 401,  401,    200,  200,  200,  403,      403, 403]),
    ("POST /api/auth/session",                  [204, 204,  204,    204,  204,  204,  403,      403, 403]),
    ("GET /api/auth/session",                   [401, 401,  401,    200,  200,  200,  403,      403, 403]),
    ("DELETE /api/auth/session",                [204, 204,  204,    204,  204,  204,  403,      403, 403]),
    ("POST /api/auth/ticket",                   [401, 401,  401,    200,  200,  200,  403,      403, 403]),
    ("GET /api/auth/methods",                   [200, 200,  200,    200,  200,  200,  403,      403, 403]),
    ("GET /api/auth/ringcentral/login",         [303, 303,  303,    303,  303,  303,  403,      403, 403]),
    ("GET /api/auth/ringcentral/callback",      [303, 303,  303,    303,  303,  303,  403,      403, 403]),
    ("GET /health/live",                        [200, 200,  200,    200,  200,  200,  403,      403, 403]),
    ("GET /health/ready",                       [200, 200,  200,    200,  200,  200,  403,      403, 403]),
    ("GET /metrics",                            [401, 401,  401,    403,  403,  200,  403,      403, 403]),
    ("GET /api/openapi.json",                   [200, 200,  200,    200,  200,  200,  403,      403, 403]),
    ("GET /",                                   [200, 200,  200,    200,  200,  200,  200,      403, 403]),
];

on_both_stores! {
    an_agent_sees_and_dismisses_only_calls_of_their_extension,
    an_agent_of_a_queue_sees_the_calls_that_come_through_it,
}

/// A program that knows an admin and the host application's agents.
fn guarded(store: Store) -> Setup {
    Setup::on(store).with("API_TOKENS", TOKEN).with("JWT_SECRET", token::SECRET)
}

#[test]
fn every_route_has_a_row_and_every_row_is_a_route() {
    let routes: BTreeSet<String> = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let rows: BTreeSet<String> = TABLE.iter().map(|(row, _)| row.to_string()).filter(|row| row != "GET /").collect();
    assert_eq!(routes, rows);
}

#[tokio::test]
async fn every_route_answers_every_caller_as_the_table_says() {
    let setup = guarded(Store::Sqlite).with("RINGCENTRAL_VERIFICATION_TOKEN", "expected");
    let app = setup.with_customers(&[("Sarah", "sarah@example.com", "+14165551234")]).await.start().await;
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let mut ring = crate::support::flat("seen", "Ringing", json!({ "phoneNumber": "+14165551234" }));
    ring["event"] = "/restapi/v1.0/account/~/extension/101/presence".into();
    let delivery = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", "expected");
    assert_eq!(delivery.json(&ring).send().await.unwrap().status(), 200);
    let active = read(&app, "/api/ringcentral/active-calls", TOKEN).await;
    let id = active["calls"][0]["id"].as_str().expect("the call is active");
    let customer = active["calls"][0]["customer_id"].as_str().expect("the caller is known");
    let local = TestApp::start(Store::Sqlite).await;

    let expired = token::signed(json!({ "sub": "late", "role": "admin", "exp": token::seconds_from_now(-90) }));
    let (agent, other) = (token::agent("dana", &["101"]), token::agent("kim", &["102"]));
    type Caller<'a> = Box<dyn Fn(RequestBuilder) -> RequestBuilder + 'a>;
    let callers: [(&str, &TestApp, Caller<'_>); 9] = [
        ("nobody", &app, Box::new(|request| request)),
        ("a wrong token", &app, Box::new(|request| request.bearer_auth("a-token-nobody-guessed"))),
        ("an expired JWT", &app, Box::new(|request| request.bearer_auth(&expired))),
        ("an agent", &app, Box::new(|request| request.bearer_auth(&agent))),
        ("another agent", &app, Box::new(|request| request.bearer_auth(&other))),
        ("an admin", &app, Box::new(|request| request.bearer_auth(TOKEN))),
        ("an admin on a foreign page", &app, {
            Box::new(|request| request.bearer_auth(TOKEN).header("Origin", "https://evil.example.com"))
        }),
        ("a rebound name", &local, Box::new(|request| request.header("Host", "evil.example.com"))),
        ("a proxy", &local, Box::new(|request| request.header("X-Forwarded-For", "192.0.2.7"))),
    ];
    let mut wrong = Vec::new();
    for (row, expected) in TABLE {
        let (method, path) = row.split_once(' ').expect("a row is a method and a path");
        let path = path
            .replace("{id}", if path.contains("customers") { customer } else { id })
            .replace("{number}", "+14165550199");
        for ((caller, app, dress), expected) in callers.iter().zip(expected) {
            // What is true of GET must be true of HEAD, which browsers and scripts may send to the same routes.
            for method in [method, "HEAD"].into_iter().take(if method == "GET" { 2 } else { 1 }) {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let url = app.url(&if path == "/api/customers" { format!("{path}?q=sarah") } else { path.clone() });
                let request = client.request(method.clone(), url);
                let request = match row {
                    _ if method == Method::GET || method == Method::HEAD => request,
                    row if row.contains("session") => request.json(&json!({ "token": TOKEN })),
                    row if row.contains("simulator") => request.json(&json!({ "scenario": "guide" })),
                    _ => request,
                };
                let answer = dress(request).send().await.expect("an answer comes");
                if answer.status() != *expected {
                    wrong.push(format!("{method} {path} for {caller}: {} and not {expected}", answer.status()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_table_holds_for_what_is_not_in_it_too() {
    let app = guarded(Store::Sqlite).start().await;
    for (method, path, status) in [
        (Method::PUT, "/api/ringcentral/active-calls", 405),
        (Method::GET, "/api/webhooks/ringcentral", 405),
        (Method::OPTIONS, "/api/ringcentral/active-calls", 405),
        (Method::GET, "/api/ringcentral/active-calls/", 404),
        (Method::GET, "/API/ringcentral/active-calls", 404),
        (Method::GET, "//api/ringcentral/active-calls", 404),
        (Method::GET, "/api/ringcentral/%61ctive-calls", 404),
    ] {
        let answer = app.request(method.clone(), path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        let body: Value = answer.json().await.expect("an error is JSON");
        assert!(body["error"]["code"].is_string(), "{method} {path}: {body}");
    }
}

async fn an_agent_sees_and_dismisses_only_calls_of_their_extension(store: Store) {
    let app = guarded(store).start().await;
    let (dana, kim) = (token::agent("dana", &["101"]), token::agent("kim", &["102"]));
    let mut streams = [watch(&app, &dana).await, watch(&app, &kim).await, watch(&app, TOKEN).await];
    app.ring_at("101", "of-dana").await;
    app.ring_at("102", "of-kim").await;
    let [of_dana, of_kim, of_all] = &mut streams;
    told(of_dana, "call", "of-dana", &["of-dana"]).await;
    told(of_kim, "call", "of-kim", &["of-kim"]).await;
    told(of_all, "call", "of-kim", &["of-dana", "of-kim"]).await;
    assert_eq!(sessions(&app, "active-calls", &dana).await, ["of-dana"]);
    assert_eq!(sessions(&app, "active-calls", &kim).await, ["of-kim"]);
    assert_eq!(sessions(&app, "active-calls", TOKEN).await, ["of-kim", "of-dana"]);

    let active = read(&app, "/api/ringcentral/active-calls", &dana).await;
    let id = active["calls"][0]["id"].as_str().expect("a call has an id");
    for (access, status) in [(&kim, 404), (&dana, 200)] {
        let dismissal = app.request(Method::POST, &format!("/api/ringcentral/calls/{id}/dismiss")).bearer_auth(access);
        assert_eq!(dismissal.send().await.unwrap().status(), status);
    }
    told(of_dana, "call_ended", "of-dana", &["of-dana"]).await;

    app.tell_of("101", "of-dana", "Disconnected").await;
    app.tell_of("102", "of-kim", "Disconnected").await;
    told(of_kim, "call_ended", "of-kim", &["of-kim"]).await;
    crate::support::eventually("both calls in the history", async || {
        (sessions(&app, "calls", TOKEN).await.len() == 2).then_some(())
    })
    .await;
    assert_eq!(sessions(&app, "calls", &dana).await, ["of-dana"]);
    assert_eq!(sessions(&app, "calls", &kim).await, ["of-kim"]);
    assert_eq!(sessions(&app, "calls", &token::agent("max", &["103"])).await, Vec::<String>::new());
    let rest = of_dana.listen_for(Duration::from_millis(500)).await;
    assert!(rest.iter().all(|frame| frame.kind() == "heartbeat"), "{rest:?}");
}

async fn an_agent_of_a_queue_sees_the_calls_that_come_through_it(store: Store) {
    const QUEUE: &str = "900110016";
    let app = guarded(store).start().await;
    app.deliver_fixture("queue-call-answered-by-second-agent").await;
    app.ring_at("101", "elsewhere").await;
    let lead = token::agent("lead", &["900199999", QUEUE]);
    let all = read(&app, "/api/ringcentral/active-calls", TOKEN).await["calls"].as_array().expect("a list").len()
        + read(&app, "/api/ringcentral/calls", TOKEN).await["calls"].as_array().expect("a list").len();
    let mine = [sessions(&app, "active-calls", &lead).await, sessions(&app, "calls", &lead).await].concat();
    assert_eq!((all, mine), (2, vec!["80011229016".to_owned()]));
}

async fn watch(app: &TestApp, bearer: &str) -> Viewer {
    let mut viewer = Viewer::open(app.bearing(bearer).stream()).await;
    viewer.expect("connected").await;
    viewer
}

/// Waits for this event about this session; whatever comes before it is about one of `known`.
async fn told(viewer: &mut Viewer, kind: &str, session: &str, known: &[&str]) {
    let fits = |frame: &Frame| {
        let about = frame.call()["session_id"].as_str();
        assert!(about.is_none_or(|about| known.contains(&about)), "told of a call that is not theirs: {}", frame.data);
        frame.kind() == kind && about == Some(session)
    };
    viewer.find(kind, fits).await;
}

async fn read(app: &TestApp, path: &str, bearer: &str) -> Value {
    let answer = app.bearing(bearer).get(path).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.expect("the answer is JSON")
}

async fn sessions(app: &TestApp, list: &str, bearer: &str) -> Vec<String> {
    let calls = read(app, &format!("/api/ringcentral/{list}"), bearer).await;
    let calls = calls["calls"].as_array().expect("a list").clone();
    calls.iter().map(|call| call["session_id"].as_str().expect("text").to_owned()).collect()
}
