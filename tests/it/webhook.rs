//! What RingCentral posts, and what it gets for an answer.

use futures_util::future::join_all;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Setup, Store, TestApp, eventually, fixture, flat};

const PATH: &str = "/api/webhooks/ringcentral";

on_both_stores! {
    the_guides_incoming_call_becomes_an_active_call,
    every_status_of_the_guide_is_understood,
    a_status_for_a_call_never_heard_of_is_taken_in_silence,
    the_same_notification_twice_is_one_call,
    many_notifications_at_once_lose_nothing,
    a_call_told_by_presence_rings_is_answered_and_ends,
    a_call_told_by_presence_without_names_is_missed,
    a_second_call_of_one_extension_rings_beside_the_first,
    a_direct_call_told_by_telephony_events_is_followed_to_its_end,
    notifications_in_the_wrong_order_end_in_the_same_call,
    a_menu_neither_rings_nor_answers_a_call,
    our_own_outbound_call_never_rings,
    a_queue_call_is_one_call_for_all_its_agents,
}

async fn the_guides_incoming_call_becomes_an_active_call(store: Store) {
    let app = TestApp::start(store).await;
    app.deliver_fixture("guide-ringing").await;
    let call = &app.active_calls().await[0];
    let seen = ["session_id", "from_number", "from_name", "to_number", "direction", "status"].map(|field| &call[field]);
    assert_eq!(seen, ["test-session-123", "+14165551234", "Test Caller", "+15879876543", "Inbound", "ringing"]);
}

async fn every_status_of_the_guide_is_understood(store: Store) {
    let app = TestApp::start(store).await;
    for end in ["NoCall", "Disconnected"] {
        let session = format!("ends-with-{end}");
        app.ring(&session, "+14165551234").await;
        for (theirs, ours) in [
            ("CallConnected", "connected"),
            ("OnHold", "on_hold"),
            ("CallConnected", "connected"),
            ("ParkedCall", "parked"),
        ] {
            app.tell(&session, theirs).await;
            let call = app.active_call(&session).await.expect("the call is active");
            assert_eq!(call["status"], ours, "after {theirs}");
        }
        app.tell(&session, end).await;
        assert_eq!(app.active_call(&session).await, None, "after {end}");
    }
}

async fn a_status_for_a_call_never_heard_of_is_taken_in_silence(store: Store) {
    let app = TestApp::start(store).await;
    app.hang_up("never-rang").await;
    app.ring("rings", "+14165551234").await;
    let active = app.active_calls().await;
    assert_eq!(active.iter().map(|call| &call["session_id"]).collect::<Vec<_>>(), ["rings"]);
}

async fn the_same_notification_twice_is_one_call(store: Store) {
    let app = TestApp::start(store).await;
    // A withheld number, because the answer of a lookup is a change too and may come at any time.
    let told = json!(fixture("direct-call-answered")).to_string().replace("+14165550145", "anonymous");
    let notifications: Vec<Value> = serde_json::from_str(&told).unwrap();
    for notification in &notifications[..4] {
        app.deliver(notification).await;
    }
    let once = app.active_calls().await;
    for notification in &notifications[..4] {
        app.deliver(notification).await;
    }
    assert_eq!(once.len(), 1);
    assert_eq!(app.active_calls().await, once, "nothing changed, not even rev");
}

async fn many_notifications_at_once_lose_nothing(store: Store) {
    let app = TestApp::start(store).await;
    let sessions: Vec<_> = (0..40).map(|n| format!("call-{n:02}")).collect();
    let rings = sessions.iter().map(|session| app.ring(session, "+14165551234"));
    futures_util::future::join_all(rings).await;
    // The legs of one call come within milliseconds of each other, as separate requests.
    let changes = sessions.iter().flat_map(|session| [app.answer(session), app.answer(session)]);
    futures_util::future::join_all(changes).await;
    let mut active: Vec<_> = app.active_calls().await.iter().map(|call| call["session_id"].clone()).collect();
    active.sort_by_key(Value::to_string);
    assert_eq!(active, sessions);
    assert!(app.active_calls().await.iter().all(|call| call["status"] == "connected"));
}

async fn a_call_told_by_presence_rings_is_answered_and_ends(store: Store) {
    let app = TestApp::start(store).await;
    let [ringing, answered, ended] = &fixture("presence-call-answered")[..] else { panic!("three notifications") };
    app.deliver(ringing).await;
    let call = app.active_call("70011223004").await.expect("the call rings");
    let fields = ["from_number", "from_name", "to_number", "status", "telephony_session_id"].map(|field| &call[field]);
    let told = ["+14165550142", "Maple Bakery", "+15875550100", "ringing", "s-0aa11bb22cc33dd44ee55ff660077001"];
    assert_eq!(fields, told);
    assert_eq!(call["extension_ids"], json!(["900101016"]));

    app.deliver(answered).await;
    let call = app.active_call("70011223004").await.expect("the call goes on");
    assert_eq!((&call["status"], &call["answered_by"]["extension_id"]), (&json!("connected"), &json!("900101016")));

    app.deliver(ended).await;
    let call = app.ended_call("70011223004").await;
    assert_eq!(call["result"], "answered");
    assert_eq!(app.active_call("70011223004").await, None);
}

async fn a_call_told_by_presence_without_names_is_missed(store: Store) {
    let app = TestApp::start(store).await;
    let [ringing, ended] = &fixture("presence-call-missed")[..] else { panic!("two notifications") };
    app.deliver(ringing).await;
    let call = app.active_call("70011224004").await.expect("the call rings");
    assert_eq!((&call["from_number"], &call["from_name"]), (&json!("+14165550143"), &Value::Null));
    assert_eq!(call["extension_ids"], json!(["900101016"]), "an id told as a number is the same id");
    app.deliver(ended).await;
    assert_eq!(app.ended_call("70011224004").await["result"], "missed");
}

async fn a_second_call_of_one_extension_rings_beside_the_first(store: Store) {
    let app = TestApp::start(store).await;
    app.deliver_fixture("presence-second-call-rings").await;
    let first = app.active_call("70011225004").await.expect("the first call is active");
    let second = app.active_call("70011226004").await.expect("the second call is active");
    assert_eq!((&first["status"], &second["status"]), (&json!("connected"), &json!("ringing")));
    assert_eq!((&first["from_name"], &second["from_name"]), (&json!("Maple Bakery"), &json!("Harbour Taxi")));
}

async fn a_direct_call_told_by_telephony_events_is_followed_to_its_end(store: Store) {
    let app = TestApp::start(store).await;
    let told = fixture("direct-call-answered");
    let [placed, reached, rings, answered, line_answered, held, resumed, hung_up, line_hung_up] = &told[..] else {
        panic!("nine notifications")
    };
    app.deliver(placed).await;
    app.deliver(reached).await;
    app.deliver(rings).await;
    let call = app.active_call("80011223016").await.expect("the call rings");
    assert_eq!((&call["status"], &call["from_name"]), (&json!("ringing"), &json!("NADIA QUILL")));
    assert_eq!(call["telephony_session_id"], "s-0bb11bb22cc33dd44ee55ff660077010");

    for (notification, status) in
        [(answered, "connected"), (line_answered, "connected"), (held, "on_hold"), (resumed, "connected")]
    {
        app.deliver(notification).await;
        assert_eq!(app.active_call("80011223016").await.expect("the call is active")["status"], status);
    }
    app.deliver(hung_up).await;
    app.deliver(line_hung_up).await;
    assert_eq!(app.active_calls().await, Vec::<Value>::new());
    let call = app.ended_call("80011223016").await;
    assert_eq!(call["result"], "answered");
    assert_eq!(call["answered_by"], json!({ "extension_id": "900101016", "name": "Dana Park" }));
}

async fn notifications_in_the_wrong_order_end_in_the_same_call(store: Store) {
    let app = TestApp::start(store).await;
    app.deliver_fixture("direct-call-out-of-order").await;
    let call = app.active_call("80011226016").await.expect("the call is active");
    assert_eq!(call["status"], "connected", "a late Proceeding does not make an answered call ring again");
    assert_eq!(call["from_name"], "NADIA QUILL");
}

async fn a_menu_neither_rings_nor_answers_a_call(store: Store) {
    let app = TestApp::start(store).await;
    let told = fixture("menu-then-agent");
    for in_the_menu in &told[..4] {
        app.deliver(in_the_menu).await;
        assert_eq!(app.active_calls().await, Vec::<Value>::new(), "nobody's phone rings yet");
    }
    app.deliver(&told[4]).await;
    app.deliver(&told[5]).await;
    let call = app.active_call("80011228016").await.expect("the agent's phone rings");
    assert_eq!((&call["status"], &call["from_name"]), (&json!("ringing"), &json!("OTIS GRAIN")));
    assert_eq!((&call["to_number"], &call["answered_by"]), (&json!("+18005550100"), &Value::Null));
    for rest in &told[6..] {
        app.deliver(rest).await;
    }
    assert_eq!(app.ended_call("80011228016").await["result"], "answered");
}

async fn our_own_outbound_call_never_rings(store: Store) {
    let app = TestApp::start(store).await;
    for notification in fixture("own-outbound-call") {
        app.deliver(&notification).await;
        assert_eq!(app.active_calls().await, Vec::<Value>::new());
    }
}

async fn a_queue_call_is_one_call_for_all_its_agents(store: Store) {
    let app = TestApp::start(store).await;
    let told = fixture("queue-call-answered-by-second-agent");
    for notification in &told[..3] {
        app.deliver(notification).await;
    }
    let [call] = &app.active_calls().await[..] else { panic!("one call") };
    assert_eq!((&call["status"], &call["queue"]), (&json!("ringing"), &json!("Support")));
    assert_eq!((&call["extension_ids"], &call["from_name"]), (&json!(["900101016", "900102016"]), &json!("IDA MOSS")));
    for notification in &told[3..5] {
        app.deliver(notification).await;
        let [call] = &app.active_calls().await[..] else { panic!("one call") };
        assert_eq!((&call["status"], &call["answered_by"]["extension_id"]), (&json!("connected"), &json!("900102016")));
    }
    for notification in &told[5..] {
        app.deliver(notification).await;
    }
    assert_eq!(app.ended_call("80011229016").await["result"], "answered");
}

#[tokio::test]
async fn a_missed_call_is_shown_as_missed() {
    let app = TestApp::start(Store::Sqlite).await;
    app.deliver_fixture("direct-call-missed").await;
    assert_eq!(app.ended_call("80011224016").await["result"], "missed");
}

#[tokio::test]
async fn a_caller_who_reaches_a_mailbox_is_no_missed_call() {
    let app = TestApp::start(Store::Sqlite).await;
    app.deliver_fixture("direct-call-to-voicemail").await;
    assert_eq!(app.ended_call("80011225016").await["result"], "voicemail");
}

#[tokio::test]
async fn a_handshake_is_answered_with_its_token() {
    let app =
        Setup::on(Store::Sqlite).with("RINGCENTRAL_VERIFICATION_TOKEN", "expected-of-notifications").start().await;
    for body in ["", "{}", "null", "hello"] {
        let request = app.request(Method::POST, PATH).header("Validation-Token", "f00d-cafe").body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "for {body:?}");
        assert_eq!(answer.headers()["Validation-Token"], "f00d-cafe");
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
    }
}

#[tokio::test]
async fn the_answer_to_a_handshake_is_smaller_than_ringcentral_allows() {
    let app = TestApp::start(Store::Sqlite).await;
    let token = "0123456789abcdef".repeat(8);
    let mut socket = TcpStream::connect(&app.address).await.unwrap();
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {}\r\nValidation-Token: {token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        app.address
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&token), "{answer}");
    assert!(answer.len() < 1024, "{} bytes:\n{answer}", answer.len());
}

#[tokio::test]
async fn a_notification_with_a_validation_token_is_still_a_notification() {
    let app = TestApp::start(Store::Sqlite).await;
    let body = flat("rings", "Ringing", json!({ "phoneNumber": "+14165551234" }));
    let request = app.request(Method::POST, PATH).header("Validation-Token", "f00d-cafe").json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["Validation-Token"]),
        (StatusCode::OK, &"f00d-cafe".parse().unwrap())
    );
    assert!(app.active_call("rings").await.is_some());
}

#[tokio::test]
async fn a_notification_without_the_right_verification_token_is_refused() {
    let app = Setup::on(Store::Sqlite).with("RINGCENTRAL_VERIFICATION_TOKEN", "the-right-one").start().await;
    let ring = |session| flat(session, "Ringing", json!({ "phoneNumber": "+14165551234" }));
    for wrong in [None, Some(""), Some("the-right-on"), Some("the-right-one-and-more"), Some("THE-RIGHT-ONE")] {
        let mut request = app.request(Method::POST, PATH).json(&ring("forged"));
        if let Some(token) = wrong {
            request = request.header("Verification-Token", token);
        }
        let code = refusal(request.send().await.unwrap(), StatusCode::UNAUTHORIZED).await;
        assert!(!code.is_empty(), "for {wrong:?}");
    }
    let request = app.request(Method::POST, PATH).json(&ring("real")).header("Verification-Token", "the-right-one");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    let active = app.active_calls().await;
    assert_eq!(active.iter().map(|call| &call["session_id"]).collect::<Vec<_>>(), ["real"]);
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let app = TestApp::start(Store::Sqlite).await;
    for body in ["", "{", "Ringing", "{\"event\": }", "\u{0}"] {
        let request = app.request(Method::POST, PATH).header(CONTENT_TYPE, "application/json").body(body);
        refusal(request.send().await.unwrap(), StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_refused() {
    let app = TestApp::start(Store::Sqlite).await;
    let post = |length: usize| {
        let body = format!("\"{}\"", "x".repeat(length - 2));
        app.request(Method::POST, PATH).header(CONTENT_TYPE, "application/json").body(body).send()
    };
    assert_eq!(post(1 << 20).await.unwrap().status(), StatusCode::OK, "one MiB is not over one MiB");
    refusal(post((1 << 20) + 1).await.unwrap(), StatusCode::PAYLOAD_TOO_LARGE).await;
}

#[tokio::test]
async fn other_methods_are_refused() {
    let app = TestApp::start(Store::Sqlite).await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        refusal(app.request(method, PATH).send().await.unwrap(), StatusCode::METHOD_NOT_ALLOWED).await;
    }
}

#[tokio::test]
async fn json_that_means_nothing_to_us_is_taken_and_shows_nothing() {
    let app = TestApp::start(Store::Sqlite).await;
    for strange in [
        json!({}),
        json!([]),
        json!(42),
        json!(null),
        json!({ "event": "/restapi/v9/of/the/future", "body": { "who": "knows" } }),
        json!({ "event": "/restapi/v1.0/account/~/extension/~/presence", "body": null }),
        json!({ "event": 7, "body": { "telephonyStatus": "Ringing" } }),
        json!({ "event": "/restapi/v1.0/account/~/telephony/sessions", "body": { "parties": [null, 1, {}] } }),
        json!({ "event": "/restapi/v1.0/account/~/extension/1/presence", "body": { "activeCalls": [{}, "x"] } }),
    ] {
        app.deliver(&strange).await;
    }
    for known in ["sms-received", "subscription-reminder", "presence-without-calls"] {
        app.deliver_fixture(known).await;
    }
    assert_eq!(app.active_calls().await, Vec::<Value>::new());
    // It was recorded by its shape: field names, never what stands in them.
    let store = Connection::open(app.data_dir().join("caller-popup.sqlite")).unwrap();
    let shapes = "SELECT group_concat(shape) FROM notification_shapes";
    let shapes: String = store.query_row(shapes, [], |row| row.get(0)).unwrap();
    assert!(shapes.contains("who:string") && !shapes.contains("knows") && !shapes.contains("Hi there"), "{shapes}");
}

#[tokio::test]
async fn a_text_of_any_length_is_kept_and_shown_short() {
    let app = TestApp::start(Store::Sqlite).await;
    app.ring_as(&"s".repeat(50_000), "+14165551234", &"n".repeat(500_000)).await;
    let calls = app.active_calls().await;
    assert_eq!((&calls[0]["session_id"], &calls[0]["from_name"]), (&json!("s".repeat(256)), &json!("n".repeat(256))));
}

#[tokio::test]
async fn guessers_are_slowed_down_each_for_themselves_also_behind_a_proxy() {
    let app = Setup::on(Store::Sqlite)
        .with("RINGCENTRAL_VERIFICATION_TOKEN", "expected")
        .with("TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await;
    let say = async |address: &str, token: &str| {
        let request = app.request(Method::POST, "/api/webhooks/ringcentral").header("Verification-Token", token);
        let request = request.header("X-Forwarded-For", address).json(&flat("guessed", "Ringing", json!({})));
        request.send().await.expect("an answer comes").status()
    };
    eventually("one guesser is slowed down", async || {
        // What it writes in front itself does not make it another.
        let status = say("192.0.2.1, 203.0.113.9", "guess").await;
        (status == StatusCode::TOO_MANY_REQUESTS).then_some(())
    })
    .await;
    assert_eq!(say("203.0.113.10", "guess").await, StatusCode::UNAUTHORIZED);
    assert_eq!(say("203.0.113.9", "expected").await, StatusCode::OK, "what is authentic passes, whatever its address");
}

#[tokio::test]
async fn guessers_cannot_keep_ringcentral_from_its_handshake() {
    let app = Setup::on(Store::Sqlite)
        .with("RINGCENTRAL_VERIFICATION_TOKEN", "expected")
        .with("TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await;
    let say = async |address: String, header: &str| {
        let request = app.request(Method::POST, PATH).header("X-Forwarded-For", address);
        request.header(header, "guess").send().await.expect("an answer comes").status()
    };
    let guesses = join_all((0..400).map(|n| say(format!("2001:db8:0:{:x}::{n:x}", n % 40), "Verification-Token")));
    let handshakes = async {
        eventually("so many guesses that one more is too many", async || {
            (say("203.0.113.9".into(), "Verification-Token").await == StatusCode::TOO_MANY_REQUESTS).then_some(())
        })
        .await;
        join_all((0..20).map(|n| say(format!("198.51.100.{n}"), "Validation-Token"))).await
    };
    let (guesses, handshakes) = tokio::join!(guesses, handshakes);
    assert!(guesses.contains(&StatusCode::TOO_MANY_REQUESTS), "nobody was slowed down");
    assert_eq!(handshakes, [StatusCode::OK; 20]);
    let refused = guesses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
    let said = app.log().matches("were turned away").count();
    assert!(said > 0 && said * 10 < refused, "{refused} refusals make {said} lines");
}

#[tokio::test]
async fn a_household_has_one_limit() {
    let app = Setup::on(Store::Sqlite)
        .with("RINGCENTRAL_VERIFICATION_TOKEN", "expected")
        .with("TRUSTED_PROXIES", "127.0.0.0/8")
        .start()
        .await;
    let say = async |address: String| {
        let request = app.request(Method::POST, PATH).header("X-Forwarded-For", address);
        request.header("Verification-Token", "guess").send().await.expect("an answer comes").status()
    };
    // Each from another address; on a slow machine the limit is filled up again meanwhile, so there may be several rounds.
    let mut next = 0..;
    eventually("the house is slowed down", async || {
        let from_one_house = join_all(next.by_ref().take(40).map(|n| say(format!("2001:db8::{n:x}")))).await;
        from_one_house.contains(&StatusCode::TOO_MANY_REQUESTS).then_some(())
    })
    .await;
    assert_eq!(say("2001:db8:0:1::1".into()).await, StatusCode::UNAUTHORIZED, "the neighbours");
}

#[tokio::test]
async fn a_caller_who_withholds_the_number_has_none() {
    let app = TestApp::start(Store::Sqlite).await;
    app.deliver_fixture("withheld-caller-ringing").await;
    app.ring("anonymous", "anonymous").await;
    for session in ["withheld-1", "anonymous"] {
        let call = app.active_call(session).await.expect("the call rings");
        assert_eq!((&call["from_number"], &call["customer_id"]), (&Value::Null, &Value::Null));
    }
}

/// Insists on this status and on an error in our form; its code.
async fn refusal(answer: Response, status: StatusCode) -> String {
    assert_eq!(answer.status(), status);
    let body: Value = answer.json().await.expect("an error is JSON");
    let (code, message) = (body["error"]["code"].as_str(), body["error"]["message"].as_str());
    assert!(message.is_some_and(|message| message.len() > 10), "a sentence for a person: {body}");
    let code = code.expect("an error has a code");
    assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "snake_case: {code}");
    code.to_owned()
}
