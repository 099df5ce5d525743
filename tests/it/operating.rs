//! Seen from outside: metrics, names of requests, health, and the API's description of itself.

use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::fake_ringcentral::FakeRingCentral;
use crate::support::{ADMIN_TOKEN, Setup, Store, TestApp, eventually, flat};

const TOKEN: &str = ADMIN_TOKEN;

on_both_stores! {
    a_call_leaves_its_trace_in_the_metrics,
    answers_are_what_the_description_says,
}

async fn a_call_leaves_its_trace_in_the_metrics(store: Store) {
    let app = TestApp::start(store).await;
    if store == Store::Mongo {
        // A change from before the stream is open has no lag.
        eventually("changes are followed", async || {
            (app.get_json("/health/ready").await["changes"] == "at_once").then_some(())
        })
        .await;
    }
    let mut viewer = app.viewer().await;
    app.ring("measured", "+14165551234").await;
    viewer.expect("call").await;
    app.post_webhook(&json!("no notification")).await;
    for line in [
        "caller_popup_webhooks_total{kind=\"guide\",status=\"200\"} 1",
        "caller_popup_webhooks_total{kind=\"unknown\",status=\"200\"} 1",
        "caller_popup_webhook_stored_seconds_count 2",
        "caller_popup_webhook_pushed_seconds_count 1",
        "caller_popup_customer_lookup_seconds_count 1",
        "caller_popup_viewers 1",
        "caller_popup_streams_total 1",
        "caller_popup_active_calls{status=\"ringing\"} 1",
        "caller_popup_store_up 1",
        "caller_popup_spooled 0",
    ] {
        eventually(line, async || app.metrics().await.lines().find(|found| *found == line).map(str::to_owned)).await;
    }
    let lag = "caller_popup_change_stream_lag_seconds_count ";
    let told = async || app.metrics().await.lines().find_map(|line| line.strip_prefix(lag)?.parse::<u64>().ok());
    match store {
        Store::Mongo => eventually("the change stream told it", async || told().await.filter(|told| *told > 0)).await,
        Store::Sqlite => told().await.filter(|told| *told == 0).expect("the file has no change stream"),
    };
    assert!(!app.metrics().await.contains("4165551234"));
}

async fn answers_are_what_the_description_says(store: Store) {
    let app = Setup::on(store).with_customers(&[("Sarah", "sarah@example.com", "+14165551234")]).await.start().await;
    app.ring("goes-on", "+14165551234").await;
    app.ring("ends", "+14165551234").await;
    app.hang_up("ends").await;
    app.ended_call("ends").await;
    let document = app.get_json("/api/openapi.json").await;
    for (path, described) in [
        ("/api/ringcentral/active-calls", "/api/ringcentral/active-calls"),
        ("/api/ringcentral/calls?limit=1", "/api/ringcentral/calls"),
        ("/api/ringcentral/calls?since=yesterday", "/api/ringcentral/calls"),
        ("/api/ringcentral/config", "/api/ringcentral/config"),
        ("/api/simulator/scenarios", "/api/simulator/scenarios"),
        ("/health/live", "/health/live"),
        ("/health/ready", "/health/ready"),
    ] {
        let answer = app.get(path).await;
        let status = answer.status();
        check(&document, described, "get", status, &answer.json().await.unwrap());
    }
    for (path, described) in [
        ("/api/ringcentral/calls/no-such-call/dismiss", "/api/ringcentral/calls/{id}/dismiss"),
        ("/api/webhooks/ringcentral", "/api/webhooks/ringcentral"),
    ] {
        let answer = app.request(Method::POST, path).body("no JSON").send().await.unwrap();
        let status = answer.status();
        check(&document, described, "post", status, &answer.json().await.unwrap());
    }
}

#[tokio::test]
async fn only_admins_read_the_metrics() {
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).start().await;
    assert_eq!(app.get("/metrics").await.status(), StatusCode::UNAUTHORIZED);
    let answer = app.as_admin().get("/metrics").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    assert!(answer.text().await.unwrap().ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_wrong_token_at_the_webhook_is_counted_and_told() {
    let app = Setup::on(Store::Sqlite).with("RINGCENTRAL_VERIFICATION_TOKEN", "expected").start().await;
    let refused = app.post_webhook(&flat("forged", "Ringing", json!({}))).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(app.metrics().await.contains("caller_popup_webhooks_total{kind=\"unread\",status=\"401\"} 1"));
    let health = app.get_json("/health/ready").await;
    assert_eq!((&health["ready"], &health["refused_webhooks"]), (&json!(true), &json!(1)));
    assert!(health["last_refused_at"].is_string(), "{health}");
    assert!(health["warnings"][0].as_str().unwrap().contains("verification token"), "{health}");
}

#[tokio::test]
async fn counts_are_for_those_who_may_read_calls() {
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).start().await;
    let health = async |bearer: &str| {
        let answer = app.bearing(bearer).get("/health/ready").await;
        answer.json::<Value>().await.unwrap()
    };
    let counts = |health: &Value| ["spooled", "viewers", "refused_webhooks"].map(|count| health.get(count).cloned());
    assert_eq!(counts(&health(TOKEN).await), [Some(json!(0)), Some(json!(0)), Some(json!(0))]);
    for anonymous in [app.get_json("/health/ready").await, health("a-token-somebody-guessed").await] {
        assert_eq!(anonymous["ready"], true);
        assert_eq!(counts(&anonymous), [Some(Value::Null), Some(Value::Null), Some(Value::Null)], "null, not absent");
    }
}

#[tokio::test]
async fn browsers_are_kept_on_https_where_that_is_how_they_come() {
    for (url, kept) in [("https://calls.example.com", true), ("http://localhost:8080", false)] {
        let app = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with("PUBLIC_URL", url).start().await;
        for path in ["/", "/health/live", "/api/ringcentral/active-calls"] {
            let answer = app.get(path).await;
            let said = answer.headers().get("strict-transport-security").map(|said| said.to_str().unwrap());
            assert_eq!(said, kept.then_some("max-age=31536000"), "{path} at {url}");
        }
    }
}

#[tokio::test]
async fn a_proxy_setting_that_trusts_everybody_is_a_warning() {
    for (proxies, warns) in [("0.0.0.0/0", true), ("127.0.0.1, ::/0", true), ("127.0.0.1,10.0.0.0/8", false)] {
        let app = Setup::on(Store::Sqlite).with("TRUSTED_PROXIES", proxies).start().await;
        app.get("/health/live").await;
        let warned = app.log().lines().any(|line| line.contains("WARN") && line.contains("TRUSTED_PROXIES"));
        assert_eq!(warned, warns, "{proxies}: {}", app.log());
    }
}

#[tokio::test]
async fn who_guesses_a_token_is_counted_logged_and_slowed_and_others_are_not() {
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with("TRUSTED_PROXIES", "127.0.0.1").start().await;
    let guess = async |from: &str, what: usize, n: usize| {
        let wrong = format!("a-token-somebody-guesses-{n}");
        let request = match what {
            0 => app.request(Method::GET, "/api/ringcentral/active-calls").bearer_auth(wrong),
            1 => app.request(Method::POST, "/api/auth/session").json(&json!({ "token": wrong })),
            _ => app.request(Method::GET, &format!("/api/ringcentral/call-stream?ticket={wrong}")),
        };
        request.header("X-Forwarded-For", from).send().await.unwrap().status().as_u16()
    };
    for (what, from) in ["192.0.2.1", "192.0.2.2", "192.0.2.3"].into_iter().enumerate() {
        let mut answers = Vec::new();
        for n in 0..100 {
            answers.push(guess(from, what, n).await);
        }
        assert_eq!(answers[..40], [401; 40]);
        assert!(answers.contains(&429), "{what}: {answers:?}");
        let right = app.request(Method::GET, "/api/ringcentral/active-calls").bearer_auth(TOKEN);
        assert_eq!(right.header("X-Forwarded-For", from).send().await.unwrap().status(), 200, "a right token is");
        let right = app.request(Method::POST, "/api/auth/session").json(&json!({ "token": TOKEN }));
        assert_eq!(right.header("X-Forwarded-For", from).send().await.unwrap().status(), 204);
    }
    assert_eq!(guess("192.0.2.4", 0, 0).await, 401, "another client");
    let counted = app.as_admin().get("/metrics").await.text().await.unwrap();
    for line in [
        "caller_popup_credentials_refused_total{credential=\"bearer\"} 101",
        "caller_popup_credentials_refused_total{credential=\"session\"} 100",
        "caller_popup_credentials_refused_total{credential=\"ticket\"} 100",
    ] {
        assert!(counted.lines().any(|found| found == line), "{line} is missing in {counted}");
    }
    let lines = app.log().lines().filter(|line| line.contains("wrong credentials")).count();
    assert!((1..10).contains(&lines), "{lines} lines");
}

#[tokio::test]
async fn whoever_believes_every_webhook_is_told() {
    let open = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).start().await;
    eventually("a line about it", async || open.log().contains("every webhook is believed").then_some(())).await;
    let health = open.get_json("/health/ready").await;
    assert!(health["warnings"][0].as_str().unwrap().contains("verification token"), "{health}");
    let (status, said) = open.run(&["doctor"]).await;
    assert!(!status.success() && said.contains("BAD   verification"), "{said}");
    let verified =
        Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with("RINGCENTRAL_VERIFICATION_TOKEN", "expected");
    for quiet in [TestApp::start(Store::Sqlite).await, verified.start().await] {
        assert_eq!(quiet.get_json("/health/ready").await["warnings"], json!([]));
        let (_, said) = quiet.run(&["doctor"]).await;
        assert!(said.contains("ok    verification") && !quiet.log().contains("every webhook is believed"), "{said}");
    }
}

#[tokio::test]
async fn what_ringcentral_says_of_the_subscription_is_for_those_who_may_read() {
    let fake = FakeRingCentral::start().await;
    fake.permit("CallControl ReadAccounts ReadPresence");
    let setup = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with("PUBLIC_URL", "https://calls.example.com");
    let app = fake.settings().iter().fold(setup, |setup, (name, value)| setup.with(name, value)).start().await;
    let detail = async |bearer: &str| {
        let answer = app.bearing(bearer).get("/health/ready").await;
        let health: Value = answer.json().await.unwrap();
        Some(health["subscription"]["detail"].as_str()?.to_owned())
    };
    let told = eventually("the subscription was looked at", async || detail(TOKEN).await).await;
    assert!(told.contains("SubscriptionWebhook"), "{told}");
    let shown = detail("a-token-somebody-guessed").await.expect("there is something to read");
    assert!(shown.contains("Sign in") && !shown.contains("SubscriptionWebhook"), "{shown}");
}

#[tokio::test]
async fn history_is_kept_for_as_long_as_the_settings_say() {
    let mut app = TestApp::start(Store::Sqlite).await;
    for session in ["old", "recent"] {
        app.ring(session, "+14165551234").await;
        app.hang_up(session).await;
        app.ended_call(session).await;
    }
    app.kill().await;
    let store = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
    let age = "UPDATE call_history SET timestamp = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?2) WHERE session_id = ?1";
    for (session, ago) in [("old", "-31 days"), ("recent", "-29 days")] {
        assert_eq!(store.execute(age, [session, ago]).unwrap(), 1);
    }
    app.restart_with("RETENTION_DAYS", "30").await;
    let history = eventually("the old call is forgotten", async || {
        let history = app.history().await;
        (history.len() < 2).then_some(history)
    })
    .await;
    assert_eq!(history.iter().map(|call| &call["session_id"]).collect::<Vec<_>>(), ["recent"]);
}

#[tokio::test]
async fn the_command_simulates_a_call_with_the_token_that_the_service_made() {
    let mut app = TestApp::start(Store::Sqlite).await;
    let made = json!({ "token": "made-by-the-service-itself", "previous": null, "subscription_id": null });
    let store = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
    store.execute("INSERT INTO settings VALUES ('verification', ?1)", [made.to_string()]).unwrap();
    app.kill().await;
    app.restart().await;
    let (status, said) = app.run(&["simulate", "rejected", "--url", &app.url("/")]).await;
    assert!(status.success(), "{said}");
    eventually("the call in the history", async || (app.history().await.len() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_request_has_a_name_in_its_answer_and_in_the_log() {
    let app = Setup::on(Store::Sqlite).with("LOG", "debug").start().await;
    let named = app.request(Method::GET, "/health/live").header("x-request-id", "from-the-proxy-1").send().await;
    assert_eq!(named.unwrap().headers()["x-request-id"], "from-the-proxy-1");
    eventually("a line about it", async || {
        let log = app.log();
        let line = log.lines().find(|line| line.contains("from-the-proxy-1"))?;
        let line: Value = serde_json::from_str(line).expect("the log is JSON");
        assert_eq!((&line["route"], &line["status"]), (&json!("/health/live"), &json!(200)));
        Some(())
    })
    .await;
    let ours = app.get("/health/live").await.headers()["x-request-id"].clone();
    assert_eq!(ours.len(), 16);
    let odd = app.request(Method::GET, "/health/live").header("x-request-id", "a\"b").send().await.unwrap();
    assert_ne!(odd.headers()["x-request-id"], "a\"b");
    let stream =
        app.request(Method::GET, "/api/ringcentral/call-stream").header("x-request-id", "a-stream").send().await;
    assert_eq!(stream.unwrap().headers()["x-request-id"], "a-stream");
    let missing = app.get("/no-such-page").await;
    assert!(missing.status() == StatusCode::NOT_FOUND && missing.headers().contains_key("x-request-id"));
}

#[tokio::test]
async fn the_handshakes_answer_carries_nothing_more() {
    let app = TestApp::start(Store::Sqlite).await;
    let handshake = app.request(Method::POST, "/api/webhooks/ringcentral").header("Validation-Token", "echo");
    let answer = handshake.send().await.unwrap();
    assert_eq!(answer.headers()["validation-token"], "echo");
    assert!(!answer.headers().contains_key("x-request-id"));
}

/// Holds an answer against the schema of its route and status.
fn check(document: &Value, path: &str, method: &str, status: StatusCode, answer: &Value) {
    let responses = &document["paths"][path][method]["responses"];
    let described = &responses[status.as_str()];
    let described = if described.is_null() { &responses["default"] } else { described };
    let mut schema = described["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{method} {path} {status} is not described");
    schema["components"] = document["components"].clone();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    let problems: Vec<_> = validator.iter_errors(answer).map(|problem| problem.to_string()).collect();
    assert!(problems.is_empty(), "{method} {path} {status}: {problems:#?}\n{answer:#}");
}
