//! What RingCentral posts, authenticated and read once: a notification, or the handshake of a new subscription.

use std::net::IpAddr;
use std::time::Instant;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use chrono::{DateTime, Utc};
use tokio::sync::Semaphore;

use super::rate_limit::UnauthenticatedLimits;
use crate::app::App;
use crate::http::AppState;
use crate::http::client_address::{Peer, client};
use crate::http::error::ApiError;
use crate::ringcentral::notification::{Body, NotJson, Notification};
use crate::store::StoreError;

pub const VALIDATION: &str = "validation-token";
const VERIFICATION: &str = "verification-token";
/// Reading more takes milliseconds, which a thread that serves connections does not have.
const LARGE_BODY: usize = 16 * 1024;
/// Large bodies that are read at a time: each takes some MiB meanwhile, and more at once would not be read sooner.
static READING: Semaphore = Semaphore::const_new(2);
/// What is read of a delivery that only the id in its body can verify: a hundred times what a telephony event takes.
const LARGEST_UNVERIFIED: usize = 256 * 1024;
/// The handshake's answer may have 1,024 bytes in all, and an honest token is far shorter.
const LONGEST_VALIDATION: usize = 512;

/// One webhook request.
pub struct Delivery {
    /// `None`: a handshake.
    pub notification: Option<Notification>,
    /// Comes back in the answer.
    pub validation: Option<HeaderValue>,
    /// When its body was complete.
    pub received: Instant,
}

impl FromRequest<AppState> for Delivery {
    type Rejection = ApiError;

    /// Checks the token and, without the right one, the rate limits before the body is read. A handshake carries no token of
    /// ours, because RingCentral sends it before it knows one. Which of the two a request is shows in its body, because
    /// RingCentral's guide once called the verification header by the handshake's name and senders may still do so. Where a
    /// subscription of another program was taken over its id is in the body, so that is read before the rate limits apply.
    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let peer = Option::<Extension<Peer>>::from_request_parts(&mut parts, state).await.unwrap_or_default();
        let (app, limits) = (&state.app, &state.unauthenticated);
        let has_token = app.verify_delivery(presented(&parts.headers)).await;
        let by_subscription = !has_token && app.verifies_by_subscription() && is_readable(&parts.headers);
        let from = client(peer.as_deref(), &parts.headers, app);
        if !(has_token || by_subscription) {
            admit(app, limits, &parts.headers, from).await?;
        }
        let validation = parts.headers.get(VALIDATION).filter(|token| token.len() <= LONGEST_VALIDATION).cloned();
        let body = Bytes::from_request(Request::from_parts(parts, body), state).await.map_err(unreadable)?;
        let received = Instant::now();
        let (now, may_be_handshake, service) = (now(), validation.is_some(), app.clone());
        let read = move |raw: &[u8]| match Body::read(raw) {
            body if may_be_handshake && !body.as_ref().is_ok_and(Body::is_notification) => Read::Handshake,
            Ok(body) if has_token || names_ours(&service, &body) => {
                Read::Notification(Notification::of(&body, now, service.config().region))
            }
            Err(NotJson) if has_token => Read::NotJson,
            _ => Read::Unverified,
        };
        let notification = match off_worker(&body, read).await? {
            Read::Handshake => None,
            Read::Notification(notification) => Some(notification),
            Read::Unverified if by_subscription && !limits.admit(from, false) => return Err(too_many()),
            Read::Unverified => return Err(limits.reject(app)),
            Read::NotJson => return Err(ApiError::bad_request("not_json", "The body is not JSON.")),
        };
        Ok(Self { notification, validation, received })
    }
}

/// What a body is.
enum Read {
    Handshake,
    Unverified,
    NotJson,
    Notification(Notification),
}

/// Lets an unverified request pass that may be a handshake, within the limits.
async fn admit(app: &App, limits: &UnauthenticatedLimits, headers: &HeaderMap, from: IpAddr) -> Result<(), ApiError> {
    let is_handshake = headers.contains_key(VALIDATION);
    // While a subscription is being created one of the handshakes is RingCentral's, from an address that is not known.
    let admitted = limits.admit(from, is_handshake) || (is_handshake && app.expects_handshake().await);
    match (admitted, is_handshake) {
        (false, _) => Err(too_many()),
        (true, true) => Ok(()),
        (true, false) => Err(limits.reject(app)),
    }
}

fn too_many() -> ApiError {
    ApiError::too_many("Too many unauthenticated requests.")
}

/// Whether a request is a delivery whose body says that it is not larger than an unverified one may be. RingCentral sends the length
/// of each; a handshake is limited before its body is read.
fn is_readable(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    !headers.contains_key(VALIDATION) && length.is_some_and(|length| length <= LARGEST_UNVERIFIED)
}

/// Whether a body is a delivery of a subscription whose id is known to RingCentral and this service alone.
fn names_ours(app: &App, body: &Body) -> bool {
    body.subscription_id().is_some_and(|id| app.verify_subscription(id))
}

/// The token of a delivery. RingCentral's guide once called the header by the handshake's name, and senders may still.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(VERIFICATION).or(headers.get(VALIDATION)).map(HeaderValue::as_bytes)
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
    let permit = READING.acquire().await.map_err(|_| ApiError::from(StoreError::Closed))?;
    // Fails when the runtime shuts down; RingCentral sends it again.
    let read = move || {
        let _permit = permit;
        read(&body)
    };
    tokio::task::spawn_blocking(read).await.map_err(|_| ApiError::from(StoreError::Closed))
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
