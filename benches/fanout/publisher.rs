//! Sends events at fixed moments.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::payload::{Payload, Token};
use crate::server::{Kind, Server};

/// The header in which nchan takes an event's name; the other peers that make frames take it there too.
pub const EVENT: &str = "x-eventsource-event";

/// One connection, on which requests do not wait for answers: the server's pace must not become ours.
pub struct Publisher<'a> {
    socket: TcpStream,
    kind: Kind,
    path: &'static str,
    payload: &'a Payload,
}

impl<'a> Publisher<'a> {
    /// Connects, and has the call begin that the events are about.
    pub fn connect(server: &Server, payload: &'a Payload) -> Self {
        let socket = TcpStream::connect(server.publish_at).expect("the server listens");
        socket.set_nodelay(true).expect("a socket takes options");
        let publisher = Self { socket, kind: server.kind, path: server.publish, payload };
        if server.kind.is_ours() {
            publisher.send(Token { sequence: 0, due: micros(SystemTime::now()) });
            let mut answers = BufReader::new(publisher.socket.try_clone().expect("a socket can be shared"));
            read_answer(&mut answers).expect("the server takes a webhook");
        }
        publisher
    }

    /// Publishes events 1 to `count`, and returns when all were accepted.
    pub fn publish(&self, count: u32, rate: u32) {
        let start = SystemTime::now() + Duration::from_millis(100);
        let mut answers = BufReader::new(self.socket.try_clone().expect("a socket can be shared"));
        thread::scope(|scope| {
            scope.spawn(move || (0..count).for_each(|_| read_answer(&mut answers).expect("every event is accepted")));
            for sequence in 1..=count {
                let due = start + Duration::from_secs(1) * sequence / rate;
                thread::sleep(due.duration_since(SystemTime::now()).unwrap_or_default());
                self.send(Token { sequence, due: micros(due) });
            }
        });
    }

    fn send(&self, token: Token) {
        let load = self.payload.load;
        let body = match self.kind {
            kind if kind.is_ours() => load.notification(token),
            Kind::Floor => self.payload.frame(token),
            _ => self.payload.data(token),
        };
        let event = format!("{EVENT}: {}\r\n", load.event());
        (&self.socket).write_all(&post(self.path, &event, body.as_bytes())).expect("the server reads");
    }
}

/// A request.
pub fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Reads one answer; anything but success is an error.
pub fn read_answer(answers: &mut impl BufRead) -> io::Result<()> {
    let mut line = String::new();
    let mut length = 0;
    while answers.read_line(&mut line)? > 2 {
        if line.starts_with("HTTP/") && !line.starts_with("HTTP/1.1 2") {
            return Err(io::Error::other(line));
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        line.clear();
    }
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    answers.read_exact(&mut vec![0; length])
}

/// Microseconds since 1970.
pub fn micros(moment: SystemTime) -> u64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
