//! RingCentral's webhook bodies, turned into our events.
//!
//! Reading is lenient, as the platform is: ids come as strings or integers, times in two forms, fields and whole kinds
//! come and go between releases. Whatever is JSON is a notification; what we do not understand is kept by its shape.
//! Each family of bodies has a file: `flat`, `presence`, `telephony`.

mod body;
mod bounded;
mod codes;
mod ends;
mod fingerprint;
mod flat;
mod presence;
mod presence_snapshot;
mod ring_out;
mod telephony;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::call::{CallEvent, CallEventKind, MOST_PARTIES, PartyUpdate};
use crate::phone::Region;
pub use body::{Body, NotJson};
use codes::{extension_id, list, session_id, text, time};
pub use presence_snapshot::PresenceSnapshot;
pub use ring_out::pair_with_known;

/// Calls that are read of one presence body. Each is a write of its own.
pub const MOST_CALLS: usize = 64;

/// One delivery of the webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// What it is about.
    pub kind: NotificationKind,
    /// The shape of a notification about calls of which a part could not be read, or that lists more
    /// parties or calls than are read; the rest is in `kind`.
    pub unread: Option<String>,
}

/// What a notification is about.
#[derive(Clone, Debug, PartialEq)]
pub enum NotificationKind {
    /// Calls changed.
    Calls(Vec<CallEvent>),
    /// One extension's presence: its calls, and that it has no others.
    Presence(Vec<CallEvent>, PresenceSnapshot),
    /// The subscription wants to be renewed.
    RenewalReminder,
    /// A kind we know and have no use for: a text message, voicemail, a list of monitored lines.
    Known(&'static str),
    /// Anything else, by its shape: field names and types, no values.
    Other(String),
}

impl Notification {
    /// Reads a body that arrived at `heard_at`; `region` is for numbers without a country code.
    pub fn parse(body: &[u8], heard_at: DateTime<Utc>, region: Region) -> Result<Self, NotJson> {
        Ok(Self::of(&Body::read(body)?, heard_at, region))
    }

    /// Reads a body that is parsed already.
    pub fn of(body: &Body, heard_at: DateTime<Utc>, region: Region) -> Self {
        Envelope::of(body, heard_at, region).read()
    }
}

/// Whether a body is a notification at all; the handshake's is not.
pub fn is_notification(body: &[u8]) -> bool {
    Body::read(body).is_ok_and(|body| body.is_notification())
}

/// The events of one body, and whether all that it lists could be read.
struct Read<T> {
    found: T,
    complete: bool,
}

struct Envelope<'a> {
    json: &'a Value,
    body: &'a Value,
    path: &'a str,
    uuid: Option<String>,
    sent_at: Option<DateTime<Utc>>,
    heard_at: DateTime<Utc>,
    region: Region,
}

impl<'a> Envelope<'a> {
    fn of(body: &'a Body, heard_at: DateTime<Utc>, region: Region) -> Self {
        let json = body.json();
        Self {
            json,
            body: body.content(),
            path: json["event"].as_str().unwrap_or_default(),
            uuid: text(&json["uuid"]),
            sent_at: time(&json["timestamp"]),
            heard_at,
            region,
        }
    }

    fn read(&self) -> Notification {
        let calls = self.calls();
        let complete = calls.as_ref().is_none_or(|read| read.complete);
        let kind = calls.map_or_else(|| self.without_calls(), |read| read.found);
        Notification { kind, unread: (!complete || self.has_excess()).then(|| fingerprint::of(self.json)) }
    }

    /// Whether the body lists more than is read.
    fn has_excess(&self) -> bool {
        let lists = [("parties", MOST_PARTIES), ("activeCalls", MOST_CALLS)];
        lists.into_iter().any(|(field, most)| self.body[field].as_array().is_some_and(|list| list.len() > most))
    }

    /// The three families of bodies that tell of calls.
    fn calls(&self) -> Option<Read<NotificationKind>> {
        let body = self.body;
        if self.is_reminder() {
            return None;
        }
        if let Some(parties) = list(&body["parties"]) {
            let Read { found, complete } = self.telephony(parties)?;
            return Some(Read { found: NotificationKind::Calls(found), complete });
        }
        let of_extension = extension_id(body).is_some() && session_id(body).is_none();
        if (list(&body["activeCalls"]).is_some() || of_extension)
            && let Some(Read { found: (events, snapshot), complete }) = self.presence()
        {
            return Some(Read { found: NotificationKind::Presence(events, snapshot), complete });
        }
        let event = self.flat()?;
        Some(Read { found: NotificationKind::Calls(vec![event]), complete: true })
    }

    fn without_calls(&self) -> NotificationKind {
        let path = self.path.split('?').next().unwrap_or_default();
        if self.is_reminder() {
            return NotificationKind::RenewalReminder;
        }
        let known = [("/voicemail", "voicemail"), ("/presence/line", "lines"), ("/presence/dnd", "do not disturb")];
        if let Some((_, name)) = known.iter().find(|(end, _)| path.ends_with(end)) {
            return NotificationKind::Known(name);
        }
        if path.contains("/message-store") {
            return NotificationKind::Known("message");
        }
        let idle = self.body["telephonyStatus"].is_string() || extension_id(self.body).is_some();
        if path.ends_with("/presence") && (idle || self.body["records"].is_array()) {
            return NotificationKind::Known("presence without calls");
        }
        NotificationKind::Other(fingerprint::of(self.json))
    }

    fn is_reminder(&self) -> bool {
        self.path.starts_with("/restapi/v1.0/subscription/")
    }

    /// When it was sent; when it arrived where it does not say.
    fn at(&self) -> DateTime<Utc> {
        self.sent_at.unwrap_or(self.heard_at)
    }

    fn event(&self, session_id: Option<String>, leg: PartyUpdate) -> Option<CallEvent> {
        Some(CallEvent { session_id: session_id?, heard_at: self.heard_at, kind: CallEventKind::Party(Box::new(leg)) })
    }

    fn path_extension(&self) -> Option<String> {
        let id = self.path.split("/extension/").nth(1)?.split(['/', '?']).next()?;
        (id != "~" && !id.is_empty()).then(|| id.to_owned())
    }
}
