//! What is pulled away while calls come in: the program by kill -9, the primary of a replica set, the whole database.
//! `CHAOS=1` plays the full length, as `scripts/long` does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::cluster::Cluster;
use crate::support::{PATIENCE, Setup, Store, TestApp, eventually, flat, within};

/// RingCentral waits no longer for an answer.
const ANSWERED: Duration = Duration::from_secs(3);
/// A call hangs up this many calls after it rang.
const RINGING: usize = 50;
/// So many new calls at least are answered before each kill.
const CALLS_A_KILL: usize = 60;

on_both_stores!(every_200_outlives_kill_9);

async fn every_200_outlives_kill_9(store: Store) {
    let mut app = TestApp::start(store).await;
    let kills = if is_long() { 50 } else { 2 };
    let mut told = Versioned::default();
    for round in 0..kills {
        // A different moment each time, under way between a request and its commit; however busy the machine is, not
        // before the load runs.
        let moment = Duration::from_millis(round * 37 % 300);
        let answered = told.answered.clone();
        let enough = answered.load(Ordering::Relaxed) + CALLS_A_KILL;
        let (stop, stopped) = watch::channel(false);
        let address = app.url("/api/webhooks/ringcentral");
        let client = app.client.clone();
        let load = tokio::spawn(async move { call_at(200, &client, &address, stopped, told).await });
        within(PATIENCE * 4, "the load runs", async || (answered.load(Ordering::Relaxed) >= enough).then_some(()))
            .await;
        tokio::time::sleep(moment).await;
        app.kill().await;
        stop.send_replace(true);
        told = load.await.unwrap();
        app.restart().await;
        if round % 10 == 9 || round + 1 == kills {
            let (active, ended) = kept(&app).await;
            let lost: Vec<_> = told.rang.iter().filter(|id| !active.contains(*id) && !ended.contains(*id)).collect();
            assert!(lost.is_empty(), "after kill {round}: {} of {} calls lost: {lost:?}", lost.len(), told.rang.len());
        }
    }
    eprintln!(
        "{store:?}: {kills} times kill -9, {} calls and {} ends acknowledged",
        told.rang.len(),
        told.hung_up.len()
    );
    assert!(told.rang.len() >= kills as usize * CALLS_A_KILL, "the load hardly ran: {} calls", told.rang.len());
    eventually("calls that hung up are over", async || {
        let (active, _) = kept(&app).await;
        told.hung_up.iter().all(|id| !active.contains(id)).then_some(())
    })
    .await;
    if store == Store::Sqlite {
        app.kill().await;
        for file in std::fs::read_dir(app.data_dir()).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|ending| ending == "db" || ending == "sqlite") {
                let verdict = Connection::open(&file)
                    .unwrap()
                    .query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
                assert_eq!(verdict.unwrap(), "ok", "{}", file.display());
            }
        }
    }
}

#[tokio::test]
async fn a_replica_set_that_loses_its_primary_and_then_everything_loses_no_call() {
    let (nodes, kills, away) = if is_long() { (3, 10, 60) } else { (1, 1, 5) };
    let mut cluster = Cluster::start(nodes).await;
    let uri = cluster.uri();
    let app = Setup::on(Store::Sqlite)
        .with("MONGODB_URI", &uri)
        .with("MONGODB_DATABASE", "chaos")
        .with("POLL_INTERVAL_MS", "500")
        .start()
        .await;
    let mut viewer = app.viewer().await;
    let (popped, pops) = watch::channel(HashMap::<String, Instant>::new());
    let watching = tokio::spawn(async move {
        while let Some(frame) = viewer.next().await {
            if frame.kind() == "call" {
                let session = frame.call()["session_id"].as_str().unwrap().to_owned();
                popped.send_modify(|popped| {
                    popped.entry(session).or_insert_with(Instant::now);
                });
            }
        }
    });
    let (stop, stopped) = watch::channel(false);
    let (address, client) = (app.url("/api/webhooks/ringcentral"), app.client.clone());
    let load = tokio::spawn(async move { call_at(100, &client, &address, stopped, Versioned::default()).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    if nodes > 1 {
        for kill in 0..kills {
            let primary = cluster.primary().await;
            cluster.kill(primary);
            tokio::time::sleep(Duration::from_millis(500)).await;
            let next = cluster.primary().await;
            assert_ne!(primary, next);
            tokio::time::sleep(Duration::from_secs(2)).await;
            cluster.launch(primary);
            cluster.secondary(primary).await;
            eprintln!("the primary was killed {} times", kill + 1);
        }
    }
    (0..nodes).for_each(|node| cluster.kill(node));
    tokio::time::sleep(Duration::from_secs(away)).await;
    (0..nodes).for_each(|node| cluster.launch(node));
    cluster.primary().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.send_replace(true);
    let told = load.await.unwrap();
    eprintln!("{} calls, {} ends, slowest answer {:?}", told.rang.len(), told.hung_up.len(), told.slowest);
    assert_eq!(told.refused, Vec::<String>::new());
    assert!(told.slowest < ANSWERED, "an answer took {:?}", told.slowest);

    let database = cluster.client().await.database("chaos");
    let spool_patience = Duration::from_secs(if is_long() { 300 } else { 60 });
    let kept = within(spool_patience, "the database knows every call", async || {
        let kept = sessions(&database).await;
        told.rang.iter().all(|id| kept.contains_key(id)).then_some(kept)
    })
    .await;
    let settled = within(spool_patience, "calls that hung up are over", async || {
        let active = find_sessions(&database, "active_calls").await;
        told.hung_up.iter().all(|id| !active.contains(id)).then_some(sessions(&database).await)
    })
    .await;
    for kept in [kept, settled] {
        let doubled: Vec<_> = kept.iter().filter(|(_, count)| **count > 1).collect();
        assert!(doubled.is_empty(), "{} calls are there twice: {doubled:?}", doubled.len());
    }
    let unseen: Vec<_> = told.rang.iter().filter(|id| !pops.borrow().contains_key(*id)).collect();
    assert!(unseen.is_empty(), "{} of {} calls never popped: {unseen:?}", unseen.len(), told.rang.len());
    let mut waits: Vec<Duration> = {
        let pops = pops.borrow();
        told.rang.iter().map(|id| pops[id].saturating_duration_since(told.rang_at[id])).collect()
    };
    waits.sort();
    eprintln!("popups: median {:?}, slowest {:?}", waits[waits.len() / 2], waits[waits.len() - 1]);
    watching.abort();
}

fn is_long() -> bool {
    std::env::var("CHAOS").is_ok_and(|it| it == "1")
}

/// What was answered with 200.
#[derive(Default)]
struct Versioned {
    next: usize,
    rang: HashSet<String>,
    /// How many those are, for who watches.
    answered: Arc<AtomicUsize>,
    rang_at: HashMap<String, Instant>,
    hung_up: HashSet<String>,
    refused: Vec<String>,
    slowest: Duration,
}

/// Posts this many webhooks a second until told to stop, without waiting for answers: phones do not wait either. Every
/// other one is a new call; the others hang up an older one.
async fn call_at(
    rate: u64,
    client: &reqwest::Client,
    url: &str,
    stop: watch::Receiver<bool>,
    mut told: Versioned,
) -> Versioned {
    let mut beat = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = beat.tick(), if !*stop.borrow() => {
                let (n, rings) = (told.next / 2, told.next.is_multiple_of(2));
                told.next += 1;
                let session = format!("s-{:06}", if rings { n } else { n.saturating_sub(RINGING) });
                if !rings && (n < RINGING || !told.rang.contains(&session)) {
                    continue;
                }
                let status = if rings { "Ringing" } else { "Disconnected" };
                let body = flat(&session, status, json!({ "phoneNumber": "+14165551234" }));
                let post = client.post(url).json(&body).timeout(PATIENCE).send();
                under_way.push(async move {
                    let begun = Instant::now();
                    let answer = post.await.map(|answer| answer.status());
                    (session, rings, begun, begun.elapsed(), answer)
                });
            }
            Some((session, rings, begun, took, answer)) = under_way.next() => match answer {
                Ok(status) if status == 200 => {
                    told.slowest = told.slowest.max(took);
                    if rings {
                        told.rang_at.insert(session.clone(), begun);
                        told.rang.insert(session);
                        told.answered.fetch_add(1, Ordering::Relaxed);
                    } else {
                        told.hung_up.insert(session);
                    }
                }
                other => told.refused.push(format!("{session}: {other:?} after {took:?}")),
            },
            else => return told,
        }
    }
}

/// The sessions of active calls and of the history.
async fn kept(app: &TestApp) -> (HashSet<String>, HashSet<String>) {
    let id = |call: &Value| call["session_id"].as_str().unwrap().to_owned();
    let mut ended = HashSet::new();
    // The active ones first: a call that ends between the two looks is then missing in neither.
    let active: HashSet<_> = app.active_calls().await.iter().map(id).collect();
    let mut path = "/api/ringcentral/calls?limit=500".to_owned();
    loop {
        let page = app.get_json(&path).await;
        ended.extend(page["calls"].as_array().unwrap().iter().map(id));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/ringcentral/calls?limit=500&cursor={cursor}");
    }
    (active, ended)
}

/// How many documents each session has.
async fn sessions(database: &Database) -> HashMap<String, usize> {
    let mut kept = HashMap::new();
    // A call moves from one collection to the other; looking again excludes one caught on the way.
    let (active, ended) =
        (find_sessions(database, "active_calls").await, find_sessions(database, "call_history").await);
    let still: HashSet<_> = find_sessions(database, "active_calls").await.into_iter().collect();
    for session in active.into_iter().filter(|id| still.contains(id)).chain(ended) {
        *kept.entry(session).or_default() += 1;
    }
    kept
}

async fn find_sessions(database: &Database, collection: &str) -> Vec<String> {
    let Ok(mut found) = database.collection::<Document>(collection).find(doc! {}).await else { return Vec::new() };
    let mut sessions = Vec::new();
    while let Some(Ok(call)) = found.next().await {
        sessions.push(call.get_str("session_id").unwrap().to_owned());
    }
    sessions
}
