//! RingCentral's words and values, one by one.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::call::{EndReason, MOST_PARTIES, PartyState, millis};
use crate::phone::{is_withheld, is_withheld_name};

/// The greatest whole number up to which a double can tell one from the next.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;
/// 2001 in milliseconds; smaller numbers are no time of a notification.
const FIRST_MILLIS: i64 = 1_000_000_000_000;
/// No id, number or name of RingCentral's comes near; longer ones would be kept and sent to every viewer as they are.
const LONGEST_TEXT: usize = 256;

/// Conference bridges have the session id "0", all of them.
pub(super) fn session_id(json: &Value) -> Option<String> {
    text(&json["sessionId"]).filter(|id| id != "0").or_else(|| text(&json["telephonySessionId"]))
}

/// Whose leg or presence this is. Events have the id, the REST API puts it into an object.
pub(super) fn extension_id(json: &Value) -> Option<String> {
    let places = [&json["extensionId"], &json["owner"]["extensionId"], &json["extension"]["id"]];
    places.into_iter().find_map(text)
}

/// Ids and numbers come as strings or as numbers. What is too long for either is cut.
pub(super) fn text(json: &Value) -> Option<String> {
    match json {
        // Databases and browsers cut a text at a zero.
        Value::String(text) => {
            let shown = text.trim().chars().map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c });
            Some(shown.take(LONGEST_TEXT).collect()).filter(|text: &String| !text.is_empty())
        }
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        Value::Number(_) => integer(json).map(|number| number.to_string()),
        _ => None,
    }
}

/// A whole number, also where it is written as a text or with a fraction of zero.
pub(super) fn integer(json: &Value) -> Option<i64> {
    match json {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() < LARGEST_WHOLE);
            number.as_i64().or(whole.map(|it| it as i64))
        }
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// One object where a list of them belongs is a list of one. Of a list of more than [`MOST_PARTIES`] the first are read.
pub(super) fn list(json: &Value) -> Option<&[Value]> {
    match json {
        Value::Array(items) => Some(&items[..items.len().min(MOST_PARTIES)]),
        Value::Object(_) => Some(std::slice::from_ref(json)),
        _ => None,
    }
}

/// "Anonymous" is what some networks send for a name.
pub(super) fn name_of(json: &Value) -> Option<String> {
    text(json).filter(|name| !is_withheld(name) && !is_withheld_name(name))
}

/// A time as RFC 3339 or as milliseconds since 1970.
pub(super) fn time(json: &Value) -> Option<DateTime<Utc>> {
    let written = json.as_str().and_then(millis::parse).map(|time| time.timestamp_millis());
    DateTime::from_timestamp_millis(written.or_else(|| integer(json).filter(|millis| *millis > FIRST_MILLIS))?)
}

pub(super) fn queue_name(info: &Value) -> Option<String> {
    [&info["primary"], &info["additional"]]
        .into_iter()
        .find(|line| is_word(&line["type"], "QueueName"))
        .and_then(|line| name_of(&line["value"]))
}

/// Whether this is that word, in any case.
pub(super) fn is_word(json: &Value, word: &str) -> bool {
    json.as_str().is_some_and(|text| text.trim().eq_ignore_ascii_case(word))
}

pub(super) fn presence_state(word: &str) -> PartyState {
    match word.trim().to_ascii_lowercase().as_str() {
        "ringing" => PartyState::Ringing,
        "callconnected" => PartyState::Connected,
        "onhold" => PartyState::OnHold,
        "parkedcall" => PartyState::Parked,
        "nocall" | "disconnected" => PartyState::Ended(EndReason::Finished),
        _ => PartyState::Unknown(short(word)),
    }
}

/// The guide's table and the specification spell some codes differently, so case does not count.
pub(super) fn party_state(code: &str, reason: Option<&str>) -> PartyState {
    match code.trim().to_ascii_lowercase().as_str() {
        "setup" => PartyState::Setup,
        "proceeding" => PartyState::Ringing,
        "answered" => PartyState::Connected,
        "hold" => PartyState::OnHold,
        "parked" => PartyState::Parked,
        "voicemail" | "voicemailscreening" | "vmscreening" => PartyState::Voicemail,
        "faxreceive" => PartyState::Fax,
        "disconnected" => PartyState::Ended(end_reason(reason)),
        "gone" => PartyState::Ended(EndReason::Moved),
        _ => PartyState::Unknown(short(code)),
    }
}

fn end_reason(reason: Option<&str>) -> EndReason {
    let Some(reason) = reason else { return EndReason::Finished };
    match reason.to_ascii_lowercase().as_str() {
        "callfinished" | "calldropped" | "undefined" | "" => EndReason::Finished,
        "timeout" | "noanswer" | "targetbusy" | "cancelled" | "agentdropped" => EndReason::NoAnswer,
        "rejected" | "callreplied" => EndReason::Rejected,
        "agentanswered" => EndReason::AnsweredElsewhere,
        "voicemail" => EndReason::Voicemail,
        "blindtransfer"
        | "rcctransfer"
        | "attendedtransfer"
        | "callerinputredirect"
        | "callflip"
        | "parklocation"
        | "dtmftransfer"
        | "callpark"
        | "callredirected"
        | "callswitch"
        | "pickup"
        | "takeover"
        | "conference" => EndReason::Transferred,
        _ => EndReason::Other(short(reason)),
    }
}

fn short(word: &str) -> String {
    word.trim().chars().take(LONGEST_TEXT).collect()
}
