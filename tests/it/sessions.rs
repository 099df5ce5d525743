//! Sessions: what ends them, and that what ended stays ended.

use std::collections::HashMap;

use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::{Cookie, Key};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use caller_popup::store::{NewSession, Revocation};
use chrono::{TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::durability::database_away;
use crate::support::token::{self, SECRET};
use crate::support::{ADMIN_TOKEN, Setup, Store, TestApp, Viewer, eventually};

const TOKEN: &str = ADMIN_TOKEN;
const ACTIVE: &str = "/api/ringcentral/active-calls";
const SESSION: &str = "/api/auth/session";
const EVERYWHERE: &str = "/api/auth/session?everywhere=true";
/// What the program allows a person.
const MOST_OPEN: usize = 50;
/// More than any office signs out of in half a day.
const MANY: usize = 10_000;
/// Requests under way at once.
const AT_ONCE: usize = 32;

on_both_stores! {
    a_revoked_session_stays_revoked_however_many_others_are,
    signing_out_everywhere_ends_every_session_of_the_viewer,
    a_person_has_so_many_sessions_and_the_oldest_ends,
    sessions_that_a_version_before_revoked_stay_revoked,
    a_session_longer_than_the_longest_is_refused,
}

/// A program and, on MongoDB, a second instance.
async fn instances(store: Store) -> Vec<TestApp> {
    let settings = [("API_TOKENS", TOKEN), ("JWT_SECRET", SECRET), ("POLL_INTERVAL_MS", "100")];
    let app = settings.iter().fold(Setup::on(store), |setup, (name, value)| setup.with(name, value)).start().await;
    let mut all = vec![app];
    if store == Store::Mongo {
        let second = all[0].second_instance_with(&settings).await;
        all.push(second);
    }
    all
}

async fn a_revoked_session_stays_revoked_however_many_others_are(store: Store) {
    let is_long = std::env::var("CHAOS").is_ok_and(|it| it == "1");
    let count = if is_long { MANY } else { 200 };
    let mut apps = instances(store).await;
    let (stolen, kept) = (enter(&apps[0], TOKEN).await, enter(&apps[0], TOKEN).await);
    leave(&apps[0], SESSION, &stolen).await;
    let agents: Vec<String> = (0..20).map(|n| token::agent(&format!("agent-{n}"), &["101"])).collect();
    let begun = std::time::Instant::now();
    let ended: Vec<String> = stream::iter(0..count)
        .map(|n| {
            let (app, agent) = (&apps[n % apps.len()], &agents[n % agents.len()]);
            async move {
                let cookie = enter(app, agent).await;
                leave(app, SESSION, &cookie).await;
                cookie
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    eprintln!("{count} sessions were begun and ended in {:?}", begun.elapsed());
    if !is_long {
        revoke_many(&apps[0]).await;
    }
    for restarted in [false, true] {
        if restarted {
            for app in &mut apps {
                app.kill().await;
                app.restart().await;
            }
        }
        for app in &apps {
            assert_eq!(status(app, &stolen).await, 401, "the oldest, restarted: {restarted}");
            assert_eq!(status(app, &kept).await, 200, "one that was not ended");
            let good = async |cookie: &String| {
                eventually("an instance learns of it", async || (status(app, cookie).await == 401).then_some(())).await
            };
            stream::iter(&ended).for_each_concurrent(AT_ONCE, good).await;
        }
    }
}

/// What so many more viewers who sign out leave in the store, without the requests.
async fn revoke_many(app: &TestApp) {
    let (store, until) = (app.open_store().await, Utc::now() + TimeDelta::hours(12));
    let one = |n: usize| NewSession {
        id: format!("{n:064x}"),
        viewer: format!("user-{}", n % 100),
        begun: Utc::now().timestamp_micros(),
        until,
    };
    let revocations = stream::iter((0..MANY).map(|n| Revocation::Session(one(n))));
    revocations.for_each_concurrent(AT_ONCE, async |one| store.revoke(&one).await.unwrap()).await;
}

async fn signing_out_everywhere_ends_every_session_of_the_viewer(store: Store) {
    let mut apps = instances(store).await;
    let (dana, kim) = (token::agent("dana", &["101"]), token::agent("kim", &["102"]));
    let last = apps.last().expect("there is one");
    let cookies = [enter(&apps[0], &dana).await, enter(last, &dana).await, enter(&apps[0], &dana).await];
    let other = enter(&apps[0], &kim).await;
    let stream = |app: &TestApp| app.client.get(app.url("/api/ringcentral/call-stream"));
    let mut streams = vec![
        Viewer::open(stream(&apps[0]).header("Cookie", &cookies[0])).await,
        Viewer::open(stream(last).header("Cookie", &cookies[2])).await,
    ];
    assert_eq!(leave(&apps[0], EVERYWHERE, "caller_popup=").await.status(), 401, "whose sessions?");
    let unclear = leave(&apps[0], "/api/auth/session?everywhere=perhaps", &cookies[1]).await;
    assert_eq!(unclear.status(), 400);
    assert_eq!(status(&apps[0], &cookies[1]).await, 200);

    assert_eq!(leave(&apps[0], EVERYWHERE, &cookies[0]).await.status(), 204);
    for app in &apps {
        for cookie in &cookies {
            eventually("it is over", async || (status(app, cookie).await == 401).then_some(())).await;
        }
        assert_eq!(status(app, &other).await, 200, "another viewer's");
    }
    for stream in &mut streams {
        assert_eq!(stream.wait_for("error").await.data["error"]["code"], "signed_out");
        stream.end().await;
    }
    let again = enter(&apps[0], &dana).await;
    assert_eq!(status(&apps[0], &again).await, 200, "they may sign in again at once");
    apps[0].kill().await;
    apps[0].restart().await;
    assert_eq!(status(&apps[0], &again).await, 200);
    assert_eq!(status(&apps[0], &cookies[1]).await, 401);

    let by_token = apps[0].bearing(&dana).delete(EVERYWHERE).await;
    assert_eq!((by_token.status().as_u16(), status(&apps[0], &again).await), (204, 401), "without a cookie");
}

async fn a_person_has_so_many_sessions_and_the_oldest_ends(store: Store) {
    let apps = instances(store).await;
    let dana = token::agent("dana", &["101"]);
    let (first, second) = (enter(&apps[0], &dana).await, enter(&apps[0], &dana).await);
    let gone = enter(&apps[0], &dana).await;
    leave(&apps[0], SESSION, &gone).await;
    for n in 0..MOST_OPEN - 1 {
        enter(&apps[n % apps.len()], &dana).await;
    }
    for app in &apps {
        eventually("the oldest is over", async || (status(app, &first).await == 401).then_some(())).await;
        assert_eq!(status(app, &second).await, 200, "no more than must");
    }
    let shared = enter(&apps[0], TOKEN).await;
    for _ in 0..MOST_OPEN + 5 {
        enter(&apps[0], TOKEN).await;
    }
    assert_eq!(status(&apps[0], &shared).await, 200, "an office shares a token");
}

async fn sessions_that_a_version_before_revoked_stay_revoked(store: Store) {
    let mut app = instances(store).await.remove(0);
    let (copied, open) = (enter(&app, TOKEN).await, enter(&app, TOKEN).await);
    // As that version sealed them: without the time at which they began.
    let [copied, open] = [alter(&app, &copied, forget_begin).await, alter(&app, &open, forget_begin).await];
    assert_eq!(status(&app, &copied).await, 200, "sessions go on at the upgrade");
    let id = contents(&app, &copied).await["badge"]["session"].as_str().unwrap().to_owned();
    app.kill().await;
    let blob = json!({ id: Utc::now() + TimeDelta::hours(1) }).to_string();
    app.open_store().await.set_setting("signed_out", &blob).await.unwrap();
    app.restart().await;
    assert_eq!((status(&app, &copied).await, status(&app, &open).await), (401, 200));
    app.kill().await;
    app.open_store().await.set_setting("signed_out", "{}").await.unwrap();
    app.restart().await;
    assert_eq!((status(&app, &copied).await, status(&app, &open).await), (401, 200), "it was taken over");
    leave(&app, SESSION, &open).await;
    assert_eq!(status(&app, &open).await, 401);
}

async fn a_session_longer_than_the_longest_is_refused(store: Store) {
    let app = instances(store).await.remove(0);
    let cookie = enter(&app, TOKEN).await;
    let now = Utc::now();
    type WritePlan = Box<dyn Fn(&mut Value)>;
    let changes: [(&str, u16, WritePlan); 6] = [
        ("as it was", 200, Box::new(|_| {})),
        ("longer than half a day", 401, Box::new(move |it| it["badge"]["until"] = json!(now + TimeDelta::hours(13)))),
        ("for ever", 401, Box::new(|it| it["badge"]["until"] = json!("9999-12-31T00:00:00Z"))),
        ("without an end", 401, Box::new(|it| it["badge"]["until"] = Value::Null)),
        (
            "begun tomorrow",
            401,
            Box::new(move |it| it["badge"]["begun"] = json!((now + TimeDelta::days(1)).timestamp_micros())),
        ),
        (
            "begun long ago",
            401,
            Box::new(move |it| it["badge"]["begun"] = json!((now - TimeDelta::hours(3)).timestamp_micros())),
        ),
    ];
    for (what, expected, change) in changes {
        let altered = alter(&app, &cookie, change).await;
        assert_eq!(status(&app, &altered).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_sign_out_while_the_database_is_away_holds_here_and_is_recorded_later() {
    let setup = Setup::on(Store::Mongo).known_to_mongod().with("API_TOKENS", TOKEN).with("POLL_INTERVAL_MS", "100");
    let mut app = setup.start().await;
    let (copied, lost) = (enter(&app, TOKEN).await, enter(&app, TOKEN).await);
    let away = database_away(&app).await;
    for cookie in [&copied, &lost] {
        assert_eq!(leave(&app, SESSION, cookie).await.status(), 204);
        assert_eq!(status(&app, cookie).await, 401, "here it holds at once");
    }
    app.kill().await;
    app.restart().await;
    // Whether it is good cannot be known without the database, so it is not.
    assert!(status(&app, &copied).await != 200);
    away.end().await;
    for cookie in [&copied, &lost] {
        eventually("it is known again", async || (status(&app, cookie).await == 401).then_some(())).await;
    }
    let other = app.second_instance_with(&[("API_TOKENS", TOKEN)]).await;
    for cookie in [&copied, &lost] {
        eventually("another instance knows", async || (status(&other, cookie).await == 401).then_some(())).await;
    }
}

async fn enter(app: &TestApp, token: &str) -> String {
    let answer = app.request(Method::POST, SESSION).json(&json!({ "token": token })).send().await.unwrap();
    assert_eq!(answer.status(), 204, "signing in");
    let set = answer.headers()["set-cookie"].to_str().unwrap();
    set.split(';').next().unwrap_or_default().to_owned()
}

async fn leave(app: &TestApp, path: &str, cookie: &str) -> Response {
    app.request(Method::DELETE, path).header("Cookie", cookie).send().await.expect("an answer comes")
}

async fn status(app: &TestApp, cookie: &str) -> u16 {
    let answer = app.request(Method::GET, ACTIVE).header("Cookie", cookie).send().await;
    answer.expect("an answer comes").status().as_u16()
}

/// What the cookie holds, for whoever has the key.
async fn contents(app: &TestApp, cookie: &str) -> Value {
    let (name, _) = cookie.split_once('=').unwrap();
    let headers = [(reqwest::header::COOKIE, cookie.parse().unwrap())].into_iter().collect();
    let jar = PrivateCookieJar::from_headers(&headers, key(app).await);
    serde_json::from_str(jar.get(name).expect("it is sealed with this key").value()).unwrap()
}

/// The cookie with other contents, sealed with the right key.
async fn alter(app: &TestApp, cookie: &str, change: impl Fn(&mut Value)) -> String {
    let mut session = contents(app, cookie).await;
    change(&mut session);
    let (name, _) = cookie.split_once('=').unwrap();
    let jar = PrivateCookieJar::new(key(app).await).add(Cookie::new(name.to_owned(), session.to_string()));
    let answer = axum::response::IntoResponse::into_response(jar);
    let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    set.split(';').next().unwrap_or_default().to_owned()
}

async fn key(app: &TestApp) -> Key {
    let kept = app.open_store().await.setting("session_key").await.unwrap().expect("a session was begun");
    Key::from(&STANDARD.decode(kept).unwrap())
}

fn forget_begin(session: &mut Value) {
    let badge: HashMap<String, Value> = serde_json::from_value(session["badge"].clone()).unwrap();
    session["badge"] = badge.into_iter().filter(|(name, _)| name != "begun").collect();
}
