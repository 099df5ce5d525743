//! The scenarios through the front door: every play shuffled, with repetitions, several deliveries at a time, many plays
//! at once, on both stores. `ORDERS` says how many plays of each; CI plays a few, `scripts/long` the full number.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use caller_popup::call::Direction;
use caller_popup::simulator::{Expect, Scenario, scenarios};
use chrono::Utc;
use futures_util::{StreamExt, stream};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::support::{Store, TestApp, from_environment, within};

/// Plays of each scenario unless `ORDERS` says otherwise.
const ORDERS: u64 = 3;
/// Plays going on at once, and deliveries of one play under way at once.
const AT_ONCE: (usize, usize) = (12, 3);
/// For the last notification to arrive, the grace, and the sweep, on a busy machine.
const SETTLED: Duration = Duration::from_secs(60);

on_both_stores!(calls_told_out_of_order_and_twice_end_as_they_should);

/// One play: its notifications as they will be delivered, and its sessions.
struct Play {
    name: &'static str,
    expect: Expect,
    sessions: HashSet<String>,
    deliveries: Vec<Value>,
}

async fn calls_told_out_of_order_and_twice_end_as_they_should(store: Store) {
    let app = TestApp::start(store).await;
    let mut viewer = app.viewer().await;
    let orders = from_environment("ORDERS", ORDERS);
    let plays: Vec<Play> = (0..orders).flat_map(plays).collect();

    let delivering = stream::iter(&plays).for_each_concurrent(AT_ONCE.0, async |play| {
        stream::iter(&play.deliveries).for_each_concurrent(AT_ONCE.1, async |it| app.deliver(it).await).await;
    });
    let watching = async {
        let mut told = Vec::new();
        loop {
            let frames = viewer.listen_for(Duration::from_secs(1)).await;
            let quiet = frames.iter().all(|frame| !frame.kind().starts_with("call"));
            told.extend(frames);
            if quiet && finished(&app, &plays).await.is_some() {
                return told;
            }
        }
    };
    let (_, told) =
        tokio::join!(delivering, tokio::time::timeout(SETTLED.mul_f64(1.0 + orders as f64 / 10.0), watching));
    let told = told.unwrap_or_default();

    let rows = within(SETTLED, "every play in the history", async || finished(&app, &plays).await).await;
    for play in &plays {
        let mine: Vec<&Value> = rows.iter().filter(|row| play.sessions.contains(text(row, "session_id"))).collect();
        assert_eq!(mine.len(), play.expect.rows, "{}: {mine:?}", play.name);
        let (row, expect) = (mine[0], &play.expect);
        assert_eq!(row["result"], expect.result.as_str(), "{}: {row}", play.name);
        assert_eq!(row["direction"], expect.direction.as_str(), "{}", play.name);
        assert_eq!(row["answered_by"]["extension_id"].as_str(), expect.answered_by.as_deref(), "{}", play.name);
        assert_eq!(row["from_number"].as_str(), expect.from_number.as_deref(), "{}", play.name);
        assert_eq!(row["queue"].as_str(), expect.queue.as_deref(), "{}", play.name);
    }
    assert!(app.active_calls().await.is_empty());
    assert!(!told.is_empty(), "the viewer was told nothing");

    let of_session: HashMap<&str, &Play> =
        plays.iter().flat_map(|play| play.sessions.iter().map(move |id| (id.as_str(), play))).collect();
    let mut ended = HashSet::new();
    for frame in told.iter().filter(|frame| frame.kind().starts_with("call")) {
        let (id, session) = (text(frame.call(), "id").to_owned(), text(frame.call(), "session_id").to_owned());
        let play = of_session[session.as_str()];
        assert_eq!(play.expect.direction, Direction::Inbound, "{} popped", play.name);
        if frame.call()["status"] == "ended" {
            ended.insert(id);
        } else {
            assert!(!ended.contains(&id), "{} opened again", play.name);
        }
    }
}

/// Every scenario once, shuffled by `seed`, some of it twice. The flat body has nothing to be put in order by.
fn plays(seed: u64) -> Vec<Play> {
    let mut random = SmallRng::seed_from_u64(seed);
    let told = scenarios().into_iter().filter(|choice| choice.name != "guide");
    told.map(|choice| {
        let scenario = Scenario::named(choice.name).expect("the menu names scenarios");
        let mut deliveries: Vec<Value> =
            scenario.notifications(Utc::now(), random.random()).into_iter().map(|(_, told)| told).collect();
        let again: Vec<Value> = deliveries.iter().filter(|_| random.random_bool(0.3)).cloned().collect();
        deliveries.extend(again);
        deliveries.shuffle(&mut random);
        let sessions = deliveries.iter().flat_map(|told| {
            let listed = told["body"]["activeCalls"].as_array().into_iter().flatten();
            [&told["body"]].into_iter().chain(listed).flat_map(|it| [&it["sessionId"], &it["telephonySessionId"]])
        });
        let sessions = sessions.filter_map(Value::as_str).map(str::to_owned).collect();
        Play { name: choice.name, expect: scenario.expect, sessions, deliveries }
    })
    .collect()
}

/// The whole history, once it holds something of every play.
async fn finished(app: &TestApp, plays: &[Play]) -> Option<Vec<Value>> {
    let mut rows: BTreeMap<String, Value> = BTreeMap::new();
    let mut path = "/api/ringcentral/calls?limit=500".to_owned();
    loop {
        let page = app.get_json(&path).await;
        let calls = page["calls"].as_array().expect("a page has calls");
        rows.extend(calls.iter().map(|call| (text(call, "id").to_owned(), call.clone())));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/ringcentral/calls?limit=500&cursor={cursor}");
    }
    let sessions: HashSet<&str> = rows.values().map(|row| text(row, "session_id")).collect();
    let ended = |play: &Play| play.sessions.iter().any(|id| sessions.contains(id.as_str()));
    let quiet = app.active_calls().await.is_empty();
    (quiet && plays.iter().all(ended)).then(|| rows.into_values().collect())
}

fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap_or_default()
}
