//! Calls that never were: scenarios a person can watch and a test can check, in RingCentral's own notifications.
//!
//! A scenario is data in `scenarios/`: whole notifications with the time between them, and what must become of the call.
//! Whatever must differ from play to play (ids, times) stands in braces, so that every play is a new call of now:
//!
//! | in the file | becomes |
//! |---|---|
//! | `{{uuid}}` | a new notification id |
//! | `{{session:N}}`, `{{telephony:N}}` | both ids of the play's Nth session; later ones are greater, as RingCentral's are |
//! | `{{party:N-M}}` | the Mth party of that session |
//! | `{{time}}`, `{{sent}}` | when it happened, and when it was sent, a little later |
//!
//! This file only makes notifications; who plays them sends them to the webhook, like RingCentral.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::call::{CallResult, Direction, millis};

/// How long RingCentral takes to send what happened; captures show 50 to 150 ms.
const SENDING: TimeDelta = TimeDelta::milliseconds(80);

macro_rules! scenarios {
    ($($name:literal),+ $(,)?) => {
        /// Every scenario and its file, in the order of the menu.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../scenarios/", $name, ".json")))),+];
    };
}

scenarios![
    "direct",
    "unknown",
    "withheld",
    "ivr",
    "queue",
    "queue-missed",
    "missed",
    "voicemail",
    "rejected",
    "menu-abandoned",
    "blind-transfer",
    "attended-transfer",
    "conference",
    "park",
    "park-location",
    "call-switch",
    "ext-to-ext",
    "outbound",
    "ringout",
    "presence-only",
    "both-sources",
    "guide",
];

/// A line of the menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ScenarioSummary {
    /// What the command line and the API call it.
    pub name: &'static str,
    /// What a person reads.
    pub title: String,
    /// What will happen, in a sentence.
    pub description: String,
}

/// A call, told in notifications.
#[derive(Clone, Debug, Deserialize)]
pub struct Scenario {
    /// What a person reads.
    pub title: String,
    /// What will happen, in a sentence.
    pub description: String,
    /// What must become of the call, whatever the order its notifications arrive in.
    pub expect: Expect,
    steps: Vec<Step>,
}

/// The end of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Expect {
    /// As seen from the company.
    pub direction: Direction,
    /// What came of the call.
    pub result: CallResult,
    /// The extension id of who took it last.
    pub answered_by: Option<String>,
    /// Whether anybody ever sees a popup.
    pub popup: bool,
    /// The caller.
    pub from_number: Option<String>,
    /// The caller's name.
    pub from_name: Option<String>,
    /// The queue that distributed the call.
    pub queue: Option<String>,
    /// Rows it leaves in the history.
    pub rows: usize,
}

#[derive(Clone, Debug, Deserialize)]
struct Step {
    /// From the start of the play.
    after_ms: u64,
    notification: Value,
}

/// The menu.
pub fn scenarios() -> Vec<ScenarioSummary> {
    let choice = |(name, file): &(&'static str, &str)| {
        let Scenario { title, description, .. } = read(file);
        ScenarioSummary { name, title, description }
    };
    FILES.iter().map(choice).collect()
}

impl Scenario {
    /// The scenario called so.
    pub fn named(name: &str) -> Option<Self> {
        FILES.iter().find(|(known, _)| *known == name).map(|(_, file)| read(file))
    }

    /// The notifications of a play that begins at `now`, each with the time after that at which it is due, in that
    /// order. Plays with different seeds are different calls, also when they begin together.
    pub fn notifications(&self, now: DateTime<Utc>, seed: u64) -> Vec<(Duration, Value)> {
        let play = RunningSimulation { now, seed };
        let told = |(index, step): (usize, &Step)| {
            let mut notification = step.notification.clone();
            let at = now + TimeDelta::milliseconds(step.after_ms as i64);
            fill(&mut notification, &|name| play.value(name, index, at));
            (Duration::from_millis(step.after_ms), notification)
        };
        self.steps.iter().enumerate().map(told).collect()
    }
}

/// One play of a scenario: what makes its ids its own.
struct RunningSimulation {
    now: DateTime<Utc>,
    seed: u64,
}

impl RunningSimulation {
    fn value(&self, name: &str, step: usize, at: DateTime<Utc>) -> Option<String> {
        let (name, of) = name.split_once(':').unwrap_or((name, ""));
        let (session, party) = of.split_once('-').unwrap_or((of, ""));
        Some(match name {
            // RingCentral's are decimal and long.
            "uuid" => format!("{:019}", self.number(&("uuid", step)) >> 2),
            "time" => millis::format(&at),
            "sent" => millis::format(&(at + SENDING)),
            "session" => {
                let nth: u64 = session.parse().ok()?;
                format!("{}{:06}{nth:03}", self.now.timestamp_millis(), self.number(&"session") % 1_000_000)
            }
            "telephony" => format!("s-{}", self.code(session)),
            "party" => format!("p-{}-{party}", self.code(session)),
            _ => return None,
        })
    }

    /// What the ids of a session and its parties share.
    fn code(&self, session: &str) -> String {
        format!("{:016x}{:016x}", self.number(&("session", session)), self.number(&("code", session)))
    }

    fn number(&self, what: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.now, self.seed).hash(&mut hasher);
        what.hash(&mut hasher);
        hasher.finish()
    }
}

/// Puts values in place of the braces; text that only looks like a placeholder stays.
fn fill(json: &mut Value, value: &impl Fn(&str) -> Option<String>) {
    match json {
        Value::String(text) => {
            let name = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            if let Some(value) = name.and_then(value) {
                *text = value;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, value)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn read(file: &str) -> Scenario {
    serde_json::from_str(file).expect("a test reads every scenario")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_can_be_played_and_leaves_no_brace_unfilled() {
        for choice in scenarios() {
            let scenario = Scenario::named(choice.name).unwrap();
            let notifications = scenario.notifications(Utc::now(), 1);
            assert!(notifications.is_sorted_by_key(|(after, _)| *after), "{} goes back in time", choice.name);
            let text = serde_json::to_string(&notifications).unwrap();
            assert!(!text.contains("{{"), "{} leaves a brace", choice.name);
        }
        assert!(Scenario::named("no-such-call").is_none());
    }

    #[test]
    fn every_play_is_another_call() {
        let direct = Scenario::named("direct").unwrap();
        let now = Utc::now();
        let session = |seed| direct.notifications(now, seed)[0].1["body"]["sessionId"].clone();
        assert_eq!(session(1), session(1));
        assert_ne!(session(1), session(2));
    }
}
