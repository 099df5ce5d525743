//! With nobody named who may read, only this machine may.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::support::{Setup, Store, TestApp};

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

async fn refused(request: RequestBuilder, what: &str) {
    let answer = request.send().await.expect("an answer comes");
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{what}");
    let body: Value = answer.json().await.expect("an error is JSON");
    assert!(body["error"]["code"].is_string() && body["error"]["message"].is_string(), "{what}: {body}");
}
