//! What RingCentral posts.

mod delivery;
pub mod rate_limit;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::answer::{STATUS_OK, StatusOk};
use super::error::{ApiError, ErrorBody};
use crate::app::App;
use crate::call::{CallEventKind, Source};
use crate::metrics;
use crate::ringcentral::notification::{Notification, NotificationKind};
use delivery::{Delivery, VALIDATION};

/// A notification of a conference with dozens of parties stays far below.
pub const LARGEST_BODY: usize = 1024 * 1024;

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
pub async fn receive(State(app): State<App>, delivery: Delivery) -> Result<Response, ApiError> {
    let Delivery { notification, validation, received } = delivery;
    let Some(notification) = notification else { return Ok(success(validation, metrics::Kind::Handshake)) };
    let kind = kind(&notification);
    if let Err(cause) = app.ingest(notification, received).await {
        return Ok((Extension(kind), ApiError::from(cause)).into_response());
    }
    app.metrics().webhook_stored.observe(received.elapsed().as_secs_f64());
    Ok(success(validation, kind))
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
