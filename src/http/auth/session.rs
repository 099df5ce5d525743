//! Browsers: a secret goes in once, and a cookie that no script can read comes out.
//!
//! The cookie holds who the viewer is, sealed with a key that all instances share. It ends with what it was made from,
//! after half a day at most, and at once when the secret that vouched for it leaves the settings or the viewer signs out
//! ([`super::signed_out`]).

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum_extra::extract::PrivateCookieJar;
use axum_extra::extract::cookie::{Cookie, Key, SameSite};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::info;
use utoipa::ToSchema;

use super::{Badge, Gate, Proven, secret};
use crate::call::millis;
use crate::config::Config;
use crate::http::error::ApiError;
use crate::http::extract::Json;
use crate::hub::{Sees, Viewer};
use crate::store::{Store, StoreError};

/// A working day; whoever still works then signs in again.
const LONGEST: TimeDelta = TimeDelta::hours(12);
/// Browsers drop a longer cookie without a word.
const LONGEST_COOKIE: usize = 4_000;
/// Under this name the store keeps the key of cookies.
const KEY: &str = "session_key";

/// What the cookie holds.
#[derive(Serialize, Deserialize)]
struct Session {
    badge: Badge,
    voucher: String,
}

/// `{"token": …}`: one of `API_TOKENS`, or a JWT.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Entry {
    /// One of `API_TOKENS`, or a JWT.
    token: String,
}

/// Who somebody is, and until when.
#[derive(Debug, Serialize, ToSchema)]
pub struct Presence {
    viewer: Somebody,
    /// When they have to sign in again; `null` for an API token.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A person, or a program.
#[derive(Debug, Serialize, ToSchema)]
struct Somebody {
    /// The same on all of their devices.
    id: String,
    role: Role,
    /// Whose calls an agent sees.
    extension_ids: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Role {
    /// Sees all calls.
    Admin,
    /// Sees the calls of their extensions.
    Agent,
}

/// Signs in: a secret for a cookie.
#[utoipa::path(
    post,
    path = "/api/auth/session",
    tag = "signing in",
    request_body = Entry,
    responses((status = 204, description = "The cookie is set.")),
)]
pub async fn begin(
    State(gate): State<Gate>,
    headers: HeaderMap,
    Json(entry): Json<Entry>,
) -> Result<(StatusCode, PrivateCookieJar), ApiError> {
    let proven = gate.prove(entry.token.trim())?;
    Ok((StatusCode::NO_CONTENT, gate.begin_session(gate.jar(&headers).await?, proven)?))
}

/// Signs out, whoever it is.
#[utoipa::path(
    delete,
    path = "/api/auth/session",
    tag = "signing in",
    responses((status = 204, description = "The cookie is gone, and a copy of it is worth nothing.")),
)]
pub async fn end(State(gate): State<Gate>, headers: HeaderMap) -> Result<(StatusCode, PrivateCookieJar), ApiError> {
    if let Some(Badge { session: Some(id), until: Some(until), .. }) = gate.session(&headers).await? {
        gate.0.signed_out.add(id, until);
        gate.share_sign_outs().await;
        info!("a viewer signed out");
    }
    let mut gone = Cookie::new(gate.cookie_name(), "");
    gone.set_path("/");
    gone.set_secure(gate.0.secure);
    Ok((StatusCode::NO_CONTENT, gate.jar(&headers).await?.remove(gone)))
}

/// Who am I?
#[utoipa::path(
    get,
    path = "/api/auth/session",
    tag = "signing in",
    responses((status = 200, description = "You.", body = Presence)),
)]
pub async fn show(viewer: Viewer) -> Answer<Presence> {
    let expires_at = viewer.until.as_ref().map(millis::format);
    let (role, extension_ids) = match viewer.sees {
        Sees::All => (Role::Admin, Vec::new()),
        Sees::Extensions(ids) => (Role::Agent, ids),
    };
    Answer(Presence { viewer: Somebody { id: viewer.id, role, extension_ids }, expires_at })
}

impl Gate {
    /// Whose session the cookie is.
    pub(super) async fn session(&self, headers: &HeaderMap) -> Result<Option<Badge>, StoreError> {
        if !headers.contains_key(COOKIE) {
            return Ok(None);
        }
        let cookie = self.jar(headers).await?.get(self.cookie_name());
        let session = cookie.and_then(|cookie| serde_json::from_str::<Session>(cookie.value()).ok());
        let is_good = |session: &Session| {
            let fresh = session.badge.until.is_some_and(|until| until > Utc::now());
            let goes_on = session.badge.session.as_ref().is_some_and(|id| !self.0.signed_out.contains(id));
            fresh && goes_on && self.0.vouchers.contains(&session.voucher)
        };
        Ok(session.filter(is_good).map(|session| session.badge))
    }

    /// A jar with the cookie of somebody who proved who they are.
    pub(super) fn begin_session(&self, jar: PrivateCookieJar, proven: Proven) -> Result<PrivateCookieJar, ApiError> {
        let latest = Utc::now() + LONGEST;
        let until = proven.viewer.until.map_or(latest, |until| until.min(latest));
        let badge = Badge { until: Some(until), session: Some(secret()), ..proven.viewer.into() };
        info!(admin = badge.extension_ids.is_none(), "a viewer signed in");
        let session = json!(Session { badge, voucher: proven.voucher }).to_string();
        // Sealing makes it longer by a third and a little.
        if session.len() * 4 / 3 + 100 > LONGEST_COOKIE {
            return Err(ApiError::bad_request(
                "too_much_for_a_cookie",
                "This token names too many extensions for a cookie.",
            ));
        }
        Ok(jar.add(self.cookie(self.cookie_name(), session, until)))
    }

    /// A cookie that no script reads and no foreign page sends.
    pub(super) fn cookie(&self, name: &'static str, value: String, until: DateTime<Utc>) -> Cookie<'static> {
        let left = (until - Utc::now()).to_std().unwrap_or_default();
        let mut cookie = Cookie::new(name, value);
        cookie.set_path("/");
        cookie.set_http_only(true);
        cookie.set_same_site(SameSite::Lax);
        cookie.set_secure(self.0.secure);
        cookie.set_max_age(left.try_into().ok());
        cookie
    }

    /// The cookies that we sealed.
    pub(super) async fn jar(&self, headers: &HeaderMap) -> Result<PrivateCookieJar, StoreError> {
        let first = async || {
            // A copied cookie must not be good again for the moment after a start.
            self.0.signed_out.share().await?;
            key(&self.0.store).await
        };
        let key = self.0.key.get_or_try_init(first).await?;
        Ok(PrivateCookieJar::from_headers(headers, key.clone()))
    }

    /// Browsers take a `__Host-` cookie only from this very host over https, so no neighbouring domain can slip one in.
    fn cookie_name(&self) -> &'static str {
        if self.0.secure { "__Host-caller_popup" } else { "caller_popup" }
    }
}

/// Whether browsers reach the service over https, or not on this machine at least.
pub fn is_secure(config: &Config) -> bool {
    let known: Vec<_> = [&config.public_url, &config.ringcentral.redirect_uri].into_iter().flatten().collect();
    if known.is_empty() { !config.bind.ip().is_loopback() } else { known.iter().any(|url| url.scheme() == "https") }
}

/// The key of cookies, the same for every instance on this store and for every run; whoever is first makes it.
async fn key(store: &Store) -> Result<Key, StoreError> {
    let mut fresh = [0; 64];
    rand::rng().fill_bytes(&mut fresh);
    let kept = store.keep_setting(KEY, &STANDARD.encode(fresh)).await?;
    // One that somebody damaged opens nothing, and sessions of this run alone are better than none.
    let bytes = STANDARD.decode(kept).unwrap_or_default();
    Ok(Key::try_from(&bytes[..]).unwrap_or_else(|_| Key::from(&fresh)))
}
