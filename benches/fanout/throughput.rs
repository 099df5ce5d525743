//! Webhooks accepted a second, beside plain writes to the same database by as many writers.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll};
use mongodb::bson::{Document, doc};
use mongodb::options::{Acknowledgment, WriteConcern};
use rusqlite::Connection;

use crate::Options;
use crate::publisher::{post, read_answer};
use crate::report::median;
use crate::server::{Kind, Server, WEBHOOK, replica_set};

/// Writers at once, of webhooks and of rows.
const WRITERS: usize = 64;
/// Rows that share a commit at most, as in our own store.
const MOST_IN_A_COMMIT: usize = 256;
/// A call rings, is answered and ends: three notifications.
const LIFE: [&str; 3] = ["Ringing", "CallConnected", "NoCall"];

/// What the senders' process is told.
#[derive(clap::Args)]
pub struct Plan {
    address: SocketAddr,
    seconds: u64,
}

pub fn measure(options: &Options) {
    let seconds = u64::from(options.seconds);
    println!(
        "{WRITERS} writers at once for {seconds} s; whole calls: {}; medians of {} runs",
        LIFE.join(", "),
        options.runs
    );
    println!("database  webhooks/s  plain writes/s  ratio");
    let compare = |name: &str, kind: Kind, plain: &dyn Fn(Duration) -> u64| {
        let run = |_| {
            let webhooks = webhooks(kind, seconds) as f64 / seconds as f64;
            let plain = plain(Duration::from_secs(seconds)) as f64 / seconds as f64;
            (webhooks, plain)
        };
        let rows: Vec<(f64, f64)> = (0..options.runs).map(run).collect();
        let figure = |of: &dyn Fn(&(f64, f64)) -> f64| median(rows.iter().map(of).collect());
        let ratio = figure(&|(webhooks, plain)| webhooks / plain);
        println!("{name:<8} {:>11.0} {:>15.0} {ratio:>6.2}", figure(&|row| row.0), figure(&|row| row.1));
    };
    compare("sqlite", Kind::Ours, &inserts);
    if Kind::Mongodb.is_there() {
        compare("mongodb", Kind::Mongodb, &upserts);
    }
}

fn webhooks(kind: Kind, seconds: u64) -> u64 {
    let server = Server::start(kind);
    let program = std::env::current_exe().expect("the benchmark knows itself");
    let senders = Command::new(program).args(["senders", &server.address.to_string(), &seconds.to_string()]).output();
    let output = senders.expect("the benchmark runs");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("the senders say how many were accepted")
}

/// The senders' process: one thread, because it shares the cores with the server. Each sender waits for its answer
/// before it sends on.
pub fn send(plan: &Plan) {
    let mut poll = Poll::new().expect("the kernel has an epoll");
    let mut senders: Vec<Sender> = (0..WRITERS).map(|number| Sender::connect(plan.address, number)).collect();
    for (index, sender) in senders.iter_mut().enumerate() {
        poll.registry()
            .register(&mut sender.socket, mio::Token(index), Interest::READABLE)
            .expect("epoll takes a socket");
        sender.send();
    }
    let deadline = Instant::now() + Duration::from_secs(plan.seconds);
    let mut events = Events::with_capacity(WRITERS);
    while Instant::now() < deadline {
        poll.poll(&mut events, Some(Duration::from_millis(20))).expect("epoll waits");
        events.iter().for_each(|event| senders[event.token().0].read_and_send_on());
    }
    println!("{}", senders.iter().map(|sender| sender.sent - 1).sum::<u64>());
}

struct Sender {
    socket: TcpStream,
    number: usize,
    sent: u64,
    /// An answer whose end has not come yet.
    answer: Vec<u8>,
}

impl Sender {
    fn connect(address: SocketAddr, number: usize) -> Self {
        let socket = std::net::TcpStream::connect(address).expect("the server listens");
        socket.set_nodelay(true).and_then(|()| socket.set_nonblocking(true)).expect("a socket takes options");
        Self { socket: TcpStream::from_std(socket), number, sent: 0, answer: Vec::new() }
    }

    fn send(&mut self) {
        let (number, stages) = (self.number as u64, LIFE.len() as u64);
        let (call, stage) = (self.sent / stages, LIFE[(self.sent % stages) as usize]);
        // A caller of its own for each call, as in life.
        let caller = 5_550_000 + (number * 997 + call * 7) % 10_000;
        let body = format!(
            r#"{{"event":"/restapi/v1.0/account/~/extension/~/presence","body":{{"telephonyStatus":"{stage}","sessionId":"{number}-{call}","from":{{"phoneNumber":"+1416{caller}","name":"Test Caller"}},"to":{{"phoneNumber":"+15879876543"}},"direction":"Inbound"}}}}"#
        );
        self.socket.write_all(&post(WEBHOOK, "", body.as_bytes())).expect("an idle socket takes a request");
        self.sent += 1;
    }

    fn read_and_send_on(&mut self) {
        let mut bytes = [0; 4_096];
        loop {
            match self.socket.read(&mut bytes) {
                Ok(0) => panic!("the server hung up on a sender"),
                Ok(read) => self.answer.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a sender's line broke: {error}"),
            }
            match read_answer(&mut self.answer.as_slice()) {
                Ok(()) => {
                    self.answer.clear();
                    self.send();
                }
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
                Err(error) => panic!("the server takes every webhook: {error}"),
            }
        }
    }
}

/// Has every writer write again and again; answers how many writes were done in the time.
fn at_once<W: FnMut(u64)>(time: Duration, writer: impl Fn(usize) -> W + Sync) -> u64 {
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 0..WRITERS {
            let (done, writer) = (&done, &writer);
            scope.spawn(move || {
                let mut write = writer(number);
                let deadline = Instant::now() + time;
                for count in 0.. {
                    write(count);
                    if Instant::now() > deadline {
                        break;
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner()
}

/// Rows of a call's size into a file that is synced as ours, as many to a commit as have gathered.
fn inserts(time: Duration) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Connection::open(folder.path().join("plain.sqlite")).expect("a file");
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE calls (id TEXT PRIMARY KEY, session_id TEXT NOT NULL UNIQUE, more TEXT) STRICT;",
    )
    .expect("a table");
    let (rows, queue) = mpsc::channel::<(String, mpsc::Sender<()>)>();
    let more = "x".repeat(1_500);
    let writer = thread::spawn(move || {
        while let Ok(first) = queue.recv() {
            db.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
            let gathered = queue.try_iter().take(MOST_IN_A_COMMIT - 1);
            let batch: Vec<_> = std::iter::once(first).chain(gathered).collect();
            for (id, _) in &batch {
                let mut insert = db.prepare_cached("INSERT INTO calls VALUES (?1, ?1, ?2)").expect("a statement");
                insert.execute([id, &more]).expect("a row");
            }
            db.execute_batch("COMMIT").expect("a commit");
            batch.iter().for_each(|(_, answer)| answer.send(()).expect("the writer waits"));
        }
    });
    let done = at_once(time, |writer| {
        let rows = rows.clone();
        move |number| {
            let (answer, answered) = mpsc::channel();
            rows.send((format!("{writer}-{number}"), answer)).expect("the writer lives");
            answered.recv().expect("the writer answers");
        }
    });
    drop(rows);
    writer.join().expect("the writer does not panic");
    done
}

/// The driver's own upserts with our write concern.
fn upserts(time: Duration) -> u64 {
    let uri = replica_set().expect("it was asked whether there is one");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let client = mongodb::Client::with_uri_str(uri).await.expect("MONGODB_TEST_URI is a connection string");
        let table = client.database("caller_popup_bench").collection::<Document>("plain");
        table.drop().await.expect("MongoDB answers");
        let by_session = mongodb::IndexModel::builder().keys(doc! { "session_id": 1 }).build();
        table.create_index(by_session).await.expect("an index");
        let deadline = Instant::now() + time;
        let writers = (0..WRITERS).map(|writer| {
            let table = table.clone();
            tokio::spawn(async move {
                let mut done = 0;
                for number in 0.. {
                    let call = number / LIFE.len();
                    let session = format!("{writer}-{call}");
                    let change = doc! { "$set": { "status": LIFE[number % LIFE.len()], "more": "x".repeat(1_500) } };
                    let majority = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
                    let upsert = table.update_one(doc! { "session_id": session }, change).upsert(true);
                    upsert.write_concern(majority).await.expect("MongoDB answers");
                    if Instant::now() > deadline {
                        break;
                    }
                    done += 1;
                }
                done
            })
        });
        let mut done = 0;
        for writer in writers.collect::<Vec<_>>() {
            done += writer.await.expect("writing does not panic");
        }
        done
    })
}
