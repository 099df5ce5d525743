//! What RingCentral posts: the guide's flat body, and the fixtures.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// The guide's flat body.
pub fn flat(session: &str, status: &str, from: Value) -> Value {
    json!({
        "event": "/restapi/v1.0/account/~/extension/~/presence",
        "body": {
            "telephonyStatus": status,
            "sessionId": session,
            "from": from,
            "to": { "phoneNumber": "+15879876543" },
            "direction": "Inbound",
        },
    })
}

/// The notifications of `tests/fixtures/NAME.json`, moved in time so that the last one is told just now.
pub fn fixture(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).with_extension("json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut told = match serde_json::from_str(&text).expect("a fixture is JSON") {
        Value::Array(several) => several,
        one => vec![one],
    };
    let mut newest = DateTime::<Utc>::MIN_UTC;
    told.iter_mut().for_each(|value| each_time(value, &mut |time| newest = newest.max(*time)));
    let age = Utc::now() - newest;
    told.iter_mut().for_each(|value| each_time(value, &mut |time| *time += age));
    told
}

/// Visits every text that is a time, and writes it back.
fn each_time(value: &mut Value, visit: &mut impl FnMut(&mut DateTime<Utc>)) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| each_time(value, visit)),
        Value::Array(items) => items.iter_mut().for_each(|value| each_time(value, visit)),
        Value::String(text) => {
            if let Ok(time) = DateTime::parse_from_rfc3339(text) {
                let mut time = time.to_utc();
                visit(&mut time);
                *text = time.to_rfc3339_opts(SecondsFormat::Millis, true);
            }
        }
        _ => {}
    }
}
