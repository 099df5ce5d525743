//! axe finds nothing on any page, in both themes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::chromium::Browser;
use crate::support::{ADMIN_TOKEN, Setup, Store, TestApp};

/// axe-core, which scripts/test installs beside the TypeScript compiler; `AXE` names another copy.
pub fn axe() -> String {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder");
    let installed = std::fs::read_dir(target).into_iter().flatten().flatten();
    let mut places =
        installed.map(|entry| entry.path().join("node_modules/axe-core/axe.min.js")).filter(|path| path.exists());
    let place = std::env::var_os("AXE").filter(|path| !path.is_empty()).map(PathBuf::from).or_else(|| places.next());
    let place =
        place.expect("axe-core is not installed: run scripts/test, which brings it, or set AXE to its axe.min.js");
    std::fs::read_to_string(place).expect("axe.min.js can be read")
}

pub async fn check(browser: &Browser, axe: &str, what: &str) {
    for theme in ["light", "dark"] {
        let features = json!([{ "name": "prefers-color-scheme", "value": theme }]);
        browser.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        // What fades in has no contrast yet.
        browser.run("document.getAnimations().filter((one) => one.effect.getTiming().iterations === 1).forEach((one) => one.finish())").await;
        browser.run(axe).await;
        let found = "axe.run().then(({ violations }) => violations.map((one) => [one.id, one.nodes.map((node) => node.target)]))";
        let found = browser.run(&format!("return {found}")).await;
        assert_eq!(found, Value::Array(Vec::new()), "{what}, {theme}");
    }
}

#[tokio::test]
async fn the_dashboard_and_the_api_page_are_accessible() {
    let axe = axe();
    let app = TestApp::start(Store::Sqlite).await;
    let browser = Browser::open(&app, "/").await;
    app.ring("before", "+14165551201").await;
    app.hang_up("before").await;
    app.ring("now", "+14165551234").await;
    let card = "document.querySelector('call-popup').shadowRoot.querySelector('[part~=card]:not(.arriving)')";
    browser.until("a card", &format!("Boolean({card})")).await;
    check(&browser, &axe, "live").await;
    browser.go(&app.url("/#history")).await;
    browser
        .until("the history", "!document.querySelector('#history').hidden && document.querySelector('#past tbody tr')")
        .await;
    check(&browser, &axe, "history").await;
    browser.go(&app.url("/api.html")).await;
    browser.until("the reference", "document.querySelector('section.operation#get-health-ready')").await;
    check(&browser, &axe, "the API page").await;
}

#[tokio::test]
async fn the_sign_in_is_accessible() {
    let axe = axe();
    let app = Setup::on(Store::Sqlite).with("API_TOKENS", ADMIN_TOKEN).start().await;
    let browser = Browser::open(&app, "/").await;
    browser.until("the sign-in", "!document.querySelector('#sign-in').hidden").await;
    check(&browser, &axe, "the sign-in").await;
}

#[tokio::test]
async fn the_popup_is_accessible_in_every_state() {
    let axe = axe();
    let app = TestApp::start(Store::Sqlite).await;
    let browser = Browser::open(&app, "/demo.html").await;
    browser.until("the demo", "document.querySelector('#rings button')").await;
    browser
        .run(
            "window.popup = document.querySelector('call-popup');
             window.press = (text) => [...document.querySelectorAll('button')].find((one) => one.textContent === text).click();
             press('Six at once'); press('Answered by me')",
        )
        .await;
    let arrived = "!popup.shadowRoot.querySelector('.arriving:not([hidden])')";
    browser.until("the cards have arrived", arrived).await;
    check(&browser, &axe, "cards").await;
    browser.run("popup.shadowRoot.querySelector('[part~=minimize]').click(); popup.shadowRoot.querySelector('[part~=recent]').click()").await;
    browser
        .run(
            "press('Caller hung up: missed');
             const wait = window.setTimeout; window.setTimeout = (run, ms) => wait(run, ms === 20000 ? 0 : ms);
             popup.feed.report('denied')",
        )
        .await;
    browser.until("the cards have arrived", arrived).await;
    browser.until("the notice", "popup.shadowRoot.querySelector('[part~=status]').checkVisibility()").await;
    check(&browser, &axe, "the list and the notice").await;
    browser.run("const dialog = document.createElement('dialog'); dialog.ariaLabel = 'Note'; dialog.append('Text'); document.body.append(dialog); dialog.showModal()").await;
    browser.until("the popup is in the dialog", "document.querySelector('dialog [data-call-popup]')").await;
    check(&browser, &axe, "in a dialog").await;
}
