//! RingCentral's webhook bodies, turned into our events.
//!
//! Reading is lenient, as the platform is: ids come as strings or integers, times in two forms, fields and whole kinds
//! come and go between releases. Whatever is JSON is a notification; what we do not understand is kept by its shape.

mod census;
mod shape;
mod words;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::call::{CallEvent, Direction, EndReason, Endpoint, Extension, Fact, Leg, LegState, Source};
use crate::phone::{PhoneNumber, Region, is_withheld};
pub use census::Census;
use words::{name_of, party_state, presence_state, queue_name, session_id, text, time};

/// Presence lists only the latest seven calls of an extension; a full list proves nothing about the others.
const MOST_ACTIVE_CALLS: usize = 7;
/// One delivery of the webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// What it is about.
    pub kind: Kind,
}

/// What a notification is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Calls changed.
    Calls(Vec<CallEvent>),
    /// One extension's presence: its calls, and that it has no others.
    Presence(Vec<CallEvent>, Census),
    /// The subscription wants to be renewed.
    RenewalReminder,
    /// A kind we know and have no use for: a text message, voicemail, a list of monitored lines.
    Known(&'static str),
    /// Anything else, by its shape: field names and types, no values.
    Other(String),
}

/// The body is no JSON.
#[derive(Debug, thiserror::Error)]
#[error("the body is not JSON")]
pub struct NotJson;

impl Notification {
    /// Reads a body that arrived at `heard_at`; `region` is for numbers without a country code.
    pub fn parse(body: &[u8], heard_at: DateTime<Utc>, region: Region) -> Result<Self, NotJson> {
        let json: Value = serde_json::from_slice(body).map_err(|_| NotJson)?;
        let envelope = Envelope::of(&json, heard_at, region);
        Ok(Self { kind: envelope.kind() })
    }
}

/// Whether a body is a notification at all; the handshake's is not.
pub fn is_notification(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|json| json.get("event").is_some_and(Value::is_string) && json.get("body").is_some())
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
    fn of(json: &'a Value, heard_at: DateTime<Utc>, region: Region) -> Self {
        Self {
            json,
            body: &json["body"],
            path: json["event"].as_str().unwrap_or_default(),
            uuid: text(&json["uuid"]),
            sent_at: time(&json["timestamp"]),
            heard_at,
            region,
        }
    }

    fn kind(&self) -> Kind {
        let body = self.body;
        let path = self.path.split('?').next().unwrap_or_default();
        if path.starts_with("/restapi/v1.0/subscription/") {
            return Kind::RenewalReminder;
        }
        if body["parties"].is_array() {
            return self.telephony().map_or_else(|| self.other(), Kind::Calls);
        }
        let of_extension = text(&body["extensionId"]).is_some() && body["sessionId"].is_null();
        if (body["activeCalls"].is_array() || of_extension)
            && let Some((events, census)) = self.presence()
        {
            return Kind::Presence(events, census);
        }
        if body["telephonyStatus"].is_string() && text(&body["sessionId"]).is_some() {
            return self.flat().map_or_else(|| self.other(), |event| Kind::Calls(vec![event]));
        }
        let known = [("/voicemail", "voicemail"), ("/presence/line", "lines"), ("/presence/dnd", "do not disturb")];
        if let Some((_, name)) = known.iter().find(|(end, _)| path.ends_with(end)) {
            return Kind::Known(name);
        }
        if path.contains("/message-store") {
            return Kind::Known("message");
        }
        if path.ends_with("/presence") && (body["telephonyStatus"].is_string() || body["records"].is_array()) {
            return Kind::Known("presence without calls");
        }
        self.other()
    }

    fn other(&self) -> Kind {
        Kind::Other(shape::of(self.json))
    }

    /// The guide's body: one call, told flat. It has no sequence, so its own time or the time of arrival orders it.
    fn flat(&self) -> Option<CallEvent> {
        let body = self.body;
        let at = self.sent_at.unwrap_or(self.heard_at);
        let extension = text(&body["extensionId"]).or_else(|| self.path_extension());
        let leg = Leg {
            telephony_session_id: text(&body["telephonySessionId"]),
            source: Source::Guide,
            uuid: self.uuid.clone(),
            sequence: at.timestamp_micros(),
            at,
            party_id: extension.clone().unwrap_or_default(),
            direction: Direction::from_word(body["direction"].as_str().unwrap_or_default()),
            extension: extension.map(|extension_id| Extension { extension_id, name: None }),
            state: presence_state(body["telephonyStatus"].as_str()?),
            from: self.endpoint(&body["from"]),
            to: self.endpoint(&body["to"]),
            queue: None,
            ours: false,
            peers: Vec::new(),
        };
        self.event(text(&body["sessionId"]), leg)
    }

    /// One extension's presence with its calls.
    fn presence(&self) -> Option<(Vec<CallEvent>, Census)> {
        let body = self.body;
        let extension_id = text(&body["extensionId"]).or_else(|| self.path_extension())?;
        let at = self.sent_at.unwrap_or(self.heard_at);
        let sequence = body["sequence"].as_i64().unwrap_or(at.timestamp_millis());
        let listed = body["activeCalls"].as_array();
        let idle = body["telephonyStatus"].as_str() == Some("NoCall");
        if listed.is_none() && !idle {
            return None;
        }
        let calls = listed.map(Vec::as_slice).unwrap_or_default();
        let events: Vec<_> = calls
            .iter()
            // RingCentral's own client drops these: the call goes on.
            .filter(|call| call["terminationType"].as_str() != Some("intermediate"))
            .filter_map(|call| self.presence_call(call, &extension_id, sequence, at))
            .collect();
        let total = body["totalActiveCalls"].as_u64().unwrap_or_default() as usize;
        let complete = calls.len() < MOST_ACTIVE_CALLS && total <= calls.len();
        // An incomplete list says nothing about the calls that are not on it.
        let sessions = calls.iter().filter_map(session_id).collect();
        let census = Census {
            extension_id: if complete { extension_id } else { String::new() },
            sessions,
            sequence,
            at,
            heard_at: self.heard_at,
        };
        Some((events, census))
    }

    fn presence_call(&self, call: &Value, extension_id: &str, sequence: i64, at: DateTime<Utc>) -> Option<CallEvent> {
        let direction = Direction::from_word(call["direction"].as_str().unwrap_or_default());
        let side = |number: &str, name: &str| {
            let mut end = self.number(text(&call[number]));
            end.name = name_of(&call[name]);
            end
        };
        let (mut from, to) = (side("from", "fromName"), side("to", "toName"));
        let queue_name = queue_name(&call["callInfo"]);
        let queued = call["queueCall"].as_bool().unwrap_or_default();
        let name = match direction {
            Direction::Inbound if queued => None,
            Direction::Inbound => to.name.clone(),
            Direction::Outbound => from.name.clone(),
        };
        if direction == Direction::Outbound {
            from.extension_id = Some(extension_id.to_owned());
        }
        let leg = Leg {
            telephony_session_id: text(&call["telephonySessionId"]),
            source: Source::Presence,
            uuid: None,
            sequence,
            at,
            // Sometimes one session stands here twice, so the leg is known by whose it is and which way it goes.
            party_id: format!("{extension_id}-{}", direction.as_str()),
            direction,
            extension: Some(Extension { extension_id: extension_id.to_owned(), name }),
            state: presence_state(call["telephonyStatus"].as_str().unwrap_or("NoCall")),
            from,
            to,
            queue: queue_name.map(|name| Extension { extension_id: String::new(), name: Some(name) }),
            ours: false,
            peers: Vec::new(),
        };
        self.event(session_id(call), leg)
    }

    /// A telephony session event; it tells only the parties that changed.
    fn telephony(&self) -> Option<Vec<CallEvent>> {
        let body = self.body;
        let session = session_id(body)?;
        let at = time(&body["eventTime"]).or(self.sent_at).unwrap_or(self.heard_at);
        let sequence = body["sequence"].as_i64().unwrap_or(at.timestamp_millis());
        let origin = body["origin"]["type"].as_str().unwrap_or_default();
        let system = ["RingOut", "CallOut", "TestCall", "VerificationCall", "GreetingsRecording"];
        let ours = system.iter().any(|word| origin.eq_ignore_ascii_case(word));
        let parties = body["parties"].as_array()?.iter().filter_map(|party| {
            let leg = self.party(party, sequence, at, ours)?;
            self.event(Some(session.clone()), leg)
        });
        Some(parties.collect())
    }

    fn party(&self, party: &Value, sequence: i64, at: DateTime<Utc>, ours: bool) -> Option<Leg> {
        let direction = Direction::from_word(party["direction"].as_str().unwrap_or_default());
        let (from, to) = (self.endpoint(&party["from"]), self.endpoint(&party["to"]));
        let extension_id = text(&party["extensionId"]).filter(|_| self.is_our_account(party));
        let own_end = if direction == Direction::Inbound { &to } else { &from };
        let extension = extension_id.map(|extension_id| {
            let own = own_end.extension_id.as_ref() == Some(&extension_id);
            Extension { name: own_end.name.clone().filter(|_| own), extension_id }
        });
        let queued = party["queueCall"].as_bool().unwrap_or_default();
        let for_another =
            to.extension_id.is_some() && to.extension_id != extension.as_ref().map(|e| e.extension_id.clone());
        let announced = queue_name(&party["uiCallInfo"]);
        let queue = (direction == Direction::Inbound && (announced.is_some() || (queued && for_another))).then(|| {
            Extension { extension_id: to.extension_id.clone().unwrap_or_default(), name: announced.or(to.name.clone()) }
        });
        let status = &party["status"];
        let mut state = party_state(status["code"].as_str()?, status["reason"].as_str());
        let missed = party["missedCall"].as_bool().unwrap_or_default();
        if missed && state == LegState::Ended(EndReason::Finished) {
            state = LegState::Ended(EndReason::NoAnswer);
        }
        // A supervisor's leg goes into the session it listens to; that makes the two calls no single one.
        let peer = if status["reason"] == "Supervising" { &Value::Null } else { &status["peerId"] };
        let peers = [text(&peer["sessionId"]), text(&peer["telephonySessionId"])];
        Some(Leg {
            telephony_session_id: text(&self.body["telephonySessionId"]),
            source: Source::Telephony,
            uuid: None,
            sequence,
            at,
            party_id: text(&party["id"])?,
            direction,
            extension,
            state,
            from,
            to,
            queue,
            ours,
            peers: peers.into_iter().flatten().filter(|id| id != "0").collect(),
        })
    }

    fn event(&self, session_id: Option<String>, leg: Leg) -> Option<CallEvent> {
        Some(CallEvent { session_id: session_id?, heard_at: self.heard_at, fact: Fact::Leg(Box::new(leg)) })
    }

    /// Parties of other accounts carry extension ids too, of people who are not ours.
    fn is_our_account(&self, party: &Value) -> bool {
        let ours = self.path.split("/account/").nth(1).and_then(|rest| rest.split('/').next());
        match (ours, text(&party["accountId"])) {
            (Some(ours), Some(theirs)) => ours == "~" || ours == theirs,
            _ => true,
        }
    }

    fn path_extension(&self) -> Option<String> {
        let id = self.path.split("/extension/").nth(1)?.split(['/', '?']).next()?;
        (id != "~" && !id.is_empty()).then(|| id.to_owned())
    }

    fn endpoint(&self, end: &Value) -> Endpoint {
        Endpoint {
            name: name_of(&end["name"]),
            extension_id: text(&end["extensionId"]),
            ..self.number(text(&end["phoneNumber"]).or_else(|| text(&end["extensionNumber"])))
        }
    }

    fn number(&self, raw: Option<String>) -> Endpoint {
        let number = raw.filter(|raw| !is_withheld(raw));
        let parsed = number.as_deref().and_then(|raw| PhoneNumber::parse(raw, self.region));
        Endpoint { display: parsed.map(|n| n.display(self.region)), number, ..Endpoint::default() }
    }
}
