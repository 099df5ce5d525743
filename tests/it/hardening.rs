//! Strangers and snoopers. `CHAOS=1` plays the full length, as `scripts/long` does.

use std::time::{Duration, Instant};

use caller_popup::simulator::{Scenario, scenarios};
use chrono::Utc;
use futures_util::{StreamExt, stream};
use mongodb::bson::{Document, doc};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::erasing::{PERSON, odd};
use crate::support::privacy::{hide, hide_people, leaks, spellings};
use crate::support::{PATIENCE, Setup, Store, TestApp, eventually, flat};

const PATH: &str = "/api/webhooks/ringcentral";
const TOKEN: &str = "verification-token-of-tests";
const API_TOKEN: &str = "an-admins-token-of-these-tests";
/// Attackers at work at once.
const AT_ONCE: usize = 32;

on_both_stores! {
    the_log_says_nothing_about_people,
}

#[tokio::test]
async fn an_attack_neither_breaks_the_server_nor_slows_honest_calls() {
    let app = Setup::on(Store::Sqlite).with("RINGCENTRAL_VERIFICATION_TOKEN", TOKEN).start().await;
    let attacks = if is_long() { 10_000 } else { 500 };
    let calm = p99(honest(&app, "calm", if is_long() { 1_000 } else { 50 }).await);
    // The first attacks fill buffers and caches that are kept for good; what as many more add would be growth.
    attack(&app.address, 0..attacks).await;
    let before = resident(&app);
    // Strangers do not share RingCentral's machine: what they wait for themselves must not count as our answer's time.
    let address = app.address.clone();
    let attackers = std::thread::spawn(move || {
        let attackers = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let begun = Instant::now();
        attackers.block_on(attack(&address, attacks..2 * attacks));
        begun.elapsed()
    });
    let mut took = Vec::new();
    while !attackers.is_finished() {
        took.extend(honest(&app, &format!("attacked-{}", took.len()), 50).await);
    }
    let lasted = attackers.join().expect("the attackers come to an end");
    eprintln!("{} honest calls in {lasted:?}", took.len());
    let (under_attack, after) = (p99(took), resident(&app));
    eprintln!("{attacks} attacks: p99 {calm:?} calm, {under_attack:?} attacked; {before} kB before, {after} kB after");
    assert!(!app.log().contains("panic"), "something panicked");
    assert!(after * 10 <= before * 12, "memory grew from {before} to {after} kB");
    if is_long() {
        assert!(under_attack < calm * 3, "honest p99 went from {calm:?} to {under_attack:?}");
    }
}

#[tokio::test]
async fn every_authentic_webhook_of_a_rush_is_taken_beside_a_flood_of_strangers() {
    let app = Setup::on(Store::Sqlite).with("RINGCENTRAL_VERIFICATION_TOKEN", TOKEN).start().await;
    let client = app.client.clone();
    let url = app.url(PATH);
    let send = |token: &'static str, session: String| {
        let ring = flat(&session, "Ringing", json!({ "phoneNumber": "+14165551234" }));
        let request = client.post(&url).header("Verification-Token", token).json(&ring);
        async move { request.send().await.expect("an answer comes").status() }
    };
    // As many as come, whether or not those before were answered.
    let rush = async |token: &'static str, count: usize, pace: Duration| {
        let mut beat = tokio::time::interval(pace);
        let mut sent = Vec::new();
        for n in 0..count {
            beat.tick().await;
            sent.push(tokio::spawn(send(token, format!("{}-{n}", token.len()))));
        }
        let answers = futures_util::future::join_all(sent).await;
        answers.into_iter().map(|answer| answer.expect("nothing panics")).collect::<Vec<_>>()
    };
    let (honest, strangers) =
        tokio::join!(rush(TOKEN, 500, Duration::from_millis(2)), rush("a-guess", 250, Duration::from_millis(4)),);
    assert_eq!(honest.iter().filter(|status| **status == StatusCode::OK).count(), 500);
    assert!(strangers.contains(&StatusCode::TOO_MANY_REQUESTS), "nobody was slowed down");
    assert!(!strangers.contains(&StatusCode::OK), "a stranger was believed");
    let active = app.active_calls().await;
    assert_eq!(active.len(), 500);
}

#[tokio::test]
async fn connections_with_slow_headers_keep_no_webhook_waiting() {
    let app = Setup::on(Store::Sqlite).start().await;
    app.ring("before", "+14165551234").await;
    let count = if is_long() { 1_000 } else { 200 };
    let mut slow = Vec::new();
    for _ in 0..count {
        let mut socket = TcpStream::connect(&app.address).await.expect("a connection opens");
        socket.write_all(format!("POST {PATH} HTTP/1.1\r\nHost: {}\r\nX-Slow", app.address).as_bytes()).await.unwrap();
        slow.push(socket);
    }
    let begun = Instant::now();
    app.ring("between", "+14165551234").await;
    eprintln!("beside {count} slow connections a webhook was answered in {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_body_that_drips_is_answered_although_it_never_ends() {
    let app = Setup::on(Store::Sqlite).start().await;
    for path in [PATH, "/api/auth/session"] {
        let (mut answer, mut body) = TcpStream::connect(&app.address).await.expect("a connection opens").into_split();
        let json = "Content-Type: application/json\r\nContent-Length: 60000";
        body.write_all(format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{json}\r\n\r\n[", app.address).as_bytes())
            .await
            .unwrap();
        let drip = async {
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            // Whoever was answered may be hung up on.
            while body.write_all(b" ").await.is_ok() {
                beat.tick().await;
            }
            std::future::pending::<()>().await
        };
        let mut head = [0; 12];
        let answered = async { tokio::time::timeout(PATIENCE, answer.read_exact(&mut head)).await };
        tokio::select! {
            read = answered => read.expect("an answer comes").expect("it is whole"),
            () = drip => unreachable!("it drips for ever"),
        };
        assert_eq!(&head, b"HTTP/1.1 400", "{path}");
    }
}

async fn the_log_says_nothing_about_people(store: Store) {
    let app = Setup::on(store)
        .with("RINGCENTRAL_VERIFICATION_TOKEN", TOKEN)
        .with("API_TOKENS", API_TOKEN)
        .with("LOG", "info")
        .with_customers(&[("Zacharias Quillfeather", "zacharias@quill.example", "+14165550177")])
        .await
        .start()
        .await;
    hide([TOKEN, API_TOKEN, "Zacharias", "Quillfeather", "zacharias@", PERSON].map(str::to_owned));
    hide(["+14165550177", "+15879876543"].into_iter().flat_map(spellings));
    hide(["a-wrong-token-quite", "another-wrong-token", "guessed-ticket"].map(str::to_owned));
    for choice in scenarios() {
        for (_, told) in Scenario::named(choice.name).unwrap().notifications(Utc::now(), 7) {
            hide_people(&told);
            assert_eq!(post(&app, TOKEN, told.to_string()).await, StatusCode::OK);
        }
    }
    let ring = flat("logged", "Ringing", json!({ "phoneNumber": "+14165550177", "name": PERSON })).to_string();
    assert_eq!(post(&app, TOKEN, ring.clone()).await, StatusCode::OK);
    let not_json = ring.replace('}', "");
    for (token, body) in [("a-wrong-token-quite", &ring), (TOKEN, &not_json), (TOKEN, &format!("[{ring}]"))] {
        post(&app, token, body.clone()).await;
    }
    assert_eq!(post(&app, TOKEN, odd(PERSON).to_string()).await, StatusCode::OK);
    for path in ["/api/ringcentral/calls?number=%2B14165550177", "/api/ringcentral/active-calls?ticket=guessed-ticket"]
    {
        app.bearing(API_TOKEN).get(path).await;
        app.bearing("another-wrong-token").get(path).await;
    }
    if store == Store::Mongo {
        // A document no program should write: refused by our own reader, and nothing of it belongs in the log.
        let broken = doc! { "session_id": [5], "from_number": "+14165550177", "from_name": PERSON };
        app.database().await.collection::<Document>("active_calls").insert_one(broken).await.unwrap();
        eventually("it is read", async || app.log().contains("is set aside").then_some(())).await;
    }
    let erase = app.request(Method::DELETE, "/api/customers/by-number/+14165550177").bearer_auth(API_TOKEN);
    assert_eq!(erase.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(leaks(&app.log()), Vec::<String>::new());
    assert_ne!(leaks(&format!("a line about {PERSON}")), Vec::<String>::new(), "the search finds what is there");
}

fn is_long() -> bool {
    std::env::var("CHAOS").is_ok_and(|it| it == "1")
}

async fn post(app: &TestApp, token: &str, body: String) -> StatusCode {
    let request = app.request(Method::POST, PATH).header("Verification-Token", token).body(body);
    request.send().await.expect("an answer comes").status()
}

/// Real calls, one every 10 ms, and how long each answer took.
async fn honest(app: &TestApp, name: &str, count: usize) -> Vec<Duration> {
    let mut beat = tokio::time::interval(Duration::from_millis(10));
    let mut took = Vec::new();
    for n in 0..count {
        beat.tick().await;
        let ring = flat(
            &format!("{name}-{}", n / 2),
            ["Ringing", "Disconnected"][n % 2],
            json!({ "phoneNumber": "+14165551234" }),
        );
        let begun = Instant::now();
        assert_eq!(post(app, TOKEN, ring.to_string()).await, StatusCode::OK);
        took.push(begun.elapsed());
    }
    took
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

/// The program's memory in kB.
fn resident(app: &TestApp) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.process_id())).expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn attack(address: &str, seeds: std::ops::Range<u64>) {
    stream::iter(seeds)
        .for_each_concurrent(AT_ONCE, async |seed| {
            let mut random = SmallRng::seed_from_u64(seed);
            let request = malice(&mut random, address);
            let Ok(mut socket) = TcpStream::connect(address).await else { panic!("no connection for {seed}") };
            // Whoever is refused early may be hung up on in the middle of what it says.
            for part in request {
                if socket.write_all(&part).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let mut answer = [0; 16];
            let read = tokio::time::timeout(PATIENCE, socket.read(&mut answer)).await;
            if let Ok(Ok(some)) = read
                && some >= 12
            {
                assert_ne!(answer[9], b'5', "attack {seed}: {}", String::from_utf8_lossy(&answer));
            }
        })
        .await;
}

/// A request no honest sender makes, in the parts in which it is written.
fn malice(random: &mut SmallRng, host: &str) -> Vec<Vec<u8>> {
    let token = if random.random_bool(0.7) { TOKEN } else { "wrong" };
    let head = |length: usize| {
        format!(
            "POST {PATH} HTTP/1.1\r\nHost: {host}\r\nVerification-Token: {token}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let whole = |body: Vec<u8>| vec![head(body.len()).into_bytes(), body];
    let mut noise = |most: usize| (0..random.random_range(1..most)).map(|_| random.random()).collect::<Vec<u8>>();
    let real = flat("attack", "Ringing", json!({ "phoneNumber": "+14165551234" })).to_string();
    let bytes = noise(4_000);
    match random.random_range(0..12) {
        0 => whole(bytes),
        1 => whole(vec![b'x'; 1024 * 1024 + 1 + bytes.len()]),
        2 => whole(b"[".repeat(100_000)),
        3 => whole([b"{\"a\":".repeat(20_000), b"1".to_vec(), b"}".repeat(20_000)].concat()),
        4 => whole(real.as_bytes()[..bytes.len() % real.len()].to_vec()),
        // Says more than it sends, and waits for the server to lose patience.
        5 if random.random_bool(0.1) => vec![head(5_000).into_bytes(), real.into_bytes()],
        5 => vec![bytes],
        6 => vec![format!("GET /{} HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n", "a/".repeat(3_000), "y".repeat(40_000)).into_bytes()],
        7 => vec![format!("POST {PATH} HTTP/1.1\r\nHost: {host}\r\nVerification-Token: {token}\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n").into_bytes()],
        8 => whole(json!({ "event": bytes.len(), "body": { "parties": [null, 7, {}], "sessionId": bytes } }).to_string().into_bytes()),
        9 => whole(real.replace("+14165551234", &"9".repeat(bytes.len())).replace("Inbound", "\\u0000").into_bytes()),
        10 => vec![format!("GET /api/ringcentral/calls?limit={}&cursor=%00%FF HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", u128::MAX).into_bytes()],
        _ => whole(real.replace("attack", &"s".repeat(bytes.len() * 10)).into_bytes()),
    }
}
