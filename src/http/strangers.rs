//! Strangers at the webhook: what is authentic passes, whatever its number; what is not is slowed down.
//!
//! RingCentral gives an address up that answers anything but 200, so a delivery with the right token is never turned
//! away here. Guesses and noise are limited by address and in total, before their bodies are read.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use tracing::warn;

use super::client_address::Peer;
use super::error::ApiError;
use crate::app::App;

pub const VALIDATION: &str = "validation-token";
const VERIFICATION: &str = "verification-token";
/// A sender with the wrong token learns so; one that goes on is a guesser.
const REFUSALS_BY_ADDRESS: u32 = 10;
/// Many guessers together.
const REFUSALS_IN_ALL: u32 = 100;
/// Addresses remembered before those that went quiet are forgotten.
const REMEMBERED_ADDRESSES: usize = 10_000;

/// The limits on what is not authentic. Cheap to clone.
#[derive(Clone)]
pub struct Strangers(Arc<Limits>);

struct Limits {
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    in_all: DefaultDirectRateLimiter,
}

impl Default for Strangers {
    fn default() -> Self {
        let a_second = |count: u32| Quota::per_second(NonZeroU32::new(count).expect("the limits are not zero"));
        Self(Arc::new(Limits {
            by_address: DefaultKeyedRateLimiter::keyed(a_second(REFUSALS_BY_ADDRESS)),
            in_all: DefaultDirectRateLimiter::direct(a_second(REFUSALS_IN_ALL)),
        }))
    }
}

impl Strangers {
    /// Whether one more stranger from `address` may be dealt with.
    fn admits(&self, address: IpAddr) -> bool {
        if self.0.by_address.len() > REMEMBERED_ADDRESSES {
            self.0.by_address.retain_recent();
        }
        self.0.by_address.check_key(&address).is_ok() && self.0.in_all.check().is_ok()
    }
}

/// Lets notifications with the right token and handshakes through. A handshake carries no token of ours, because
/// RingCentral sends it before it knows one.
pub async fn guard(
    State((app, strangers)): State<(App, Strangers)>,
    peer: Option<Extension<Peer>>,
    request: Request,
    next: Next,
) -> Response {
    if app.is_authentic(presented(request.headers())).await {
        return next.run(request).await;
    }
    // Without a connection it is our own simulator.
    let proxies = &app.config().access.trusted_proxies;
    let client = peer.map_or(Ipv4Addr::LOCALHOST.into(), |Extension(peer)| peer.client(request.headers(), proxies));
    if !strangers.admits(client) {
        return ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many unauthenticated requests.")
            .into_response();
    }
    if request.headers().contains_key(VALIDATION) {
        return next.run(request).await;
    }
    app.note_refusal();
    warn!("a webhook without the right verification token was turned away");
    wrong_token().into_response()
}

/// The token of a delivery. RingCentral's guide once called the header by the handshake's name, and senders may still.
pub fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(VERIFICATION).or(headers.get(VALIDATION)).map(HeaderValue::as_bytes)
}

/// 401, which RingCentral never should see.
pub fn wrong_token() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "wrong_verification_token",
        "The Verification-Token header is missing or wrong.",
    )
}
