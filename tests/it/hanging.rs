//! A database that hangs instead of being away, and one that is not there yet.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::cluster::Cluster;
use crate::support::{Setup, Store, TestApp, bar, eventually, within};

const READY: &str = "/health/ready";

async fn instance(cluster: &Cluster) -> TestApp {
    Setup::on(Store::Sqlite).with("MONGODB_URI", &cluster.uri()).with("MONGODB_DATABASE", "hangs").start().await
}

async fn is_ready(app: &TestApp) -> bool {
    app.get(READY).await.status().is_success()
}

/// How long after `since` the instance is not ready for the first time.
async fn unready_after(client: reqwest::Client, ready: String, since: Instant) -> Duration {
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    loop {
        beat.tick().await;
        if client.get(&ready).send().await.is_ok_and(|answer| answer.status() == StatusCode::SERVICE_UNAVAILABLE) {
            return since.elapsed();
        }
    }
}

#[tokio::test]
async fn a_primary_that_hangs_is_seen_and_its_successor_used() {
    let cluster = Cluster::start(3).await;
    let apps = [instance(&cluster).await, instance(&cluster).await];
    for app in &apps {
        eventually("changes are followed", async || (app.get_json(READY).await["changes"] == "at_once").then_some(()))
            .await;
    }
    apps[0].ring("before", "+14165551234").await;
    eventually("the other sees it", async || apps[1].active_call("before").await).await;
    let primary = cluster.primary().await;
    let hung = Instant::now();
    let pid = cluster.stop(primary).await;
    // Calls ring all the while, at either instance.
    let mut rang = Vec::new();
    let ring = async |rang: &mut Vec<String>| {
        let session = format!("hung-{:02}", rang.len());
        apps[rang.len() % 2].ring(&session, "+14165551234").await;
        rang.push(session);
    };
    let watchers: Vec<_> =
        apps.iter().map(|app| tokio::spawn(unready_after(app.client.clone(), app.url(READY), hung))).collect();
    let mut successor = None;
    let election = async {
        let next = cluster.primary_beside(primary).await;
        (next, Instant::now())
    };
    tokio::pin!(election);
    while successor.is_none() {
        tokio::select! {
            next = &mut election => successor = Some(next),
            () = ring(&mut rang) => {}
        }
    }
    let (next, at) = successor.unwrap();
    assert_ne!(next, primary);
    let well = apps.iter().map(|app| async {
        within(Duration::from_secs(60), "every call is shown again", async || {
            let calls = app.active_calls().await;
            let is_shown = |session: &String| calls.iter().any(|call| call["session_id"] == session.as_str());
            (rang.iter().all(is_shown) && is_ready(app).await).then_some(())
        })
        .await;
        at.elapsed()
    });
    let seen = join_all(well).await;
    let mut unready = Vec::new();
    for watcher in watchers {
        unready.push(tokio::time::timeout(bar(), watcher).await.expect("it was not ready once").unwrap());
    }
    eprintln!(
        "hung: not ready after {unready:?}; elected after {:?}; {} calls seen by both {seen:?} after that",
        at - hung,
        rang.len()
    );
    for (unready, seen) in unready.into_iter().zip(seen) {
        assert!(unready <= bar(), "not ready after {unready:?}");
        assert!(seen <= bar(), "all calls after {seen:?}");
    }
    apps[0].ring("after", "+14165551234").await;
    within(bar(), "the other sees it", async || apps[1].active_call("after").await).await;
    cluster.go_on(pid);
    let calls = cluster.client().await.database("hangs").collection::<Document>("active_calls");
    for session in rang.iter().map(String::as_str).chain(["before", "after"]) {
        eventually(format!("{session} is stored, once"), async || {
            (calls.count_documents(doc! { "session_id": session }).await.ok()? == 1).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn every_node_that_hangs_is_seen() {
    let cluster = Cluster::start(1).await;
    let app = instance(&cluster).await;
    eventually("ready", async || is_ready(&app).await.then_some(())).await;
    let pid = cluster.stop(0).await;
    let hung = Instant::now();
    within(bar(), "not ready", async || (!is_ready(&app).await).then_some(())).await;
    eprintln!("not ready after {:?}", hung.elapsed());
    app.ring("while-hung", "+14165551234").await;
    let page = tokio::time::timeout(Duration::from_secs(40), app.get("/api/ringcentral/calls")).await;
    assert_eq!(page.expect("the page is given up").status(), StatusCode::SERVICE_UNAVAILABLE);
    let (status, said) = app.run(&["doctor"]).await;
    assert!(!status.success() && said.contains("BAD   store") && !said.contains("ok    store"), "{said}");
    cluster.go_on(pid);
    within(bar(), "ready", async || is_ready(&app).await.then_some(())).await;
}

#[tokio::test]
async fn a_service_that_starts_before_the_database_takes_calls_in_and_stores_them_later() {
    let mut cluster = Cluster::start(1).await;
    cluster.kill(0);
    let app = instance(&cluster).await;
    let mut viewer = app.viewer().await;
    app.ring("early", "+14165551234").await;
    viewer.wait_for("call").await;
    assert_eq!(app.get(READY).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let error = app.log().lines().find(|line| line.contains("\"ERROR\"")).unwrap().to_owned();
    let line: Value = serde_json::from_str(&error).unwrap();
    assert!(line["error.sources"].as_str().unwrap().contains("refused") && !error.contains("Topology"), "{error}");
    cluster.launch(0);
    cluster.primary().await;
    within(bar(), "ready", async || is_ready(&app).await.then_some(())).await;
    let calls = cluster.client().await.database("hangs").collection::<Document>("active_calls");
    eventually("the call in the database", async || {
        calls.find_one(doc! { "session_id": "early" }).await.ok().flatten()
    })
    .await;
}

#[tokio::test]
async fn the_doctor_says_no_store_is_well_that_it_did_not_read() {
    let setup = Setup::on(Store::Sqlite).with("MONGODB_URI", "mongodb://127.0.0.1:9/").with("MONGODB_DATABASE", "none");
    let (status, said) = setup.run(&["doctor"]).await;
    assert!(!status.success() && said.contains("BAD   store") && !said.contains("Topology"), "{said}");
}
