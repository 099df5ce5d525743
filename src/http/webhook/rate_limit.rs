//! Rate limit for unauthenticated webhook requests. Authenticated deliveries are never limited.
//!
//! RingCentral gives an address up that answers anything but 200, so a delivery with the right token is never turned
//! away here. Wrong tokens and noise are limited by address and in total, before their bodies are read; handshakes too, but for
//! themselves, and not while a subscription of ours is being created: RingCentral's own must not fail for those of others.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use tracing::warn;

use crate::app::App;
use crate::http::client_address::{Peer, client, client_key};
use crate::http::error::ApiError;
use crate::http::log_throttle::LogThrottle;

pub const VALIDATION: &str = "validation-token";
const VERIFICATION: &str = "verification-token";
/// A sender with the wrong token learns so; one that goes on is a guesser.
const BY_ADDRESS: u32 = 10;
/// Many guessers together.
const IN_ALL: u32 = 100;
/// Addresses remembered before those that went quiet are forgotten.
const REMEMBERED_ADDRESSES: usize = 10_000;

/// The limits on what is not authentic. Cheap to clone.
#[derive(Clone, Default)]
pub struct UnauthenticatedLimits(Arc<Inner>);

#[derive(Default)]
struct Inner {
    invalid_tokens: Limits,
    handshakes: Limits,
    refusals: LogThrottle,
}

struct Limits {
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    in_all: DefaultDirectRateLimiter,
}

impl Default for Limits {
    fn default() -> Self {
        let a_second = |count: u32| Quota::per_second(NonZeroU32::new(count).expect("the limits are not zero"));
        Self {
            by_address: DefaultKeyedRateLimiter::keyed(a_second(BY_ADDRESS)),
            in_all: DefaultDirectRateLimiter::direct(a_second(IN_ALL)),
        }
    }
}

impl Limits {
    /// Whether one more from `address` may be dealt with.
    fn admit(&self, address: IpAddr) -> bool {
        if self.by_address.len() > REMEMBERED_ADDRESSES {
            self.by_address.retain_recent();
        }
        self.by_address.check_key(&client_key(address)).is_ok() && self.in_all.check().is_ok()
    }
}

impl UnauthenticatedLimits {
    /// Turns a delivery away for its token: 401, which RingCentral never should see. Whoever floods us does not flood the
    /// log too.
    pub fn reject(&self, app: &App) -> ApiError {
        app.note_refusal();
        if let Some(count) = self.0.refusals.count() {
            warn!(count, "webhooks without the right verification token were turned away");
        }
        ApiError::new(
            StatusCode::UNAUTHORIZED,
            "wrong_verification_token",
            "The Verification-Token header is missing or wrong.",
        )
    }
}

/// Lets notifications with the right token and handshakes through. A handshake carries no token of ours, because
/// RingCentral sends it before it knows one.
pub async fn guard(
    State((app, limits)): State<(App, UnauthenticatedLimits)>,
    peer: Option<Extension<Peer>>,
    request: Request,
    next: Next,
) -> Response {
    if app.verify_delivery(presented(request.headers())).await {
        return next.run(request).await;
    }
    let client = client(peer.as_deref(), request.headers(), &app);
    let is_handshake = request.headers().contains_key(VALIDATION);
    let budget = if is_handshake { &limits.0.handshakes } else { &limits.0.invalid_tokens };
    // While a subscription is being created one of the handshakes is RingCentral's, from an address that is not known.
    let admitted = budget.admit(client) || (is_handshake && app.expects_handshake().await);
    if !admitted {
        return ApiError::too_many("Too many unauthenticated requests.").into_response();
    }
    if is_handshake {
        return next.run(request).await;
    }
    limits.reject(&app).into_response()
}

/// The token of a delivery. RingCentral's guide once called the header by the handshake's name, and senders may still.
pub fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(VERIFICATION).or(headers.get(VALIDATION)).map(HeaderValue::as_bytes)
}
