//! JWTs that the host application signs with the right key, and makes wrong.

use serde_json::{Value, json};

use crate::support::token::{SECRET, hs256, seconds_from_now, signed};
use crate::support::{Setup, Store};

const ACTIVE: &str = "/api/ringcentral/active-calls";

#[tokio::test]
async fn a_malformed_jwt_is_refused_with_what_is_wrong_and_not_counted_as_a_guess() {
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", SECRET).with("JWT_AUDIENCE", "calls").start().await;
    let hour = seconds_from_now(3600);
    let good = json!({ "sub": "dana", "exp": hour, "extension_ids": ["101"], "aud": "calls" });
    assert_eq!(app.bearing(&signed(good.clone())).get(ACTIVE).await.status(), 200);
    let malformed = [
        ("exp", Value::Null, 401, "no \"exp\""),
        ("exp", json!("tomorrow"), 401, "no \"exp\""),
        ("exp", json!(hour * 1_000), 401, "\"exp\" is in milliseconds"),
        ("nbf", json!(seconds_from_now(90)), 401, "\"nbf\" is in the future"),
        ("nbf", json!("today"), 401, "\"nbf\" has to be a number"),
        ("extension_ids", json!("101"), 401, "\"extension_ids\" has to be a list"),
        ("extension_ids", json!([{ "id": "101" }]), 401, "\"extension_ids\" has to be a list"),
        ("extension_ids", Value::Null, 403, "neither \"role\":\"admin\" nor whose \"extension_ids\""),
        ("extension_ids", json!(vec!["101"; 201]), 403, "more than 200 \"extension_ids\""),
        ("sub", json!(17), 401, "\"sub\" is no text"),
        ("sub", Value::Null, 403, "\"sub\""),
        ("aud", json!("crm"), 401, "\"aud\" does not name this service"),
    ];
    // Together more than the wrong tokens that one address may send in a minute.
    for _ in 0..6 {
        for (claim, value, status, message) in &malformed {
            let mut claims = good.clone();
            claims[claim] = value.clone();
            let answer = app.bearing(&signed(claims)).get(ACTIVE).await;
            let (actual, body) = (answer.status(), answer.json::<Value>().await.unwrap());
            let said = body["error"]["message"].as_str().expect("a sentence");
            assert!(actual == *status && said.contains(message), "{claim} {value}: {actual} {said}");
        }
    }
    let mut forged = good;
    forged["exp"] = Value::Null;
    let forged = hs256(b"a-secret-of-some-other-application", &forged);
    let answer: Value = app.bearing(&forged).get(ACTIVE).await.json().await.unwrap();
    assert_eq!(
        answer["error"]["message"], "Sign in, or send a valid token, to see calls.",
        "says nothing of its claims"
    );
}
