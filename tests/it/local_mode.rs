//! Nobody is named who may read: this machine alone, and nothing that only looks like it.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{ADMIN_TOKEN, PATIENCE, Setup, Store, TestApp, flat};

/// What proxies, tunnels and content networks add.
#[rustfmt::skip]
const FORWARDING: &[&str] = &[
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via",
    "Fly-Client-IP", "Cdn-Loop", "CF-Ray", "CF-Connecting-IP", "X-Azure-ClientIP", "X-Original-Forwarded-For",
    "Ngrok-Trace-Id", "X-Amzn-Trace-Id", "X-Request-Start", "Tailscale-User-Login", "X-ARR-ClientIP",
    "X-ProxyUser-Ip", "WL-Proxy-Client-IP", "X-Azure-Ref", "X-ARR-SSL", "CF-IPCountry", "Fly-Region", "X-Envoy-Original-Path",
    "Proxy-Client-IP", "X-Original-Host", "True-Client-IP", "Fastly-Client-IP", "CloudFront-Viewer-Address", "Client-IP",
];
const ACTIVE: &str = "/api/ringcentral/active-calls";

#[tokio::test]
async fn this_machine_is_known_by_all_its_names() {
    let app = TestApp::start(Store::Sqlite).await;
    let port = app.address.rsplit(':').next().expect("an address has a port");
    let hosts = ["127.0.0.1", "localhost", "LocalHost", "[::1]"].map(|name| format!("{name}:{port}"));
    for host in hosts.iter().map(String::as_str).chain(["localhost"]) {
        let answer = app.request(Method::GET, ACTIVE).header("Host", host).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn whatever_names_another_host_or_none_is_refused() {
    // A page that rebound its name to 127.0.0.1, or a request that tries to name two hosts.
    let app = TestApp::start(Store::Sqlite).await;
    for (line, hosts) in [
        ("/", &["evil.example.com"][..]),
        ("/", &["evil.example.com:80"]),
        ("/", &["127.0.0.1.evil.example.com"]),
        ("/", &["localhost."]),
        ("/", &["192.0.2.7"]),
        ("/", &["localhost@evil.example.com"]),
        ("/", &["[::ffff:192.0.2.7]"]),
        ("/", &["[::1]evil"]),
        ("/", &["[::1]evil.example.com:80"]),
        ("/", &["127.0.0.1:evil"]),
        ("/", &["127.0.0.1:80.evil.example.com"]),
        ("/", &["localhost:evil"]),
        ("/", &["[127.0.0.1]"]),
        ("/", &[""]),
        ("/", &[]),
        ("/", &["localhost", "evil.example.com"]),
        ("/", &["evil.example.com", "localhost"]),
        ("http://evil.example.com/", &["localhost"]),
        ("http://localhost/", &["evil.example.com"]),
        ("http://localhost@evil.example.com/", &["localhost"]),
    ] {
        let status = raw(&app, &format!("GET {line} HTTP/1.1"), hosts).await;
        assert!(["403", "400"].contains(&status.as_str()), "{line} for {hosts:?}: {status}");
    }
    assert_eq!(raw(&app, "GET http://localhost/ HTTP/1.1", &["localhost"]).await, "200");
}

#[tokio::test]
async fn a_proxy_does_not_open_local_mode_to_the_world() {
    let app = TestApp::start(Store::Sqlite).await;
    for header in FORWARDING {
        refused(app.request(Method::GET, ACTIVE).header(*header, "192.0.2.7"), header).await;
    }
    // nginx, unless told otherwise, says nothing of the kind, and puts the address it forwards to into Host.
    assert_eq!(raw(&app, &format!("GET {ACTIVE} HTTP/1.0"), &["127.0.0.1"]).await, "403");
}

#[tokio::test]
async fn another_address_needs_somebody_who_may_read() {
    let setup = Setup::on(Store::Sqlite).with("BIND", "0.0.0.0:0");
    let (status, output) = setup.run(&["serve"]).await;
    assert!(!status.success());
    assert!(output.contains("BIND") && output.contains("API_TOKENS"), "{output}");
}

#[tokio::test]
async fn a_proxy_may_bring_notifications_once_they_can_be_told_from_forged_ones() {
    let ring = flat("tunnelled", "Ringing", json!({ "phoneNumber": "+14165551234" }));
    let tunnelled = |app: &TestApp| {
        let post = app.request(Method::POST, "/api/webhooks/ringcentral").json(&ring);
        post.header("Host", "calls.example.com").header("X-Forwarded-For", "192.0.2.7")
    };
    let open = TestApp::start(Store::Sqlite).await;
    refused(tunnelled(&open), "without a verification token").await;
    let protected = Setup::on(Store::Sqlite).with("RINGCENTRAL_VERIFICATION_TOKEN", "expected").start().await;
    let answer = tunnelled(&protected).header("Verification-Token", "expected").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(protected.active_call("tunnelled").await.is_some());
}

#[tokio::test]
async fn a_page_elsewhere_cannot_act_through_this_machines_browser() {
    let app = TestApp::start(Store::Sqlite).await;
    let forged = flat("forged", "Ringing", json!({ "phoneNumber": "+14165551234" })).to_string();
    for route in ["/api/webhooks/ringcentral", "/api/simulator/calls", "/api/ringcentral/calls/1/dismiss"] {
        // What a form or a script may send without asking first.
        let post = app.request(Method::POST, route).header("Content-Type", "text/plain").body(forged.clone());
        refused(post.header("Origin", "https://evil.example.com"), route).await;
    }
    assert!(app.active_calls().await.is_empty());
}

#[tokio::test]
async fn a_page_elsewhere_reads_nothing_through_this_machines_browser() {
    let app = TestApp::start(Store::Sqlite).await;
    let own = format!("http://{}", app.address);
    let by_https = format!("https://{}", app.address);
    let port = app.address.rsplit(':').next().expect("an address has a port");
    let named = format!("http://localhost:{port}");
    for path in [ACTIVE, "/api/ringcentral/calls", "/api/ringcentral/call-stream", "/metrics", "/api/auth/session"] {
        let get = || app.request(Method::GET, path);
        // A script, an image or a frame of the page names no origin.
        let embedded = || get().header("Sec-Fetch-Site", "cross-site");
        refused(embedded().header("Sec-Fetch-Mode", "no-cors"), path).await;
        refused(embedded(), path).await;
        refused(embedded().header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Dest", "document"), path).await;
        for origin in ["https://evil.example.com", "null", &by_https, &named] {
            refused(get().header("Origin", origin), path).await;
        }
    }
    let sites = ["same-origin", "none", "same-site"].map(|site| ("Sec-Fetch-Site", site));
    for (name, value) in sites.into_iter().chain([("Origin", own.as_str())]) {
        let answer = app.request(Method::GET, ACTIVE).header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{name}: {value}");
        assert_eq!(answer.headers()["cross-origin-resource-policy"], "same-origin");
    }
    for path in ["/", "/demo.html", "/api/openapi.json", "/health/live"] {
        let integration = app.request(Method::GET, path).header("Sec-Fetch-Site", "cross-site");
        let integration = integration.header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Dest", "document");
        assert_eq!(integration.send().await.unwrap().status(), StatusCode::OK, "a link leads to {path}");
    }
}

#[tokio::test]
async fn a_webhook_that_a_page_sends_is_refused_with_and_without_a_token() {
    let ring = flat("of-a-page", "Ringing", json!({ "phoneNumber": "+14165551234" }));
    let admins = ("API_TOKENS", ADMIN_TOKEN);
    let open = Setup::on(Store::Sqlite).with(admins.0, admins.1).start().await;
    let token = ("RINGCENTRAL_VERIFICATION_TOKEN", "expected");
    let verified = Setup::on(Store::Sqlite).with(token.0, token.1).with("PUBLIC_URL", "https://calls.example.com");
    for app in [TestApp::start(Store::Sqlite).await, open, verified.start().await] {
        let post = || {
            let post = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", "expected");
            post.body(ring.to_string())
        };
        for origin in
            ["https://evil.example.com", "null", "https://calls.example.com", &format!("http://{}", app.address)]
        {
            refused(post().header("Origin", origin), origin).await;
            refused(post().header("Origin", origin).header("Validation-Token", "handshake"), origin).await;
        }
        for site in ["cross-site", "same-site", "same-origin"] {
            refused(post().header("Sec-Fetch-Site", site), site).await;
        }
        assert_eq!(post().send().await.unwrap().status(), StatusCode::OK, "RingCentral sends neither");
    }
}

/// Sends a head as it stands here, which no client would, and returns the answer's status.
async fn raw(app: &TestApp, line: &str, hosts: &[&str]) -> String {
    let mut socket = TcpStream::connect(&app.address).await.expect("it listens");
    let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
    socket.write_all(format!("{line}\r\n{hosts}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("an answer comes").unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned()
}

async fn refused(request: RequestBuilder, what: &str) {
    let answer = request.send().await.expect("an answer comes");
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{what}");
    let body: Value = answer.json().await.expect("an error is JSON");
    assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string(), "{what}: {body}");
}
