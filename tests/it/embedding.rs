//! The popup on a page of another origin, in Chromium: how its stream is opened, and what a Content-Security-Policy has to allow.

use axum::Router;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::chromium::Browser;
use crate::support::token::{SECRET, agent, seconds_from_now, signed};
use crate::support::{Setup, Store, TestApp};

const STREAM: &str = "/api/ringcentral/call-stream";
const TICKET: &str = "/api/auth/ticket";
const STATE: &str = "document.querySelector('call-popup')?.feed?.status.state";
const CARDS: &str =
    "document.querySelector('call-popup').shadowRoot.querySelectorAll('[part~=card]:not(.leaving)').length";
const PAGE: &str = r#"<!doctype html><title>Host</title>
    <script nonce="host">
        window.violations = [];
        window.seen = [];
        document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => violations.push(`${effectiveDirective} ${blockedURI}`));
        addEventListener("call-popup:status", ({ detail }) => seen.push(detail));
    </script>
    <script type="module" src="SERVICE/call-popup.js"></script>
    <call-popup></call-popup>
    <script type="module" nonce="host">document.querySelector("call-popup").token = "TOKEN";</script>"#;

/// The service, and a page of another origin that embeds its popup with this token, under the policy made of the service's origin.
async fn embedded(token: &str, policy: impl Fn(&str) -> String) -> (TestApp, Browser) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let host = format!("http://localhost:{}", listener.local_addr().expect("it is bound").port());
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", SECRET).with("ALLOWED_ORIGINS", &host).start().await;
    let service = app.url("/").trim_end_matches('/').to_owned();
    let html = PAGE.replace("SERVICE", &service).replace("TOKEN", token);
    let policy = policy(&service);
    let page = move || async move { ([("content-security-policy", policy)], Html(html)).into_response() };
    tokio::spawn(async { axum::serve(listener, Router::new().route("/", get(page))).await.expect("it serves") });
    let browser = Browser::open(&app, "/health/live").await;
    browser.go(&host).await;
    (app, browser)
}

/// The lines that the README gives to hosts, for a page that allows itself and its own script besides.
fn as_the_readme_says(service: &str) -> String {
    let lines = include_str!("../../README.md").lines().find(|line| line.starts_with("script-src "));
    let lines = lines.expect("the README has the lines").replace("https://popup.example.com", service);
    format!("default-src 'self'; {}", lines.replace("script-src", "script-src 'nonce-host'"))
}

#[tokio::test]
async fn a_page_elsewhere_opens_its_stream_with_one_request_after_the_module() {
    let (app, browser) = embedded(&agent("dana", &["101"]), as_the_readme_says).await;
    browser.until("the stream is live", &format!("{STATE} === 'live'")).await;
    // A stream has an entry when it has ended; a preflight has one of its own, with the same address.
    let asked = async |path: &str| {
        let entries = "return performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)";
        let entries = browser.run(entries).await;
        entries.as_array().expect("a list").iter().filter(|entry| *entry == path).count()
    };
    assert_eq!((asked(STREAM).await, asked(TICKET).await), (0, 0));
    app.ring_at("101", "of-dana").await;
    browser.until("a card", &format!("{CARDS} === 1")).await;
    // The line ends, and the next goes on where it was.
    browser.run("document.querySelector('call-popup').feed.restart()").await;
    browser.until("it is live again", &format!("{STATE} === 'live'")).await;
    app.ring_at("101", "of-dana-again").await;
    browser.until("two cards", &format!("{CARDS} === 2")).await;
    assert_eq!((asked(STREAM).await, asked(TICKET).await), (1, 0));
}

#[tokio::test]
async fn a_page_whose_token_has_no_role_shows_the_server_s_sentence() {
    let token = signed(json!({ "sub": "dana", "exp": seconds_from_now(600) }));
    let (_app, browser) = embedded(&token, as_the_readme_says).await;
    browser.until("it is denied", &format!("{STATE} === 'denied'")).await;
    let sentence = r#"This token is valid, but says neither "role":"admin" nor whose "extension_ids"."#;
    assert_eq!(browser.run("return seen.at(-1).message").await, json!(sentence));
}

#[tokio::test]
async fn the_popup_works_under_the_policy_of_the_readme_without_a_violation() {
    let (app, browser) = embedded(&agent("dana", &["101"]), as_the_readme_says).await;
    browser.until("the stream is live", &format!("{STATE} === 'live'")).await;
    app.ring_at("101", "of-dana").await;
    browser.until("a card", &format!("{CARDS} === 1")).await;
    browser.until("it is in place", "document.querySelector('call-popup').shadowRoot.querySelector('[part~=card]').getBoundingClientRect().top < 200").await;
    browser.run("document.querySelector('call-popup').shadowRoot.querySelector('[part~=dismiss]').click()").await;
    browser.until("no card", &format!("{CARDS} === 0")).await;
    assert_eq!(browser.run("return violations").await, json!([]));
    let console = browser.console().await;
    assert!(!console.contains("Content Security Policy") && !console.contains("Refused to"), "{console}");
}

#[tokio::test]
async fn a_policy_without_connect_src_blocks_the_popup_and_the_status_says_what_to_add() {
    let without = |service: &str| {
        let policy = as_the_readme_says(service);
        policy.split_once("; connect-src").expect("it is the last").0.to_owned()
    };
    let (app, browser) = embedded(&agent("dana", &["101"]), without).await;
    browser.until("it is blocked", &format!("{STATE} === 'blocked'")).await;
    let message = browser.run("return seen.at(-1).message").await;
    let origin = app.url("/").trim_end_matches('/').to_owned();
    let cure = format!("Add {origin} to its connect-src.");
    assert!(message.as_str().is_some_and(|message| message.ends_with(&cure)), "{message}");
    let violations = browser.run("return violations").await;
    assert!(violations[0].as_str().is_some_and(|first| first.starts_with("connect-src ")), "{violations}");
}
