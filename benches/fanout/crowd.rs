//! Thousands of viewers in one process and one thread.
//!
//! Deliberately cheap, because it shares the cores with the server: one `epoll`, one read an event, and bytes that equal
//! the last ones read are not looked into again.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use crate::payload::Token;
use crate::publisher::micros;
use crate::server::Server;

/// Connections being opened at a time; fewer than the 1,024 that may wait to be accepted.
const OPENING: usize = 512;
/// What the kernel keeps for a viewer who never reads: little, so that it soon shows.
const DEAF_BUFFER: usize = 4_096;
/// How long the last deliveries are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the viewers' process is told on its command line.
#[derive(clap::Args)]
pub struct Plan {
    address: SocketAddr,
    path: String,
    viewers: usize,
    /// The first so many never read.
    deaf: usize,
}

/// What came of it; times in milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LogThrottle {
    pub received: u64,
    pub lost: u64,
    pub doubled: u64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    /// Until the last viewer has an event; the median of all events.
    pub last: f64,
}

/// How long it took everyone to come back, in milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Return {
    /// From the cut to the last viewer's first bytes.
    pub back: f64,
    /// From then until everyone knew all that anyone knew.
    pub current: f64,
}

/// The viewers' process, seen from outside.
pub struct Crowd {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Crowd {
    /// Returns when everyone listens.
    pub fn gather(server: &Server, viewers: usize, deaf: usize) -> Self {
        let program = std::env::current_exe().expect("the benchmark knows itself");
        let mut child = Command::new(program)
            .args(["crowd", &server.address.to_string(), server.stream, &viewers.to_string(), &deaf.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the benchmark runs");
        let orders = child.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut crowd = Self { child, orders, answers };
        assert_eq!(crowd.answer(), "ready", "every viewer finds a place");
        crowd
    }

    /// Waits for the last deliveries of `events` events.
    pub fn report(&mut self, events: u32) -> LogThrottle {
        writeln!(self.orders, "report {events}").expect("the viewers listen");
        serde_json::from_str(&self.answer()).expect("the viewers answer in JSON")
    }

    /// Cuts everyone off at once; returns when all are back and know what they missed.
    pub fn reconnect(&mut self) -> Return {
        writeln!(self.orders, "reconnect").expect("the viewers listen");
        serde_json::from_str(&self.answer()).expect("the viewers answer in JSON")
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the viewers answer");
        line.trim().to_owned()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process itself.
pub fn run(plan: &Plan) {
    let (sender, orders) = mpsc::channel();
    thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).try_for_each(|order| sender.send(order)));
    let mut hall = Hall::new(plan);
    hall.until_all_listen();
    println!("ready");
    loop {
        hall.turn();
        match orders.try_recv() {
            Ok(order) if order == "reconnect" => println!("{}", json(&hall.reconnect())),
            Ok(order) => {
                let events = order.strip_prefix("report ").and_then(|n| n.parse().ok()).expect("an order we know");
                println!("{}", json(&hall.report(events)));
            }
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => return,
        }
    }
}

fn json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("an answer has text keys only")
}

struct Hall<'a> {
    plan: &'a Plan,
    poll: Poll,
    viewers: Vec<Viewer>,
    /// Opened so far, and those of them that listen.
    opened: usize,
    listening: usize,
    ears: Ears,
}

struct Viewer {
    socket: TcpStream,
    stage: Stage,
    /// A line whose end has not come yet.
    rest: Vec<u8>,
    memory: Memory,
}

/// What a viewer knows; outlives connections.
#[derive(Default)]
struct Memory {
    /// Which events came, one bit each.
    seen: Vec<u64>,
    newest: u32,
    id: Option<Rc<str>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Left,
    Connecting,
    Asking,
    Listening,
}

/// What is common to all viewers of a process.
struct Ears {
    buffer: Vec<u8>,
    /// The last bytes read by anyone, and what they say.
    last_read: Vec<u8>,
    said: Said,
    taken: Histogram<u64>,
    /// The latest arrival of each event, in microseconds after it was due.
    slowest: Vec<u64>,
    received: u64,
    doubled: u64,
}

/// What a piece of stream says.
#[derive(Default)]
struct Said {
    tokens: Vec<Token>,
    id: Option<Rc<str>>,
}

impl<'a> Hall<'a> {
    fn new(plan: &'a Plan) -> Self {
        let poll = Poll::new().expect("the kernel has an epoll");
        Self { plan, poll, viewers: Vec::new(), opened: 0, listening: 0, ears: Ears::new() }
    }

    fn until_all_listen(&mut self) {
        while self.listening < self.plan.viewers {
            self.turn();
        }
    }

    /// Opens what may be opened, reads what there is.
    fn turn(&mut self) {
        while self.opened < self.plan.viewers && self.opened - self.listening < OPENING {
            self.open(self.opened);
            self.opened += 1;
        }
        let mut events = Events::with_capacity(1_024);
        match self.poll.poll(&mut events, Some(Duration::from_millis(20))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("epoll: {error}"),
            _ => {}
        }
        for event in &events {
            let index = event.token().0;
            let viewer = &mut self.viewers[index];
            match viewer.stage {
                Stage::Left => {}
                Stage::Connecting => viewer.ask(event, &self.plan.path),
                // An event may only say that more can be written.
                Stage::Asking | Stage::Listening if !event.is_readable() => {}
                Stage::Asking => {
                    viewer.listen(&mut self.ears);
                    viewer.stage = Stage::Listening;
                    self.listening += 1;
                    if index < self.plan.deaf {
                        self.poll.registry().deregister(&mut viewer.socket).expect("it was registered");
                    }
                }
                Stage::Listening => viewer.listen(&mut self.ears),
            }
        }
    }

    /// Opens the stream of a viewer, who may have been here before.
    fn open(&mut self, index: usize) {
        let memory = self.viewers.get_mut(index).map(|before| std::mem::take(&mut before.memory)).unwrap_or_default();
        let mut socket = connect(self.plan.address, index < self.plan.deaf).expect("there is a port left");
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, mio::Token(index), interest).expect("epoll takes a socket");
        let viewer = Viewer { socket, stage: Stage::Connecting, rest: Vec::new(), memory };
        if index < self.viewers.len() { self.viewers[index] = viewer } else { self.viewers.push(viewer) }
    }

    fn reconnect(&mut self) -> Return {
        let start = Instant::now();
        for viewer in &mut self.viewers {
            let _ = viewer.socket.shutdown(std::net::Shutdown::Both);
            viewer.stage = Stage::Left;
        }
        (self.opened, self.listening) = (0, 0);
        self.until_all_listen();
        let back = Instant::now();
        let newest = self.viewers.iter().map(|viewer| viewer.memory.newest).max();
        while self.viewers.iter().any(|viewer| Some(viewer.memory.newest) < newest) {
            self.turn();
        }
        let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
        Return { back: milliseconds(back - start), current: milliseconds(back.elapsed()) }
    }

    fn report(&mut self, events: u32) -> LogThrottle {
        let expected = u64::from(events) * (self.plan.viewers - self.plan.deaf) as u64;
        let deadline = Instant::now() + PATIENCE;
        while self.ears.received < expected && Instant::now() < deadline {
            self.turn();
        }
        self.ears.tally(expected)
    }
}

fn connect(address: SocketAddr, deaf: bool) -> std::io::Result<TcpStream> {
    if !deaf {
        return TcpStream::connect(address);
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(DEAF_BUFFER)?;
    socket.connect(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

impl Viewer {
    fn ask(&mut self, event: &Event, path: &str) {
        assert!(!event.is_error(), "a viewer could not connect: {:?}", self.socket.take_error());
        if event.is_writable() {
            let position = self.memory.id.as_deref().map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{position}\r\n");
            self.socket.write_all(request.as_bytes()).expect("a new socket takes a request");
            self.stage = Stage::Asking;
        }
    }

    /// Reads once: what is left afterwards is announced again only if the read filled the buffer.
    fn listen(&mut self, ears: &mut Ears) {
        loop {
            let read = match self.socket.read(&mut ears.buffer) {
                Ok(0) => panic!("a server hung up on a viewer"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a viewer's line broke: {error}"),
            };
            let now = micros(SystemTime::now());
            ears.understand(read, &mut self.rest);
            ears.note(&mut self.memory, now);
            if read < ears.buffer.len() {
                return;
            }
        }
    }
}

impl Ears {
    fn new() -> Self {
        let minute = Duration::from_secs(60).as_micros() as u64;
        Self {
            buffer: vec![0; 64 * 1024],
            last_read: Vec::new(),
            said: Said::default(),
            taken: Histogram::new_with_bounds(1, minute, 3).expect("these bounds are allowed"),
            slowest: Vec::new(),
            received: 0,
            doubled: 0,
        }
    }

    /// Looks into the first `read` bytes of the buffer, which follow `rest`.
    fn understand(&mut self, read: usize, rest: &mut Vec<u8>) {
        let bytes = &self.buffer[..read];
        if rest.is_empty() && bytes == self.last_read {
            return;
        }
        let whole = [rest.as_slice(), bytes].concat();
        let end = whole.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        self.said = Said::default();
        for line in whole[..end].split(|&byte| byte == b'\n') {
            if let Some(id) = line.strip_prefix(b"id: ") {
                self.said.id = std::str::from_utf8(id).ok().map(Rc::from);
            } else if line.starts_with(b"data: ") {
                self.said.tokens.extend(Token::find(line));
            }
        }
        // Only bytes that stand alone mean the same for the next viewer.
        let alone = rest.is_empty() && end == whole.len();
        self.last_read = if alone { whole.clone() } else { Vec::new() };
        *rest = whole[end..].to_vec();
    }

    /// Counts what was said for one viewer.
    fn note(&mut self, memory: &mut Memory, now: u64) {
        for &Token { sequence, due } in self.said.tokens.iter().filter(|token| token.sequence > 0) {
            let (word, bit) = (sequence as usize / 64, 1 << (sequence % 64));
            memory.seen.resize(memory.seen.len().max(word + 1), 0);
            self.slowest.resize(self.slowest.len().max(sequence as usize + 1), 0);
            if memory.seen[word] & bit != 0 {
                self.doubled += 1;
                continue;
            }
            memory.seen[word] |= bit;
            memory.newest = memory.newest.max(sequence);
            let taken = now.saturating_sub(due);
            self.taken.saturating_record(taken);
            self.slowest[sequence as usize] = self.slowest[sequence as usize].max(taken);
            self.received += 1;
        }
        if self.said.id.is_some() {
            memory.id.clone_from(&self.said.id);
        }
    }

    fn tally(&self, expected: u64) -> LogThrottle {
        let milliseconds = |micros: u64| micros as f64 / 1_000.0;
        let at = |share: f64| milliseconds(self.taken.value_at_quantile(share));
        let mut slowest = self.slowest.iter().skip(1).copied().collect::<Vec<_>>();
        slowest.sort_unstable();
        LogThrottle {
            received: self.received,
            lost: expected - self.received,
            doubled: self.doubled,
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: milliseconds(self.taken.max()),
            last: milliseconds(slowest.get(slowest.len() / 2).copied().unwrap_or_default()),
        }
    }
}
