//! What leaves the program. The stored call has more fields; one of these is public because it stands here.

use serde::Serialize;
use utoipa::ToSchema;

use crate::call::{Call, CallResult, Direction, Extension, Status, millis};
use crate::customer::{Customer, Match};
use chrono::{DateTime, Utc};

/// One logical call: a session with all its legs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Call)]
pub struct ApiCall<'a> {
    /// The service's own: 24 hex digits for calls it stored, whatever another program used for its own.
    id: &'a str,
    /// RingCentral's session id; its telephony session id where a session has none of its own.
    session_id: &'a str,
    /// The caller as RingCentral wrote it, `None` when withheld.
    from_number: Option<&'a str>,
    /// The caller's name as the network sent it.
    from_name: Option<&'a str>,
    /// The number that was dialled, also after the call was routed on.
    to_number: Option<&'a str>,
    /// As seen from the company.
    direction: Direction,
    /// Where the call stands.
    status: Status,
    /// When the call began.
    #[serde(with = "millis")]
    timestamp: DateTime<Utc>,
    /// The first of `customers`.
    customer_id: Option<&'a str>,
    /// The first of `customers`.
    customer_name: Option<&'a str>,
    /// The first of `customers`.
    customer_email: Option<&'a str>,
    /// RingCentral's `telephonySessionId`.
    telephony_session_id: Option<&'a str>,
    /// The name of the line or person called.
    to_name: Option<&'a str>,
    /// The call queue that distributes the call.
    queue: Option<&'a str>,
    /// Extensions that rang or talk, in the order they rang.
    extension_ids: &'a [String],
    /// Who took the call; after a transfer, who took it last.
    answered_by: Option<&'a Extension>,
    /// When a person first answered.
    #[serde(with = "millis::maybe")]
    answered_at: Option<DateTime<Utc>>,
    /// When the call ended, by RingCentral's clock.
    #[serde(with = "millis::maybe")]
    ended_at: Option<DateTime<Utc>>,
    /// What came of it, once ended.
    result: Option<CallResult>,
    /// Everyone the caller may be, surest first.
    customers: &'a [Customer],
    /// How sure `customer_id` is.
    #[serde(rename = "match")]
    matched: Option<Match>,
    /// `from_number` as a person writes it.
    from_display: Option<&'a str>,
    /// `to_number` as a person writes it.
    to_display: Option<&'a str>,
    /// Grows by one with every change.
    rev: i64,
}

impl<'a> From<&'a Call> for ApiCall<'a> {
    fn from(call: &'a Call) -> Self {
        Self {
            id: &call.id,
            session_id: &call.session_id,
            from_number: call.from_number.as_deref(),
            from_name: call.from_name.as_deref(),
            to_number: call.to_number.as_deref(),
            direction: call.direction,
            status: call.status,
            timestamp: call.timestamp,
            customer_id: call.customer_id.as_deref(),
            customer_name: call.customer_name.as_deref(),
            customer_email: call.customer_email.as_deref(),
            telephony_session_id: call.telephony_session_id.as_deref(),
            to_name: call.to_name.as_deref(),
            queue: call.queue.as_deref(),
            extension_ids: &call.extension_ids,
            answered_by: call.answered_by.as_ref(),
            answered_at: call.answered_at,
            ended_at: call.ended_at,
            result: call.result,
            customers: &call.customers,
            matched: call.matched,
            from_display: call.from_display.as_deref(),
            to_display: call.to_display.as_deref(),
            rev: call.rev,
        }
    }
}
