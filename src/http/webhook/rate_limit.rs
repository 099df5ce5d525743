//! Rate limit for unauthenticated webhook requests. Authenticated deliveries are never limited.
//!
//! RingCentral gives an address up that answers anything but 200, so a delivery with the right token is never turned
//! away here. Wrong tokens and noise are limited by address and in total, before their bodies are read; handshakes too, but for
//! themselves, and not while a subscription of ours is being created: RingCentral's own must not fail for those of others.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::http::StatusCode;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use tracing::warn;

use crate::app::App;
use crate::http::client_address::client_key;
use crate::http::error::ApiError;
use crate::http::log_throttle::LogThrottle;

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
    /// Whether one more request from `address`, or one more handshake, may be dealt with.
    pub fn admit(&self, address: IpAddr, is_handshake: bool) -> bool {
        let limits = if is_handshake { &self.0.handshakes } else { &self.0.invalid_tokens };
        limits.admit(address)
    }

    /// Refuses a delivery for its token: 401, which RingCentral never should see. A flood is logged in one line.
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
