//! Server-Sent Events as bytes: each change is encoded once for everyone, when the first viewer needs it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chrono::Utc;
use serde_json::json;

use super::EventNames;
use crate::api::ApiCall;
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

/// What keeps the service from its work. Viewers are informed when it begins, and those who come before it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Incident {
    /// The database does not answer.
    StoreLost,
    /// Calls can be written to no disk.
    DiskFails,
    /// What other instances do is found out by the poll only.
    ChangesDelayed,
}

impl Incident {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::StoreLost => ("store_unavailable", "The database does not answer; what is shown may be incomplete."),
            Self::DiskFails => {
                ("store_unavailable", "Calls cannot be stored; they are shown, and may be missing in the history.")
            }
            Self::ChangesDelayed => ("changes_delayed", "Calls may be shown up to two seconds late."),
        }
    }
}

/// The frames of one change, made when first asked for.
pub struct Frames {
    id: String,
    source: Content,
    made: [OnceLock<Frame>; 6],
}

enum Content {
    Call(Arc<Call>),
    Incident(Incident),
}

/// A frame, and where it begins when the `id:` line is left out.
struct Frame {
    bytes: Bytes,
    id_length: usize,
}

impl Frames {
    pub fn call(id: String, call: Arc<Call>) -> Self {
        Self { id, source: Content::Call(call), made: Default::default() }
    }

    pub fn trouble(id: String, incident: Incident) -> Self {
        Self { id, source: Content::Incident(incident), made: Default::default() }
    }

    /// The frame with its position, for a viewer who follows the log.
    pub fn live(&self, event: Event, names: EventNames) -> Bytes {
        self.frame(event, names).bytes.clone()
    }

    /// The frame without a position, for a snapshot, whose own end is the position.
    pub fn snapshot(&self, event: Event, names: EventNames) -> Bytes {
        let frame = self.frame(event, names);
        frame.bytes.slice(frame.id_length..)
    }

    fn frame(&self, event: Event, names: EventNames) -> &Frame {
        let slot = event as usize * 2 + names as usize;
        self.made[slot].get_or_init(|| {
            let (name, data) = match &self.source {
                Content::Incident(incident) => {
                    let (code, message) = incident.words();
                    ("error", error_json(code, message))
                }
                Content::Call(call) => {
                    let name = event.name();
                    let call = serde_json::to_string(&ApiCall::from(&**call))
                        .expect("a call has text keys and finite numbers only");
                    (name, format!(r#"{{"type":"{name}","call":{call}}}"#))
                }
            };
            let id = format!("id: {}\n", self.id);
            let bytes = Bytes::from(format!("{id}{}", block(name, &data, names)));
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

/// No position: a viewer who disconnects after dropping what they had, and before the snapshot is complete, must
/// not come back with a position from before.
const NOWHERE: &str = "id: anew\n";

/// `connected`, which comes first: `active` names the calls on this viewer's screen.
pub fn connected(names: EventNames, resumed: bool, active: &[String], retry_ms: u64) -> String {
    let data = json!({
        "type": "connected", "resumed": resumed, "server_time": millis::format(&Utc::now()), "active": active,
    });
    let id = if resumed { "" } else { NOWHERE };
    format!("retry: {retry_ms}\n{id}{}", block("connected", &data.to_string(), names))
}

/// `resync`: drop everything but `active`; the calls follow.
pub fn resync(names: EventNames, active: &[String]) -> String {
    format!("{NOWHERE}{}", block("resync", &json!({ "type": "resync", "active": active }).to_string(), names))
}

/// `heartbeat`, after this `id:` line.
pub fn heartbeat(names: EventNames, id: &str) -> Bytes {
    let data = json!({ "type": "heartbeat", "server_time": millis::format(&Utc::now()) }).to_string();
    Bytes::from(format!("{id}{}", block("heartbeat", &data, names)))
}

/// An error as a frame of its own, and when to come back: browsers give up for good on any other answer than a stream.
pub fn error(names: EventNames, code: &str, message: &str, retry_ms: u64) -> Bytes {
    Bytes::from(format!("retry: {retry_ms}\n{}", block("error", &error_json(code, message), names)))
}

fn error_json(code: &str, message: &str) -> String {
    json!({ "type": "error", "error": { "code": code, "message": message } }).to_string()
}

/// JSON has no raw line breaks, so one `data:` line carries it whole.
fn block(name: &str, data: &str, names: EventNames) -> String {
    match names {
        EventNames::Typed => format!("event: {name}\ndata: {data}\n\n"),
        EventNames::MessageOnly => format!("data: {data}\n\n"),
    }
}
