//! Ours alone, in what a fan-out to healthy viewers does not show: nothing happens, some never read, everyone comes back
//! at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};

use crate::Options;
use crate::crowd::{Crowd, LogThrottle, Return};
use crate::payload::{Load, Payload};
use crate::publisher::Publisher;
use crate::report::median;
use crate::server::{Kind, Server, replica_set};

/// After the last viewer came, so that opening streams is not counted.
const SETTLE: Duration = Duration::from_secs(3);
/// Long enough for whoever never reads to be sent away.
const STALL: u32 = 45;
/// How often a server is looked at from outside.
const LOOK: Duration = Duration::from_millis(250);

/// Heartbeats and nothing else.
pub fn idle(options: &Options) {
    println!("nothing happens for {} s, heartbeats are sent; medians of {} runs", options.seconds, options.runs);
    println!("viewers  % of a core  KiB a viewer");
    for &viewers in &options.viewers {
        let run = |_| {
            let server = Server::start(Kind::Ours);
            let empty = server.memory();
            let _crowd = Crowd::gather(&server, viewers, 0);
            thread::sleep(SETTLE);
            let memory = (server.memory() - empty) as f64 / viewers as f64;
            let (before, start) = (server.cpu(), Instant::now());
            thread::sleep(Duration::from_secs(options.seconds.into()));
            let busy = (server.cpu() - before).as_secs_f64() / start.elapsed().as_secs_f64();
            (busy * 100.0, memory)
        };
        let (busy, memory): (Vec<_>, Vec<_>) = (0..options.runs).map(run).unzip();
        println!("{viewers:>7} {:>12.1} {:>13.2}", median(busy), median(memory));
    }
}

/// Some never read: what the others notice of it.
pub fn stall(options: &Options, percent: usize) {
    let payload = Payload::capture(Load::Updates);
    println!("{percent} % of the viewers never read; {STALL} s, {} events a second; medians", options.rate);
    println!("                 healthy p99, ms                       memory grew by KiB");
    println!("viewers  without      with  ratio  gone after s       without      with  lost  doubled");
    for &viewers in &options.viewers {
        let deaf = viewers * percent / 100;
        let mut rows = Vec::new();
        for _ in 0..options.runs {
            // As many healthy viewers in both, so that the deaf ones are the only difference.
            let without = watched(&payload, viewers - deaf, 0, options.rate);
            rows.push((without, watched(&payload, viewers, deaf, options.rate)));
        }
        let figure = |of: &dyn Fn(&(Watched, Watched)) -> f64| median(rows.iter().map(of).collect());
        println!(
            "{viewers:>7} {:>8.1} {:>9.1} {:>6.2} {:>13.1} {:>13.0} {:>9.0} {:>5} {:>8}",
            figure(&|(without, _)| without.tally.p99),
            figure(&|(_, with)| with.tally.p99),
            figure(&|(without, with)| with.tally.p99 / without.tally.p99),
            figure(&|(_, with)| with.gone.map_or(f64::NAN, |gone| gone.as_secs_f64())),
            figure(&|(without, _)| without.growth as f64),
            figure(&|(_, with)| with.growth as f64),
            rows.iter().map(|(_, with)| with.tally.lost).sum::<u64>(),
            rows.iter().map(|(_, with)| with.tally.doubled).sum::<u64>(),
        );
    }
}

struct Watched {
    tally: LogThrottle,
    /// From the first event until only healthy viewers were left.
    gone: Option<Duration>,
    /// The most memory above that before the first event, in KiB.
    growth: u64,
}

fn watched(payload: &Payload, viewers: usize, deaf: usize, rate: u32) -> Watched {
    let server = Server::start(Kind::Ours);
    let publisher = Publisher::connect(&server, payload);
    let mut crowd = Crowd::gather(&server, viewers, deaf);
    thread::sleep(SETTLE);
    let (start, before) = (Instant::now(), server.memory());
    let done = AtomicBool::new(false);
    let (gone, growth) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut gone, mut most) = (None, before);
            while !done.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
                most = most.max(server.memory());
                if gone.is_none() && viewers_of(server.address) == Some(viewers - deaf) {
                    gone = Some(start.elapsed());
                }
            }
            (gone, most - before)
        });
        publisher.publish(STALL * rate, rate);
        done.store(true, Ordering::Relaxed);
        watch.join().expect("watching does not panic")
    });
    Watched { tally: crowd.report(STALL * rate), gone, growth }
}

/// How many viewers our server says it has.
fn viewers_of(address: SocketAddr) -> Option<usize> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let number = answer.split(r#""viewers":"#).nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Everyone is cut off at once while events go on, and comes back at once with the position they know.
pub fn reconnect(options: &Options) {
    let payload = Payload::capture(Load::Updates);
    let events = options.seconds * options.rate;
    println!(
        "all viewers are cut off at once and come back at once; {events} events, {} a second; medians",
        options.rate
    );
    println!(
        "viewers  back after ms  current ms later  slowest event ms  lost  doubled  database reads without and with"
    );
    for &viewers in &options.viewers {
        let mut rows = Vec::new();
        for _ in 0..options.runs {
            let calm = cut(&payload, viewers, events, options.rate, false);
            rows.push((calm, cut(&payload, viewers, events, options.rate, true)));
        }
        let figure = |of: &dyn Fn(&(Cut, Cut)) -> f64| median(rows.iter().map(of).collect());
        print!("{viewers:>7} {:>14.0}", figure(&|(_, cut)| cut.back.back));
        print!(" {:>17.0} {:>17.0}", figure(&|(_, cut)| cut.back.current), figure(&|(_, cut)| cut.tally.max));
        let lost: u64 = rows.iter().map(|(_, cut)| cut.tally.lost).sum();
        let doubled: u64 = rows.iter().map(|(_, cut)| cut.tally.doubled).sum();
        print!(" {lost:>5} {doubled:>8}");
        match rows.iter().all(|(_, cut)| cut.reads.is_some()) {
            true => println!(
                " {:>20.0} {:>11.0}",
                figure(&|(calm, _)| calm.reads.unwrap_or_default() as f64),
                figure(&|(_, cut)| cut.reads.unwrap_or_default() as f64)
            ),
            false => println!("  not counted: set MONGODB_TEST_URI to a replica set"),
        }
    }
}

struct Cut {
    tally: LogThrottle,
    back: Return,
    reads: Option<i64>,
}

fn cut(payload: &Payload, viewers: usize, events: u32, rate: u32, happens: bool) -> Cut {
    let server = Server::start(if replica_set().is_some() { Kind::Mongodb } else { Kind::Ours });
    let publisher = Publisher::connect(&server, payload);
    let mut crowd = Crowd::gather(&server, viewers, 0);
    let before = reads();
    let back = thread::scope(|scope| {
        scope.spawn(|| publisher.publish(events, rate));
        thread::sleep(Duration::from_secs(2));
        if happens { crowd.reconnect() } else { Return::default() }
    });
    let reads = reads().zip(before).map(|(after, before)| after - before);
    Cut { tally: crowd.report(events), back, reads }
}

/// Reads that MongoDB served so far.
fn reads() -> Option<i64> {
    let uri = replica_set()?;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let status: Document = runtime.block_on(async {
        let client = mongodb::Client::with_uri_str(uri).await.expect("MONGODB_TEST_URI is a connection string");
        client.database("admin").run_command(doc! { "serverStatus": 1 }).await.expect("MongoDB answers")
    });
    let counters = status.get_document("opcounters").ok()?;
    let count = |name| counters.get_i64(name).or_else(|_| counters.get_i32(name).map(i64::from)).ok();
    Some(count("query")? + count("getmore")?)
}
