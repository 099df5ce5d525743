//! From webhook to viewer, on the release binary.
//!
//! Open loop: calls are sent at fixed moments whatever the answers do, and each is timed from the moment it was meant to
//! be sent to the moment its `call` event is read from a viewer's stream. Two loads: one viewer and a call every 10 ms,
//! and a hundred viewers and a call every 100 ms. On MongoDB also through another instance: the webhook goes to one
//! process and the viewers are at a second one. `cargo bench --bench latency [RUNS]`; MongoDB is measured where
//! `MONGODB_TEST_URI` names a replica set.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Viewers, calls, and how far apart these are.
const LOADS: [(usize, u32, Duration); 2] =
    [(1, 1_000, Duration::from_millis(10)), (100, 300, Duration::from_millis(100))];
/// The shares of deliveries that are shown.
const SHARES: [f64; 4] = [0.5, 0.99, 0.999, 1.0];

fn main() {
    let runs = std::env::args().find_map(|it| it.parse().ok()).unwrap_or(3);
    println!("webhook → event in a viewer's hands, milliseconds, medians of {runs} runs");
    println!("store              viewers  calls/s      p50      p99    p99.9      max   lost  doubled");
    let uri = std::env::var("MONGODB_TEST_URI").ok();
    for load in LOADS {
        report("sqlite", load, runs, || {
            let server = Server::start(&[]);
            play(&server, &server, load)
        });
        let Some(uri) = &uri else { continue };
        report("mongodb", load, runs, || {
            let server = Server::start(&mongodb(uri));
            play(&server, &server, load)
        });
        report("mongodb, elsewhere", load, runs, || {
            let database = mongodb(uri);
            let (here, elsewhere) = (Server::start(&database), Server::start(&database));
            play(&here, &elsewhere, load)
        });
    }
    if uri.is_none() {
        println!("mongodb is not measured: set MONGODB_TEST_URI to a replica set");
    }
}

/// A database of one run's own: calls that an earlier one left ringing would be told first.
fn mongodb(uri: &str) -> Vec<(&'static str, String)> {
    static RUN: AtomicUsize = AtomicUsize::new(0);
    let database = format!("caller_popup_bench_{}_{}", std::process::id(), RUN.fetch_add(1, Ordering::Relaxed));
    vec![("MONGODB_URI", uri.to_owned()), ("MONGODB_DATABASE", database)]
}

/// What came of a run: milliseconds of every delivery, in order, and how many are missing or came twice.
struct Outcome {
    taken: Vec<f64>,
    lost: usize,
    doubled: usize,
}

fn report(store: &str, (viewers, _, pace): (usize, u32, Duration), runs: usize, run: impl Fn() -> Outcome) {
    let outcomes: Vec<Outcome> = (0..runs).map(|_| run()).collect();
    print!("{store:<18} {viewers:>7} {:>8.0}", 1.0 / pace.as_secs_f64());
    for share in SHARES {
        let at = |taken: &[f64]| taken[((taken.len() as f64 * share) as usize).min(taken.len() - 1)];
        let mut figures: Vec<f64> = outcomes.iter().map(|outcome| at(&outcome.taken)).collect();
        figures.sort_by(f64::total_cmp);
        print!(" {:>8.2}", figures[figures.len() / 2]);
    }
    let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
    println!(" {:>6} {:>8}", sum(|outcome| outcome.lost), sum(|outcome| outcome.doubled));
}

/// Calls come in `here`, viewers watch `elsewhere`.
fn play(here: &Server, elsewhere: &Server, (viewers, calls, pace): (usize, u32, Duration)) -> Outcome {
    let (seen, arrivals) = mpsc::channel();
    let (ready, connected) = mpsc::channel();
    for viewer in 0..viewers {
        let (address, ready, seen) = (elsewhere.address.clone(), ready.clone(), seen.clone());
        thread::spawn(move || watch(viewer, &address, &ready, &seen));
    }
    connected.iter().take(viewers).for_each(drop);

    let start = Instant::now() + Duration::from_millis(500);
    let due: HashMap<String, Instant> = (0..calls).map(|call| (format!("bench-{call}"), start + pace * call)).collect();
    let mut webhook = TcpStream::connect(&here.address).expect("the server listens");
    webhook.set_nodelay(true).expect("a socket takes options");
    let mut answers = BufReader::new(webhook.try_clone().expect("a socket can be shared"));
    thread::scope(|scope| {
        scope.spawn(move || (0..calls).for_each(|_| read_answer(&mut answers)));
        for call in 0..calls {
            let session = format!("bench-{call}");
            thread::sleep(due[&session].saturating_duration_since(Instant::now()));
            post(&mut webhook, &session);
        }
    });
    let expected = viewers * calls as usize;
    let (mut told, mut taken, mut doubled) = (HashSet::new(), Vec::with_capacity(expected), 0);
    while taken.len() < expected
        && let Ok((viewer, session, moment)) = arrivals.recv_timeout(Duration::from_secs(2))
    {
        let after = (moment - due[&session]).as_secs_f64() * 1_000.0;
        if told.insert((viewer, session)) { taken.push(after) } else { doubled += 1 }
    }
    taken.sort_by(f64::total_cmp);
    Outcome { lost: expected - taken.len(), doubled, taken }
}

fn post(webhook: &mut TcpStream, session: &str) {
    let body = format!(
        r#"{{"event":"/restapi/v1.0/account/~/extension/~/presence","body":{{"telephonyStatus":"Ringing","sessionId":"{session}","from":{{"phoneNumber":"+14165551234","name":"Test Caller"}},"to":{{"phoneNumber":"+15879876543"}},"direction":"Inbound"}}}}"#
    );
    let request = format!(
        "POST /api/webhooks/ringcentral HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    webhook.write_all(request.as_bytes()).expect("the server reads");
}

fn read_answer(answers: &mut BufReader<TcpStream>) {
    let mut length = 0;
    let mut line = String::new();
    while answers.read_line(&mut line).expect("the server answers") > 2 {
        assert!(!line.starts_with("HTTP/") || line.contains("200"), "{line}");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length is a number");
        }
        line.clear();
    }
    answers.read_exact(&mut vec![0; length]).expect("the whole answer");
}

/// A viewer, a call's session, and when it came up.
type Arrival = (usize, String, Instant);

/// Tells when every call came up, until the stream ends.
fn watch(viewer: usize, address: &str, ready: &mpsc::Sender<()>, seen: &mpsc::Sender<Arrival>) {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    socket
        .write_all(b"GET /api/ringcentral/call-stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("the server reads");
    let mut event = String::new();
    for line in BufReader::new(socket).lines().map_while(Result::ok) {
        if let Some(name) = line.strip_prefix("event: ") {
            event = name.to_owned();
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let now = Instant::now();
        match event.as_str() {
            "connected" => ready.send(()).expect("the benchmark waits"),
            "call" => {
                let session = data.split(r#""session_id":""#).nth(1).and_then(|rest| rest.split('"').next());
                if seen.send((viewer, session.unwrap_or_default().to_owned(), now)).is_err() {
                    return;
                }
            }
            _ => {}
        }
    }
}

struct Server {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Server {
    fn start(settings: &[(&'static str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = Command::new(env!("CARGO_BIN_EXE_caller-popup"))
            .env("DATA_DIR", folder.path())
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .envs([("BIND", "127.0.0.1:0"), ("LOG", "info"), ("LOG_FORMAT", "json")])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut log = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut line = String::new();
        while !line.contains("\"listening\"") {
            line.clear();
            assert!(log.read_line(&mut line).expect("the log can be read") > 0, "the server stopped");
        }
        let address = line.split(r#""address":""#).nth(1).and_then(|rest| rest.split('"').next());
        let address = address.expect("the log says where it listens").to_owned();
        // Somebody must read the log, or the server waits for room in the pipe.
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address, _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
