//! Fan-out: one event, thousands of viewers, beside other ways to do it.
//!
//! Open loop: events are sent at fixed moments whatever the servers do, and every delivery to every viewer is timed from
//! the moment its event was meant to be sent to the moment it is read from the viewer's socket. All servers get the same
//! viewers, moments and bytes in the same run, each is a process of its own, and so are the viewers, so that nobody pays
//! for another's work except by sharing the cores. The peers:
//!
//! * `floor`: two threads that only write the bytes to every socket; nothing can cost less.
//! * `axum`: its `Sse` over `tokio::sync::broadcast`, the usual way in this language.
//! * `nchan`: nginx with nchan and two workers, where `libnginx-mod-nchan` is installed.
//! * `poll`: every viewer asks the database every two seconds.
//!
//! With `--calls` it is the whole way from a webhook to a popup: each event is a new call whose caller is looked up, ours
//! runs on each store, and on MongoDB also through another instance.
//!
//! `cargo bench --bench fanout -- --help` says what else it measures. Where `MONGODB_TEST_URI` names a replica set,
//! `--calls`, `poll` and `--throughput` use it, and `--reconnect` counts its reads.

mod crowd;
mod extremes;
mod payload;
mod peers;
mod process;
mod publisher;
mod report;
mod server;
mod throughput;

use std::time::Duration;

use clap::{Parser, Subcommand};

use crowd::Crowd;
use payload::{Load, Payload};
use publisher::Publisher;
use report::{Row, Table};
use server::{Kind, Server};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    options: Options,
}

/// What to measure.
#[derive(clap::Args)]
struct Options {
    /// How many viewers watch, one table each.
    #[arg(long, value_delimiter = ',', default_value = "1000,5000,10000")]
    #[arg(default_value_if("calls", "true", "100"))]
    viewers: Vec<usize>,
    /// How long events are sent.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Events a second.
    #[arg(long, default_value_t = 10)]
    rate: u32,
    /// Every figure is the median of so many runs.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these servers.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ours,floor,axum,nchan,poll")]
    #[arg(default_value_if("calls", "true", "ours,mongodb,elsewhere,floor,axum,nchan,poll"))]
    only: Vec<Kind>,
    /// Every event is a new call, instead of one call that changes.
    #[arg(long)]
    calls: bool,
    /// Instead: what it costs when nothing happens and heartbeats are sent.
    #[arg(long)]
    idle: bool,
    /// Instead: so many percent of the viewers never read.
    #[arg(long, value_name = "PERCENT")]
    stall: Option<usize>,
    /// Instead: all viewers are cut off at once and come back at once.
    #[arg(long)]
    reconnect: bool,
    /// Instead: webhooks accepted a second, beside plain writes to the same database.
    #[arg(long)]
    throughput: bool,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The other processes of a run are this program again.
#[derive(Subcommand)]
#[command(hide = true)]
enum Role {
    Floor,
    Axum,
    Poll,
    Crowd(crowd::Plan),
    Senders(throughput::Plan),
}

fn main() {
    let Arguments { role, options } = Arguments::parse();
    match role {
        Some(Role::Floor) => peers::floor(),
        Some(Role::Axum) => peers::axum(),
        Some(Role::Poll) => peers::poll(),
        Some(Role::Crowd(plan)) => crowd::run(&plan),
        Some(Role::Senders(plan)) => throughput::send(&plan),
        None if options.throughput => throughput::measure(&options),
        None if options.idle => extremes::idle(&options),
        None if options.reconnect => extremes::reconnect(&options),
        None => match options.stall {
            Some(percent) => extremes::stall(&options, percent),
            None => fan_out(&options),
        },
    }
}

fn fan_out(options: &Options) {
    let payload = Payload::capture(if options.calls { Load::Calls } else { Load::Updates });
    let events = options.rate * options.seconds;
    println!(
        "{events} events of {} bytes, {} a second; medians of {} runs",
        payload.size(),
        options.rate,
        options.runs
    );
    let servers: Vec<Kind> = options.only.iter().copied().filter(Kind::is_there).collect();
    for &viewers in &options.viewers {
        let mut table = Table::default();
        // One run after the other and not one server after the other: what changes on the machine changes for all.
        for _ in 0..options.runs {
            for &kind in &servers {
                let row = deliver(kind, &payload, viewers, events, options.rate);
                table.add(kind, row);
            }
        }
        println!("\n{viewers} viewers\n{table}");
    }
}

/// One server, one crowd, one run.
fn deliver(kind: Kind, payload: &Payload, viewers: usize, events: u32, rate: u32) -> Row {
    let server = Server::start(kind);
    let publisher = Publisher::connect(&server, payload);
    let empty = server.memory();
    let mut crowd = Crowd::gather(&server, viewers, 0);
    std::thread::sleep(Duration::from_millis(500));
    let memory = server.memory().saturating_sub(empty);
    let before = server.cpu();
    publisher.publish(events, rate);
    let tally = crowd.report(events);
    Row { cpu: server.cpu() - before, memory: memory as f64 / viewers as f64, tally }
}
