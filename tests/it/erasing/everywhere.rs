//! A person written wherever the product writes, in twenty spellings, erased on one of two instances: found nowhere afterwards, and
//! nothing that comes late writes them back.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{PERSON, traces};
use crate::support::{Setup, Store, TestApp, eventually, flat};

const NUMBER: &str = "+14165550177";
/// Another number of the same customer.
const SECOND_NUMBER: &str = "+14165550199";
const SPELLINGS: [&str; 20] = [
    "+14165550177",
    "14165550177",
    "4165550177",
    "(416) 555-0177",
    "416-555-0177",
    "416.555.0177",
    "416 555 0177",
    "+1 (416) 555-0177",
    "+1-416-555-0177",
    "1 416 555 0177",
    "416/555-0177",
    "+14165550177*104",
    "416-555-0177 x12",
    "416-555-0177 ext. 123456789",
    "tel:+1-416-555-0177",
    "sip:+14165550177@pbx.example.com",
    "%2B14165550177",
    "\u{ff0b}\u{ff11}\u{ff14}\u{ff11}\u{ff16}\u{ff15}\u{ff15}\u{ff15}\u{ff10}\u{ff11}\u{ff17}\u{ff17}",
    "0014165550177",
    "Cell: 416-555-0177",
];

on_both_stores! {
    a_person_is_found_nowhere_after_an_erasure_on_one_instance,
    a_late_fact_of_an_erased_call_writes_nothing,
    calls_with_another_number_of_the_customer_lose_the_name,
}

async fn start(store: Store) -> (TestApp, Option<TestApp>) {
    let setup = Setup::on(store).with("POLL_INTERVAL_MS", "100");
    let numbers = format!("{NUMBER} / {SECOND_NUMBER}");
    let app = setup.with_customers(&[("Zacharias", "z@quill.example", numbers.as_str())]).await.start().await;
    let other = match store {
        Store::Mongo => Some(app.second_instance_with(&[("POLL_INTERVAL_MS", "100")]).await),
        Store::Sqlite => None,
    };
    (app, other)
}

async fn erase(app: &TestApp) {
    let erase = app.request(Method::DELETE, &format!("/api/customers/by-number/{NUMBER}")).send().await.unwrap();
    assert_eq!(erase.status(), StatusCode::OK);
}

/// The person in every place that a body has for a number or a name.
async fn write_everywhere(app: &TestApp) {
    for (index, spelling) in SPELLINGS.into_iter().enumerate() {
        let from = json!({ "phoneNumber": spelling, "name": PERSON });
        app.deliver(&flat(&format!("active-{index}"), "Ringing", from.clone())).await;
        app.deliver(&flat(&format!("ended-{index}"), "Ringing", from.clone())).await;
        app.deliver(&flat(&format!("ended-{index}"), "Disconnected", from)).await;
        let named = json!({ "phoneNumber": "+14165550188", "name": format!("Call {spelling}") });
        app.deliver(&flat(&format!("named-{index}"), "Ringing", named)).await;
        let mut called = flat(&format!("called-{index}"), "Ringing", json!({ "phoneNumber": "+14165550188" }));
        called["body"]["to"] = json!({ "phoneNumber": spelling });
        app.deliver(&called).await;
        app.deliver(&flat(
            &format!("session {spelling} of {index}"),
            "Ringing",
            json!({ "phoneNumber": "+14165550188" }),
        ))
        .await;
    }
}

async fn a_person_is_found_nowhere_after_an_erasure_on_one_instance(store: Store) {
    let (app, other) = start(store).await;
    let elsewhere = other.as_ref().unwrap_or(&app);
    let (mut here, mut there) = (app.viewer().await, elsewhere.viewer().await);
    write_everywhere(&app).await;
    if store == Store::Mongo {
        // A document that is no call, by another program.
        let calls = app.database().await.collection::<Document>("active_calls");
        calls
            .insert_one(doc! { "from_number": "416-555-0177", "from_name": PERSON, "session_id": [1, 2] })
            .await
            .unwrap();
    }
    let last = format!("called-{}", SPELLINGS.len() - 1);
    for viewer in [&mut here, &mut there] {
        viewer.find("the last call", |frame| frame.call()["session_id"] == last.as_str()).await;
    }
    let positions = [here, there].map(|viewer| viewer.position.expect("frames have ids"));
    assert!(!traces(&app, store, NUMBER).await.is_empty(), "the search finds what is there");

    erase(&app).await;
    // Late facts of its calls, at either instance.
    for index in 0..SPELLINGS.len() {
        let from = json!({ "phoneNumber": NUMBER, "name": PERSON });
        for (instance, status) in [(&app, "CallConnected"), (elsewhere, "Disconnected")] {
            instance.deliver(&flat(&format!("active-{index}"), status, from.clone())).await;
            instance.deliver(&flat(&format!("ended-{index}"), status, from.clone())).await;
        }
    }
    let mut left = traces(&app, store, NUMBER).await;
    // In MongoDB customers are the host application's.
    left.retain(|trace| !trace.starts_with("customers: "));
    assert_eq!(left, Vec::<String>::new());
    for (instance, position) in [&app, elsewhere].into_iter().zip(positions) {
        let mut viewer = instance.stream_at(&format!("?last_event_id={position}")).await;
        let frames = viewer.listen_for(Duration::from_secs(3)).await;
        let said: Vec<&Value> = frames.iter().map(|frame| &frame.data).collect();
        let said = json!(said).to_string();
        assert!(!said.contains(PERSON) && !said.contains("4165550177"), "a viewer who resumes is sent {said}");
    }
    let history = json!(app.history().await).to_string();
    assert!(!history.contains(PERSON) && !history.contains("Zacharias"), "{history}");
}

async fn a_late_fact_of_an_erased_call_writes_nothing(store: Store) {
    let (app, other) = start(store).await;
    let elsewhere = other.as_ref().unwrap_or(&app);
    app.deliver_fixture("direct-call-missed").await;
    app.ring("live", NUMBER).await;
    eventually("the call", async || elsewhere.active_call("live").await).await;
    erase(&app).await;
    assert!(app.active_call("live").await.is_none());
    for instance in [elsewhere, &app] {
        instance.answer("live").await;
        instance.hang_up("live").await;
    }
    app.ring("sentinel", "+14165550111").await;
    app.hang_up("sentinel").await;
    app.ended_call("sentinel").await;
    let sessions: Vec<_> = app.history().await.iter().map(|call| call["session_id"].clone()).collect();
    assert!(!sessions.contains(&json!("live")), "{sessions:?}");
    // The same person may call again, also under a session id that people made up and use again.
    app.ring("live", NUMBER).await;
    for instance in [&app, elsewhere] {
        eventually("the second call of the session", async || instance.active_call("live").await).await;
    }
    let frames = elsewhere.stream().await.listen_for(Duration::from_millis(500)).await;
    assert!(frames.iter().all(|frame| frame.kind() != "call_ended"), "the polls leave it alone");
    elsewhere.answer("live").await;
    eventually("the answer", async || app.active_call("live").await.filter(|call| call["status"] == "connected")).await;
    app.hang_up("live").await;
    assert_eq!(app.ended_call("live").await["result"], "answered");
    app.ring("another day", NUMBER).await;
    assert!(app.active_call("another day").await.is_some());
}

async fn calls_with_another_number_of_the_customer_lose_the_name(store: Store) {
    let (app, other) = start(store).await;
    let elsewhere = other.as_ref().unwrap_or(&app);
    for (session, number) in [("ended", SECOND_NUMBER), ("active", SECOND_NUMBER), ("theirs", NUMBER)] {
        app.ring_as(session, number, PERSON).await;
        eventually("the customer", async || {
            app.active_call(session).await.filter(|call| call["customer_name"] == "Zacharias")
        })
        .await;
    }
    app.hang_up("ended").await;
    app.ended_call("ended").await;
    erase(&app).await;
    let ended = app.ended_call("ended").await;
    for instance in [&app, elsewhere] {
        let active = eventually("the change", async || {
            instance.active_call("active").await.filter(|call| call["customer_name"].is_null())
        })
        .await;
        for call in [&active, &ended] {
            assert_eq!(call["from_number"], SECOND_NUMBER, "the call itself stays");
            let said = call.to_string();
            assert!(!said.contains("Zacharias") && !said.contains("z@quill") && !said.contains(PERSON), "{said}");
        }
    }
}
