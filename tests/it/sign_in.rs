//! Sign-in with RingCentral, from the dashboard and back to it.

use std::collections::BTreeMap;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde_json::{Value, json};

use crate::fake_ringcentral::{ACCOUNT, FakeRingCentral, Person};
use crate::support::chromium::Browser;
use crate::support::{ADMIN_TOKEN, Setup, Store, TestApp, Viewer};

const LOGIN: &str = "/api/auth/ringcentral/login";
const CALLBACK: &str = "/api/auth/ringcentral/callback";
const ACTIVE: &str = "/api/ringcentral/active-calls";

on_both_stores! {
    a_person_becomes_the_agent_of_their_own_extension,
    a_way_back_is_good_once_at_every_instance,
}

/// A browser without a screen: it keeps cookies and stops at every redirect.
struct Visitor<'a> {
    app: &'a TestApp,
    client: Client,
    cookies: BTreeMap<String, String>,
    /// Where a proxy says that they are.
    address: &'static str,
}

impl<'a> Visitor<'a> {
    fn of(app: &'a TestApp) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { app, client, cookies: BTreeMap::new(), address: "127.0.0.1" }
    }

    fn at(self, address: &'static str) -> Self {
        Self { address, ..self }
    }

    async fn get(&mut self, path: &str) -> Response {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.get(self.app.url(path)).header("Cookie", cookies.join("; "));
        let request = request.header("X-Forwarded-For", self.address);
        let answer = request.send().await.expect("an answer comes");
        for set in answer.headers().get_all("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") || set.contains("Max-Age=0"), "{set}");
            let (name, rest) = set.split_once('=').unwrap();
            self.cookies.insert(name.into(), rest.split(';').next().unwrap().into());
        }
        answer
    }

    /// Follows "Sign in with RingCentral"; where RingCentral is asked to ask the person.
    async fn leave(&mut self) -> Url {
        let answer = self.get(LOGIN).await;
        location(&answer).parse().expect("RingCentral has an address")
    }

    /// Comes back with this code.
    async fn come_back(&mut self, authorize: &Url, code: &str) -> String {
        location(&self.get(&format!("{CALLBACK}?code={code}&state={}", state(authorize))).await)
    }
}

async fn program(fake: &FakeRingCentral, store: Store) -> TestApp {
    fake.settings().iter().fold(Setup::on(store), |setup, (name, value)| setup.with(name, value)).start().await
}

fn dana() -> Person {
    Person::new("101", ACCOUNT, "Dana Park", false)
}

async fn a_person_becomes_the_agent_of_their_own_extension(store: Store) {
    let fake = FakeRingCentral::start().await;
    let app = program(&fake, store).await;
    let mut visitor = Visitor::of(&app);
    assert_eq!(visitor.get(ACTIVE).await.status(), 401);
    let authorize = visitor.leave().await;
    let code = fake.sign_in(&authorize, dana());
    assert_eq!(visitor.come_back(&authorize, &code).await, "/");
    let known: Value = visitor.get("/api/auth/session").await.json().await.unwrap();
    assert_eq!(known["viewer"], json!({ "id": "extension-101", "role": "agent", "extension_ids": ["101"] }));

    app.ring_at("102", "of-kim").await;
    app.ring_at("101", "of-dana").await;
    let active: Value = visitor.get(ACTIVE).await.json().await.unwrap();
    let sessions: Vec<_> = active["calls"].as_array().unwrap().iter().map(|call| &call["session_id"]).collect();
    assert_eq!(sessions, ["of-dana"]);
    let cookie = format!("caller_popup={}", visitor.cookies["caller_popup"]);
    let stream = app.client.get(app.url("/api/ringcentral/call-stream")).header("Cookie", cookie);
    let mut stream = Viewer::open(stream).await;
    stream.expect("connected").await;
    assert_eq!(stream.expect("call").await.call()["session_id"], "of-dana");
    assert_eq!(fake.requests("POST", "/revoke").len(), 1, "their token served its purpose");
}

#[tokio::test]
async fn a_person_sees_the_calls_of_their_queues_where_these_may_be_read() {
    for (scope, extension_ids) in [
        ("CallControl ReadAccounts ReadPresence SubscriptionWebhook", &["297277020", "411753183", "411753186"][..]),
        ("CallControl ReadPresence SubscriptionWebhook", &["297277020"]),
    ] {
        let fake = FakeRingCentral::start().await;
        fake.permit(scope);
        let app = program(&fake, Store::Sqlite).await;
        let mut visitor = Visitor::of(&app);
        let authorize = visitor.leave().await;
        let code = fake.sign_in(&authorize, Person::new("297277020", ACCOUNT, "Agent One", false));
        assert_eq!(visitor.come_back(&authorize, &code).await, "/");
        let known: Value = visitor.get("/api/auth/session").await.json().await.unwrap();
        assert_eq!(known["viewer"]["extension_ids"], json!(extension_ids), "with {scope}");
        assert_eq!(fake.requests("POST", "/revoke").len(), 1, "their token served its purpose");
    }
}

#[tokio::test]
async fn an_administrator_of_the_account_sees_every_call() {
    let fake = FakeRingCentral::start().await;
    let app = program(&fake, Store::Sqlite).await;
    let mut visitor = Visitor::of(&app);
    let authorize = visitor.leave().await;
    let code = fake.sign_in(&authorize, Person::owner());
    visitor.come_back(&authorize, &code).await;
    let known: Value = visitor.get("/api/auth/session").await.json().await.unwrap();
    assert_eq!(known["viewer"]["role"], "admin");
}

#[tokio::test]
async fn nobody_gets_in_who_did_not_leave_from_here() {
    let fake = FakeRingCentral::start().await;
    let app = program(&fake, Store::Sqlite).await;
    let authorize = Visitor::of(&app).leave().await;
    let mut other = Visitor::of(&app);
    let code = || fake.sign_in(&authorize, dana());
    // A link that signs its victim in as somebody else, first to one who never left, then to one who did.
    assert_eq!(other.come_back(&authorize, &code()).await, "/?error=sign_in_stale");
    other.leave().await;
    assert_eq!(other.come_back(&authorize, &code()).await, "/?error=sign_in_stale");
    assert_eq!(location(&other.get(CALLBACK).await), "/?error=sign_in_stale");
    assert_eq!(other.get(ACTIVE).await.status(), 401);
    assert!(fake.requests("POST", "/token").iter().all(|one| one.form("code").is_none()), "no code was even tried");

    let mut visitor = Visitor::of(&app);
    let authorize = visitor.leave().await;
    let code = fake.sign_in(&authorize, dana());
    assert_eq!(visitor.come_back(&authorize, &code).await, "/");
    assert_eq!(visitor.come_back(&authorize, &code).await, "/?error=sign_in_stale", "a way back leads back once");
}

async fn a_way_back_is_good_once_at_every_instance(store: Store) {
    let fake = FakeRingCentral::start().await;
    let app = program(&fake, store).await;
    let settings = fake.settings();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let elsewhere = match store {
        Store::Mongo => Some(app.second_instance_with(&settings).await),
        Store::Sqlite => None,
    };
    let mut visitor = Visitor::of(&app);
    let authorize = visitor.leave().await;
    // Whoever copied the cookie and the address of the return.
    let mut thief = Visitor { app: elsewhere.as_ref().unwrap_or(&app), ..Visitor::of(&app) };
    thief.cookies = visitor.cookies.clone();
    let code = fake.sign_in(&authorize, dana());
    let cookies: Vec<_> = visitor.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let head = visitor.client.head(app.url(&format!("{CALLBACK}?code={code}&state={}", state(&authorize))));
    let head = head.header("Cookie", cookies.join("; ")).send().await.unwrap();
    assert!(head.status() == 303 && head.headers().get("set-cookie").is_none(), "HEAD uses nothing up");
    assert_eq!(visitor.come_back(&authorize, &code).await, "/");
    let another = fake.sign_in(&authorize, Person::owner());
    assert_eq!(thief.come_back(&authorize, &another).await, "/?error=sign_in_stale");
    assert_eq!(thief.get(ACTIVE).await.status(), 401);
    let codes = fake.requests("POST", "/token").iter().filter(|one| one.form("code").is_some()).count();
    assert_eq!(codes, 1, "the second was not even tried");
}

#[tokio::test]
async fn made_up_codes_keep_no_one_else_from_signing_in_and_fill_no_log() {
    let fake = FakeRingCentral::start().await;
    let settings = fake.settings();
    let setup = Setup::on(Store::Sqlite).with("TRUSTED_PROXIES", "127.0.0.1");
    let app = settings.iter().fold(setup, |setup, (name, value)| setup.with(name, value)).start().await;
    let said = "error_description=words-of-a-stranger";
    let mut stranger = Visitor::of(&app).at("192.0.2.7");
    for n in 0..70 {
        let authorize = stranger.leave().await;
        let made_up = format!("{CALLBACK}?code=made-up-{n}&state={}&{said}", state(&authorize));
        assert!(location(&stranger.get(&made_up).await).starts_with("/?error=sign_in_"));
        stranger.get(&format!("{CALLBACK}?code=made-up&state=made-up&error=access_denied&{said}")).await;
    }
    let codes = || fake.requests("POST", "/token").iter().filter(|one| one.form("code").is_some()).count();
    assert!(codes() <= 4, "{} made-up codes were sent on", codes());
    let mut honest = Visitor::of(&app).at("192.0.2.8");
    for n in 0..8 {
        if n == 1 {
            fake.limit("auth", 100);
        }
        let authorize = honest.leave().await;
        let code = fake.sign_in(&authorize, dana());
        assert_eq!(honest.come_back(&authorize, &code).await, "/", "who succeeds is not limited");
    }
    let lines = app.log().lines().filter(|line| line.contains("WARN") && line.contains("sign")).count();
    assert!(lines <= 8, "{lines} lines");
    assert!(!app.log().contains("words-of-a-stranger") && !app.log().contains("made-up"));
}

#[tokio::test]
async fn the_way_back_is_tied_to_this_host_where_there_is_https() {
    let fake = FakeRingCentral::start().await;
    let setup = Setup::on(Store::Sqlite).with("PUBLIC_URL", "https://calls.example.com");
    let app = fake.settings().iter().fold(setup, |setup, (name, value)| setup.with(name, value)).start().await;
    let mut visitor = Visitor::of(&app);
    let authorize = visitor.leave().await;
    assert!(visitor.cookies.contains_key("__Host-caller_popup_sign_in"), "{:?}", visitor.cookies.keys());
    let code = fake.sign_in(&authorize, dana());
    let back = visitor.get(&format!("{CALLBACK}?code={code}&state={}", state(&authorize))).await;
    assert_eq!(location(&back), "/");
    for set in back.headers().get_all("set-cookie") {
        let set = set.to_str().unwrap();
        assert!(set.starts_with("__Host-") && set.contains("Secure") && set.contains("Path=/"), "{set}");
    }
}

#[tokio::test]
async fn a_session_that_began_with_ringcentral_ends_when_the_apps_secret_is_replaced() {
    let fake = FakeRingCentral::start().await;
    let mut app = program(&fake, Store::Sqlite).await;
    let mut visitor = Visitor::of(&app);
    let authorize = visitor.leave().await;
    let code = fake.sign_in(&authorize, dana());
    visitor.come_back(&authorize, &code).await;
    assert_eq!(visitor.get(ACTIVE).await.status(), 200);
    let cookies = visitor.cookies.clone();
    app.restart_with("RINGCENTRAL_CLIENT_SECRET", "the-secret-after-a-leak").await;
    let mut visitor = Visitor::of(&app);
    visitor.cookies = cookies;
    assert_eq!(visitor.get(ACTIVE).await.status(), 401);
}

#[tokio::test]
async fn each_refusal_leads_back_with_its_reason() {
    let fake = FakeRingCentral::start().await;
    let app = program(&fake, Store::Sqlite).await;
    let mut visitor = Visitor::of(&app);
    let authorize = visitor.leave().await;
    let denied = format!("{CALLBACK}?error=access_denied&state={}", state(&authorize));
    assert_eq!(location(&visitor.get(&denied).await), "/?error=sign_in_refused");
    let authorize = visitor.leave().await;
    assert_eq!(visitor.come_back(&authorize, "made-up").await, "/?error=sign_in_refused");
    let authorize = visitor.leave().await;
    let stranger = fake.sign_in(&authorize, Person::new("101", "another-account", "Mallory", true));
    assert_eq!(visitor.come_back(&authorize, &stranger).await, "/?error=sign_in_other_account");
    assert_eq!(visitor.get(ACTIVE).await.status(), 401);

    let without = Setup::on(Store::Sqlite).with("API_TOKENS", ADMIN_TOKEN).start().await;
    assert_eq!(location(&Visitor::of(&without).get(LOGIN).await), "/?error=sign_in_off");
}

#[tokio::test]
async fn the_sign_in_page_offers_ringcentral_only_where_it_is_configured() {
    let methods =
        async |app: &TestApp| -> Value { Visitor::of(app).get("/api/auth/methods").await.json().await.unwrap() };
    let fake = FakeRingCentral::start().await;
    assert_eq!(methods(&program(&fake, Store::Sqlite).await).await, json!({ "ringcentral": true }));
    let without = Setup::on(Store::Sqlite).with("API_TOKENS", ADMIN_TOKEN).start().await;
    assert_eq!(methods(&without).await, json!({ "ringcentral": false }));

    let browser = Browser::open(&without, "/").await;
    browser.until("the way in", "!document.querySelector('#sign-in').hidden").await;
    let label = "document.querySelector('#sign-in label').textContent";
    browser.until("only the token is asked for", &format!("{label}.startsWith('Paste')")).await;
    assert_eq!(browser.run("return document.querySelector('#sign-in-ringcentral').hidden").await, json!(true));
}

#[tokio::test]
async fn what_a_sign_in_asks_of_ringcentral_is_counted_also_without_credentials_of_our_own() {
    let fake = FakeRingCentral::start().await;
    let settings = fake.settings();
    let public = settings.iter().filter(|(name, _)| !name.contains("SECRET") && !name.contains("JWT"));
    let setup = Setup::on(Store::Sqlite).with("RINGCENTRAL_ACCOUNT_ID", ACCOUNT);
    let app = public.fold(setup, |setup, (name, value)| setup.with(name, value)).start().await;
    let mut visitor = Visitor::of(&app);
    let authorize = visitor.leave().await;
    let code = fake.sign_in(&authorize, Person::owner());
    assert_eq!(visitor.come_back(&authorize, &code).await, "/");
    let metrics = visitor.get("/metrics").await.text().await.unwrap();
    let counted = "caller_popup_ringcentral_requests_total{status=\"2xx\"} 3";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
}

#[tokio::test]
async fn the_dashboard_says_why_nobody_is_signed_in() {
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", ADMIN_TOKEN).start().await;
    let browser = Browser::open(&app, "/?error=sign_in_other_account").await;
    let reason = "document.querySelector('#sign-in-reason').textContent";
    browser
        .until("the reason", &format!("!document.querySelector('#sign-in').hidden && {reason}.includes('account')"))
        .await;
    assert_eq!(browser.run("return location.search").await, "", "a reload does not say it again");
}

fn location(answer: &Response) -> String {
    assert_eq!(answer.status(), 303);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

fn state(authorize: &Url) -> String {
    let mut query = authorize.query_pairs();
    query.find(|(name, _)| name == "state").expect("RingCentral is given a state").1.into_owned()
}
