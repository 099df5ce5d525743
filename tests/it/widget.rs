//! What Chromium makes of the popup: where it is painted, what can be reached, what a person is shown. Most pages are the demo,
//! which is fed by hand.

use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::chromium::Browser;
use crate::support::{Setup, Store, TestApp, token};

const ESCAPE: char = '\u{E00C}';
/// The parts of the popup, wherever its content is now.
const PARTS: &str = "
    window.root = () => (document.querySelector('[data-call-popup]') ?? document.querySelector('call-popup')).shadowRoot;
    window.cards = () => [...root().querySelectorAll('.cards [part~=card]:not(.leaving):not([hidden])')];
    window.listed = () => [...root().querySelectorAll('.list [part~=card]')];
    window.shown = (part) => { const one = root().querySelector(`[part~=${part}]`); return one.checkVisibility() ? one.innerText : ''; };
    window.press = (text) => [...document.querySelectorAll('button')].find((one) => one.textContent === text).click();
    window.shortcut = () => document.activeElement.dispatchEvent(
        new KeyboardEvent('keydown', { key: 'C', code: 'KeyC', altKey: true, shiftKey: true, bubbles: true, composed: true }));
    window.inCard = () => root().activeElement?.matches('[part~=card]') ?? false;
    window.openDialog = () => {
        const dialog = document.createElement('dialog');
        dialog.style.cssText = 'inline-size: 90vw; block-size: 90vh; max-inline-size: none; z-index: 2147483647';
        dialog.append(document.createElement('input'));
        document.body.append(dialog);
        dialog.showModal();
        return dialog;
    };";

/// The demo page with these situations.
async fn demo(situations: &[&str]) -> (TestApp, Browser) {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = Browser::open(&app, "/demo.html").await;
    browser.until("the demo", "document.querySelector('#rings button')").await;
    browser.run(PARTS).await;
    for situation in situations {
        browser.run(&format!("press('{situation}')")).await;
    }
    (app, browser)
}

async fn is(browser: &Browser, expression: &str, expected: Value) {
    assert_eq!(browser.run(&format!("return {expression}")).await, expected, "{expression}");
}

async fn arrived(browser: &Browser) {
    browser.until("the cards have arrived", "cards().every((one) => !one.matches('.arriving'))").await;
}

#[tokio::test]
async fn a_card_folds_into_a_pill_that_opens_and_outlasts_the_call_by_minutes() {
    let (_app, browser) = demo(&["Known caller"]).await;
    browser.pass(Duration::from_secs(31)).await;
    browser.until("the pill", "cards().length === 0 && shown('recent') === '1 call ringing'").await;
    browser.run("root().querySelector('[part~=recent]').click()").await;
    is(&browser, "listed().length", json!(1)).await;
    is(&browser, "listed()[0].innerText.includes('View customer')", json!(true)).await;
    is(&browser, "listed()[0].querySelector('[part~=timer]').innerText !== ''", json!(true)).await;
    browser.run("root().querySelector('[part~=recent]').click()").await;
    browser.pass(Duration::from_secs(600)).await;
    is(&browser, "shown('recent')", json!("1 call ringing")).await;
    browser.run("press('Caller hung up: missed')").await;
    is(&browser, "shown('recent')", json!("1 recent call")).await;
    browser.pass(Duration::from_secs(240)).await;
    is(&browser, "shown('recent')", json!("1 recent call")).await;
    browser.pass(Duration::from_secs(62)).await;
    browser.until("the pill is gone", "shown('recent') === ''").await;
}

#[tokio::test]
async fn the_shortcut_opens_the_pill_and_escape_closes_it_without_dismissing() {
    let (_app, browser) = demo(&["Two at once"]).await;
    browser.run("document.querySelector('textarea').focus(); root().querySelector('[part~=minimize]').click()").await;
    browser.until("the pill", "shown('recent') === '2 calls ringing'").await;
    browser.run("shortcut()").await;
    is(&browser, "[listed().length, inCard()]", json!([2, true])).await;
    browser.press(ESCAPE).await;
    is(
        &browser,
        "[listed().length, document.activeElement.tagName, shown('recent')]",
        json!([0, "TEXTAREA", "2 calls ringing"]),
    )
    .await;
    browser.run("shortcut(); listed()[0].querySelector('[part~=close]').click()").await;
    is(&browser, "[listed().length, inCard(), shown('recent')]", json!([1, true, "1 call ringing"])).await;
    browser.run("press('Rings again')").await;
    is(&browser, "cards().length", json!(0)).await;
}

#[tokio::test]
async fn a_card_that_folded_on_one_page_is_in_the_pill_of_the_next() {
    let app = TestApp::start(Store::Sqlite).await;
    let browser = Browser::open(&app, "/").await;
    let live = "document.querySelector('call-popup')?.status?.state === 'live'";
    browser.until("the stream is connected", live).await;
    browser.run(PARTS).await;
    browser.run("document.querySelector('call-popup').autoDismiss = 1").await;
    app.ring("patient", "+14165551234").await;
    browser.until("the pill", "shown('recent') === '1 call ringing'").await;
    browser.go(&app.url("/?again")).await;
    browser.run(PARTS).await;
    browser.until("the pill again", "shown('recent') === '1 call ringing'").await;
    is(&browser, "cards().length", json!(0)).await;
    browser.run("document.querySelector('call-popup').autoDismiss = 1").await;
    app.ring("other", "+14165559999").await;
    browser.until("both", "shown('recent') === '2 calls ringing'").await;
    app.hang_up("patient").await;
    app.hang_up("other").await;
    browser.until("both are over", "shown('recent') === '2 recent calls'").await;
    browser.go(&app.url("/?over")).await;
    browser.run(PARTS).await;
    browser.until("the calls that ended", "shown('recent') === '2 recent calls'").await;
    browser.run("root().querySelector('[part~=recent]').click()").await;
    browser.run("listed()[0].querySelector('[part~=dismiss]').click()").await;
    browser.until("one was dismissed", "shown('recent') === '1 recent call'").await;
    browser.go(&app.url("/?dismissed")).await;
    browser.run(PARTS).await;
    browser.until("the other", "shown('recent') === '1 recent call'").await;
    is(&browser, "JSON.stringify(sessionStorage).includes('1416')", json!(false)).await;
}

#[tokio::test]
async fn cards_begin_below_the_header_of_the_dashboard_however_many_rows_it_has() {
    let app = TestApp::start(Store::Sqlite).await;
    app.ring("patient", "+14165551234").await;
    let browser = Browser::open(&app, "/").await;
    browser.run(PARTS).await;
    for (width, rows) in [(1280, 1), (375, 2)] {
        let metrics = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        browser.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let tall = format!("document.querySelector('header').offsetHeight > {}", (rows - 1) * 80);
        browser.until("the header's rows", &tall).await;
        let below = "cards()[0]?.getBoundingClientRect().top >= document.querySelector('header').offsetHeight";
        browser.until(&format!("the card is below the header at {width} px"), below).await;
    }
}

#[tokio::test]
async fn the_time_of_a_card_does_not_run_while_the_page_is_hidden() {
    let (_app, browser) = demo(&["Known caller"]).await;
    let turn = |state: &str| {
        format!(
            "Object.defineProperty(document, 'visibilityState', {{ value: '{state}', configurable: true }});
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    browser.run(&turn("hidden")).await;
    browser.pass(Duration::from_secs(120)).await;
    is(&browser, "cards().length", json!(1)).await;
    browser.run(&turn("visible")).await;
    browser.pass(Duration::from_secs(31)).await;
    browser.until("it folds", "cards().length === 0").await;
}

#[tokio::test]
async fn cards_behind_more_leave_like_the_others() {
    let (_app, browser) = demo(&["Six at once"]).await;
    is(&browser, "[cards().length, shown('more')]", json!([4, "+2 more"])).await;
    browser.pass(Duration::from_secs(31)).await;
    browser.until("all of them folded", "shown('recent') === '6 calls ringing'").await;
    is(&browser, "[cards().length, shown('more')]", json!([0, ""])).await;
}

#[tokio::test]
async fn four_cards_fit_a_small_screen_are_compact_and_do_not_cover_each_other() {
    let (_app, browser) = demo(&[]).await;
    let screen = json!({ "width": 375, "height": 650, "deviceScaleFactor": 1, "mobile": false });
    browser.devtools("Emulation.setDeviceMetricsOverride", screen).await;
    browser.until("the header has two lines", "document.querySelector('call-popup').offset > 80").await;
    browser.run("document.querySelector('call-popup').offset = 16; press('Six at once')").await;
    arrived(&browser).await;
    let boxes = "[...cards(), root().querySelector('[part~=more]'), root().querySelector('[part~=minimize]')]
        .map((one) => one.getBoundingClientRect()).map((r) => [Math.round(r.top), Math.round(r.bottom), r.left >= 0 && r.right <= 375])";
    let boxes = browser.run(&format!("return {boxes}")).await;
    let boxes: Vec<(i64, i64, bool)> = serde_json::from_value(boxes).unwrap();
    assert!(boxes.iter().all(|(top, bottom, inside)| *top >= 0 && *bottom <= 650 && *inside), "{boxes:?}");
    assert!(boxes[..5].windows(2).all(|pair| pair[0].1 <= pair[1].0), "{boxes:?}");
    is(&browser, "cards().map((one) => one.matches('.compact'))", json!([false, true, true, true])).await;
    // Expanded, they scroll above the buttons and not under them.
    browser.run("root().querySelector('[part~=more]').click()").await;
    let scrolls = "(() => { const list = root().querySelector('.cards'); return list.scrollHeight > list.clientHeight
        && list.getBoundingClientRect().bottom <= root().querySelector('[part~=minimize]').getBoundingClientRect().top
        && root().querySelector('[part~=minimize]').getBoundingClientRect().bottom <= 650; })()";
    is(&browser, scrolls, json!(true)).await;
    browser.run("root().querySelector('[part~=minimize]').click()").await;
    browser.until("the pill", "cards().length === 0 && shown('recent') === '6 calls ringing'").await;
}

#[tokio::test]
async fn the_cards_of_the_demo_begin_below_its_header_at_every_width() {
    let (_app, browser) = demo(&["Known caller"]).await;
    for width in [1280, 640, 375, 320] {
        let screen = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        browser.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        arrived(&browser).await;
        let gap =
            "cards()[0].getBoundingClientRect().top - document.querySelector('header').getBoundingClientRect().bottom";
        browser.until(&format!("a gap at {width} px"), &format!("(gap => gap >= 8 && gap <= 24)({gap})")).await;
    }
}

#[tokio::test]
async fn a_card_is_above_a_modal_dialog_and_can_be_used_there() {
    let (_app, browser) = demo(&["Known caller"]).await;
    for opened_first in [false, true] {
        browser.run("window.dialog = openDialog(); window.clicked = 0; dialog.onclick = () => (clicked += 1)").await;
        if opened_first {
            browser.run("press('Known caller')").await;
        }
        browser
            .until("the card is in the dialog", "dialog.querySelector('[data-call-popup]') && cards().length === 1")
            .await;
        is(&browser, "document.activeElement.tagName", json!("INPUT")).await;
        let middle = "(() => { const r = root().querySelector('.cards [part~=dismiss]').getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2].map(Math.round); })()";
        is(&browser, &format!("document.elementFromPoint(...{middle}).matches('[data-call-popup]')"), json!(true))
            .await;
        browser.run("shortcut()").await;
        is(&browser, "inCard()", json!(true)).await;
        if opened_first {
            let at = browser.run(&format!("return {middle}")).await;
            browser.click_at(at[0].as_i64().unwrap(), at[1].as_i64().unwrap()).await;
        } else {
            browser.press(ESCAPE).await;
        }
        browser.until("it is dismissed", "cards().length === 0 && !document.querySelector('[data-call-popup]')").await;
        is(&browser, "[dialog.open, document.activeElement.tagName, clicked]", json!([true, "INPUT", 0])).await;
        browser.run("dialog.close()").await;
    }
}

#[tokio::test]
async fn cards_come_back_when_their_dialog_closes_or_is_removed() {
    let (_app, browser) = demo(&["Known caller"]).await;
    let home = "cards()[0]?.checkVisibility() && !document.querySelector('[data-call-popup]')";
    for end in ["dialog.close()", "dialog.remove()", "inner.close(); dialog.remove()"] {
        browser.run("window.dialog = openDialog(); window.inner = openDialog()").await;
        browser.until("the card is in the inner one", "inner.querySelector('[data-call-popup]')").await;
        browser.run("inner.close()").await;
        browser.until("the card is in the outer one", "dialog.querySelector('[data-call-popup]')").await;
        browser.run(end).await;
        browser.until(end, home).await;
    }
    is(
        &browser,
        "cards()[0].getAnimations({ subtree: true }).some((one) => one.animationName === 'run-out')",
        json!(true),
    )
    .await;
}

#[tokio::test]
async fn no_style_of_the_page_moves_the_popup_or_changes_it() {
    let (_app, browser) = demo(&["Known caller"]).await;
    arrived(&browser).await;
    let looks = "(() => { const r = cards()[0].getBoundingClientRect(); const host = document.querySelector('call-popup').getBoundingClientRect();
        const name = getComputedStyle(root().querySelector('[part~=name]'));
        return [r.x, r.y, r.width, r.height, host.width, host.height, name.fontSize, name.color, name.textTransform].join(' '); })()";
    let before = browser.run(&format!("return {looks}")).await;
    for css in [
        "* { all: initial }",
        "body > *, #stage > * { position: relative !important; float: left !important; margin: 50px !important }",
        "body { transform: translateX(200px) scale(.5); filter: blur(1px) } #stage { contain: strict; overflow: hidden }",
        "* { font-size: 40px !important; color: red !important; text-transform: uppercase !important; letter-spacing: 9px !important }",
        "#stage > * { transform: rotate(5deg) !important; inline-size: 500px !important; padding: 20px !important; opacity: .2 !important }",
    ] {
        let add = format!(
            "const sheet = new CSSStyleSheet(); sheet.replaceSync(`{css}`); document.adoptedStyleSheets = [sheet]"
        );
        browser.run(&add).await;
        is(&browser, looks, before.clone()).await;
    }
}

#[tokio::test]
async fn cards_are_not_printed() {
    let (_app, browser) = demo(&["Known caller"]).await;
    is(&browser, "cards()[0].checkVisibility()", json!(true)).await;
    browser.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
    is(&browser, "cards()[0].checkVisibility()", json!(false)).await;
    browser.run("openDialog()").await;
    browser.until("the card is in the dialog", "document.querySelector('[data-call-popup]')").await;
    is(&browser, "cards()[0].checkVisibility()", json!(false)).await;
}

#[tokio::test]
async fn a_page_whose_token_is_refused_is_told_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let page = format!("http://localhost:{}", listener.local_addr().expect("it is bound").port());
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", token::SECRET).with("ALLOWED_ORIGINS", &page).start().await;
    let html = format!(
        r#"<!doctype html><script type="module">
            window.seen = [];
            addEventListener("call-popup:status", (event) => seen.push(event.detail));
            await import("{}");
            const popup = document.createElement("call-popup");
            popup.statusPill = new URLSearchParams(location.search).get("pill") ?? "on";
            popup.token = "not.a.token";
            document.documentElement.append(popup);
        </script>"#,
        app.url("/call-popup.js")
    );
    let site = Router::new().route("/", get(async || Html(html)));
    let host = tokio::spawn(async { axum::serve(listener, site).await.expect("it serves") });
    for (query, pill) in [("", true), ("?pill=off", false)] {
        let browser = Browser::open(&app, "/health/live").await;
        browser.go(&format!("{page}/{query}")).await;
        browser.run(PARTS).await;
        browser.until("the event", "window.seen?.some(({ state, message }) => state === 'denied' && message)").await;
        is(&browser, "shown('status')", json!("")).await;
        let console = browser.console().await;
        assert_eq!(console.matches("Calls are not arriving").count(), 1, "{console}");
        assert!(console.contains("Give the popup a token"), "{console}");
        browser.pass(Duration::from_secs(21)).await;
        if pill {
            browser.until("the pill", "shown('status').includes('Calls are not arriving')").await;
            is(&browser, "shown('status').includes(seen.at(-1).message)", json!(true)).await;
        } else {
            is(&browser, "shown('status')", json!("")).await;
        }
        assert!(!browser.console().await.contains("Calls are not arriving"), "one line is enough");
    }
    host.abort();
}
