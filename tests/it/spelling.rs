//! Notifications as they are really spelled: other encodings, fields of other types, parts that are missing.

use futures_util::{StreamExt, stream};
use mongodb::bson::{Document, doc};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{self, Setup, Store, TestApp, fixture, flat, own_store};

const PATH: &str = "/api/webhooks/ringcentral";

on_both_stores! {
    half_an_emoji_does_not_lose_a_call,
    a_notification_is_read_in_any_encoding,
    values_out_of_range_do_not_lose_a_call,
    a_caller_told_as_text_has_a_number_and_a_name,
    parties_without_id_or_status_are_read_for_what_they_say,
    withheld_callers_have_no_number_and_are_not_looked_up,
    numbers_in_uris_are_read,
    the_number_of_shapes_is_bounded,
}

async fn half_an_emoji_does_not_lose_a_call(store: Store) {
    let app = TestApp::start(store).await;
    post(&app, include_bytes!("../fixtures/half-an-emoji-in-the-name.txt")).await;
    let call = app.active_call("800003").await.expect("the call rings");
    assert_eq!((&call["from_name"], &call["from_number"]), (&json!("Ann \u{fffd}"), &json!("+14165550103")));
}

async fn a_notification_is_read_in_any_encoding(store: Store) {
    let app = TestApp::start(store).await;
    let text =
        |session: &str| flat(session, "Ringing", json!({ "phoneNumber": "+14165550104", "name": "Zoë" })).to_string();
    let utf16 =
        |session: &str, unit: fn(u16) -> [u8; 2]| text(session).encode_utf16().flat_map(unit).collect::<Vec<_>>();
    let latin = |session: &str| text(session).chars().map(|c| c as u8).collect::<Vec<_>>();
    let notifications = [
        ("marked", ["\u{feff}".as_bytes(), text("marked").as_bytes()].concat(), "Zoë"),
        ("latin", latin("latin"), "Zo\u{fffd}"),
        ("little", [&b"\xFF\xFE"[..], &utf16("little", u16::to_le_bytes)].concat(), "Zoë"),
        ("big", [&b"\xFE\xFF"[..], &utf16("big", u16::to_be_bytes)].concat(), "Zoë"),
        ("tabbed", text("tabbed").replace('ë', "e\t").into_bytes(), "Zoe"),
        ("zero", text("zero").replace('ë', "\\u0000").into_bytes(), "Zo\u{fffd}"),
        ("in-a-text", Value::String(text("in-a-text")).to_string().into_bytes(), "Zoë"),
    ];
    for (session, body, name) in notifications {
        post(&app, &body).await;
        let call = app.active_call(session).await.unwrap_or_else(|| panic!("{session} rings"));
        assert_eq!(call["from_name"], name, "{session}");
    }
    // It is no handshake either, whatever its spelling.
    let request = app.request(Method::POST, PATH).header("Validation-Token", "f00d-cafe").body(latin("with-token"));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    assert!(app.active_call("with-token").await.is_some());
}

async fn values_out_of_range_do_not_lose_a_call(store: Store) {
    let app = TestApp::start(store).await;
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for (session, extra) in
        [("deep", deep.as_str()), ("large", "1e999"), ("twice", "1,\"extra\":2"), ("half", "{\"\\ud83d\":1}")]
    {
        let body = flat(session, "Ringing", json!({ "phoneNumber": "+14165550105" })).to_string();
        post(&app, body.replacen('{', &format!("{{\"extra\":{extra},"), 1).as_bytes()).await;
        assert!(app.active_call(session).await.is_some(), "{session}");
    }
    // What is deep and nothing else is no call.
    post(
        &app,
        "[".repeat(5_000).as_bytes().iter().chain("]".repeat(5_000).as_bytes()).copied().collect::<Vec<_>>().as_slice(),
    )
    .await;
    for body in ["{\"a\":1,}", "{} {}", "[", "{\"event\":\"\\ud83d\"", "\u{feff}"] {
        let answer = app.request(Method::POST, PATH).body(body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
    }
}

async fn a_caller_told_as_text_has_a_number_and_a_name(store: Store) {
    let app = TestApp::start(store).await;
    app.deliver_fixture("from-as-text").await;
    let told = fixture("from-as-text").remove(0);
    let mut listed = told.clone();
    listed["body"]["from"] = json!([{ "phoneNumber": "+14165550122", "name": "Pat Doe" }]);
    listed["body"]["sessionId"] = json!(800023);
    let mut by_telephony_session = told.clone();
    by_telephony_session["body"]["telephonySessionId"] = "s-800024".into();
    by_telephony_session["body"].as_object_mut().unwrap().remove("sessionId");
    let mut without_event = told.clone();
    without_event["body"]["sessionId"] = "800025".into();
    without_event.as_object_mut().unwrap().remove("event");
    let mut body_as_text = told;
    body_as_text["body"]["sessionId"] = "800026".into();
    body_as_text["body"] = body_as_text["body"].to_string().into();
    for notification in [listed, by_telephony_session, without_event, body_as_text] {
        app.deliver(&notification).await;
    }
    for session in ["800022", "800023", "s-800024", "800025", "800026"] {
        let call = app.active_call(session).await.unwrap_or_else(|| panic!("{session} rings"));
        let seen = ["from_number", "from_name", "to_number"].map(|field| &call[field]);
        assert_eq!(seen, ["+14165550122", "Pat Doe", "+15875550199"], "{session}");
    }
}

async fn parties_without_id_or_status_are_read_for_what_they_say(store: Store) {
    let app = TestApp::start(store).await;
    let party = |changes: Value| {
        let mut party = json!({
            "id": "p-1", "direction": "Inbound", "accountId": "900100200", "extensionId": "301",
            "from": { "phoneNumber": "+14165550106" }, "to": { "phoneNumber": "+15875550199", "extensionId": "301" },
            "status": { "code": "Proceeding" },
        });
        for (field, value) in changes.as_object().unwrap() {
            party[field] = value.clone();
        }
        party
    };
    let event = |session: &str, sequence: u64, parties: Value| {
        json!({
            "event": "/restapi/v1.0/account/900100200/telephony/sessions",
            "body": { "sequence": sequence, "sessionId": session, "parties": parties, "origin": { "type": "Call" } },
        })
    };
    for (session, parties) in [
        ("830001", json!([party(json!({ "id": null }))])),
        ("830002", json!([party(json!({ "status": "Proceeding" }))])),
        ("830003", json!([null, 7, {}, party(json!({ "id": "p-2", "status": null })), party(json!({ "id": 5 }))])),
        (
            "830004",
            json!([party(json!({ "extensionId": null, "owner": { "accountId": "900100200", "extensionId": 301 } }))]),
        ),
        ("830005", party(json!({}))),
        ("830006", json!([party(json!({ "from": "+14165550106", "to": "+15875550199" }))])),
    ] {
        app.deliver(&event(session, 2, parties)).await;
        let call = app.active_call(session).await.unwrap_or_else(|| panic!("{session} rings"));
        assert_eq!((&call["status"], &call["from_number"]), (&json!("ringing"), &json!("+14165550106")), "{session}");
        assert_eq!(call["extension_ids"], json!(["301"]), "{session}");
    }
    // A detail of a party changes nothing but that detail.
    app.deliver(&event(
        "830002",
        3,
        json!([party(json!({ "status": null, "from": { "phoneNumber": "+14165550106", "name": "Pat Doe" } }))]),
    ))
    .await;
    let call = app.active_call("830002").await.expect("the call still rings");
    assert_eq!((&call["status"], &call["from_name"]), (&json!("ringing"), &json!("Pat Doe")));
    // Nor does a party without a status make a call.
    app.deliver(&event("830007", 2, json!([party(json!({ "status": null }))]))).await;
    assert_eq!(app.active_call("830007").await, None);
    // The same party without an id is the same at the end.
    app.deliver(&event(
        "830001",
        4,
        json!([party(json!({ "id": null, "status": { "code": "Disconnected", "reason": "NoAnswer" } }))]),
    ))
    .await;
    assert_eq!(app.ended_call("830001").await["result"], "missed");
    assert!(shapes(&app, store).await.iter().any(|shape| shape.contains("parties:[null]")), "the odd list is recorded");
}

async fn withheld_callers_have_no_number_and_are_not_looked_up(store: Store) {
    let setup = Setup::on(store).with_customers(&[("Vera Keypad", "vera@example.com", "+17378742833")]).await;
    let app = setup.start().await;
    let callers = [
        (json!("Restricted"), Value::Null),
        (json!("266696687"), json!("Anonymous")),
        (json!("2562533"), json!("BLOCKED")),
        (json!("7378742833"), json!("Restricted")),
        (json!("Private Number"), Value::Null),
        (json!("Out of Area"), Value::Null),
        (json!("-1"), Value::Null),
        (json!(-1), Value::Null),
        (json!("0000000000"), Value::Null),
        (Value::Null, json!("Sales - Anonymous")),
    ];
    for (n, (number, name)) in callers.iter().enumerate() {
        let session = format!("84{n:04}");
        app.deliver(&flat(&session, "Ringing", json!({ "phoneNumber": number, "name": name }))).await;
        let call = app.active_call(&session).await.expect("the call rings");
        let seen = ["from_number", "from_name", "customer_id"].map(|field| &call[field]);
        assert_eq!(seen, [&Value::Null; 3], "{number} {name}");
    }
}

async fn numbers_in_uris_are_read(store: Store) {
    let app = TestApp::start(store).await;
    let callers = [
        ("850001", "sip:+14165550344@sip.example.com", "+14165550344"),
        ("850002", "tel:+14165550345", "+14165550345"),
        ("850003", "tel:+1-416-555-0341", "+14165550341"),
        ("850004", "(416) 555-0346", "(416) 555-0346"),
    ];
    for (session, written, number) in callers {
        app.deliver(&flat(session, "Ringing", json!({ "phoneNumber": written }))).await;
        assert_eq!(app.active_call(session).await.expect("the call rings")["from_number"], number, "{written}");
    }
}

async fn the_number_of_shapes_is_bounded(kind: Store) {
    let (config, _folder) = own_store(kind);
    let store = caller_popup::store::Store::open(&config).await.unwrap();
    store.prepare().await.unwrap();
    let start = chrono::Utc::now();
    let seen = async |n: i64, later: i64| {
        let at = start + chrono::TimeDelta::milliseconds(n + later);
        store.record_shape(&format!("{{f{n}:string}}"), at).await.unwrap();
    };
    for some in [0..1_000, 1_000..1_200] {
        stream::iter(some).for_each_concurrent(64, |n| seen(n, 0)).await;
        // The first is an old acquaintance that is seen all the time.
        seen(0, 5_000).await;
    }
    let kept = recorded(kind, &config).await;
    let numbers: Vec<i64> = kept.iter().filter_map(|shape| shape[2..].split(':').next()?.parse().ok()).collect();
    assert_eq!((kept.len(), numbers.len()), (1_000, 1_000));
    assert!(numbers.contains(&0), "seen again after it was the oldest");
    // Many at once may each delete what is oldest in this moment, so the newest are what is certain.
    assert!((1_100..1_200).all(|n| numbers.contains(&n)) && !numbers.contains(&1));
}

async fn post(app: &TestApp, body: &[u8]) {
    let request = app.request(Method::POST, PATH).header(CONTENT_TYPE, "application/json; charset=UTF-8");
    let answer = request.body(body.to_vec()).send().await.unwrap();
    let beginning = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
    assert_eq!(answer.status(), StatusCode::OK, "{beginning}");
}

async fn shapes(app: &TestApp, store: Store) -> Vec<String> {
    match store {
        Store::Sqlite => of_file(&app.data_dir()),
        Store::Mongo => of_database(&app.database().await).await,
    }
}

async fn recorded(kind: support::Store, config: &caller_popup::config::Config) -> Vec<String> {
    match (kind, &config.mongodb) {
        (Store::Mongo, Some(mongodb)) => {
            let client = mongodb::Client::with_uri_str(&mongodb.uri).await.unwrap();
            of_database(&client.database(&mongodb.database)).await
        }
        _ => of_file(&config.data_dir),
    }
}

fn of_file(folder: &std::path::Path) -> Vec<String> {
    let file = Connection::open(folder.join("caller-popup.sqlite")).unwrap();
    let mut query = file.prepare("SELECT shape FROM notification_shapes").unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

async fn of_database(database: &mongodb::Database) -> Vec<String> {
    let found = database.collection::<Document>("notification_shapes").find(doc! {}).await.unwrap();
    found.map(|shape| shape.unwrap().get_str("_id").unwrap().to_owned()).collect().await
}
