//! Who may read: this machine alone while nobody is named, and then those who are.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::{Setup, Store, TestApp, flat};

const TOKEN: &str = "a-token-nobody-guesses";

const ROUTES: [&str; 5] = [
    "/",
    "/api/ringcentral/active-calls",
    "/api/ringcentral/call-stream",
    "/api/ringcentral/calls",
    "/api/ringcentral/config",
];

#[tokio::test]
async fn a_page_elsewhere_cannot_read_through_this_machines_browser() {
    // A name of the attacker's that resolves to 127.0.0.1: the browser then sends that name as Host.
    let app = TestApp::start(Store::Sqlite).await;
    for host in ["evil.example.com", "evil.example.com:80", "127.0.0.1.evil.example.com", "192.0.2.7"] {
        for route in ROUTES {
            refused(app.request(Method::GET, route).header("Host", host), &format!("{route} for {host}")).await;
        }
    }
}

#[tokio::test]
async fn a_proxy_does_not_open_local_mode_to_the_world() {
    let app = TestApp::start(Store::Sqlite).await;
    for header in ["X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded"] {
        for route in ROUTES {
            refused(app.request(Method::GET, route).header(header, "192.0.2.7"), &format!("{route} with {header}"))
                .await;
        }
    }
}

#[tokio::test]
async fn this_machine_is_known_by_all_its_names() {
    let app = TestApp::start(Store::Sqlite).await;
    let port = app.address.rsplit(':').next().expect("an address has a port");
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), "localhost".into(), format!("[::1]:{port}")]
    {
        let answer =
            app.request(Method::GET, "/api/ringcentral/active-calls").header("Host", &host).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
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
async fn admins_read_with_their_token_and_nobody_without() {
    let tokens = format!("{TOKEN},another-token-of-admins");
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", &tokens).start().await;
    app.ring("private", "+14165551234").await;
    for route in ["/api/ringcentral/active-calls", "/api/ringcentral/call-stream", "/api/ringcentral/calls"] {
        for wrong in
            ["", "Bearer ", "Bearer a-token-nobody-guesse", "Basic a-token-nobody-guesses", "a-token-nobody-guesses"]
        {
            let answer = app.request(Method::GET, route).header("Authorization", wrong).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{route} with {wrong:?}");
            let body: Value = answer.json().await.expect("an error is JSON");
            assert!(body["error"]["code"].is_string(), "{body}");
        }
        for token in [TOKEN, "another-token-of-admins"] {
            let elsewhere = app.request(Method::GET, route).header("Host", "calls.example.com").bearer_auth(token);
            assert_eq!(elsewhere.send().await.unwrap().status(), StatusCode::OK, "{route}");
        }
    }
}

async fn refused(request: RequestBuilder, what: &str) {
    let answer = request.send().await.expect("an answer comes");
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{what}");
    let body: Value = answer.json().await.expect("an error is JSON");
    assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string(), "{what}: {body}");
}
