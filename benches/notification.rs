//! What one notification costs, by the size of its body, and what others feel of it.
//!
//! Bodies of 64 KiB to 1 MiB, the largest that is accepted, are posted to the release binary on SQLite, and on MongoDB
//! where `MONGODB_TEST_URI` names a replica set. Each is about calls of its own and holds as many entries as fit: small
//! ones, large ones, and calls of a presence body. The first table is processor time of the server per body, from
//! `/proc`. The second is how long an honest webhook takes, sent at fixed moments on a connection of its own, while
//! nothing else happens and while bodies of 1 MiB are posted one a second.
//!
//! `cargo bench --bench notification`; `-- sqlite` or `-- mongodb` measures one store.

#[path = "notification/server.rs"]
mod server;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use server::{Line, Server};

const LARGEST: usize = 1024 * 1024;
const SIZES: [usize; 5] = [64 * 1024, 128 * 1024, 256 * 1024, 512 * 1024, LARGEST];
/// Ticks of `/proc` are 10 ms, so one body alone cannot be measured.
const BODIES: usize = 20;
/// Honest webhooks: one each 20 ms is several times what a large account sends.
const PACE: Duration = Duration::from_millis(20);
const LISTEN: Duration = Duration::from_secs(10);
const BODY_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Entries {
    SmallParties,
    LargeParties,
    ActiveCalls,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wanted = |store: &str| asked.is_empty() || asked.iter().any(|word| word == store);
    if wanted("sqlite") {
        measure("sqlite", None);
    }
    match std::env::var("MONGODB_TEST_URI") {
        Ok(uri) if wanted("mongodb") => measure("mongodb", Some(&uri)),
        Ok(_) => {}
        Err(_) => println!("mongodb is not measured: set MONGODB_TEST_URI to a replica set"),
    }
}

/// A server that has no calls: live ones cost time of their own, with each poll.
fn start(mongodb: Option<&str>) -> Server {
    let database = format!("caller_popup_bench_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let settings = mongodb.map(|uri| [("MONGODB_URI", uri.to_owned()), ("MONGODB_DATABASE", database)]);
    let server = Server::start(settings.as_ref().map_or(&[], |settings| settings));
    // Connections are open by then.
    Line::to(server.address).post(&ring());
    server
}

fn measure(store: &str, mongodb: Option<&str>) {
    println!("\n{store}: milliseconds of CPU a body\n");
    println!("| KiB | small parties | large parties | active calls |\n|---|---|---|---|");
    for size in SIZES {
        let spent = [Entries::SmallParties, Entries::LargeParties, Entries::ActiveCalls].map(|entries| {
            let bodies: Vec<String> = (0..BODIES).map(|_| body(entries, size)).collect();
            let server = start(mongodb);
            let mut line = Line::to(server.address);
            let before = server.cpu();
            bodies.iter().for_each(|body| line.post(body));
            (server.cpu() - before).as_secs_f64() * 1000.0 / BODIES as f64
        });
        println!("| {} | {:.1} | {:.1} | {:.1} |", size / 1024, spent[0], spent[1], spent[2]);
    }
    println!("\n{store}: milliseconds of an honest webhook\n\n| meanwhile | p50 | p99 | longest |\n|---|---|---|---|");
    for (meanwhile, entries) in [
        ("nothing", None),
        ("small parties", Some(Entries::SmallParties)),
        ("large parties", Some(Entries::LargeParties)),
        ("active calls", Some(Entries::ActiveCalls)),
    ] {
        let server = start(mongodb);
        let times = honest(server.address, entries);
        let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        println!("| {meanwhile} | {:.2} | {:.2} | {:.2} |", at(0.5), at(0.99), times.max() as f64 / 1000.0);
    }
}

/// Microseconds of each honest webhook, from the moment it was meant to be sent.
fn honest(address: SocketAddr, meanwhile: Option<Entries>) -> Histogram<u64> {
    let over = AtomicBool::new(false);
    // Made before: that takes as long as the server needs for one.
    let bodies: Vec<String> =
        meanwhile.into_iter().flat_map(|entries| (0..=LISTEN.as_secs()).map(move |_| body(entries, LARGEST))).collect();
    thread::scope(|scope| {
        let (over, bodies) = (&over, &bodies);
        scope.spawn(move || {
            let mut line = Line::to(address);
            for body in bodies.iter().take_while(|_| !over.load(Ordering::Relaxed)) {
                let due = Instant::now() + BODY_EVERY;
                line.post(body);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        let mut times = Histogram::new_with_bounds(1, 60_000_000, 3).expect("three digits are possible");
        let mut line = Line::to(address);
        let begin = Instant::now();
        for number in 1.. {
            let due = begin + PACE * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            line.post(&ring());
            times.saturating_record(due.elapsed().as_micros() as u64);
            if begin.elapsed() > LISTEN {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        times
    })
}

/// A new call in the guide's flat body.
fn ring() -> String {
    let session = format!("honest-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
    let body = json!({
        "telephonyStatus": "Ringing", "sessionId": session, "direction": "Inbound",
        "from": { "phoneNumber": "+14165551234", "name": "Caller" }, "to": { "phoneNumber": "+15879876543" },
    });
    json!({ "event": "/restapi/v1.0/account/~/extension/~/presence", "timestamp": now, "body": body }).to_string()
}

/// A body of this size about calls of its own.
fn body(entries: Entries, size: usize) -> String {
    let call = NEXT.fetch_add(1, Ordering::Relaxed);
    let (event, list, mut body) = match entries {
        Entries::SmallParties | Entries::LargeParties => {
            let body =
                json!({ "sessionId": format!("7{call:08}"), "telephonySessionId": format!("s-{call}"), "sequence": 1 });
            ("telephony/sessions", "parties", body)
        }
        Entries::ActiveCalls => {
            ("extension/101/presence", "activeCalls", json!({ "extensionId": "101", "sequence": 1 }))
        }
    };
    let room = size - 300;
    let mut used = 0;
    let listed: Vec<Value> = (0..)
        .map(|index| entry(entries, call, index))
        .take_while(|entry| {
            used += entry.to_string().len() + 1;
            used < room
        })
        .collect();
    body[list] = listed.into();
    json!({ "event": format!("/restapi/v1.0/account/~/{event}"), "uuid": format!("{call}"), "body": body }).to_string()
}

fn entry(entries: Entries, call: u32, index: u32) -> Value {
    let number = |end: u32| format!("+1416{:07}", 2_000_000 + (call * 1031 + index * 2 + end) % 8_000_000);
    match entries {
        Entries::SmallParties => json!({ "id": format!("p{index}"), "status": { "code": "Proceeding" } }),
        Entries::LargeParties => json!({
            "id": format!("p{index}"), "accountId": "1", "extensionId": format!("{index}"), "direction": "Inbound",
            "from": { "phoneNumber": number(0), "name": "N".repeat(256), "extensionId": format!("9{index}") },
            "to": { "phoneNumber": number(1), "name": "L".repeat(256), "extensionId": format!("{index}") },
            "status": { "code": "Proceeding", "rcc": false, "peerId": { "sessionId": format!("6{call:05}{index:05}") } },
            "queueCall": true, "uiCallInfo": { "primary": { "type": "QueueName", "value": "Q".repeat(256) } },
            "note": "x".repeat(1_050),
        }),
        Entries::ActiveCalls => json!({
            "id": format!("a{index}"), "sessionId": format!("8{call:05}{index:05}"), "direction": "Inbound",
            "telephonySessionId": format!("t-{call}-{index}"), "telephonyStatus": "Ringing",
            "from": number(0), "fromName": "Caller", "to": number(1), "toName": "Line",
        }),
    }
}
