//! The popup in Chromium, on the dashboard of a running program.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::chromium::Browser;
use crate::support::{Setup, Store, TestApp, eventually, fixture};

/// The cards on screen, newest on top; one that fades out is gone already.
const CARDS: &str =
    "[...document.querySelector('call-popup').shadowRoot.querySelectorAll('[part~=card]:not(.leaving):not([hidden])')]";

/// A dashboard that is connected, so that whatever rings from now on is pushed to it.
async fn open(app: &TestApp) -> Browser {
    let browser = Browser::open(app, "/").await;
    browser
        .until("the stream is connected", "document.querySelector('call-popup')?.feed?.status.state === 'live'")
        .await;
    browser
}

async fn cards(browser: &Browser) -> Vec<String> {
    let texts = browser.run(&format!("return {CARDS}.map(card => card.innerText)")).await;
    texts.as_array().expect("a list").iter().map(|text| text.as_str().expect("text").to_owned()).collect()
}

/// Waits until so many cards are shown; their texts.
async fn until_cards(browser: &Browser, count: usize) -> Vec<String> {
    browser.until(&format!("{count} cards"), &format!("{CARDS}.length === {count}")).await;
    cards(browser).await
}

async fn click(browser: &Browser, part: &str) {
    let script = format!("{CARDS}[0].querySelector('[part~={part}]').click()");
    browser.run(&script).await;
}

#[tokio::test]
async fn a_call_from_a_customer_pops_up_with_name_and_email() {
    let app = Setup::on(Store::Mongo)
        .with_customers(&[("Sarah Customer", "sarah@example.com", "(416) 555-1234")])
        .await
        .with("CUSTOMER_URL", "/crm/{id}")
        .start()
        .await;
    let browser = open(&app).await;
    assert_eq!(cards(&browser).await, Vec::<String>::new());
    app.ring_as("known", "+14165551234", "SARAH C").await;
    browser.until("the customer", &format!("{CARDS}[0]?.innerText.includes('Sarah Customer')")).await;
    let [card] = &cards(&browser).await[..] else { panic!("one card") };
    for shown in ["Incoming call", "Sarah Customer", "(416) 555-1234", "sarah@example.com", "View customer", "Dismiss"]
    {
        assert!(card.contains(shown), "{shown:?} is missing in:\n{card}");
    }
    let id = app.active_call("known").await.expect("the call is active")["customer_id"].clone();
    let link = browser.run(&format!("return {CARDS}[0].querySelector('[part~=view]').href")).await;
    assert_eq!(link, app.url(&format!("/crm/{}", id.as_str().expect("a customer"))));
    assert!(browser.console().await.contains("Call stream connected"));
}

#[tokio::test]
async fn an_unknown_caller_is_called_new() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.ring("unknown", "+14165551234").await;
    let card = &until_cards(&browser, 1).await[0];
    assert!(card.contains("(416) 555-1234") && card.contains("New caller - not in database"), "{card}");
    assert!(!card.contains("View customer"), "there is nobody to view:\n{card}");
}

#[tokio::test]
async fn a_call_that_rings_already_pops_up_on_a_page_opened_later() {
    let app = TestApp::start(Store::Sqlite).await;
    app.ring("early", "+14165551234").await;
    let browser = open(&app).await;
    until_cards(&browser, 1).await;
}

#[tokio::test]
async fn dismiss_takes_the_card_away_for_good() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.ring("dismissed", "+14165551234").await;
    until_cards(&browser, 1).await;
    click(&browser, "dismiss").await;
    until_cards(&browser, 0).await;
    app.ring("next", "+14165550199").await;
    until_cards(&browser, 1).await;
    browser.go(&app.url("/")).await;
    let shown = until_cards(&browser, 1).await;
    assert!(shown[0].contains("(416) 555-0199"), "the dismissed call did not come back: {shown:?}");
    assert!(app.active_call("dismissed").await.is_some(), "the caller is still on the line");
}

#[tokio::test]
async fn escape_dismisses_the_card_that_has_the_focus() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.ring("escaped", "+14165551234").await;
    until_cards(&browser, 1).await;
    let taken = browser.run("return document.activeElement === document.querySelector('call-popup')").await;
    assert_eq!(taken, json!(false), "a card never takes the focus");
    browser.press('\u{E00C}').await;
    assert_eq!(cards(&browser).await.len(), 1, "Escape elsewhere is not for the card");
    browser.run(&format!("{CARDS}[0].focus()")).await;
    browser.press('\u{E00C}').await;
    until_cards(&browser, 0).await;
}

#[tokio::test]
async fn a_card_goes_by_itself_after_thirty_seconds() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.ring("patient", "+14165551234").await;
    until_cards(&browser, 1).await;
    browser.pass(Duration::from_secs(27)).await;
    assert_eq!(cards(&browser).await.len(), 1, "27 s are not 30 s");
    browser.pass(Duration::from_secs(4)).await;
    until_cards(&browser, 0).await;
    assert!(app.active_call("patient").await.is_some(), "the caller is still on the line");
}

#[tokio::test]
async fn a_card_waits_while_the_mouse_is_on_it() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.ring("hovered", "+14165551234").await;
    until_cards(&browser, 1).await;
    let middle = browser
        .run(&format!("const r = {CARDS}[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]"))
        .await;
    let at = |index: usize| middle[index].as_f64().expect("a number") as i64;
    browser.point_at(at(0), at(1)).await;
    browser.until("the card knows of the mouse", &format!("{CARDS}[0].matches(':hover')")).await;
    browser.pass(Duration::from_secs(60)).await;
    assert_eq!(cards(&browser).await.len(), 1);
    browser.point_at(1, 1).await;
    browser.pass(Duration::from_secs(31)).await;
    until_cards(&browser, 0).await;
}

#[tokio::test]
async fn two_calls_are_stacked_with_the_newest_on_top() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.ring("first", "+14165551201").await;
    until_cards(&browser, 1).await;
    app.ring("second", "+14165551202").await;
    let shown = until_cards(&browser, 2).await;
    assert!(shown[0].contains("555-1202") && shown[1].contains("555-1201"), "{shown:?}");
    let boxes = browser
        .run(&format!(
            "return {CARDS}.map(card => card.getBoundingClientRect()).map(r => [r.top, r.bottom, innerWidth - r.right])"
        ))
        .await;
    let edge = |card: usize, side: usize| boxes[card][side].as_f64().expect("a number");
    assert!(edge(0, 1) <= edge(1, 0), "one below the other: {boxes}");
    assert!(edge(0, 2) < 40.0, "in the right corner: {boxes}");
}

#[tokio::test]
async fn a_hang_up_removes_the_card() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.ring("answered", "+14165551234").await;
    until_cards(&browser, 1).await;
    app.answer("answered").await;
    browser.until("the card says connected", &format!("{CARDS}[0]?.innerText.includes('Connected')")).await;
    app.hang_up("answered").await;
    until_cards(&browser, 0).await;
}

/// A call of a queue stands on the page while the first agent's phone rings; then that gives up, and the second rings.
async fn rings_for_a_queue() -> (TestApp, Browser, [Value; 2]) {
    let told = fixture("queue-call-answered-by-second-agent");
    let [caller, first, second, ..] = &told[..] else { panic!("a caller and two agents") };
    let mut gave_up = first.clone();
    gave_up["body"]["sequence"] = json!(first["body"]["sequence"].as_i64().expect("telephony numbers its events") + 1);
    gave_up["body"]["parties"][0]["status"]["code"] = "Disconnected".into();
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.deliver(caller).await;
    app.deliver(first).await;
    until_cards(&browser, 1).await;
    (app, browser, [gave_up, second.clone()])
}

#[tokio::test]
async fn a_card_that_went_by_itself_comes_back_when_the_call_rings_anew() {
    let (app, browser, [gave_up, second]) = &rings_for_a_queue().await;
    browser.pass(Duration::from_secs(31)).await;
    until_cards(browser, 0).await;
    app.deliver(gave_up).await;
    let waits = "document.querySelector('call-popup').feed.calls[0].status === 'setup'";
    browser.until("the caller waits in the queue", waits).await;
    app.deliver(second).await;
    until_cards(browser, 1).await;
}

#[tokio::test]
async fn a_call_that_goes_back_to_its_queue_pops_up_again_when_the_next_phone_rings() {
    let (app, browser, [gave_up, second]) = &rings_for_a_queue().await;
    app.deliver(gave_up).await;
    until_cards(browser, 0).await;
    let rows = "document.querySelectorAll('#active tbody tr').length";
    browser.until("no call in the list", &format!("{rows} === 0")).await;
    app.deliver(second).await;
    until_cards(browser, 1).await;
    browser.until("the call in the list", &format!("{rows} === 1")).await;
}

#[tokio::test]
async fn a_missed_call_is_shown_as_missed_and_then_goes() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.ring("missed", "+14165551234").await;
    until_cards(&browser, 1).await;
    app.hang_up("missed").await;
    browser.until("the card says missed", &format!("{CARDS}[0]?.innerText.includes('Missed call')")).await;
    browser.pass(Duration::from_secs(6)).await;
    until_cards(&browser, 0).await;
}

#[tokio::test]
async fn a_name_that_looks_like_markup_stays_text() {
    let markup = "<img src=x onerror=\"document.title='owned'\">";
    let app = Setup::on(Store::Sqlite)
        .with_customers(&[(markup, "bold<b>bold</b>@example.com", "+14165551201")])
        .await
        .start()
        .await;
    let browser = open(&app).await;
    app.ring_as("customer", "+14165551201", markup).await;
    app.ring_as("stranger", "+14165551202", markup).await;
    browser
        .until("the customer's name", &format!("{CARDS}.some(card => card.innerText.includes('<b>bold</b>'))"))
        .await;
    let shown = until_cards(&browser, 2).await;
    assert!(shown.iter().all(|card| card.contains(markup)), "{shown:?}");
    let made =
        browser.run(&format!("return {CARDS}.flatMap(card => [...card.querySelectorAll('img, b')]).length")).await;
    let elsewhere =
        browser.run("return [...document.querySelectorAll('img, b')].filter(e => e.src?.endsWith('x')).length").await;
    assert_eq!((made, elsewhere), (json!(0), json!(0)));
    assert_ne!(browser.run("return document.title").await, "owned");
}

#[tokio::test]
async fn the_popup_comes_back_after_the_server_was_away() {
    let mut app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.ring("before", "+14165551234").await;
    until_cards(&browser, 1).await;
    app.kill().await;
    app.restart_at_the_same_address().await;
    app.ring("after", "+14165550199").await;
    // The browser waits as long as `retry:` said; nothing else in this test takes time.
    let shown = until_cards(&browser, 2).await;
    assert!(shown[0].contains("555-0199") && shown[1].contains("555-1234"), "{shown:?}");
}

#[tokio::test]
async fn two_tabs_share_a_stream_and_the_second_goes_on_when_the_first_is_closed() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    app.ring("before", "+14165551234").await;
    until_cards(&browser, 1).await;
    let first = browser.open_tab(&app.url("/")).await;
    until_cards(&browser, 1).await;
    let viewers = async || app.get_json("/health/ready").await["viewers"].as_u64();
    assert_eq!(viewers().await, Some(1), "both read one stream");

    click(&browser, "dismiss").await;
    until_cards(&browser, 0).await;
    browser.switch_to(&first).await;
    until_cards(&browser, 0).await;
    browser.close_tab().await;
    app.ring("after", "+14165550199").await;
    let shown = until_cards(&browser, 1).await;
    assert!(shown[0].contains("555-0199"), "{shown:?}");
    eventually("the closed tab's stream ends", async || (viewers().await == Some(1)).then_some(())).await;
}

#[tokio::test]
async fn a_dismissal_reaches_the_viewers_other_devices() {
    let app = TestApp::start(Store::Sqlite).await;
    let (desk, phone) = (open(&app).await, open(&app).await);
    app.ring("dismissed", "+14165551234").await;
    until_cards(&phone, 1).await;
    until_cards(&desk, 1).await;
    click(&desk, "dismiss").await;
    until_cards(&phone, 0).await;
    assert!(app.active_call("dismissed").await.is_some(), "the caller is still on the line");
}

#[tokio::test]
async fn the_dashboard_lists_the_active_calls_and_simulates_one() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = open(&app).await;
    let empty = browser.run("return document.body.innerText").await;
    assert!(empty.as_str().is_some_and(|text| text.contains("No calls right now")), "{empty}");
    let button =
        "[...document.querySelectorAll('button')].find(b => b.innerText.includes('Simulate a call') && b.offsetParent)";
    browser.until("the button", &format!("Boolean({button})")).await;
    browser.run(&format!("{button}.click()")).await;
    until_cards(&browser, 1).await;
    browser.until("the call in the list", "!document.body.innerText.includes('No calls right now')").await;
    let complaints = browser.console().await;
    assert!(!complaints.contains("SEVERE"), "{complaints}");
}
