//! What one viewer with 64 connections can do to all others.
//!
//! The history holds 150,000 calls of the viewer, or `CALLS`. Honest webhooks are sent at fixed moments on a connection of their own, each a
//! new call of a known customer, and an admin's stream is read: first while nothing else happens, then while the viewer, an agent,
//! asks on 64 connections without a pause for the largest pages of the history, narrowed down in ways that find nothing, dismisses
//! calls that do not exist, and asks for tickets. Once more without the connections that ask for the history.
//!
//! On SQLite, and on MongoDB where `MONGODB_TEST_URI` names a replica set. `cargo bench --bench one_viewer`.

#[path = "notification/history.rs"]
mod history;
#[path = "notification/server.rs"]
mod server;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use hdrhistogram::Histogram;
use ring::hmac;
use serde_json::{Value, json};

use history::{fill, notification};
use server::{Line, Server};

const SECRET: &str = "a-secret-of-the-host-application";
const TOKEN: &str = "a-token-of-the-company-0123456789";
const CONNECTIONS: usize = 64;
/// Honest webhooks: one each 20 ms is several times what a large account sends.
const PACE: Duration = Duration::from_millis(20);
const LISTEN: Duration = Duration::from_secs(10);
/// Rounds of each, whose median is printed.
const ROUNDS: usize = 3;

static NEXT: AtomicU32 = AtomicU32::new(0);

fn main() {
    let calls = std::env::var("CALLS").map_or(150_000, |calls| calls.parse().expect("CALLS is a number"));
    measure("sqlite", None, calls);
    match std::env::var("MONGODB_TEST_URI") {
        Ok(uri) => measure("mongodb", Some(&uri), calls),
        Err(_) => println!("mongodb is not measured: set MONGODB_TEST_URI to a replica set"),
    }
}

fn measure(store: &str, mongodb: Option<&str>, calls: usize) {
    let database = format!("caller_popup_bench_{}", std::process::id());
    let mut settings = vec![("JWT_SECRET", SECRET.to_owned()), ("API_TOKENS", TOKEN.to_owned())];
    if let Some(uri) = mongodb {
        settings.extend([("MONGODB_URI", uri.to_owned()), ("MONGODB_DATABASE", database.clone())]);
    }
    let server = Server::start(&settings);
    fill(&server, mongodb.map(|uri| (uri, database.as_str())), calls);
    println!("\n{store}: milliseconds, medians of {ROUNDS} rounds\n");
    println!("| meanwhile | webhook p50 | webhook p99 | name p50 | name p99 | answers a second to the viewer |");
    println!("|---|---|---|---|---|---|");
    for (meanwhile, attack) in
        [("nothing", None), ("dismissals and tickets", Some(&LIGHT[..])), ("the worst", Some(&WORST[..]))]
    {
        let rounds: Vec<Round> = (0..ROUNDS).map(|_| round(server.address, attack)).collect();
        let median = |of: &dyn Fn(&Round) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[ROUNDS / 2]
        };
        let at = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        println!(
            "| {meanwhile} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} |",
            median(&|round| at(&round.webhooks, 0.5)),
            median(&|round| at(&round.webhooks, 0.99)),
            median(&|round| at(&round.names, 0.5)),
            median(&|round| at(&round.names, 0.99)),
            median(&|round| round.answers as f64 / LISTEN.as_secs_f64()),
        );
    }
}

const LIGHT: [&str; 3] =
    ["POST /api/ringcentral/calls/no-such-call/dismiss", "POST /api/auth/ticket", "GET /api/ringcentral/active-calls"];
const WORST: [&str; 7] = [
    "GET /api/ringcentral/calls?limit=500",
    "GET /api/ringcentral/calls?limit=500&result=voicemail",
    "GET /api/ringcentral/calls?limit=500&number=%2B14160000000",
    "GET /api/ringcentral/calls?limit=500&format=csv",
    "POST /api/ringcentral/calls/no-such-call/dismiss",
    "POST /api/auth/ticket",
    "GET /api/ringcentral/active-calls",
];

struct Round {
    /// Microseconds of each honest webhook, from the moment it was meant to be sent.
    webhooks: Histogram<u64>,
    /// The same until an admin's stream has the call with its customer's name.
    names: Histogram<u64>,
    /// Answers of any status to the viewer.
    answers: u64,
}

fn round(address: SocketAddr, attack: Option<&[&str]>) -> Round {
    let (over, answers, sent) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(HashMap::new()));
    let times = || Histogram::new_with_bounds(1, 60_000_000, 3).expect("three digits are possible");
    let (mut webhooks, names) = (times(), Mutex::new(times()));
    let viewer = format!("Authorization: Bearer {}\r\n", agent());
    thread::scope(|scope| {
        let stream = open_stream(address);
        let socket = stream.get_ref().try_clone().expect("a socket can be cloned");
        scope.spawn(|| read_names(stream, &sent, &names));
        for number in 0..if attack.is_some() { CONNECTIONS } else { 0 } {
            let (over, answers, viewer, requests) = (&over, &answers, &viewer, attack.unwrap_or_default());
            scope.spawn(move || {
                let mut line = Line::to(address);
                for request in requests.iter().cycle().skip(number) {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    line.ask(request, viewer, "");
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut line = Line::to(address);
        // What was saved up at first is spent.
        thread::sleep(Duration::from_secs(if attack.is_some() { 5 } else { 0 }));
        answers.store(0, Ordering::Relaxed);
        let begin = Instant::now();
        for number in 1.. {
            let due = begin + PACE * number;
            let session = format!("honest-{}", NEXT.fetch_add(1, Ordering::Relaxed));
            thread::sleep(due.saturating_duration_since(Instant::now()));
            sent.lock().expect("no thread panics").insert(session.clone(), due);
            line.post(&notification(&session, "Ringing"));
            webhooks.saturating_record(due.elapsed().as_micros() as u64);
            if number > 5 {
                // Screens do not fill up.
                line.post(&notification(&session, "NoCall"));
            }
            if begin.elapsed() > LISTEN {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        socket.shutdown(std::net::Shutdown::Both).expect("the stream is open");
    });
    Round { webhooks, names: names.into_inner().expect("no thread panics"), answers: answers.into_inner() }
}

fn open_stream(address: SocketAddr) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    let head = format!(
        "GET /api/ringcentral/call-stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).expect("the server reads");
    BufReader::new(socket)
}

fn read_names(stream: BufReader<TcpStream>, sent: &Mutex<HashMap<String, Instant>>, names: &Mutex<Histogram<u64>>) {
    for line in stream.lines().map_while(Result::ok) {
        let Some(data) = line.strip_prefix("data:") else { continue };
        let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
        let call = &event["call"];
        if call["customer_name"].is_null() {
            continue;
        }
        let session = call["session_id"].as_str().unwrap_or_default();
        if let Some(due) = sent.lock().expect("no thread panics").remove(session) {
            names.lock().expect("no thread panics").saturating_record(due.elapsed().as_micros() as u64);
        }
    }
}

/// A JWT of the viewer.
fn agent() -> String {
    let claims = json!({ "sub": "dana", "extension_ids": ["101"], "exp": Utc::now().timestamp() + 3_600 });
    let parts = [json!({ "alg": "HS256", "typ": "JWT" }), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = parts.join(".");
    let seal = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(seal))
}
