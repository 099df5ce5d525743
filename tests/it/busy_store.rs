//! The busy day told to the whole program, on both stores: notifications are read, taken in many at a time, stored and
//! swept as in life, only that the clock runs faster.

use std::collections::HashMap;

use caller_popup::app::App;
use caller_popup::call::{Call, GRACE, SILENT_TALKING};
use caller_popup::config::Config;
use caller_popup::phone::Region;
use caller_popup::ringcentral::notification::Notification;
use caller_popup::store::{HistoryQuery, Position, Store};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};

use crate::busy_day::{Day, Delivery};
use crate::support;

/// Deliveries under way at once.
const AT_ONCE: usize = 16;

on_both_stores!(a_busy_day_leaves_one_row_a_call_and_nothing_active);

async fn a_busy_day_leaves_one_row_a_call_and_nothing_active(kind: support::Store) {
    a_busy_day(kind, 1).await;
}

/// Every notification reaches either of them, as a load balancer would have it.
#[tokio::test]
async fn a_busy_day_across_two_instances_leaves_one_row_a_call_and_nothing_active() {
    a_busy_day(support::Store::Mongo, 2).await;
}

async fn a_busy_day(kind: support::Store, instances: usize) {
    let (config, _folder) = support::own_store(kind);
    let mut apps = Vec::new();
    for instance in 0..instances {
        // Each with a folder and a connection of its own, as on a machine of its own.
        let config = Config { data_dir: config.data_dir.join(instance.to_string()), ..config.clone() };
        let store = Store::open(&config).await.unwrap();
        apps.push(App::start(config, store).await.unwrap());
    }
    let store = apps[0].store().clone();
    let following: Vec<_> =
        apps.iter().cloned().map(|app| tokio::spawn(async move { app.follow_changes().await })).collect();

    let start: DateTime<Utc> = "2026-03-02T08:00:00Z".parse().unwrap();
    let day = Day::new(start, 11);
    let mut swept = start;
    let mut waiting: Vec<&Delivery> = Vec::new();
    for delivery in &day.deliveries {
        while swept + GRACE < at(start, delivery) {
            tell(&apps, &day, start, std::mem::take(&mut waiting)).await;
            swept += GRACE;
            sweep(&apps, swept).await;
        }
        waiting.push(delivery);
    }
    tell(&apps, &day, start, waiting).await;
    // Once for what went silent while it waited somewhere, once more for what that leaves without anybody.
    for _ in 0..3 {
        swept += SILENT_TALKING + GRACE;
        sweep(&apps, swept).await;
    }
    following.iter().for_each(|task| task.abort());

    let left = store.active().await.unwrap();
    assert!(left.is_empty(), "calls are left active: {left:#?}");
    let rows = rows(&store).await;
    let mut by_session: HashMap<&str, Vec<&Call>> = HashMap::new();
    for row in &rows {
        by_session.entry(&row.session_id).or_default().push(row);
    }
    let mut whole = 0;
    for call in &day.calls {
        let mine: Vec<&&Call> = call.sessions.iter().filter_map(|id| by_session.get(id.as_str())).flatten().collect();
        // What linked two sessions may have been lost, and then nobody can know that they were one call.
        assert!(mine.len() <= 1 || call.unknowable, "{} stands in the history {} times", call.scenario, mine.len());
        if !call.lost {
            whole += 1;
            let row = mine.first().unwrap_or_else(|| panic!("{} is not in the history", call.scenario));
            let answered_by = row.answered_by.as_ref().map(|agent| &agent.extension_id);
            let ended = (row.result, row.direction, answered_by);
            let meant = (Some(call.expect.result), call.expect.direction, call.expect.answered_by.as_ref());
            assert_eq!(ended, meant, "{}: {:?}", call.scenario, row.facts.parties);
        }
    }
    assert!(whole > day.calls.len() / 2, "most calls are told whole: {whole}");
}

fn at(start: DateTime<Utc>, delivery: &Delivery) -> DateTime<Utc> {
    start + TimeDelta::from_std(delivery.after).unwrap()
}

/// All instances at once, as their clocks would have it; first each learns what the others did.
async fn sweep(apps: &[App], now: DateTime<Utc>) {
    stream::iter(apps)
        .for_each_concurrent(None, async |app| {
            app.poll().await;
            app.sweep(now).await;
        })
        .await;
}

async fn tell(apps: &[App], day: &Day, start: DateTime<Utc>, deliveries: Vec<&Delivery>) {
    let told = stream::iter(deliveries.into_iter().enumerate()).for_each_concurrent(AT_ONCE, async |(n, delivery)| {
        let app = &apps[n % apps.len()];
        let body = day.calls[delivery.call].heard[delivery.nth].to_string();
        let heard_at = DateTime::from_timestamp_millis(at(start, delivery).timestamp_millis()).unwrap();
        let notification = Notification::parse(body.as_bytes(), heard_at, Region::default()).unwrap();
        app.ingest(notification, std::time::Instant::now()).await.unwrap();
    });
    told.await;
}

async fn rows(store: &Store) -> Vec<Call> {
    let mut rows: Vec<Call> = Vec::new();
    loop {
        let before = rows.last().map(|row| Position { timestamp: row.timestamp, id: row.id.clone() });
        let page = store.history(HistoryQuery { limit: 500, before, ..HistoryQuery::default() }).await.unwrap();
        rows.extend(page.calls);
        if !page.more {
            return rows;
        }
    }
}
