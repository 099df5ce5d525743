//! Behind nginx with the site of `deploy/nginx.conf`: two instances that restart one after the other, and nginx's own errors.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::nginx::Nginx;
use crate::support::{ADMIN_TOKEN, PATIENCE, Setup, Store, TestApp, eventually, flat, from_environment};

const SETTINGS: [(&str, &str); 3] = [
    ("API_TOKENS", ADMIN_TOKEN),
    ("RINGCENTRAL_VERIFICATION_TOKEN", "expected-token"),
    ("TRUSTED_PROXIES", "127.0.0.1"),
];
/// Webhooks under way at once.
const SENDERS: usize = 4;
/// What RingCentral waits for an answer.
const LONGEST_ANSWER: Duration = Duration::from_secs(3);

async fn two_instances() -> (TestApp, TestApp) {
    let setup = SETTINGS.iter().fold(Setup::on(Store::Mongo), |setup, (name, value)| setup.with(name, value));
    let first = setup.start().await;
    let second = first.second_instance_with(&SETTINGS).await;
    (first, second)
}

#[tokio::test]
async fn a_rolling_restart_refuses_no_webhook() {
    let (mut first, mut second) = two_instances().await;
    let nginx = Nginx::start(&first, &second).await;
    let webhook = format!("http://{}/api/webhooks/ringcentral", nginx.address);
    let least = from_environment("WEBHOOKS", 200);
    let (sent, restarted) = (AtomicUsize::new(0), AtomicBool::new(false));
    let sender = async || {
        let (client, mut answers) = (Client::new(), Vec::new());
        while !restarted.load(Ordering::Relaxed) || sent.load(Ordering::Relaxed) < least {
            let session = format!("rolling-{}", sent.fetch_add(2, Ordering::Relaxed));
            for status in ["Ringing", "Disconnected"] {
                let body = flat(&session, status, json!({ "phoneNumber": "+14165551234" }));
                let start = Instant::now();
                let post = client.post(&webhook).header("Verification-Token", "expected-token").json(&body);
                answers.push((post.send().await.expect("nginx answers").status(), start.elapsed()));
            }
        }
        answers
    };
    let rolling = async {
        for instance in [&mut first, &mut second] {
            instance.signal("TERM").await;
            assert!(instance.exit().await.success());
            instance.restart_at_the_same_address().await;
            let ready = async || (instance.get("/health/ready").await.status() == StatusCode::OK).then_some(());
            eventually("the instance is ready again", ready).await;
        }
        restarted.store(true, Ordering::Relaxed);
    };
    let senders = futures_util::future::join_all((0..SENDERS).map(|_| sender()));
    let (answers, ()) = tokio::join!(senders, rolling);
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    let bad: Vec<_> = answers.iter().map(|(status, _)| *status).filter(|status| *status != StatusCode::OK).collect();
    let slowest = answers.iter().map(|(_, took)| *took).max().unwrap_or_default();
    println!("{} webhooks during a rolling restart, {} not 200, the slowest in {slowest:?}", answers.len(), bad.len());
    assert!(bad.is_empty(), "{} of {}: {bad:?}", bad.len(), answers.len());
    // A figure of a release build on a machine that does nothing else.
    assert!(std::env::var("CHAOS").is_err() || slowest < LONGEST_ANSWER, "{slowest:?}");
    let database = first.database().await;
    let calls = async |collection: &str| -> Vec<String> {
        let calls = database.collection::<Document>(collection).find(doc! {}).await.unwrap();
        let calls: Vec<Document> = calls.try_collect().await.unwrap();
        calls.iter().map(|call| call.get_str("session_id").unwrap().to_owned()).collect()
    };
    eventually("every call has ended", async || calls("active_calls").await.is_empty().then_some(())).await;
    let ended = calls("call_history").await;
    let different: HashSet<_> = ended.iter().collect();
    assert_eq!((ended.len(), different.len()), (answers.len() / 2, answers.len() / 2), "each call is stored once");
}

#[tokio::test]
async fn errors_of_nginx_have_the_form_of_ours() {
    let (mut first, mut second) = two_instances().await;
    let nginx = Nginx::start(&first, &second).await;
    // The head says how long the body is; nginx answers before it comes.
    let post = async |length: usize| {
        let mut socket = TcpStream::connect(&nginx.address).await.expect("nginx listens");
        let head = format!(
            "POST /api/webhooks/ringcentral HTTP/1.1\r\nHost: calls.example.com\r\nConnection: close\r\n\
             Verification-Token: expected-token\r\nContent-Length: {length}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("an answer comes").unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        assert!(head.contains("Content-Type: application/json"), "{answer}");
        let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
        (status, serde_json::from_str::<Value>(body).expect("the body is JSON"))
    };
    let too_large = json!({ "error": { "code": "too_large", "message": "The body is larger than 1 MiB." } });
    assert_eq!(post(1_100_000).await, ("413".to_owned(), too_large));
    let metrics = Client::new().get(format!("http://{}/metrics", nginx.address)).bearer_auth(ADMIN_TOKEN).send().await;
    assert_eq!(metrics.unwrap().status(), StatusCode::NOT_FOUND, "each instance has its own");
    first.kill().await;
    second.kill().await;
    let (status, error) = post(0).await;
    assert_eq!((status.as_str(), &error["error"]["code"]), ("502", &json!("unavailable")), "{error}");
}
