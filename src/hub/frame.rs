//! Server-Sent Events as bytes: each change is encoded once for everyone, when the first viewer needs it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chrono::Utc;
use serde_json::json;

use super::Naming;
use crate::call::{Call, millis};

/// The events that carry a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It starts to ring, for this viewer.
    Call,
    /// It changed.
    Updated,
    /// It left this viewer's screen.
    Ended,
}

/// What keeps the service from its work. Viewers are told when it begins, and whoever comes before it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The database does not answer.
    StoreLost,
    /// What other instances do is found out by the poll only.
    ChangesDelayed,
}

impl Trouble {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::StoreLost => ("store_unavailable", "The database does not answer; what is shown may be incomplete."),
            Self::ChangesDelayed => ("changes_delayed", "Calls may be shown up to two seconds late."),
        }
    }
}

/// The frames of one change, made when first asked for.
pub struct Frames {
    id: String,
    source: Source,
    made: [OnceLock<Frame>; 6],
}

enum Source {
    Call(Arc<Call>),
    Trouble(Trouble),
}

/// A frame, and where it begins when the `id:` line is left out.
struct Frame {
    bytes: Bytes,
    id_length: usize,
}

impl Frames {
    pub fn call(id: String, call: Arc<Call>) -> Self {
        Self { id, source: Source::Call(call), made: Default::default() }
    }

    pub fn trouble(id: String, trouble: Trouble) -> Self {
        Self { id, source: Source::Trouble(trouble), made: Default::default() }
    }

    /// The frame with its position, for a viewer who follows the log.
    pub fn live(&self, event: Event, naming: Naming) -> Bytes {
        self.frame(event, naming).bytes.clone()
    }

    /// The frame without a position, for a snapshot, whose own end is the position.
    pub fn snapshot(&self, event: Event, naming: Naming) -> Bytes {
        let frame = self.frame(event, naming);
        frame.bytes.slice(frame.id_length..)
    }

    fn frame(&self, event: Event, naming: Naming) -> &Frame {
        let slot = event as usize * 2 + naming as usize;
        self.made[slot].get_or_init(|| {
            let (name, data) = match &self.source {
                Source::Trouble(trouble) => {
                    let (code, message) = trouble.words();
                    ("error", error(code, message))
                }
                Source::Call(call) => {
                    let name = event.name();
                    let call = serde_json::to_string(call).expect("a call has text keys and finite numbers only");
                    (name, format!(r#"{{"type":"{name}","call":{call}}}"#))
                }
            };
            let id = format!("id: {}\n", self.id);
            let bytes = Bytes::from(format!("{id}{}", block(name, &data, naming)));
            Frame { bytes, id_length: id.len() }
        })
    }
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Updated => "call_updated",
            Self::Ended => "call_ended",
        }
    }
}

/// Nobody's position: who breaks off after they dropped what they knew, and before they were told everything anew, must
/// not come back with a position from before.
const NOWHERE: &str = "id: anew\n";

/// `connected`, which comes first: `active` names the calls on this viewer's screen.
pub fn connected(naming: Naming, resumed: bool, active: &[String], retry_ms: u64) -> String {
    let data = json!({
        "type": "connected", "resumed": resumed, "server_time": millis::format(&Utc::now()), "active": active,
    });
    let id = if resumed { "" } else { NOWHERE };
    format!("retry: {retry_ms}\n{id}{}", block("connected", &data.to_string(), naming))
}

/// `resync`: drop everything but `active`; the calls follow.
pub fn resync(naming: Naming, active: &[String]) -> String {
    format!("{NOWHERE}{}", block("resync", &json!({ "type": "resync", "active": active }).to_string(), naming))
}

/// `heartbeat`, after this `id:` line.
pub fn heartbeat(naming: Naming, id: &str) -> Bytes {
    let data = json!({ "type": "heartbeat", "server_time": millis::format(&Utc::now()) }).to_string();
    Bytes::from(format!("{id}{}", block("heartbeat", &data, naming)))
}

/// A last word and when to come back: browsers give up for good on any other answer than a stream.
pub fn farewell(naming: Naming, code: &str, message: &str, retry_ms: u64) -> Bytes {
    Bytes::from(format!("retry: {retry_ms}\n{}", block("error", &error(code, message), naming)))
}

fn error(code: &str, message: &str) -> String {
    json!({ "type": "error", "error": { "code": code, "message": message } }).to_string()
}

/// JSON has no raw line breaks, so one `data:` line carries it whole.
fn block(name: &str, data: &str, naming: Naming) -> String {
    match naming {
        Naming::Named => format!("event: {name}\ndata: {data}\n\n"),
        Naming::Plain => format!("data: {data}\n\n"),
    }
}
