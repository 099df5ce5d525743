//! Calls that go on, calls that ended, and putting a popup away.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{STATUS_OK, StatusOk};
use super::auth::limits::Share;
use super::error::{ApiError, ErrorBody};
use super::extract::{Path, Query};
use crate::api::ApiCall;
use crate::app::App;
use crate::call::{Call, CallResult, Direction, Status, millis};
use crate::phone::PhoneNumber;
use crate::store::{Erased, HistoryPage, HistoryQuery, Position};
use crate::viewer::{Scope, Viewer};

const PAGE: usize = 50;
const LARGEST_PAGE: usize = 500;

/// `?status=ringing`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ActiveQuery {
    /// Only calls with this status.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// `false` leaves out what this viewer dismissed, for screens that poll.
    dismissed: Option<bool>,
}

/// Calls that go on.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActiveCalls<'a> {
    calls: Vec<ApiCall<'a>>,
}

/// Calls that ring or are talked in, newest first.
#[utoipa::path(
    get,
    path = "/api/ringcentral/active-calls",
    tag = "calls",
    params(ActiveQuery),
    responses(
        (status = 200, description = "The calls this viewer may see.", body = ActiveCalls<'static>),
        (status = 400, description = "There is no such status.", body = ErrorBody),
    ),
)]
pub async fn active(
    State(app): State<App>,
    viewer: Viewer,
    Query(query): Query<ActiveQuery>,
) -> Result<Response, ApiError> {
    let wanted = query.status.as_deref().map(status).transpose()?;
    let mut calls = app.hub().active_calls(&viewer);
    calls.retain(|call| wanted.is_none_or(|status| call.status == status));
    calls.retain(|call| query.dismissed.unwrap_or(true) || !app.hub().has_dismissed(&call.id, &viewer.id));
    let calls = calls.iter().map(|call| ApiCall::from(&**call)).collect();
    Ok(Json(ActiveCalls { calls }).into_response())
}

/// `?limit=`, `?cursor=` and filters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Calls in a page, from 1 to 500; the nearest of these is taken.
    #[param(default = 50)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only calls of which this came.
    result: Option<CallResult>,
    /// Only calls in this direction.
    #[param(value_type = Option<Direction>)]
    direction: Option<String>,
    /// Only calls from or to this number, as the calls have it.
    number: Option<String>,
    /// Only calls of this customer.
    customer_id: Option<String>,
    /// Only calls that began then or later.
    #[param(format = DateTime)]
    since: Option<String>,
    /// `csv` for a spreadsheet; `Accept: text/csv` does the same.
    format: Option<String>,
}

/// One page of the history.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<'a> {
    calls: Vec<ApiCall<'a>>,
    /// Where the next page begins; `null` on the last one.
    next_cursor: Option<String>,
}

/// What was removed of a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct Erasure {
    erased: Erased,
}

/// What pages need to know of the settings.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageSettings {
    /// Where "View customer" goes; `{id}` stands for the customer's id.
    customer_url: String,
    /// How often other programs' changes are looked for.
    poll_interval_ms: u64,
    /// Whether this viewer may simulate calls.
    simulator: bool,
}

/// Calls that ended, newest first; `text/csv` for those who ask for it.
#[utoipa::path(
    get,
    path = "/api/ringcentral/calls",
    tag = "calls",
    params(PageQuery),
    responses(
        (status = 200, description = "A page.", content((Page<'static> = "application/json"), (String = "text/csv"))),
        (status = 400, description = "A parameter cannot be read.", body = ErrorBody),
        (status = 429, description = "This viewer reads several pages already.", body = ErrorBody),
    ),
)]
pub async fn history(
    State(app): State<App>,
    viewer: Viewer,
    Extension(share): Extension<Arc<Share>>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let csv = query.format.as_deref() == Some("csv")
        || headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/csv"));
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let before = query.cursor.as_deref().map(|cursor| position(cursor).ok_or_else(bad_cursor)).transpose()?;
    let since = query.since.as_deref().map(|since| millis::parse(since).ok_or_else(bad_since)).transpose()?;
    let query = HistoryQuery {
        limit,
        before,
        result: query.result,
        direction: query.direction.as_deref().map(direction).transpose()?,
        number: query.number,
        customer_id: query.customer_id,
        extension_ids: match viewer.scope {
            Scope::All => None,
            Scope::Extensions(ids) => Some(ids),
        },
        since,
    };
    let read = async move { app.history(query).await };
    let (HistoryPage { calls, more }, page) = share.page(read).await?;
    let next_cursor = calls.last().filter(|_| more).map(cursor);
    if csv {
        let csv = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
        return Ok((csv, Extension(page), as_csv(&calls)).into_response());
    }
    let calls = calls.iter().map(ApiCall::from).collect();
    Ok((Extension(page), Json(Page { calls, next_cursor })).into_response())
}

/// Other programs' words mean something too, but a filter by an unknown one is an error.
fn status(word: &str) -> Result<Status, ApiError> {
    let known = Some(Status::from_word(word)).filter(|known| known.as_str().eq_ignore_ascii_case(word));
    known.ok_or_else(|| ApiError::bad_request("bad_status", "There is no call status of that name."))
}

fn direction(word: &str) -> Result<Direction, ApiError> {
    let known = Some(Direction::from_word(word)).filter(|known| known.as_str().eq_ignore_ascii_case(word));
    known.ok_or_else(|| ApiError::bad_request("bad_direction", "A call is Inbound or Outbound."))
}

/// The viewer puts a popup away, on all of their tabs and devices.
#[utoipa::path(
    post,
    path = "/api/ringcentral/calls/{id}/dismiss",
    tag = "calls",
    params(("id" = String, Path, description = "The call's `id`.")),
    responses(
        (status = 200, description = "It is gone from their screens.", body = StatusOk),
        (status = 404, description = "This viewer sees no such call now.", body = ErrorBody),
    ),
)]
pub async fn dismiss(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Json<StatusOk>, ApiError> {
    if app.dismiss(&id, &viewer).await? {
        Ok(Json(STATUS_OK))
    } else {
        Err(ApiError::not_found("There is no such call now."))
    }
}

/// Removes a person: every call that holds the number, and the customers of the embedded store who have it.
#[utoipa::path(
    delete,
    path = "/api/customers/by-number/{number}",
    tag = "calls",
    params(("number" = String, Path, description = "In any spelling.", example = "+14165551234")),
    responses(
        (status = 200, description = "What was removed.", body = Erasure),
        (status = 400, description = "This is no number.", body = ErrorBody),
    ),
)]
pub async fn erase(State(app): State<App>, Path(number): Path<String>) -> Result<Json<Erasure>, ApiError> {
    let number = PhoneNumber::parse(&number, app.config().region)
        .ok_or_else(|| ApiError::bad_request("no_number", "This is no public telephone number."))?;
    Ok(Json(Erasure { erased: app.erase(&number).await? }))
}

/// What pages need to know of the settings.
#[utoipa::path(
    get,
    path = "/api/ringcentral/config",
    tag = "calls",
    responses((status = 200, description = "The settings.", body = PageSettings)),
)]
pub async fn config(State(app): State<App>, viewer: Viewer) -> Json<PageSettings> {
    let config = app.config();
    Json(PageSettings {
        customer_url: config.customer_url.clone(),
        poll_interval_ms: config.poll_interval.as_millis() as u64,
        simulator: viewer.scope == Scope::All,
    })
}

fn cursor(call: &Call) -> String {
    format!("{}-{}", call.timestamp.timestamp_millis(), call.id)
}

fn position(cursor: &str) -> Option<Position> {
    let (timestamp, id) = cursor.split_once('-')?;
    let timestamp = DateTime::<Utc>::from_timestamp_millis(timestamp.parse().ok()?)?;
    Some(Position { timestamp, id: id.to_owned() })
}

fn bad_cursor() -> ApiError {
    ApiError::bad_request("bad_cursor", "The cursor is not one that this service gave.")
}

fn bad_since() -> ApiError {
    ApiError::bad_request("bad_since", "since is a time such as 2026-01-31T00:00:00Z.")
}

fn as_csv(calls: &[Call]) -> Vec<u8> {
    let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let columns = [
        "id",
        "session_id",
        "timestamp",
        "direction",
        "result",
        "from_number",
        "from_name",
        "to_number",
        "to_name",
        "queue",
        "customer_id",
        "customer_name",
        "answered_by",
        "answered_at",
        "ended_at",
    ];
    out.write_record(columns).expect("memory takes every record");
    for call in calls {
        let time = |at: Option<DateTime<Utc>>| at.map(|at| millis::format(&at));
        let fields = [
            Some(call.id.clone()),
            Some(call.session_id.clone()),
            time(Some(call.timestamp)),
            Some(call.direction.as_str().to_owned()),
            call.result.map(|result| result.as_str().to_owned()),
            call.from_number.clone(),
            call.from_name.clone(),
            call.to_number.clone(),
            call.to_name.clone(),
            call.queue.clone(),
            call.customer_id.clone(),
            call.customer_name.clone(),
            call.answered_by.as_ref().map(|who| who.name.clone().unwrap_or(who.extension_id.clone())),
            time(call.answered_at),
            time(call.ended_at),
        ];
        let fields = fields.map(|field| harmless(field.unwrap_or_default()));
        out.write_record(fields).expect("memory takes every record");
    }
    out.into_inner().expect("memory takes every record")
}

/// A name that begins like a formula gets an apostrophe, because spreadsheets run formulas. A number begins with a plus
/// and is left alone.
fn harmless(text: String) -> String {
    let number = text.strip_prefix('+').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !number;
    if formula { format!("'{text}") } else { text }
}
