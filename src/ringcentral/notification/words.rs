//! RingCentral's words and values, one by one.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::call::{EndReason, LegState, millis};
use crate::phone::is_withheld;

/// No id, number or name of RingCentral's comes near; longer ones would be kept and sent to every viewer as they are.
const LONGEST_TEXT: usize = 256;

/// Conference bridges have the session id "0", all of them.
pub(super) fn session_id(json: &Value) -> Option<String> {
    text(&json["sessionId"]).filter(|id| id != "0").or_else(|| text(&json["telephonySessionId"]))
}

/// Ids and numbers come as strings or as integers. What is too long for either is cut.
pub(super) fn text(json: &Value) -> Option<String> {
    match json {
        Value::String(text) => {
            Some(text.trim().chars().take(LONGEST_TEXT).collect()).filter(|text: &String| !text.is_empty())
        }
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// "Anonymous" is what some networks send for a name.
pub(super) fn name_of(json: &Value) -> Option<String> {
    text(json).filter(|name| !is_withheld(name))
}

pub(super) fn time(json: &Value) -> Option<DateTime<Utc>> {
    let time = millis::parse(json.as_str()?)?;
    DateTime::from_timestamp_millis(time.timestamp_millis())
}

pub(super) fn queue_name(info: &Value) -> Option<String> {
    [&info["primary"], &info["additional"]]
        .into_iter()
        .find(|line| line["type"].as_str() == Some("QueueName"))
        .and_then(|line| name_of(&line["value"]))
}

pub(super) fn presence_state(word: &str) -> LegState {
    match word.to_ascii_lowercase().as_str() {
        "ringing" => LegState::Ringing,
        "callconnected" => LegState::Connected,
        "onhold" => LegState::OnHold,
        "parkedcall" => LegState::Parked,
        "nocall" | "disconnected" => LegState::Ended(EndReason::Finished),
        _ => LegState::Unknown(word.to_owned()),
    }
}

/// The guide's table and the specification spell some codes differently, so case does not count.
pub(super) fn party_state(code: &str, reason: Option<&str>) -> LegState {
    match code.to_ascii_lowercase().as_str() {
        "setup" => LegState::Setup,
        "proceeding" => LegState::Ringing,
        "answered" => LegState::Connected,
        "hold" => LegState::OnHold,
        "parked" => LegState::Parked,
        "voicemail" | "voicemailscreening" | "vmscreening" => LegState::Voicemail,
        "disconnected" => LegState::Ended(end_reason(reason)),
        "gone" => LegState::Ended(EndReason::Moved),
        _ => LegState::Unknown(code.to_owned()),
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
        _ => EndReason::Other(reason.to_owned()),
    }
}
