//! What must never stand in a log above debug: the numbers, names and secrets of every test. Each program's log is
//! searched for all of them when its test ends.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use aho_corasick::AhoCorasick;
use caller_popup::simulator::{Scenario, scenarios};
use chrono::Utc;
use serde_json::Value;

use super::token;

/// What is shorter stands in honest lines too.
const SHORTEST: usize = 7;
const SHORTEST_SECRET: usize = 12;
/// Settings that hold secrets, some of them several.
const SECRET_SETTINGS: [&str; 5] = [
    "API_TOKENS",
    "JWT_SECRET",
    "RINGCENTRAL_CLIENT_SECRET",
    "RINGCENTRAL_JWT_TOKEN",
    "RINGCENTRAL_VERIFICATION_TOKEN",
];

static PRIVATE: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(|| {
    let mut found = HashSet::from([token::SECRET.to_owned()]);
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            continue;
        }
        // Those that are no JSON are keys and tokens, not notifications.
        let text = std::fs::read_to_string(path).unwrap();
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        // Whom the API's own description names is nobody.
        if told.get("openapi").is_none() {
            people(&told, &mut found);
        }
    }
    for choice in scenarios() {
        for (_, told) in Scenario::named(choice.name).unwrap().notifications(Utc::now(), 7) {
            people(&told, &mut found);
        }
    }
    Mutex::new(found)
});

/// Nobody may read this in a log from now on.
pub fn hide(secrets: impl IntoIterator<Item = String>) {
    let secrets = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST);
    PRIVATE.lock().expect("no test panics while it holds the secrets").extend(secrets);
}

/// The same for whoever is in a notification.
pub fn hide_people(told: &Value) {
    let mut found = HashSet::new();
    people(told, &mut found);
    hide(found);
}

/// The same for what a setting holds.
pub fn hide_setting(name: &str, value: &str) {
    if SECRET_SETTINGS.contains(&name) {
        hide(value.split(',').filter(|secret| secret.len() >= SHORTEST_SECRET).map(str::to_owned));
    }
}

/// The lines above debug that hold something of somebody's, with what it is.
pub fn leaks(log: &str) -> Vec<String> {
    let private: Vec<String> =
        PRIVATE.lock().expect("no test panics while it holds the secrets").iter().cloned().collect();
    let search = AhoCorasick::new(&private).expect("some thousand short words can be searched for");
    let level =
        |line: &str| serde_json::from_str::<Value>(line).ok().and_then(|line| Some(line["level"].as_str()?.to_owned()));
    let above_debug = |line: &&str| !matches!(level(line).as_deref(), Some("DEBUG" | "TRACE"));
    let leak = |line: &str| search.find(line).map(|found| format!("{:?} in {line}", private[found.pattern()]));
    log.lines().filter(above_debug).filter_map(leak).collect()
}

/// A North American number as it may be written, from all of it to the ten digits.
pub fn spellings(e164: &str) -> Vec<String> {
    let Some(digits) = e164.strip_prefix("+1").filter(|it| it.len() == 10) else { return vec![e164.to_owned()] };
    let (area, exchange, line) = (&digits[..3], &digits[3..6], &digits[6..]);
    let mut all = vec![digits.to_owned(), format!("({area}) {exchange}-{line}"), format!("{exchange}-{line}")];
    all.extend(["-", ".", " "].map(|between| [area, exchange, line].join(between)));
    all
}

/// Every number and name in a notification.
fn people(told: &Value, found: &mut HashSet<String>) {
    match told {
        Value::Object(fields) => fields.iter().for_each(|(field, value)| match (field.as_str(), value.as_str()) {
            ("phoneNumber", Some(number)) if number.len() > 6 => found.extend(spellings(number)),
            ("name" | "fromName" | "toName", Some(name)) if name.contains(' ') => drop(found.insert(name.to_owned())),
            ("from" | "to", Some(number)) if number.starts_with('+') => found.extend(spellings(number)),
            _ => people(value, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| people(item, found)),
        _ => {}
    }
}
