//! From webhook to viewer: 1,000 calls, one viewer, the release binary on each store.
//!
//! Open loop: calls are sent at fixed moments whatever the answers do, and each is timed from the moment it was meant to
//! be sent to the moment its `call` event is read from the stream. `cargo bench --bench latency`; MongoDB is measured
//! where `MONGODB_TEST_URI` names a replica set.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const CALLS: usize = 1_000;
const PACE: Duration = Duration::from_millis(10);

fn main() {
    println!("webhook → event of one viewer, {CALLS} calls, one every {PACE:?}");
    println!("{:<8} {:>9} {:>9} {:>9} {:>9}  lost", "store", "p50", "p99", "p99.9", "max");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_dir = folder.path().display().to_string();
    measure("sqlite", &[("DATA_DIR", &data_dir)]);
    match std::env::var("MONGODB_TEST_URI") {
        Ok(uri) => {
            // A database of this run's own: calls that an earlier one left ringing would be told first.
            let database = format!("caller_popup_bench_{}", std::process::id());
            let settings = [("MONGODB_URI", &*uri), ("MONGODB_DATABASE", &database), ("DATA_DIR", &data_dir)];
            measure("mongodb", &settings);
        }
        Err(_) => println!("mongodb  not measured: set MONGODB_TEST_URI to a replica set"),
    }
}

fn measure(store: &str, settings: &[(&str, &str)]) {
    let server = Server::start(settings);
    let (seen, arrivals) = mpsc::channel();
    let (ready, connected) = mpsc::channel();
    let address = server.address.clone();
    thread::spawn(move || watch(&address, &ready, &seen));
    connected.recv().expect("the stream opens");

    let start = Instant::now() + Duration::from_millis(50);
    let run = std::process::id();
    let mut webhook = TcpStream::connect(&server.address).expect("the server listens");
    webhook.set_nodelay(true).expect("a socket takes options");
    let mut answers = BufReader::new(webhook.try_clone().expect("a socket can be shared"));
    for call in 0..CALLS {
        thread::sleep((start + PACE * call as u32).saturating_duration_since(Instant::now()));
        post(&mut webhook, &mut answers, &format!("bench-{run}-{call}"));
    }
    let mut at: HashMap<String, Instant> = HashMap::new();
    while at.len() < CALLS
        && let Ok((session, moment)) = arrivals.recv_timeout(Duration::from_secs(2))
    {
        at.entry(session).or_insert(moment);
    }
    let mut taken: Vec<f64> = (0..CALLS)
        .filter_map(|call| {
            let arrived = at.get(&format!("bench-{run}-{call}"))?;
            Some((*arrived - (start + PACE * call as u32)).as_secs_f64() * 1_000.0)
        })
        .collect();
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken[((taken.len() as f64 * share) as usize).min(taken.len() - 1)];
    println!(
        "{store:<8} {:>6.2} ms {:>6.2} ms {:>6.2} ms {:>6.2} ms  {}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        CALLS - taken.len()
    );
}

fn post(webhook: &mut TcpStream, answers: &mut BufReader<TcpStream>, session: &str) {
    let body = format!(
        r#"{{"event":"/restapi/v1.0/account/~/extension/~/presence","body":{{"telephonyStatus":"Ringing","sessionId":"{session}","from":{{"phoneNumber":"+14165551234","name":"Test Caller"}},"to":{{"phoneNumber":"+15879876543"}},"direction":"Inbound"}}}}"#
    );
    let request = format!(
        "POST /api/webhooks/ringcentral HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    webhook.write_all(request.as_bytes()).expect("the server reads");
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

fn watch(address: &str, ready: &mpsc::Sender<()>, seen: &mpsc::Sender<(String, Instant)>) {
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
                if seen.send((session.unwrap_or_default().to_owned(), now)).is_err() {
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
}

impl Server {
    fn start(settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_caller-popup"))
            .envs(settings.iter().copied())
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
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
