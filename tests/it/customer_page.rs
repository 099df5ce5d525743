//! The page that *View customer* leads to where `CUSTOMER_URL` is not set.

use reqwest::redirect::Policy;
use serde_json::json;

use crate::accessibility::{axe, check};
use crate::support::chromium::Browser;
use crate::support::{Setup, Store, TestApp, eventually, token};

on_both_stores! {
    view_customer_leads_to_the_customer_and_their_calls,
}

const CARD: &str = "document.querySelector('call-popup')?.shadowRoot.querySelector('[part~=card]:not(.arriving)')";
const ROWS: &str =
    "[...document.querySelectorAll('#calls tbody tr')].map((row) => row.querySelector('.pill')?.textContent)";

async fn view_customer_leads_to_the_customer_and_their_calls(store: Store) {
    let setup = Setup::on(store).with_customers(&[("Sarah Customer", "sarah@example.com", "416-555-1234")]);
    let app = setup.await.start().await;
    let browser = Browser::open(&app, "/").await;
    app.ring("known", "+14165551234").await;
    browser.until("the customer is known", &format!("{CARD}?.querySelector('[part~=view]')?.checkVisibility()")).await;
    browser.run(&format!("{CARD}.querySelector('[part~=view]').click()")).await;
    browser.until("the name", "document.querySelector('#name')?.textContent === 'Sarah Customer'").await;
    let details = "[document.title, ...[...document.querySelectorAll('#details a')].map((one) => one.href)]";
    let expected = json!(["Sarah Customer · Calls", "tel:+14165551234", "mailto:sarah@example.com"]);
    assert_eq!(browser.run(&format!("return {details}")).await, expected);
    browser.until("no call yet", "document.querySelector('#calls-empty').checkVisibility()").await;
    app.ring("another", "+14165550100").await;
    app.hang_up("another").await;
    app.hang_up("known").await;
    browser.until("the call that ended", &format!("{ROWS}.join() === 'Missed'")).await;
    browser.run("location.reload()").await;
    browser
        .until("it is read again", &format!("performance.navigation.type === 1 && {ROWS}.join() === 'Missed'"))
        .await;
}

#[tokio::test]
async fn a_customer_s_address_leads_to_the_page_whatever_is_in_the_id() {
    let app = TestApp::start(Store::Sqlite).await;
    let client = reqwest::Client::builder().redirect(Policy::none()).build().expect("a client");
    for (path, location) in [
        ("/customers/42", "../customer.html?id=42"),
        ("/customers/a%2Fb%3Fc%23d", "../customer.html?id=a%2Fb%3Fc%23d"),
        ("/customers/a&b+c=d", "../customer.html?id=a%26b%2Bc=d"),
        ("/customers/https:%2F%2Fevil.example.com", "../customer.html?id=https:%2F%2Fevil.example.com"),
    ] {
        let answer = client.get(app.url(path)).send().await.expect("an answer comes");
        assert_eq!(answer.status(), 307, "{path}");
        assert_eq!(answer.headers()["location"], location);
    }
    for path in ["/customers/", "/customers", "/customers/a/b"] {
        assert_eq!(client.get(app.url(path)).send().await.expect("an answer comes").status(), 404, "{path}");
    }
}

#[tokio::test]
async fn the_customer_page_says_what_is_missing_and_is_accessible_in_every_state() {
    let axe = axe();
    let setup = Setup::on(Store::Sqlite).with_customers(&[("Sarah Customer", "sarah@example.com", "416-555-1234")]);
    let app = setup.await.start().await;
    app.ring("known", "+14165551234").await;
    let customer = eventually("the caller is known", async || {
        app.active_call("known").await?["customer_id"].as_str().map(str::to_owned)
    })
    .await;
    let page = app.url(&format!("/customers/{customer}"));
    let browser = Browser::open(&app, "/customers/there-is-none").await;
    browser
        .until("absent", "document.querySelector('#absent-title')?.textContent === 'There is no such customer'")
        .await;
    check(&browser, &axe, "no customer").await;
    browser.go(&page).await;
    browser.until("no call has ended", "document.querySelector('#calls-empty').checkVisibility()").await;
    browser.until("the card has arrived", &format!("Boolean({CARD})")).await;
    check(&browser, &axe, "a customer without calls").await;
    app.hang_up("known").await;
    browser.until("the call", &format!("{ROWS}.join() === 'Missed'")).await;
    check(&browser, &axe, "a customer with calls").await;
    browser.devtools("Network.enable", json!({})).await;
    browser.devtools("Network.setBlockedURLs", json!({ "urls": ["*/api/customers/*"] })).await;
    browser.go(&page).await;
    let notice = "document.querySelector('#notice').innerText";
    browser
        .until(
            "the failure",
            &format!("{notice}.startsWith('The customer could not be read. The service does not answer.')"),
        )
        .await;
    check(&browser, &axe, "a failure").await;
    browser.devtools("Network.setBlockedURLs", json!({ "urls": [] })).await;
    browser.run("document.querySelector('#notice button').click()").await;
    browser.until("it worked the second time", &format!("{notice} === '' && {ROWS}.join() === 'Missed'")).await;
}

#[tokio::test]
async fn the_customer_page_asks_a_stranger_to_sign_in() {
    let axe = axe();
    let app = Setup::on(Store::Sqlite).with("JWT_SECRET", token::SECRET).start().await;
    let browser = Browser::open(&app, "/customers/42").await;
    browser
        .until("sign in", "document.querySelector('#absent-title')?.textContent === 'Sign in to see this customer'")
        .await;
    check(&browser, &axe, "signed out").await;
}
