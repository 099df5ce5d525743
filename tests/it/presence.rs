//! Presence: in what order its notifications are, what it says by leaving a call out, and which of its calls are one.

use serde_json::{Value, json};

use crate::support::{Store, TestApp, eventually, fixture};

on_both_stores! {
    a_counter_that_starts_over_is_believed,
    presence_without_sequence_is_put_in_order_by_its_time,
    a_sequence_that_was_overtaken_is_older_whenever_it_was_sent,
    an_accounts_presence_ends_no_call,
    a_park_location_makes_no_call,
    ones_own_ringout_never_rings,
    a_ringout_in_separate_notifications_is_one_outbound_call,
    a_second_incoming_call_is_no_ringout,
}

async fn a_counter_that_starts_over_is_believed(store: Store) {
    let app = TestApp::start(store).await;
    let [talking, idle, ringing, answered, ended] = &fixture("presence-counter-starts-over")[..] else {
        panic!("five")
    };
    app.deliver(talking).await;
    app.deliver(idle).await;
    app.deliver(ringing).await;
    assert_eq!(status(&app, "70011272004").await, "ringing");
    // What the counter said before it started over may still be on its way.
    app.deliver(idle).await;
    assert_eq!(status(&app, "70011272004").await, "ringing");
    app.deliver(answered).await;
    assert_eq!(status(&app, "70011272004").await, "connected");
    app.deliver(ended).await;
    assert_eq!(app.ended_call("70011272004").await["result"], "answered");
}

async fn presence_without_sequence_is_put_in_order_by_its_time(store: Store) {
    let app = TestApp::start(store).await;
    let told = fixture("presence-without-sequence");
    for (notification, expected) in told[..4].iter().zip(["ringing", "connected", "on_hold", "connected"]) {
        app.deliver(notification).await;
        assert_eq!(status(&app, "70011281004").await, expected);
    }
    app.deliver(&told[1]).await;
    app.deliver(&told[2]).await;
    assert_eq!(status(&app, "70011281004").await, "connected", "earlier ones once more change nothing");
    app.deliver(&told[4]).await;
    assert_eq!(app.ended_call("70011281004").await["result"], "answered");
}

async fn a_sequence_that_was_overtaken_is_older_whenever_it_was_sent(store: Store) {
    let app = TestApp::start(store).await;
    let told = fixture("presence-call-answered");
    app.deliver(&told[0]).await;
    app.deliver(&told[1]).await;
    let mut late = told[0].clone();
    late["body"]["sequence"] = json!(500);
    let sent = told[1]["timestamp"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    late["timestamp"] = json!((sent + chrono::TimeDelta::milliseconds(40)).to_rfc3339());
    app.deliver(&late).await;
    assert_eq!(status(&app, "70011223004").await, "connected");
}

async fn an_accounts_presence_ends_no_call(store: Store) {
    let app = TestApp::start(store).await;
    let told = fixture("account-presence-is-silent-about-calls");
    for notification in &told {
        app.deliver(notification).await;
        assert_eq!(status(&app, "70011291004").await, "ringing", "after {notification}");
    }
    // Nor does it keep a call that rings now from ringing.
    let mut other = told[0].clone();
    other["body"]["activeCalls"][0]["sessionId"] = "70011292004".into();
    other["body"]["activeCalls"][0]["telephonySessionId"] = Value::Null;
    other["body"]["sequence"] = json!(605);
    app.deliver(&other).await;
    assert_eq!(status(&app, "70011292004").await, "ringing");
}

async fn a_park_location_makes_no_call(store: Store) {
    let app = TestApp::start(store).await;
    for notification in fixture("park-location-presence") {
        app.deliver(&notification).await;
        assert_eq!(app.active_calls().await, Vec::<Value>::new(), "{notification}");
    }
    app.deliver_fixture("presence-call-missed").await;
    app.ended_call("70011224004").await;
    let sessions: Vec<Value> = app.history().await.iter().map(|call| call["session_id"].clone()).collect();
    assert_eq!(sessions, ["70011224004"]);
}

async fn ones_own_ringout_never_rings(store: Store) {
    let app = TestApp::start(store).await;
    let mut viewer = app.viewer().await;
    let mut told = fixture("ringout-by-presence").remove(0);
    for (sequence, status) in [(1, "Ringing"), (2, "CallConnected"), (3, "NoCall")] {
        told["body"]["sequence"] = json!(sequence);
        told["body"]["telephonyStatus"] = status.into();
        for call in told["body"]["activeCalls"].as_array_mut().unwrap() {
            call["telephonyStatus"] = status.into();
        }
        app.deliver(&told).await;
        assert_eq!(app.active_calls().await, Vec::<Value>::new(), "{status}");
    }
    let row = app.ended_call("9100040000").await;
    is_outbound_to_the_customer(&row);
    assert_eq!(app.history().await.len(), 1, "its two legs are one call");
    // A call that comes in afterwards is the first thing that is shown.
    app.ring("afterwards", "+14165551234").await;
    assert_eq!(viewer.wait_for("call").await.call()["session_id"], "afterwards");
}

async fn a_ringout_in_separate_notifications_is_one_outbound_call(store: Store) {
    let app = TestApp::start(store).await;
    for inbound_first in [false, true] {
        let one = |place: usize, sequence: u64| {
            let mut told = fixture("ringout-by-presence").remove(0);
            let leg = told["body"]["activeCalls"][place].take();
            // An incomplete list, so that the other leg is not thought to have ended.
            told["body"]["activeCalls"] = json!([leg]);
            told["body"]["sequence"] = json!(sequence + if inbound_first { 10 } else { 0 });
            let ids = [("sessionId", "9100041000", "9100091000"), ("sessionId", "9100040000", "9100090000")];
            for (field, known, other) in ids.into_iter().filter(|_| inbound_first) {
                if told["body"]["activeCalls"][0][field] == known {
                    told["body"]["activeCalls"][0][field] = other.into();
                    told["body"]["activeCalls"][0]["telephonySessionId"] = format!("s-{other}").into();
                }
            }
            told
        };
        let places = if inbound_first { [1, 0] } else { [0, 1] };
        app.deliver(&one(places[0], 1)).await;
        assert_eq!(app.active_calls().await.len(), usize::from(inbound_first), "alone it cannot be told from a caller");
        app.deliver(&one(places[1], 2)).await;
        assert_eq!(app.active_calls().await, Vec::<Value>::new());
        for (sequence, place) in (3..).zip(places) {
            let mut told = one(place, sequence);
            told["body"]["telephonyStatus"] = "NoCall".into();
            told["body"]["activeCalls"][0]["telephonyStatus"] = "NoCall".into();
            app.deliver(&told).await;
        }
        let session = if inbound_first { "9100090000" } else { "9100040000" };
        is_outbound_to_the_customer(&app.ended_call(session).await);
        assert_eq!(app.history().await.len(), 1 + usize::from(inbound_first));
    }
}

fn is_outbound_to_the_customer(row: &Value) {
    let seen = ["direction", "from_number", "to_number"].map(|field| &row[field]);
    assert_eq!(seen, ["Outbound", "+15875550199", "+14165550107"]);
    assert_eq!((&row["extension_ids"], &row["answered_by"]), (&json!(["314"]), &Value::Null));
}

async fn a_second_incoming_call_is_no_ringout(store: Store) {
    let app = TestApp::start(store).await;
    let told = fixture("ringout-by-presence").remove(0);
    let variants: [(&str, &str, Value); 4] = [
        // The session, and how it differs from the RingOut's.
        ("9100141000", "from", json!("+14165550108")),
        ("9100145000", "to", json!("+15875550198")),
        ("9100149001", "sessionId", json!("9100149001")),
        ("9100151000", "direction", json!("Inbound")),
    ];
    for (n, (session, field, value)) in variants.into_iter().enumerate() {
        let mut told = told.clone();
        let number: u64 = session.parse().unwrap();
        let calls = &mut told["body"]["activeCalls"];
        let apart = if field == "sessionId" { 4_001 } else { 1_000 };
        calls[0]["sessionId"] = json!((number - apart).to_string());
        calls[1]["sessionId"] = json!(session);
        for call in calls.as_array_mut().unwrap() {
            call["telephonySessionId"] = Value::Null;
        }
        calls[usize::from(field != "direction")][field] = value;
        told["body"]["sequence"] = json!(n + 1);
        // Each variant is of an extension of its own.
        told["body"]["extensionId"] = json!(format!("32{n}"));
        app.deliver(&told).await;
        assert_eq!(status(&app, session).await, "ringing", "{field}");
    }
    // The other end of the pair rings at another extension.
    for (extension, place) in [("330", 0), ("331", 1)] {
        let mut told = told.clone();
        told["body"]["extensionId"] = json!(extension);
        told["body"]["activeCalls"] = json!([told["body"]["activeCalls"][place]]);
        app.deliver(&told).await;
    }
    assert_eq!(status(&app, "9100041000").await, "ringing", "another extension");
}

async fn status(app: &TestApp, session: &str) -> String {
    let call = eventually(format!("{session} to be active"), async || app.active_call(session).await).await;
    call["status"].as_str().unwrap().to_owned()
}
