//! What RingCentral posts.

pub mod rate_limit;

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};

use super::answer::{STATUS_OK, StatusOk};
use super::error::{ApiError, ErrorBody};
use crate::app::App;
use crate::call::{CallEventKind, Source};
use crate::metrics;
use crate::ringcentral::notification::{Body, NotJson, Notification, NotificationKind};
use crate::store::StoreError;
use rate_limit::{UnauthenticatedLimits, VALIDATION, presented};

/// A notification of a conference with dozens of parties stays far below.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// Reading more takes milliseconds, which a thread that serves connections does not have.
const LARGE_BODY: usize = 16 * 1024;

/// The handshake's answer may have 1,024 bytes in all, and an honest token is far shorter.
const LONGEST_VALIDATION: usize = 512;

/// Takes in what RingCentral tells: a notification, or the handshake of a new subscription.
///
/// A handshake is answered with its own token. For a notification, 200 means that it is on disk. Which of the two it is
/// shows in the body, because RingCentral's guide once called the verification header by the handshake's name and senders
/// may still do so.
#[utoipa::path(
    post,
    path = "/api/webhooks/ringcentral",
    tag = "ringcentral",
    request_body(content = Option<serde_json::Value>, description = "A notification; a handshake has none."),
    params(
        ("Verification-Token" = Option<String>, Header, description = "Proves a notification, where one is configured."),
        ("Validation-Token" = Option<String>, Header, description = "A handshake: comes back in the answer."),
    ),
    responses(
        (status = 200, description = "It is on disk, or the handshake is answered.", body = StatusOk),
        (status = 400, description = "The body is not JSON.", body = ErrorBody),
        (status = 401, description = "The token is missing or wrong.", body = ErrorBody),
        (status = 413, description = "The body is larger than 1 MiB.", body = ErrorBody),
        (status = 429, description = "Too many without the right token.", body = ErrorBody),
        (status = 503, description = "It could not be stored; send it again.", body = ErrorBody),
    ),
)]
pub async fn receive(
    State(app): State<App>,
    State(limits): State<UnauthenticatedLimits>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let validation = headers.get(VALIDATION).filter(|token| token.len() <= LONGEST_VALIDATION).cloned();
    let body = body.map_err(unreadable)?;
    let heard = Instant::now();
    // Only what may be a handshake is parsed for strangers.
    let parsed = match validation {
        Some(_) => Some(off_worker(&body, Body::read).await?),
        None => None,
    };
    if matches!(&parsed, Some(read) if !read.as_ref().is_ok_and(Body::is_notification)) {
        return Ok(success(validation, metrics::Kind::Handshake));
    }
    if !app.verify_delivery(presented(&headers)).await {
        return Err(limits.reject(&app));
    }
    let (now, region) = (now(), app.config().region);
    let read = move |raw: &[u8]| {
        let body = parsed.unwrap_or_else(|| Body::read(raw))?;
        Ok::<_, NotJson>(Notification::of(&body, now, region))
    };
    let notification = off_worker(&body, read).await?;
    let notification = notification.map_err(|_| ApiError::bad_request("not_json", "The body is not JSON."))?;
    let kind = kind(&notification);
    if let Err(cause) = app.ingest(notification, heard).await {
        return Ok((Extension(kind), ApiError::from(cause)).into_response());
    }
    app.metrics().webhook_stored.observe(heard.elapsed().as_secs_f64());
    Ok(success(validation, kind))
}

/// Reads a body, a large one on a thread for blocking work.
async fn off_worker<T: Send + 'static>(
    body: &Bytes,
    read: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> Result<T, ApiError> {
    if body.len() <= LARGE_BODY {
        return Ok(read(body));
    }
    let body = body.clone();
    // Fails when the runtime shuts down; RingCentral sends it again.
    tokio::task::spawn_blocking(move || read(&body)).await.map_err(|_| ApiError::from(StoreError::Closed))
}

/// Counts every webhook by what it was and how it was answered, also those that were turned away on the threshold.
pub async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let kind = response.extensions().get().copied().unwrap_or(metrics::Kind::Unread);
    app.metrics().webhook(kind, response.status().as_u16());
    response
}

fn kind(notification: &Notification) -> metrics::Kind {
    match &notification.kind {
        NotificationKind::Calls(events) => {
            let flat = |kind: &CallEventKind| matches!(kind, CallEventKind::Party(leg) if leg.source == Source::Guide);
            let is_flat = events.first().is_some_and(|event| flat(&event.kind));
            if is_flat { metrics::Kind::Guide } else { metrics::Kind::Telephony }
        }
        NotificationKind::Presence(..) => metrics::Kind::Presence,
        NotificationKind::RenewalReminder => metrics::Kind::Reminder,
        NotificationKind::Known(_) => metrics::Kind::Other,
        NotificationKind::Other(_) => metrics::Kind::Unknown,
    }
}

fn success(validation: Option<HeaderValue>, kind: metrics::Kind) -> Response {
    let mut response = (Extension(kind), Json(STATUS_OK)).into_response();
    if let Some(token) = validation {
        response.headers_mut().insert(VALIDATION, token);
    }
    response
}

/// Stored times have milliseconds, and a call must be the same before and after it was stored.
fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now)
}

fn unreadable(rejection: BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is larger than 1 MiB.")
        }
        _ => ApiError::bad_request("unreadable", "The body could not be read."),
    }
}
