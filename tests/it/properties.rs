//! What holds for every input, tried with many: notifications, telephone numbers, the stream, settings.

use std::sync::Arc;

use caller_popup::call::{Call, Status};
use caller_popup::config::Config;
use caller_popup::hub::{EventNames, FrameCache, Hub};
use caller_popup::metrics::Metrics;
use caller_popup::phone::{PhoneNumber, Region};
use caller_popup::ringcentral::notification::Notification;
use caller_popup::simulator::{Scenario, scenarios};
use caller_popup::viewer::{Scope, Viewer};
use chrono::{DateTime, Utc};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::support::event_stream::EventStream;

/// Names our reader knows, so that chance leads it deep.
const FIELDS: [&str; 22] = [
    "event",
    "body",
    "uuid",
    "timestamp",
    "sessionId",
    "telephonySessionId",
    "telephonyStatus",
    "extensionId",
    "from",
    "to",
    "phoneNumber",
    "name",
    "direction",
    "activeCalls",
    "parties",
    "status",
    "code",
    "reason",
    "sequence",
    "id",
    "terminationType",
    "totalActiveCalls",
];
/// Ids that RingCentral writes as texts or as integers.
const IDS: [&str; 3] = ["sessionId", "extensionId", "accountId"];
#[rustfmt::skip]
const SETTINGS: [&str; 30] = [
    "BIND", "PUBLIC_URL", "MONGODB_URI", "MONGODB_DATABASE", "DATA_DIR", "POLL_INTERVAL_MS", "DEFAULT_REGION",
    "CUSTOMERS_COLLECTION", "CUSTOMER_PHONE_FIELDS", "CUSTOMER_NAME_FIELDS", "CUSTOMER_EMAIL_FIELD", "CUSTOMER_COMPANY_FIELD", "CUSTOMER_URL",
    "CUSTOMERS_RESCAN_SECONDS",
    "RINGCENTRAL_CLIENT_ID", "RINGCENTRAL_CLIENT_SECRET", "RINGCENTRAL_JWT_TOKEN", "RINGCENTRAL_ACCOUNT_ID",
    "RINGCENTRAL_SERVER_URL", "RINGCENTRAL_REDIRECT_URI", "RINGCENTRAL_VERIFICATION_TOKEN", "API_TOKENS", "JWT_SECRET",
    "JWT_PUBLIC_KEY", "JWT_AUDIENCE", "ALLOWED_ORIGINS", "TRUSTED_PROXIES", "RETENTION_DAYS", "LOG", "LOG_FORMAT",
];

proptest! {
    #[test]
    fn a_body_of_any_bytes_is_read_or_refused(body in vec(any::<u8>(), 0..200)) {
        let _ = Notification::parse(&body, now(), Region::default());
    }

    #[test]
    fn a_body_of_any_json_is_a_notification(event in words(), body in any_json()) {
        let told = json!({ "event": event, "body": body }).to_string();
        prop_assert!(Notification::parse(told.as_bytes(), now(), Region::default()).is_ok());
        prop_assert!(Notification::parse(body.to_string().as_bytes(), now(), Region::default()).is_ok());
    }

    #[test]
    fn bytes_of_another_encoding_change_nothing_around_them(
        played in select(scenarios()),
        bytes in vec(select(vec![0xE9_u8, 0x80, 0xFF, 0xC3, b'\t', 7]), 1..20),
        seed in any::<u64>(),
    ) {
        for (_, told) in Scenario::named(played.name).unwrap().notifications(now(), seed) {
            let text = told.to_string();
            let odd = [b"\xEF\xBB\xBF{\"unheardOf\":\"\\udc00", &bytes[..], b"\",", &text.as_bytes()[1..]].concat();
            let read = Notification::parse(&odd, now(), Region::default());
            prop_assert_eq!(read.ok(), Some(facts(&told)));
        }
    }

    #[test]
    fn fields_nobody_knows_change_nothing(played in select(scenarios()), extra in any_json(), seed in any::<u64>()) {
        for (_, told) in Scenario::named(played.name).unwrap().notifications(now(), seed) {
            let mut more = told.clone();
            each_object(&mut more, &mut |object| drop(object.insert("unheardOf".into(), extra.clone())));
            prop_assert_eq!(facts(&told), facts(&more));
        }
    }

    #[test]
    fn ids_are_the_same_as_texts_and_as_integers(played in select(scenarios()), seed in any::<u64>()) {
        for (_, told) in Scenario::named(played.name).unwrap().notifications(now(), seed) {
            let (mut texts, mut integers) = (told.clone(), told.clone());
            each_id(&mut texts, &|id| {
                if let Value::Number(number) = id {
                    *id = number.to_string().into();
                }
            });
            each_id(&mut integers, &|id| {
                let number = id.as_str().and_then(|id| id.parse::<u64>().ok());
                // What is written with zeros in front is no integer.
                if let Some(number) = number.filter(|number| number.to_string() == id.as_str().unwrap_or_default()) {
                    *id = number.into();
                }
            });
            prop_assert_eq!(facts(&told), facts(&texts));
            prop_assert_eq!(facts(&told), facts(&integers));
        }
    }

    #[test]
    fn a_number_that_is_read_is_read_again_as_itself(raw in "\\PC*|\\+?[0-9 ().x*#-]{0,30}", region in region()) {
        if let Some(number) = PhoneNumber::parse(&raw, region) {
            prop_assert_eq!(PhoneNumber::parse(&number.e164(), region), Some(number.clone()));
            let _ = number.display(region);
        }
    }

    #[test]
    fn separators_make_no_other_number(
        digits in "[2-9][0-9]{2}[2-9][0-9]{6}",
        between in vec(select(vec!["", " ", "-", ".", "/", ") ", " ("]), 10),
    ) {
        let plain = PhoneNumber::parse(&format!("+1{digits}"), Region::default());
        let spelled: String = digits.chars().zip(between).flat_map(|(digit, after)| [digit.to_string(), after.into()]).collect();
        prop_assert_eq!(PhoneNumber::parse(&format!("+1 {spelled}"), Region::default()), plain.clone());
        prop_assert_eq!(PhoneNumber::parse(&spelled, Region::default()), plain);
    }

    #[test]
    fn a_stream_is_read_as_it_was_written(
        names in vec(odd_text(), 1..4),
        plain in any::<bool>(),
        cuts in vec(1_usize..50, 1..20),
    ) {
        let hub = Hub::new(Arc::new(Metrics::default()));
        let event_names = if plain { EventNames::MessageOnly } else { EventNames::Typed };
        let viewer = Viewer { id: "one".into(), scope: Scope::All, until: None };
        let (mut cursor, first) = hub.open(viewer, event_names, None).expect("there is a place");
        let mut written = first.concat();
        let mut told = Vec::new();
        for (n, name) in names.iter().enumerate() {
            let mut call = Call::new(format!("{n:024x}"), name.clone(), now());
            (call.status, call.rev, call.from_name) = (Status::Ringing, 1, Some(name.clone()));
            told.push(serde_json::to_value(&call).unwrap());
            hub.publish(call, None);
            hub.pending_frames(std::iter::once(&mut cursor), &mut FrameCache::default(), |_, frames| written.extend_from_slice(&frames));
        }
        let (mut whole, mut pieces) = (EventStream::default(), EventStream::default());
        whole.feed(&written);
        let (mut rest, mut cuts) = (&written[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            pieces.feed(piece);
            rest = after;
        }
        let events = whole.events();
        prop_assert_eq!(&events, &pieces.events());
        let data: Vec<Value> = events.iter().map(|event| serde_json::from_str(&event.data).expect("data is JSON")).collect();
        for (event, data) in events.iter().zip(&data) {
            prop_assert_eq!(&event.kind, if plain { "message" } else { data["type"].as_str().unwrap() });
        }
        let calls: Vec<_> = data.iter().filter(|data| data["type"] == "call").map(|data| data["call"].clone()).collect();
        prop_assert_eq!(calls, told);
        prop_assert!(events.iter().skip(1).all(|event| !event.last_event_id.is_empty()));
    }

    #[test]
    fn a_wrong_setting_is_named(name in select(&SETTINGS[..]), value in "\\PC{0,40}|[0-9a-z:/.,-]{0,20}") {
        let read = Config::from_vars(|asked| (asked == name).then(|| value.clone()));
        if let Err(problems) = read {
            prop_assert!(problems.to_string().contains(name), "{}: {}", name, problems);
        }
    }

    #[test]
    fn no_settings_together_break_the_reader(values in vec("\\PC{0,20}|[0-9a-z:/.,-]{0,20}", SETTINGS.len())) {
        let read = Config::from_vars(|asked| Some(values[SETTINGS.iter().position(|name| *name == asked)?].clone()));
        prop_assert!(read.is_ok() || !read.unwrap_err().to_string().is_empty());
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_000).expect("this is a time")
}

fn facts(told: &Value) -> Notification {
    Notification::parse(told.to_string().as_bytes(), now(), Region::default()).expect("this is JSON")
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/restapi/v1.0/account/~/extension/101/presence".to_owned()),
        Just("/restapi/v1.0/account/1/telephony/sessions".to_owned()),
        any::<String>(),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec!["Ringing", "NoCall", "Inbound", "+14165551234", "2026-01-01T00:00:00.000Z"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let name = prop_oneof![4 => select(&FIELDS[..]).prop_map(str::to_owned), 1 => any::<String>()];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name, inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn region() -> impl Strategy<Value = Region> {
    select(vec!["US", "CA", "GB", "DE", "IT", "AU", "JP", "BR"]).prop_map(|code| code.parse().expect("a country"))
}

/// Text with everything that ends a line somewhere.
fn odd_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        select(vec!["\r", "\n", "\r\n", "\n\n", "\0", "\u{2028}", "\u{2029}", "\u{85}", "\u{FEFF}", "data:", ":", " "])
            .prop_map(str::to_owned),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn each_object(value: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| each_object(value, visit));
            visit(fields);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, visit)),
        _ => {}
    }
}

fn each_id(value: &mut Value, visit: &impl Fn(&mut Value)) {
    let ids = |object: &mut Map<String, Value>| {
        IDS.iter().for_each(|name| object.get_mut(*name).into_iter().for_each(visit));
    };
    each_object(value, &mut { ids });
}
