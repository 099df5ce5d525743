//! What operators watch: names in the rules, the dashboard and the documentation are those of `/metrics`, and the log has a line for
//! each turn in a call's life.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::{Setup, Store, eventually};

/// What may stand in an expression beside names of metrics.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "rate", "increase", "changes", "histogram_quantile", "sum", "max", "by", "le", "and", "or", "on", "time", "hour",
    "day_of_week", "up", "instance", "job", "status", "credential",
];

on_both_stores!(every_metric_that_is_named_exists, a_call_has_a_line_for_each_turn_of_its_life);

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The values of a key of the rules, which are written one on a line.
fn values(rules: &str, key: &str) -> Vec<String> {
    let of_line = |line: &str| Some(line.trim().trim_start_matches("- ").strip_prefix(key)?.trim().to_owned());
    rules.lines().filter_map(of_line).collect()
}

/// The expressions of a dashboard's panels.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// Names in an expression that are none of the language's.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    // Texts and durations hold no names.
    let outside: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let words = outside.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_alphabetic()) && !WORDS.contains(word);
    words.filter(is_name).map(str::to_owned).collect()
}

async fn every_metric_that_is_named_exists(store: Store) {
    let app = Setup::on(store).start().await;
    let text = app.metrics().await;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let there: BTreeSet<_> = samples.filter_map(|line| line.split(['{', ' ']).next()).collect();
    let (rules, docs) = (file("deploy/prometheus/rules.yml"), file("docs/operations.md"));
    let mut named = values(&rules, "expr:");
    assert!(named.len() > 15, "{named:?}");
    expressions(&serde_json::from_str(&file("deploy/grafana/caller-popup.json")).unwrap(), &mut named);
    assert!(named.len() > 30, "{named:?}");
    for expression in &named {
        let unknown: Vec<_> = metrics_in(expression).into_iter().filter(|name| !there.contains(&name[..])).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {expression}");
    }
    let in_docs = docs.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let in_docs: BTreeSet<_> = in_docs.filter(|word| word.starts_with("caller_popup_") && word.len() > 14).collect();
    let collections =
        ["settings", "tickets", "dismissals", "numbers", "customer_search"].map(|it| format!("caller_popup_{it}"));
    // A histogram is named without the endings of its samples.
    let exists = |name: &str| there.contains(name) || there.contains(format!("{name}_count").as_str());
    let unknown: Vec<_> =
        in_docs.into_iter().filter(|name| !collections.iter().any(|it| it == name) && !exists(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} in the documentation");
    let alerts: BTreeSet<_> = values(&rules, "alert:").into_iter().collect();
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `CallerPopup")?.split_once('`'));
    let described: BTreeSet<_> = rows.map(|(name, _)| format!("CallerPopup{name}")).collect();
    assert_eq!(alerts, described, "each alert has a line in the documentation");
}

async fn a_call_has_a_line_for_each_turn_of_its_life(store: Store) {
    let app = Setup::on(store).start().await;
    let phones: Vec<_> = (101..111).map(|extension| extension.to_string()).collect();
    for phone in &phones {
        app.ring_at(phone, "many-phones").await;
    }
    for status in ["CallConnected", "OnHold", "CallConnected"] {
        app.tell_of(&phones[0], "many-phones", status).await;
    }
    for phone in &phones {
        app.tell_of(phone, "many-phones", "Disconnected").await;
    }
    app.ended_call("many-phones").await;
    let lines = || -> Vec<String> {
        let log = app.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_call = lines.filter(|line| line["call.id"].is_string() && line["level"] == "INFO");
        of_call.filter_map(|line| Some(line["message"].as_str()?.to_owned())).collect()
    };
    eventually("the end is logged", async || lines().contains(&"call ended".to_owned()).then_some(())).await;
    assert_eq!(lines(), ["call ringing", "call answered", "call ended"]);
}
