//! A day of a busy account: thousands of calls of every scenario that overlap on a hundred extensions, told by a
//! network that repeats, delays and loses notifications. The day is made here for whoever plays it; the first player is
//! the state machine alone, with a clock of its own.

use std::collections::HashMap;
use std::time::Duration;

use caller_popup::call::{Call, CallEvent, CallResult, Direction, GRACE};
use caller_popup::simulator::{Expect, Scenario};
use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::keeper::{Keeper, public, read};
use crate::support;

/// Calls of a day unless `BUSY_CALLS` says otherwise; `scripts/long` plays 2,000.
const CALLS: usize = 300;
const EXTENSIONS: u64 = 100;
/// A call begins so often on average, so that some forty are going on at any moment, however long the day is.
const BEGIN_EVERY_MS: u64 = 300;
/// Of a hundred notifications, so many come again, late, or not at all.
const REPEATED: f64 = 0.05;
const LATE: f64 = 0.20;
const LOST: f64 = 0.02;
/// How late; longer than a grace, so that some are told of calls that have ended.
const LATEST_MS: u64 = 5_000;
/// What calls there are, and how many of each among a hundred or so.
const MIX: [(&str, usize); 19] = [
    ("direct", 25),
    ("unknown", 10),
    ("withheld", 3),
    ("ivr", 10),
    ("queue", 8),
    ("queue-missed", 4),
    ("missed", 12),
    ("voicemail", 8),
    ("rejected", 3),
    ("menu-abandoned", 3),
    ("blind-transfer", 5),
    ("attended-transfer", 4),
    ("conference", 1),
    ("park", 2),
    ("call-switch", 2),
    ("ext-to-ext", 6),
    ("outbound", 12),
    ("ringout", 2),
    ("both-sources", 3),
];

/// What was meant to happen and what arrives of it.
pub struct Day {
    /// The script.
    pub calls: Vec<Scripted>,
    /// Everything that arrives, in that order.
    pub deliveries: Vec<Delivery>,
}

/// A call as the script has it.
pub struct Scripted {
    /// Which scenario it is.
    pub scenario: &'static str,
    /// What must become of it if nothing is lost.
    pub expect: Expect,
    /// Its sessions; all of them are one call in the end.
    pub sessions: Vec<String>,
    /// Notifications that arrive at least once, in the order they were sent.
    pub heard: Vec<Value>,
    /// Something was lost.
    pub lost: bool,
    /// What was lost is what the result would be known by.
    pub unknowable: bool,
}

/// A notification that arrives.
pub struct Delivery {
    /// Since the day began.
    pub after: Duration,
    /// Whose it is, in [`Day::calls`].
    pub call: usize,
    /// Which of that call's notifications, in [`Scripted::heard`].
    pub nth: usize,
}

impl Day {
    /// The same day for the same seed.
    pub fn new(start: DateTime<Utc>, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let scenarios = MIX.map(|(name, share)| (name, Scenario::named(name).unwrap(), share));
        let mut day = Self { calls: Vec::new(), deliveries: Vec::new() };
        let calls = support::from_environment("BUSY_CALLS", CALLS);
        for call in 0..calls {
            // Each scenario at least once, also on a short day.
            let drawn = || scenarios.choose_weighted(&mut random, |(.., share)| *share).unwrap();
            let (name, scenario, _) = scenarios.get(call).unwrap_or_else(drawn);
            let begins = Duration::from_millis(random.random_range(0..calls as u64 * BEGIN_EVERY_MS));
            day.script(name, scenario, (call, begins), start, &mut random);
        }
        day.deliveries.sort_by_key(|delivery| delivery.after);
        day
    }

    fn script(
        &mut self,
        name: &'static str,
        scenario: &Scenario,
        (call, begins): (usize, Duration),
        start: DateTime<Utc>,
        random: &mut SmallRng,
    ) {
        let people = people(random);
        let mut scripted = Scripted {
            scenario: name,
            expect: cast(&scenario.expect, &people),
            sessions: Vec::new(),
            heard: Vec::new(),
            lost: false,
            unknowable: false,
        };
        for (after, notification) in scenario.notifications(start + begins, call as u64) {
            let body: Value = serde_json::from_str(&replace(&notification.to_string(), &people)).unwrap();
            for id in [&body["body"]["sessionId"], &body["body"]["telephonySessionId"]] {
                let id = id.as_str().unwrap_or("0").to_owned();
                if id != "0" && !scripted.sessions.contains(&id) {
                    scripted.sessions.push(id);
                }
            }
            if random.random_bool(LOST) {
                scripted.lost = true;
                scripted.unknowable |= decides(&body);
                continue;
            }
            let mut late = |chance: f64, at_least: u64| {
                let late = random.random_bool(chance);
                late.then(|| Duration::from_millis(random.random_range(at_least..LATEST_MS)))
            };
            let arrives = begins + after + late(LATE, 0).unwrap_or_default();
            let again = late(REPEATED, 1).map(|later| arrives + later);
            for after in [Some(arrives), again].into_iter().flatten() {
                self.deliveries.push(Delivery { after, call, nth: scripted.heard.len() });
            }
            scripted.heard.push(body);
        }
        self.calls.push(scripted);
    }
}

/// Whether what came of a call is known by this: that a phone rang, who answered, why a leg ended, where it went. The
/// leg of a caller from outside decides nothing, and presence is only told beside telephony.
fn decides(notification: &Value) -> bool {
    let party = &notification["body"]["parties"][0];
    let status = &party["status"];
    let told = ["Proceeding", "Answered", "VoiceMail", "Parked", "Gone"].iter().any(|code| status["code"] == *code);
    let outside_caller = party["direction"] == "Outbound" && party["extensionId"].is_null();
    (told || status["reason"].is_string() || party["missedCall"] == true) && !outside_caller
}

/// Who plays the parts of a scenario: five of the account's people and somebody outside.
fn people(random: &mut SmallRng) -> Vec<(String, String)> {
    let extensions = rand::seq::index::sample(random, EXTENSIONS as usize, 5);
    let inside = extensions.iter().enumerate().map(|(part, access)| {
        let part = 900_200_101 + part;
        (part.to_string(), (900_201_000 + access).to_string())
    });
    let number = format!("+1416555{:04}", random.random_range(0..10_000));
    inside.chain([("+14165551234".to_owned(), number)]).collect()
}

fn replace(text: &str, people: &[(String, String)]) -> String {
    people.iter().fold(text.to_owned(), |text, (part, access)| text.replace(part, access))
}

fn cast(expect: &Expect, people: &[(String, String)]) -> Expect {
    let with = |text: &Option<String>| text.as_ref().map(|text| replace(text, people));
    Expect { answered_by: with(&expect.answered_by), from_number: with(&expect.from_number), ..expect.clone() }
}

/// What remains of a call: who answered and what came of it.
fn outcome(call: &Call) -> (Option<CallResult>, Direction, Option<&str>) {
    (call.result, call.direction, call.answered_by.as_ref().map(|e| e.extension_id.as_str()))
}

#[test]
fn a_busy_day_ends_as_scripted_but_for_what_was_lost() {
    let start: DateTime<Utc> = "2026-03-02T08:00:00Z".parse().unwrap();
    let day = Day::new(start, 7);
    let told = |call: &Scripted| call.heard.iter().map(|body| read(body, start)).collect();
    let mut told: Vec<Vec<_>> = day.calls.iter().map(told).collect();
    let mut keeper = Keeper::default();
    let mut swept = start;
    for delivery in &day.deliveries {
        let now = start + TimeDelta::from_std(delivery.after).unwrap();
        while swept + GRACE < now {
            swept += GRACE;
            keeper.sweep(swept);
        }
        keeper.deliver(&mut told[delivery.call][delivery.nth], now);
    }
    sleep(&mut keeper, swept);
    assert_eq!(keeper.active().count(), 0, "calls are left active");

    let rows: Vec<&Call> = keeper.history().collect();
    let mut by_session: HashMap<&str, Vec<&Call>> = HashMap::new();
    for row in &rows {
        by_session.entry(&row.session_id).or_default().push(row);
    }
    let mut counted = 0;
    for (call, told) in day.calls.iter().zip(&mut told) {
        let mine: Vec<_> = call.sessions.iter().filter_map(|id| by_session.get(id.as_str())).flatten().collect();
        counted += mine.len();
        assert!(mine.is_empty() == call.heard.is_empty(), "{} is in {} rows", call.scenario, mine.len());
        for row in &mine {
            let shown = keeper.popped.contains(&row.session_id);
            assert!(!shown || call.expect.popup, "{} showed a popup", call.scenario);
        }
        // What arrived late and twice ends like what arrived once and in order, also where some of it is missing.
        assert_eq!(
            mine.iter().map(|row| public(row)).collect::<Vec<_>>(),
            in_order(call, told, start),
            "{}",
            call.scenario
        );
        if call.unknowable || call.heard.is_empty() {
            continue;
        }
        assert_eq!(mine.len(), 1, "{} is counted more than once", call.scenario);
        let expect = &call.expect;
        let script = (Some(expect.result), expect.direction, expect.answered_by.as_deref());
        assert_eq!(outcome(mine[0]), script, "{} {:#?}", call.scenario, mine[0]);
        if !call.lost {
            assert_eq!((&mine[0].from_number, &mine[0].queue), (&expect.from_number, &expect.queue));
        }
    }
    assert_eq!(counted, rows.len(), "a call was counted twice, or is nobody's");
    let unknowable = day.calls.iter().filter(|call| call.unknowable).count();
    assert!((1..day.calls.len() / 5).contains(&unknowable), "{unknowable} calls say nothing about the rest");
}

/// The rows that the call's notifications leave when each arrives once, in the order they were sent.
fn in_order(call: &Scripted, told: &mut [Vec<Vec<CallEvent>>], now: DateTime<Utc>) -> Vec<Call> {
    let mut keeper = Keeper::default();
    for sessions in told {
        keeper.deliver(sessions, now);
    }
    sleep(&mut keeper, now);
    let rows = keeper.history();
    let place = |row: &Call| call.sessions.iter().position(|id| *id == row.session_id);
    let mut rows: Vec<_> = rows.map(public).collect();
    rows.sort_by_key(place);
    rows
}

/// A night, in which whatever went silent ends.
fn sleep(keeper: &mut Keeper, now: DateTime<Utc>) {
    for hours in 1..9 {
        keeper.sweep(now + TimeDelta::hours(hours));
    }
}
