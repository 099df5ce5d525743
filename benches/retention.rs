//! What webhooks feel while 500,000 calls that are past `RETENTION_DAYS` are removed.
//!
//! The server is started on a history whose calls are all too old, and honest webhooks are sent at fixed moments, each a new call,
//! until the log says that the old ones are gone. Before that, the same for 10 s with nothing to remove.
//!
//! On SQLite, and on MongoDB where `MONGODB_TEST_URI` names a replica set. `cargo bench --bench retention`; `CALLS` for another number; `-- sqlite` or
//! `-- mongodb` measures one store.

#[path = "notification/history.rs"]
mod history;
#[path = "notification/server.rs"]
mod server;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use history::{fill, notification};
use server::{Line, Server};

/// Honest webhooks: one each 20 ms is several times what a large account sends.
const PACE: Duration = Duration::from_millis(20);
const LISTEN: Duration = Duration::from_secs(10);

fn main() {
    let calls = std::env::var("CALLS").map_or(500_000, |calls| calls.parse().expect("CALLS is a number"));
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wanted = |store: &str| asked.is_empty() || asked.iter().any(|word| word == store);
    if wanted("sqlite") {
        measure("sqlite", None, calls);
    }
    match std::env::var("MONGODB_TEST_URI") {
        Ok(uri) if wanted("mongodb") => measure("mongodb", Some(&uri), calls),
        Ok(_) => {}
        Err(_) => println!("mongodb is not measured: set MONGODB_TEST_URI to a replica set"),
    }
}

fn measure(store: &str, mongodb: Option<&str>, calls: usize) {
    let database = format!("caller_popup_bench_{}", std::process::id());
    let mut settings = Vec::new();
    if let Some(uri) = mongodb {
        settings.extend([("MONGODB_URI", uri.to_owned()), ("MONGODB_DATABASE", database.clone())]);
    }
    let server = Server::start(&settings);
    println!(
        "\n{store}: milliseconds of a webhook\n\n| meanwhile | p50 | p99 | longest | seconds |\n|---|---|---|---|---|"
    );
    let begin = Instant::now();
    let before = honest(&server, "before", |_| begin.elapsed() > LISTEN);
    report("nothing", &before, begin);
    fill(&server, mongodb.map(|uri| (uri, database.as_str())), calls);
    settings.push(("RETENTION_DAYS", "1".to_owned()));
    let begin = Instant::now();
    let server = server.restart(&settings);
    let during = honest(&server, "during", |server| server.log().contains("old history was removed"));
    report(&format!("{calls} calls are removed"), &during, begin);
}

fn report(meanwhile: &str, times: &Histogram<u64>, begin: Instant) {
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
    let (longest, seconds) = (times.max() as f64 / 1000.0, begin.elapsed().as_secs());
    println!("| {meanwhile} | {:.2} | {:.2} | {longest:.2} | {seconds} |", at(0.5), at(0.99));
}

/// Microseconds of each webhook until it is over, from the moment it was meant to be sent. The calls end on a connection of their own.
fn honest(server: &Server, name: &str, is_over: impl Fn(&Server) -> bool) -> Histogram<u64> {
    let mut times = Histogram::new_with_bounds(1, 600_000_000, 3).expect("three digits are possible");
    let mut line = Line::to(server.address);
    // The store is prepared by then.
    line.post(&notification(&format!("{name}-first"), "Ringing"));
    let (rang, ended) = mpsc::channel::<String>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut line = Line::to(server.address);
            ended.iter().for_each(|session| line.post(&notification(&session, "NoCall")));
        });
        let begin = Instant::now();
        for number in 1.. {
            let due = begin + PACE * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let session = format!("{name}-{number}");
            line.post(&notification(&session, "Ringing"));
            times.saturating_record(due.elapsed().as_micros() as u64);
            rang.send(session).expect("the other thread runs");
            // Read once a second.
            if number % 50 == 0 && is_over(server) {
                break;
            }
        }
        drop(rang);
    });
    times
}
