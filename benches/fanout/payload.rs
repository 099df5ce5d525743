//! What is sent: the bytes our server says of a call, with the moment they were meant to be sent inside.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use chrono::{DateTime, SecondsFormat};

use crate::publisher::{post, read_answer};
use crate::server::{Kind, Server, WEBHOOK};

/// How an event is recognised in whatever bytes carry it. Ours carries it as the caller's name.
pub const MARK: &[u8] = b"bench-";
const SEQUENCE: usize = 6;
const MOMENT: usize = 16;

/// An event's number, and when it was meant to be sent in microseconds since 1970. Wall clock, because several processes
/// look at it; it only has to stand still between a write and a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub sequence: u32,
    pub due: u64,
}

impl Token {
    /// The first one in a line.
    pub fn find(line: &[u8]) -> Option<Self> {
        let at = line.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
        let number = |from: usize, length: usize| -> Option<u64> {
            std::str::from_utf8(line.get(from..from + length)?).ok()?.parse().ok()
        };
        Some(Self { sequence: number(at, SEQUENCE)? as u32, due: number(at + SEQUENCE + 1, MOMENT)? })
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bench-{:0SEQUENCE$}-{:0MOMENT$}", self.sequence, self.due)
    }
}

/// What the webhooks of a run are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// One call that is put on hold and taken back.
    Updates,
    /// A new call each time, whose caller has to be looked up.
    Calls,
}

impl Load {
    /// What each of them is to every viewer, exactly once.
    pub fn event(self) -> &'static str {
        match self {
            Self::Updates => "call_updated",
            Self::Calls => "call",
        }
    }

    /// What RingCentral would post.
    pub fn notification(self, token: Token) -> String {
        let (session, status) = match self {
            Self::Updates if token.sequence.is_multiple_of(2) => ("only".to_owned(), "CallConnected"),
            Self::Updates => ("only".to_owned(), "OnHold"),
            Self::Calls => (format!("call-{}", token.sequence), "Ringing"),
        };
        let sent_at = DateTime::from_timestamp_micros(token.due as i64).expect("these times are of our days");
        let sent_at = sent_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        format!(
            r#"{{"event":"/restapi/v1.0/account/~/extension/~/presence","timestamp":"{sent_at}","body":{{"telephonyStatus":"{status}","sessionId":"{session}","from":{{"phoneNumber":"+14165551234","name":"{token}"}},"to":{{"phoneNumber":"+15879876543"}},"direction":"Inbound"}}}}"#
        )
    }
}

/// A frame of ours, around the token.
pub struct Payload {
    pub load: Load,
    before: String,
    after: String,
}

impl Payload {
    /// Asks our own server for it, so that everyone sends the same.
    pub fn capture(load: Load) -> Self {
        let server = Server::start(Kind::Ours);
        let mut webhook = BufReader::new(TcpStream::connect(server.address).expect("the server listens"));
        let token = Token { sequence: 1, due: 1_700_000_000_000_000 };
        for sequence in 0..2 {
            let body = load.notification(Token { sequence, ..token });
            webhook.get_mut().write_all(&post(WEBHOOK, "", body.as_bytes())).expect("the server reads");
            read_answer(&mut webhook).expect("the server takes a webhook");
        }
        let mut stream = TcpStream::connect(server.address).expect("the server listens");
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", server.stream);
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let data = lines
            .find_map(|line| Some(line.strip_prefix("data: ")?.to_owned()).filter(|l| l.contains(&token.to_string())));
        let data = data.expect("a stream begins with the calls on screen");
        let (before, after) = data.split_once(&token.to_string()).expect("it was looked for");
        Self { load, before: before.to_owned(), after: after.to_owned() }
    }

    /// The event's `data:`.
    pub fn data(&self, token: Token) -> String {
        format!("{}{token}{}", self.before, self.after)
    }

    /// The whole frame.
    pub fn frame(&self, token: Token) -> String {
        let (id, event) = (token.sequence, self.load.event());
        format!("id: 19c0ffee000-{id}\nevent: {event}\ndata: {}\n\n", self.data(token))
    }

    /// Bytes of a frame.
    pub fn size(&self) -> usize {
        self.frame(Token { sequence: 100, due: 0 }).len()
    }
}
