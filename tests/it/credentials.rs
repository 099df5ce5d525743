//! What proves who somebody is: tokens, the host application's JWTs, sessions, tickets; and what does not.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::token::{self, KeyOfP256, SECRET, hs256, seconds_from_now, signed, unsigned};
use crate::support::{ADMIN_TOKEN, Setup, Store, TestApp, Viewer, own_store};

const TOKEN: &str = ADMIN_TOKEN;
const ACTIVE: &str = "/api/ringcentral/active-calls";
const SESSION: &str = "/api/auth/session";
const TICKET: &str = "/api/auth/ticket";

on_both_stores! {
    a_ticket_opens_one_stream_and_only_once,
    a_session_outlives_a_restart_but_not_its_token,
    signing_out_ends_what_the_cookie_opened,
    a_ticket_is_worth_nothing_when_its_time_is_over,
}

#[tokio::test]
async fn every_admin_token_counts_and_nothing_like_it() {
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", &format!("{TOKEN},another-token-of-admins")).start().await;
    for wrong in
        ["", "Bearer ", "Bearer a-token-nobody-guesse", "Basic a-token-nobody-guesses", "a-token-nobody-guesses"]
    {
        let answer = app.request(Method::GET, ACTIVE).header("Authorization", wrong).send().await.unwrap();
        assert_eq!(answer.headers().get("www-authenticate").unwrap(), "Bearer");
        assert_eq!(refusal(answer).await, (401, "unauthorized".into()), "{wrong:?}");
    }
    for token in [TOKEN, "another-token-of-admins"] {
        let answer = app.request(Method::GET, ACTIVE).header("Host", "calls.example.com").bearer_auth(token);
        assert_eq!(answer.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_jwt_must_say_who_until_when_and_what_for() {
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", SECRET).start().await;
    let hour = seconds_from_now(3600);
    let good = json!({ "sub": "dana", "exp": hour, "extension_ids": ["101", 102] });
    for (claims, expected) in [
        (good.clone(), (200, "")),
        (json!({ "sub": "root", "exp": hour, "role": "admin" }), (200, "")),
        (json!({ "sub": "dana", "exp": hour as f64 + 0.5, "role": "admin" }), (200, "")),
        (json!({ "sub": "dana", "exp": seconds_from_now(-30), "role": "admin" }), (200, "")),
        (json!({ "sub": "dana", "exp": hour, "role": "admin", "aud": "whoever" }), (200, "")),
        (json!({ "sub": "dana", "exp": hour, "nbf": seconds_from_now(30), "role": "admin" }), (200, "")),
        (json!({ "sub": "dana", "exp": seconds_from_now(-90), "role": "admin" }), (401, "expired")),
        (json!({ "sub": "dana", "exp": hour, "nbf": seconds_from_now(90), "role": "admin" }), (401, "unauthorized")),
        (json!({ "sub": "dana", "role": "admin" }), (401, "unauthorized")),
        (json!({ "sub": "dana", "exp": "tomorrow", "role": "admin" }), (401, "unauthorized")),
        (json!({ "sub": "dana", "exp": hour, "extension_ids": "101" }), (401, "unauthorized")),
        (json!({ "exp": hour, "role": "admin" }), (403, "no_rights")),
        (json!({ "sub": "", "exp": hour, "role": "admin" }), (403, "no_rights")),
        (json!({ "sub": "dana", "exp": hour }), (403, "no_rights")),
        (json!({ "sub": "dana", "exp": hour, "role": "Admin" }), (403, "no_rights")),
        (json!({ "sub": "dana", "exp": hour, "extension_ids": [] }), (403, "no_rights")),
    ] {
        let answer = app.bearing(&signed(claims.clone())).get(ACTIVE).await;
        assert_eq!(refusal(answer).await, (expected.0, expected.1.to_owned()), "{claims}");
    }
    let known = app.bearing(&signed(good)).get(SESSION).await.json::<Value>().await.unwrap();
    assert_eq!(known["viewer"], json!({ "id": "user-dana", "role": "agent", "extension_ids": ["101", "102"] }));
    assert_eq!(
        time(&known["expires_at"]).timestamp(),
        hour + 60,
        "the end is the token's, with the leeway it is taken with"
    );
}

#[tokio::test]
async fn a_jwt_with_extensions_that_must_be_known_is_refused() {
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", SECRET).start().await;
    let claims = json!({ "sub": "root", "exp": seconds_from_now(3600), "role": "admin" });
    for (crit, status) in [
        (None, 200),
        (Some(json!(["exp"])), 401),
        (Some(json!(["b64", "http://example.com/ext"])), 401),
        (Some(json!([])), 401),
        (Some(Value::Null), 401),
        (Some(json!("exp")), 401),
    ] {
        let mut header = json!({ "alg": "HS256", "typ": "JWT" });
        crit.iter().for_each(|crit| header["crit"] = crit.clone());
        let token = token::hs256_with(SECRET.as_bytes(), &header, &claims);
        assert_eq!(app.bearing(&token).get(ACTIVE).await.status(), status, "{header}");
    }
}

#[tokio::test]
async fn viewers_of_different_kinds_are_never_the_same() {
    let tokens = format!("{TOKEN},another-token-of-admins");
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", &tokens).with("JWT_SECRET", SECRET).start().await;
    let id = async |bearer: &str| {
        let known = app.bearing(bearer).get(SESSION).await.json::<Value>().await.unwrap();
        known["viewer"]["id"].as_str().expect("an id is text").to_owned()
    };
    let (one, other) = (id(TOKEN).await, id("another-token-of-admins").await);
    assert_ne!(one, other, "each token is a viewer of its own");
    assert_eq!(one, id(TOKEN).await, "on all of their devices");
    assert!(!one.contains(TOKEN));
    for sub in [one.as_str(), "local", "extension-101", "admin"] {
        assert_ne!(id(&token::agent(sub, &["101"])).await, sub, "a name that somebody else may have");
    }
}

#[tokio::test]
async fn a_token_cannot_choose_how_it_is_checked() {
    let claims = json!({ "sub": "mallory", "exp": seconds_from_now(3600), "role": "admin" });
    let key = KeyOfP256::new();
    let app = Setup::on(Store::Sqlite).with("JWT_PUBLIC_KEY", &key.pem().replace('\n', "\\n")).start().await;
    assert_eq!(app.bearing(&key.sign(&claims)).get(ACTIVE).await.status(), 200);
    let good = signed(claims.clone());
    for (what, forged) in [
        ("the public key as a secret", hs256(key.pem().as_bytes(), &claims)),
        ("no signature", format!("{}.", unsigned("none", &claims))),
        ("an empty signature", format!("{}.", unsigned("ES256", &claims))),
        ("another key", KeyOfP256::new().sign(&claims)),
        ("another algorithm", good.clone()),
    ] {
        assert_eq!(app.bearing(&forged).get(ACTIVE).await.status(), 401, "{what}");
    }
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", SECRET).start().await;
    let (_, signature) = good.rsplit_once('.').expect("three parts");
    for (what, forged) in [
        ("another secret", hs256(b"a-secret-of-some-other-application", &claims)),
        ("no signature", format!("{}.", unsigned("none", &claims))),
        ("another algorithm of the family", format!("{}.{signature}", unsigned("HS512", &claims))),
        ("rubbish", "a.b.c".into()),
        ("two parts", unsigned("HS256", &claims)),
    ] {
        assert_eq!(app.bearing(&forged).get(ACTIVE).await.status(), 401, "{what}");
    }
}

#[tokio::test]
async fn an_rsa_key_may_stand_in_a_file_and_the_audience_counts_when_set() {
    let setup = Setup::on(Store::Sqlite);
    let path = setup.write_file("host.pem", include_str!("../fixtures/host-rsa-public.pem"));
    let app = setup.with("JWT_PUBLIC_KEY", &path.display().to_string()).start().await;
    let token = include_str!("../fixtures/host-rsa-token.txt").trim();
    assert_eq!(app.bearing(token).get(ACTIVE).await.status(), 200);
    let (head, tail) = token.split_at(token.len() - 20);
    let altered = format!("{head}{}", tail.chars().rev().collect::<String>());
    assert_eq!(app.bearing(&altered).get(ACTIVE).await.status(), 401);

    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", SECRET).with("JWT_AUDIENCE", "calls").start().await;
    let made_for = |audience: Value| {
        signed(json!({ "sub": "dana", "exp": seconds_from_now(3600), "role": "admin", "aud": audience }))
    };
    for (audience, status) in [
        (json!("calls"), 200),
        (json!(["crm", "calls"]), 200),
        (json!("crm"), 401),
        (json!(["crm"]), 401),
        (Value::Null, 401),
    ] {
        assert_eq!(app.bearing(&made_for(audience.clone())).get(ACTIVE).await.status(), status, "{audience}");
    }
    assert_eq!(
        app.bearing(&token::agent("dana", &["101"])).get(ACTIVE).await.status(),
        401,
        "a token for nobody in particular"
    );
}

#[tokio::test]
async fn a_browser_gets_a_cookie_for_a_token_and_signs_out_again() {
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with("JWT_SECRET", SECRET).start().await;
    let answer = sign_in(&app, TOKEN).await;
    assert_eq!(answer.status(), 204);
    let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["caller_popup=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(part), "{part} is missing in {set}");
    }
    assert!(!set.contains("Secure"), "this machine has no https: {set}");
    let life: i64 = set.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    assert!((12 * 3600 - 60..=12 * 3600).contains(&life), "{set}");
    let cookie = cookie(&set);
    let known = with_cookie(&app, SESSION, &cookie).await.json::<Value>().await.unwrap();
    let id = known["viewer"]["id"].as_str().filter(|id| id.starts_with("token-")).expect("an id that is a token's");
    assert_eq!(known["viewer"], json!({ "id": id, "role": "admin", "extension_ids": [] }));
    assert!(time(&known["expires_at"]) < Utc::now() + TimeDelta::hours(12));

    let (name, sealed) = cookie.split_once('=').unwrap();
    let altered = format!("{}{}", if sealed.starts_with('A') { 'B' } else { 'A' }, &sealed[1..]);
    for forged in ["", "x", &sealed[4..], &altered, TOKEN] {
        let status = with_cookie(&app, ACTIVE, &format!("{name}={forged}")).await.status();
        assert_eq!(status, 401, "{forged}");
    }
    let gone = app.request(Method::DELETE, SESSION).header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let set = gone.headers()["set-cookie"].to_str().unwrap();
    assert!(set.starts_with("caller_popup=;") && set.contains("Max-Age=0"), "{set}");

    for (token, status) in [("wrong", 401), ("", 401), ("a.b.c", 401)] {
        let answer = sign_in(&app, token).await;
        assert!(answer.headers().get("set-cookie").is_none());
        assert_eq!(answer.status(), status, "{token:?}");
    }
    let rightless = signed(json!({ "sub": "dana", "exp": seconds_from_now(3600) }));
    assert_eq!(refusal(sign_in(&app, &rightless).await).await, (403, "no_rights".into()));
}

#[tokio::test]
async fn a_cookie_is_for_https_and_this_host_alone_where_there_is_https() {
    for (setting, address) in [
        ("PUBLIC_URL", "https://calls.example.com"),
        ("RINGCENTRAL_REDIRECT_URI", "https://calls.example.com/api/auth/ringcentral/callback"),
    ] {
        let app = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with(setting, address).start().await;
        let answer = sign_in(&app, TOKEN).await;
        let set = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(set.starts_with("__Host-caller_popup=") && set.contains("Secure") && !set.contains("Domain"), "{set}");
        assert_eq!(with_cookie(&app, ACTIVE, &cookie(set)).await.status(), 200);
    }
}

async fn a_session_outlives_a_restart_but_not_its_token(store: Store) {
    let old = format!("{TOKEN},the-next-token-of-admins");
    let mut app = Setup::on(store).with("API_TOKENS", &old).start().await;
    let cookie = cookie(sign_in(&app, TOKEN).await.headers()["set-cookie"].to_str().unwrap());
    app.kill().await;
    app.restart().await;
    assert_eq!(with_cookie(&app, ACTIVE, &cookie).await.status(), 200);
    if store == Store::Mongo {
        let other = app.second_instance_with(&[("API_TOKENS", &old)]).await;
        assert_eq!(with_cookie(&other, ACTIVE, &cookie).await.status(), 200, "every instance knows the session");
    }
    app.restart_with("API_TOKENS", "the-next-token-of-admins").await;
    assert_eq!(with_cookie(&app, ACTIVE, &cookie).await.status(), 401, "what vouched for it is gone");
}

async fn a_ticket_opens_one_stream_and_only_once(store: Store) {
    let settings = [("API_TOKENS", TOKEN), ("JWT_SECRET", SECRET)];
    let app = settings.iter().fold(Setup::on(store), |setup, (name, value)| setup.with(name, value)).start().await;
    let elsewhere = match store {
        Store::Mongo => Some(app.second_instance_with(&settings).await),
        Store::Sqlite => None,
    };
    let taker = elsewhere.as_ref().unwrap_or(&app);
    let dana = token::agent("dana", &["101"]);
    let handed: Value = app.bearing(&dana).post(TICKET).await.json().await.unwrap();
    assert_eq!(handed["expires_in"], 30);
    let ticket = handed["ticket"].as_str().expect("a ticket is text");
    let stream = |ticket: &str| taker.url(&format!("/api/ringcentral/call-stream?ticket={ticket}"));
    assert_eq!(taker.get(&format!("{ACTIVE}?ticket={ticket}")).await.status(), 401, "tickets are for streams");
    for _ in 0..2 {
        let head = taker.client.head(stream(ticket)).send().await.unwrap();
        assert_eq!(head.status(), 200, "HEAD opens no stream and uses no ticket up");
    }
    assert_eq!(taker.client.head(stream("made-up")).send().await.unwrap().status(), 401);
    let mut viewer = Viewer::open(taker.client.get(stream(ticket))).await;
    assert_eq!(viewer.response.status(), 200);
    viewer.expect("connected").await;
    taker.ring_at("102", "of-kim").await;
    taker.ring_at("101", "of-dana").await;
    let first = viewer.expect("call").await;
    assert_eq!(first.call()["session_id"], "of-dana", "the ticket is worth as much as its holder");
    for used in [ticket, "made-up", ""] {
        assert_eq!(taker.client.get(stream(used)).send().await.unwrap().status(), 401, "{used:?}");
    }
}

async fn signing_out_ends_what_the_cookie_opened(store: Store) {
    let settings = [("API_TOKENS", TOKEN), ("POLL_INTERVAL_MS", "100")];
    let mut app = settings.iter().fold(Setup::on(store), |setup, (name, value)| setup.with(name, value)).start().await;
    let elsewhere = match store {
        Store::Mongo => Some(app.second_instance_with(&settings).await),
        Store::Sqlite => None,
    };
    let enter = async || cookie(sign_in(&app, TOKEN).await.headers()["set-cookie"].to_str().unwrap());
    let (copied, other) = (enter().await, enter().await);
    let ticket = async || {
        let handed = app.request(Method::POST, TICKET).header("Cookie", &copied).send().await.unwrap();
        handed.json::<Value>().await.unwrap()["ticket"].as_str().expect("a ticket is text").to_owned()
    };
    let stream = |app: &TestApp| app.client.get(app.url("/api/ringcentral/call-stream"));
    let with_ticket = |ticket: &str| app.client.get(app.url(&format!("/api/ringcentral/call-stream?ticket={ticket}")));
    let mut streams = vec![
        Viewer::open(stream(&app).header("Cookie", &copied)).await,
        Viewer::open(with_ticket(&ticket().await)).await,
    ];
    let mut others = Viewer::open(stream(&app).header("Cookie", &other)).await;
    let late = ticket().await;
    if let Some(elsewhere) = &elsewhere {
        streams.push(Viewer::open(stream(elsewhere).header("Cookie", &copied)).await);
    }

    let gone = app.request(Method::DELETE, SESSION).header("Cookie", &copied).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    assert_eq!(with_cookie(&app, ACTIVE, &copied).await.status(), 401, "a copy is worth nothing");
    assert_eq!(with_ticket(&late).send().await.unwrap().status(), 401, "nor is a ticket that was got with it");
    for stream in &mut streams {
        assert_eq!(stream.wait_for("error").await.data["error"]["code"], "signed_out");
        stream.end().await;
    }
    if let Some(elsewhere) = &elsewhere {
        assert_eq!(with_cookie(elsewhere, ACTIVE, &copied).await.status(), 401);
        assert_eq!(with_cookie(elsewhere, ACTIVE, &other).await.status(), 200);
    }
    assert_eq!(with_cookie(&app, ACTIVE, &other).await.status(), 200, "only this session has ended");
    assert!(!others.listen_for(Duration::from_millis(300)).await.iter().any(|frame| frame.kind() == "error"));
    app.kill().await;
    app.restart().await;
    assert_eq!(with_cookie(&app, ACTIVE, &copied).await.status(), 401, "nor after a restart");
    assert_eq!(with_cookie(&app, ACTIVE, &other).await.status(), 200);
}

async fn a_ticket_is_worth_nothing_when_its_time_is_over(store: Store) {
    let (config, _folder) = own_store(store);
    let store = caller_popup::store::Store::open(&config).await.unwrap();
    store.prepare().await.unwrap();
    let end = Utc::now() + TimeDelta::seconds(30);
    for (id, now, taken) in [
        ("in-time", end - TimeDelta::seconds(1), Some("of-dana".to_owned())),
        ("in-time", end - TimeDelta::seconds(1), None),
        ("late", end, None),
        ("later", end + TimeDelta::seconds(1), None),
    ] {
        if id != "in-time" || taken.is_some() {
            store.put_ticket(id, "of-dana", end).await.unwrap();
        }
        assert_eq!(store.take_ticket(id, now).await.unwrap(), taken, "{id}");
    }
}

#[tokio::test]
async fn secrets_do_not_belong_in_an_address() {
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with("JWT_SECRET", SECRET).start().await;
    let jwt = token::agent("dana", &["101"]);
    for name in ["token", "access_token", "Access_Token", "jwt"] {
        for secret in [TOKEN, &jwt] {
            let path = format!("/api/ringcentral/call-stream?{name}={secret}");
            assert_eq!(refusal(app.get(&path).await).await, (400, "secret_in_address".into()), "{name}");
        }
    }
    for secret in [TOKEN, &jwt] {
        assert_eq!(app.get(&format!("/api/ringcentral/call-stream?ticket={secret}")).await.status(), 401);
    }
    assert!(!app.log().contains(TOKEN) && !app.log().contains(&jwt));
}

#[tokio::test]
async fn a_stream_ends_when_its_credential_does() {
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with("JWT_SECRET", SECRET).start().await;
    // Thanks to the minute of leeway good for a while yet: twice as long each time that did not suffice to open streams.
    let mut life = 2;
    let (end, brief, cookie, mut streams) = loop {
        let opened = open_briefly(&app, life).await;
        match opened {
            Some(opened) => break opened,
            None => life *= 2,
        }
        assert!(life < 64, "no stream opens");
    };
    for stream in &mut streams {
        let farewell = stream.wait_for("error").await;
        assert_eq!(farewell.data["error"]["code"], "signed_out");
        let late = Utc::now().signed_duration_since(DateTime::from_timestamp(end, 0).unwrap());
        assert!(late > TimeDelta::zero() && late < TimeDelta::seconds(3), "{late}");
        stream.end().await;
    }
    assert_eq!(refusal(app.bearing(&brief).get(ACTIVE).await).await.0, 401);
    assert_eq!(with_cookie(&app, ACTIVE, &cookie).await.status(), 401);
    let url = app.url("/api/ringcentral/call-stream");
    let mut admin = Viewer::open(app.client.get(&url).bearer_auth(TOKEN)).await;
    admin.expect("connected").await;
    assert!(!admin.listen_for(Duration::from_millis(300)).await.iter().any(|frame| frame.kind() == "error"));
}

/// Streams by a token, a cookie and a ticket that all end in so many seconds, with that moment, the token and the cookie;
/// `None` when they had ended before every stream was open.
async fn open_briefly(app: &TestApp, seconds: i64) -> Option<(i64, String, String, [Viewer; 3])> {
    let end = seconds_from_now(seconds);
    let brief = signed(json!({ "sub": "dana", "exp": end - 60, "extension_ids": ["101"] }));
    let signed_in = sign_in(app, &brief).await;
    let cookie = cookie(signed_in.headers().get("set-cookie")?.to_str().unwrap());
    let handed = app.bearing(&brief).post(TICKET).await;
    let ticket = handed.json::<Value>().await.unwrap()["ticket"].as_str()?.to_owned();
    let url = app.url("/api/ringcentral/call-stream");
    let streams = [
        Viewer::open(app.client.get(&url).bearer_auth(&brief)).await,
        Viewer::open(app.client.get(&url).header("Cookie", &cookie)).await,
        Viewer::open(app.client.get(format!("{url}?ticket={ticket}"))).await,
    ];
    let all = streams.iter().all(|stream| stream.response.status() == 200);
    all.then_some((end, brief, cookie, streams))
}

async fn sign_in(app: &TestApp, token: &str) -> Response {
    app.request(Method::POST, SESSION).json(&json!({ "token": token })).send().await.expect("an answer comes")
}

async fn with_cookie(app: &TestApp, path: &str, cookie: &str) -> Response {
    app.request(Method::GET, path).header("Cookie", cookie).send().await.expect("an answer comes")
}

/// The part of `Set-Cookie` that a browser sends back.
fn cookie(set: &str) -> String {
    set.split(';').next().unwrap_or_default().to_owned()
}

/// The status, and the error's code if it is one.
async fn refusal(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

fn time(text: &Value) -> DateTime<Utc> {
    text.as_str().expect("a time is text").parse().expect("RFC 3339")
}
