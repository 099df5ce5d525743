//! Pages: our own under their policy, allowed ones elsewhere, and foreign ones.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::chromium::Browser;
use crate::support::{ADMIN_TOKEN, Setup, Store, TestApp, Viewer, eventually, header, token};

const TOKEN: &str = ADMIN_TOKEN;
const CRM: &str = "https://crm.example.com";
const ACTIVE: &str = "/api/ringcentral/active-calls";
const STREAM: &str = "/api/ringcentral/call-stream";

async fn shared() -> TestApp {
    Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with("ALLOWED_ORIGINS", CRM).start().await
}

#[tokio::test]
async fn an_allowed_page_elsewhere_may_read_streams_and_lists() {
    let app = shared().await;
    let list = app.request(Method::GET, ACTIVE).bearer_auth(TOKEN).header("Origin", CRM).send().await.unwrap();
    assert_eq!(list.status(), 200);
    assert_eq!(
        (header(&list, "access-control-allow-origin"), header(&list, "access-control-allow-credentials")),
        (CRM, "true")
    );
    let stream = app.as_admin().stream().header("Origin", CRM);
    let mut stream = Viewer::open(stream).await;
    stream.expect("connected").await;
    let stream = &stream.response;
    assert_eq!(
        (header(stream, "access-control-allow-origin"), header(stream, "access-control-allow-credentials")),
        (CRM, "true")
    );
    assert!(header(stream, "vary").contains("origin"));
    // A page that may read also reads why it was refused, and loads the widget's module.
    for path in [ACTIVE, STREAM, "/call-popup.js"] {
        let answer = app.request(Method::GET, path).header("Origin", CRM).send().await.unwrap();
        assert_eq!(header(&answer, "access-control-allow-origin"), CRM, "{path}");
    }
}

#[tokio::test]
async fn a_browser_asks_first_and_is_told_what_an_allowed_page_may_send() {
    let app = shared().await;
    for (origin, allowed) in [(CRM, CRM), ("https://evil.example.com", ""), ("null", "")] {
        let preflight = app.request(Method::OPTIONS, "/api/auth/ticket").header("Origin", origin);
        let preflight = preflight.header("Access-Control-Request-Method", "POST");
        let answer = preflight.header("Access-Control-Request-Headers", "authorization").send().await.unwrap();
        assert_eq!(header(&answer, "access-control-allow-origin"), allowed, "{origin}");
        assert!(header(&answer, "access-control-allow-headers").contains("authorization"));
        assert!(header(&answer, "access-control-allow-methods").contains("POST"));
    }
}

#[tokio::test]
async fn an_allowed_page_may_send_what_event_source_libraries_send() {
    let app = shared().await;
    for sent in ["authorization,cache-control,last-event-id", "Cache-Control, X-Requested-With", "pragma,content-type"]
    {
        let preflight = app.request(Method::OPTIONS, STREAM).header("Origin", CRM);
        let preflight = preflight.header("Access-Control-Request-Method", "GET");
        let answer = preflight.header("Access-Control-Request-Headers", sent).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let allowed = header(&answer, "access-control-allow-headers").to_lowercase();
        let allowed: Vec<&str> = allowed.split(',').map(str::trim).collect();
        let sent = sent.to_lowercase();
        assert!(sent.split(',').all(|name| allowed.contains(&name.trim())), "{sent} is not within {allowed:?}");
    }
}

#[tokio::test]
async fn no_other_page_reads_or_changes_anything() {
    let with_nobody_allowed = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).start().await;
    for app in [shared().await, with_nobody_allowed] {
        let entry = app.request(Method::POST, "/api/auth/session").json(&json!({ "token": TOKEN }));
        let cookie = header(&entry.send().await.unwrap(), "set-cookie").split(';').next().unwrap().to_owned();
        for (method, path) in [
            (Method::GET, ACTIVE),
            (Method::GET, STREAM),
            (Method::POST, "/api/ringcentral/calls/1/dismiss"),
            (Method::POST, "/api/auth/ticket"),
            (Method::DELETE, "/api/auth/session"),
        ] {
            for (name, value) in
                [("Origin", "https://evil.example.com"), ("Origin", "null"), ("Sec-Fetch-Site", "same-site")]
            {
                let answer = app.request(method.clone(), path).header("Cookie", &cookie).header(name, value);
                let answer = answer.send().await.unwrap();
                assert_eq!(header(&answer, "access-control-allow-origin"), "");
                // Without an Origin nothing is read by a page elsewhere, so a GET may be answered.
                let harmless = name == "Sec-Fetch-Site" && method == Method::GET;
                assert_eq!(answer.status(), if harmless { 200 } else { 403 }, "{method} {path} with {name}: {value}");
            }
        }
        // Signing somebody in as somebody else is forgery too.
        let entry = app.request(Method::POST, "/api/auth/session").json(&json!({ "token": TOKEN }));
        assert_eq!(entry.header("Origin", "https://evil.example.com").send().await.unwrap().status(), 403);
        let own = app.request(Method::POST, "/api/auth/ticket").header("Cookie", &cookie);
        let own = own.header("Origin", format!("http://{}", app.address)).send().await.unwrap();
        assert_eq!(own.status(), 200, "our own page");
    }
}

#[tokio::test]
async fn answers_say_what_browsers_must_not_do_with_them() {
    let app = shared().await;
    for path in ["/", "/demo.html", "/api.html", "/customer.html", "/call-popup.js", ACTIVE, "/nothing-here"] {
        let answer = app.as_admin().get(path).await;
        let policy = header(&answer, "content-security-policy");
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'self'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(&answer, "referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header(&answer, "cross-origin-opener-policy"), "same-origin", "{path}");
        assert!(header(&answer, "permissions-policy").contains("microphone=()"), "{path}");
    }
    for path in [ACTIVE, "/api/ringcentral/calls", "/api/ringcentral/config", "/api/auth/session"] {
        for answer in [app.request(Method::GET, path).bearer_auth(TOKEN), app.request(Method::GET, path)] {
            let answer = answer.send().await.unwrap();
            assert_eq!(header(&answer, "cache-control"), "no-store", "{path}");
            assert!(header(&answer, "vary").contains("cookie"), "{path}");
        }
    }
}

#[tokio::test]
async fn our_pages_work_under_their_own_policy() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = Browser::open(&app, "/").await;
    browser
        .until("the stream is connected", "document.querySelector('call-popup')?.feed?.status.state === 'live'")
        .await;
    app.ring("policed", "+14165551234").await;
    browser.until("a card", "document.querySelector('call-popup').shadowRoot.querySelector('[part~=card]')").await;
    browser.go(&app.url("/demo.html")).await;
    browser.until("the demo", "document.querySelector('#rings button')").await;
    browser.run("document.querySelector('#rings button').click()").await;
    browser.go(&app.url("/api.html")).await;
    browser.until("the reference", "document.querySelector('section.operation#get-health-ready')").await;
    let console = browser.console().await;
    assert!(!console.contains("Content Security Policy") && !console.contains("Refused to"), "{console}");
}

#[tokio::test]
async fn a_person_signs_in_with_a_token_and_sees_calls() {
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with("JWT_SECRET", token::SECRET).start().await;
    let browser = Browser::open(&app, "/").await;
    browser.until("the way in", "!document.querySelector('#sign-in').hidden").await;
    let fill = |token: &str| {
        format!(
            "document.querySelector('#token').value = '{token}';
             document.querySelector('#sign-in form').requestSubmit();"
        )
    };
    browser.run(&fill("not-a-token-of-anybody")).await;
    browser
        .until("the refusal", "document.querySelector('#sign-in-reason').textContent.includes('not accepted')")
        .await;
    browser.run(&fill(&token::agent("dana", &["101"]))).await;
    browser
        .until("the stream is connected", "document.querySelector('call-popup')?.feed?.status.state === 'live'")
        .await;
    app.ring_at("102", "of-kim").await;
    app.ring_at("101", "of-dana").await;
    let cards = "document.querySelector('call-popup').shadowRoot.querySelectorAll('[part~=card]:not([hidden])').length";
    browser.until("the card", &format!("{cards} === 1")).await;
    assert_eq!(browser.run("return document.cookie").await, Value::from(""), "no script reads the cookie");
}

#[tokio::test]
async fn whoever_signs_in_next_sees_nothing_of_the_one_before() {
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", token::SECRET).start().await;
    app.ring_at("101", "of-dana").await;
    app.ring_at("102", "of-kim").await;
    let browser = Browser::open(&app, "/").await;
    let shown = "JSON.stringify([document.querySelector('call-popup').feed.calls.map(call => call.session_id), \
                 document.querySelector('call-popup').shadowRoot.querySelectorAll('[part~=card]:not(.leaving)').length, \
                 document.querySelectorAll('#active [data-column=caller] bdi[dir=ltr]').length])";
    let sign_in = |token: String| {
        format!(
            "document.querySelector('#token').value = '{token}'; document.querySelector('#sign-in form').requestSubmit();"
        )
    };
    browser.until("the way in", "!document.querySelector('#sign-in').hidden").await;
    browser.run(&sign_in(token::agent("dana", &["101"]))).await;
    browser.until("Dana's call", &format!("{shown} === '[[\"of-dana\"],1,1]'")).await;
    // Her session ends, and the stream with it.
    browser.run("fetch('/api/auth/session', { method: 'DELETE' }).then(() => document.querySelector('call-popup').feed.restart())").await;
    browser.until("the way in again", "!document.querySelector('#sign-in').hidden").await;
    browser.until("nothing of hers", &format!("{shown} === '[[],0,0]'")).await;
    browser.run(&sign_in(token::agent("kim", &["102"]))).await;
    browser.until("Kim's call and no other", &format!("{shown} === '[[\"of-kim\"],1,1]'")).await;
}

#[tokio::test]
async fn whoever_comes_back_as_somebody_else_takes_the_stream_of_the_other_tabs_with_them() {
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", token::SECRET).start().await;
    for (extension, session) in [("101", "of-dana-1"), ("101", "of-dana-2"), ("102", "of-kim-1")] {
        app.ring_at(extension, session).await;
        app.tell_of(extension, session, "Disconnected").await;
    }
    let admin = token::signed(json!({ "sub": "root", "role": "admin", "exp": token::seconds_from_now(3600) }));
    eventually("three calls have ended", async || {
        let answer = app.bearing(&admin).get("/api/ringcentral/calls").await;
        let past: Value = answer.json().await.unwrap();
        (past["calls"].as_array().map(Vec::len) == Some(3)).then_some(())
    })
    .await;
    app.ring_at("101", "of-dana").await;
    app.ring_at("102", "of-kim").await;
    let browser = Browser::open(&app, "/health/live").await;
    // As RingCentral leads back: with another cookie, and no page that saw it change.
    let become_one = async |token: String| {
        let body = json!({ "token": token }).to_string();
        let headers = "{ 'Content-Type': 'application/json' }";
        let sign_in = format!(
            "return fetch('/api/auth/session', {{ method: 'POST', headers: {headers}, body: '{body}' }}).then(() => true)"
        );
        browser.run(&sign_in).await;
    };
    let sees = |session: &str| {
        let sessions = "JSON.stringify(document.querySelector('call-popup').feed.calls.map(call => call.session_id))";
        format!("{sessions} === '[\"{session}\"]'")
    };
    let past = |count: usize| {
        format!("document.querySelectorAll('#past [data-column=caller] bdi[dir=ltr]').length === {count}")
    };
    become_one(token::agent("dana", &["101"])).await;
    browser.go(&app.url("/#history")).await;
    browser.until("Dana's history", &past(2)).await;
    browser.until("Dana's call", &sees("of-dana")).await;
    let first = browser.open_tab(&app.url("/health/live")).await;
    become_one(token::agent("kim", &["102"])).await;
    browser.go(&app.url("/")).await;
    browser.until("Kim's call and no other", &sees("of-kim")).await;
    browser.switch_to(&first).await;
    browser.until("Kim's call in the first tab", &sees("of-kim")).await;
    browser.until("Kim's history there", &past(1)).await;
}

#[tokio::test]
async fn a_person_signs_out_with_the_keyboard_in_all_tabs() {
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", token::SECRET).start().await;
    app.ring_at("101", "of-dana").await;
    let browser = Browser::open(&app, "/").await;
    let signed_out = "!document.querySelector('#sign-in').hidden";
    let way_out = "!document.querySelector('#session').hidden";
    browser.until("the way in", signed_out).await;
    assert_eq!(browser.run(&format!("return {way_out}")).await, json!(false), "nobody is signed in");
    let dana = token::agent("dana", &["101"]);
    let sign_in = format!(
        "document.querySelector('#token').value = '{dana}'; document.querySelector('#sign-in form').requestSubmit();"
    );
    browser.run(&sign_in).await;
    browser.until("the way out", way_out).await;
    let other = browser.open_tab(&app.url("/")).await;
    browser.until("the way out in another tab", way_out).await;
    browser.run("document.querySelector('#sign-out').focus()").await;
    browser.press('\u{E007}').await;
    browser
        .until("it says so", "document.querySelector('#sign-in-reason').textContent === 'You are signed out.'")
        .await;
    let focus = browser.run("return document.activeElement.id").await;
    assert_eq!(focus, "sign-in-title", "whoever reads with a screen reader hears what came");
    browser.switch_to(&other).await;
    browser.until("the other tab is signed out", &format!("{signed_out} && !({way_out})")).await;
    let calls = browser.run("return document.querySelector('call-popup').feed.calls.length").await;
    assert_eq!(calls, 0);
    browser.go(&app.url("/")).await;
    browser.until("a reload does not bring it back", signed_out).await;
}

#[tokio::test]
async fn a_person_signs_out_everywhere_from_the_menu() {
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", token::SECRET).start().await;
    let dana = token::agent("dana", &["101"]);
    let enter = app.request(Method::POST, "/api/auth/session").json(&json!({ "token": dana })).send().await.unwrap();
    let elsewhere = header(&enter, "set-cookie").split(';').next().unwrap_or_default().to_owned();
    let status = async || {
        let ask = app.request(Method::GET, "/api/auth/session").header("Cookie", &elsewhere);
        ask.send().await.unwrap().status().as_u16()
    };
    let browser = Browser::open(&app, "/").await;
    browser.until("the way in", "!document.querySelector('#sign-in').hidden").await;
    let sign_in = format!(
        "document.querySelector('#token').value = '{dana}'; document.querySelector('#sign-in form').requestSubmit();"
    );
    browser.run(&sign_in).await;
    browser.until("the menu", "!document.querySelector('#session').hidden").await;
    assert_eq!(status().await, 200);
    browser.run("document.querySelector('#session-menu').focus()").await;
    browser.press('\u{E007}').await;
    browser.until("it is open", "document.activeElement.id === 'sign-out-everywhere'").await;
    browser.press('\u{E007}').await;
    browser
        .until("it says so", "document.querySelector('#sign-in-reason').textContent === 'You are signed out.'")
        .await;
    assert_eq!(status().await, 401, "the other browser");
}

#[tokio::test]
async fn nobody_signs_out_of_this_machine_alone() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = Browser::open(&app, "/").await;
    let known = "performance.getEntriesByType('resource').some(one => one.name.endsWith('/api/auth/session') && one.responseEnd)";
    browser.until("it knows who looks", known).await;
    browser.until("there are no calls", "!document.querySelector('#active-empty').hidden").await;
    assert_eq!(browser.run("return document.querySelector('#session').hidden").await, json!(true));
}

#[tokio::test]
async fn whoever_had_to_sign_in_first_views_customers_where_the_settings_say() {
    let setup = Setup::on(Store::Sqlite).with("API_TOKENS", TOKEN).with("CUSTOMER_URL", "/crm/{id}");
    let app = setup.with_customers(&[("Sarah Customer", "sarah@example.com", "+14165551234")]).await.start().await;
    let browser = Browser::open(&app, "/").await;
    browser.until("the way in", "!document.querySelector('#sign-in').hidden").await;
    let sign_in = format!(
        "document.querySelector('#token').value = '{TOKEN}'; document.querySelector('#sign-in form').requestSubmit();"
    );
    browser.run(&sign_in).await;
    app.ring("known", "+14165551234").await;
    let link = "document.querySelector('call-popup').shadowRoot.querySelector('[part~=view]')?.href";
    browser.until("the customer's page", &format!("{link}?.includes('/crm/')")).await;
}

#[tokio::test]
async fn a_page_of_another_site_shows_calls_with_the_token_it_gives() {
    let (host, page) = host_application().await;
    let app = Setup::on(Store::Sqlite)
        .with("JWT_SECRET", token::SECRET)
        .with("ALLOWED_ORIGINS", &page)
        .with("CUSTOMER_URL", "https://crm.example.com/{id}")
        .with_customers(&[("Sarah Customer", "sarah@example.com", "+14165551234")])
        .await
        .start()
        .await;
    let browser = Browser::open(&app, "/health/live").await;
    browser.go(&format!("{page}/?src={}", app.url("/"))).await;
    let state = "document.querySelector('call-popup')?.feed?.status.state";
    browser.until("it is signed out", &format!("{state} === 'denied'")).await;
    // The person signs in on the host page, whose next token is good.
    browser.run(&format!("sessionStorage.token = '{}'", token::agent("dana", &["101"]))).await;
    browser.until("the stream is connected", &format!("{state} === 'live'")).await;
    app.ring_at("102", "of-kim").await;
    app.ring_at("101", "of-dana").await;
    let cards = "[...document.querySelector('call-popup').shadowRoot.querySelectorAll('[part~=card]:not(.leaving)')]";
    browser.until("one card", &format!("{cards}.length === 1")).await;
    let link = format!("{cards}[0].querySelector('[part~=view]').href.startsWith('https://crm.example.com/')");
    browser.until("the customer's page", &link).await;
    browser.run(&format!("{cards}[0].querySelector('[part~=dismiss]').click()")).await;
    let dana = token::agent("dana", &["101"]);
    eventually("the service knows of the dismissal", async || {
        let path = format!("{ACTIVE}?dismissed=false");
        let answer = app.bearing(&dana).get(&path).await;
        let left: Value = answer.json().await.unwrap();
        left["calls"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    // Its line ends, as it does every few hours; the next is opened with the token again.
    browser.run("document.querySelector('call-popup').feed.restart()").await;
    app.ring_at("101", "of-dana-again").await;
    browser.until("one more card", &format!("{cards}.length === 1")).await;
    host.abort();
}

/// Another web application, and its origin. Its page shows the popup of the service at `?src=` and keeps its person's token
/// in `sessionStorage`.
async fn host_application() -> (JoinHandle<()>, String) {
    const PAGE: &str = r#"<!doctype html><script type="module">
        await import(new URLSearchParams(location.search).get("src") + "call-popup.js");
        const popup = document.createElement("call-popup");
        popup.token = async () => sessionStorage.token;
        document.documentElement.append(popup);
    </script>"#;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let page = format!("http://localhost:{}", listener.local_addr().expect("it is bound").port());
    let site = Router::new().route("/", get(async || Html(PAGE)));
    let host = tokio::spawn(async { axum::serve(listener, site).await.expect("it serves") });
    (host, page)
}
