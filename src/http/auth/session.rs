//! Browsers: a secret goes in once, and a cookie that no script can read comes out.
//!
//! The cookie holds who the viewer is, sealed with a key that all instances share. It ends with what it was made from,
//! after half a day at most, and at once when the secret that vouched for it leaves the settings or the viewer signs out,
//! of this session or of all of theirs ([`super::signed_out`]).

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
use utoipa::{IntoParams, ToSchema};

use super::failed_attempts::Credential;
use super::{Authenticated, Authenticator, SessionClaims, bearer, secret};
use crate::call::millis;
use crate::config::Config;
use crate::http::client_address::ClientAddress;
use crate::http::error::ApiError;
use crate::http::extract::{Json, Query};
use crate::store::{LONGEST_SESSION, Revocation, Store, StoreError};
use crate::viewer::{Scope, Viewer};

/// How far the clock of the instance that began a session may be ahead of ours.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::minutes(10);
/// Browsers drop a longer cookie without a word.
const LONGEST_COOKIE: usize = 4_000;
/// Under this name the store keeps the key of cookies.
const KEY: &str = "session_key";

/// What the cookie holds.
#[derive(Serialize, Deserialize)]
struct Session {
    #[serde(rename = "badge")]
    claims: SessionClaims,
    #[serde(rename = "voucher")]
    credential_id: String,
}

/// `{"token": …}`: one of `API_TOKENS`, or a JWT.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LoginRequest {
    /// One of `API_TOKENS`, or a JWT.
    token: String,
}

/// Which sessions end.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SignOutQuery {
    /// `true` ends every session of this viewer, in all browsers.
    everywhere: Option<bool>,
}

/// The viewer, and until when the session lasts.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionInfo {
    viewer: ViewerInfo,
    /// When they have to sign in again; `null` for an API token.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A person, or a program.
#[derive(Debug, Serialize, ToSchema)]
struct ViewerInfo {
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
    request_body = LoginRequest,
    responses((status = 204, description = "The cookie is set.")),
)]
pub async fn begin(
    State(authenticator): State<Authenticator>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    Json(entry): Json<LoginRequest>,
) -> Result<(StatusCode, PrivateCookieJar), ApiError> {
    authenticator.know_extensions().await;
    let authenticated = authenticator.check(entry.token.trim(), Credential::Session, address)?;
    Ok((StatusCode::NO_CONTENT, authenticator.begin_session(authenticator.jar(&headers).await?, authenticated).await?))
}

/// Signs out; with `everywhere=true` in all browsers of the same viewer.
///
/// Without `everywhere` it is 204 also where there was no session. `everywhere` needs one, or a bearer token or JWT of the
/// viewer, and ends the streams that sessions opened.
#[utoipa::path(
    delete,
    path = "/api/auth/session",
    tag = "signing in",
    params(SignOutQuery),
    responses((status = 204, description = "The cookie is gone, and a copy of it is worth nothing.")),
)]
pub async fn end(
    State(authenticator): State<Authenticator>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    Query(extent): Query<SignOutQuery>,
) -> Result<(StatusCode, PrivateCookieJar), ApiError> {
    let claims = authenticator.session(&headers).await?;
    if extent.everywhere == Some(true) {
        let viewer = match (claims, bearer(&headers)) {
            (Some(claims), _) => claims.id,
            (None, Some(secret)) => authenticator.check(secret, Credential::Bearer, address)?.viewer.id,
            (None, None) => return Err(ApiError::unauthorized()),
        };
        authenticator
            .0
            .revoked_sessions
            .revoke(Revocation::Everywhere { viewer, begun: Utc::now().timestamp_micros() })
            .await;
        // Sessions that were begun on clocks ahead of ours are known from the store only.
        authenticator.share_sign_outs().await;
        info!("a viewer signed out everywhere");
    } else if let Some(session) = claims.and_then(|claims| claims.opened_by()) {
        authenticator.0.revoked_sessions.revoke(Revocation::Session(session)).await;
        info!("a viewer signed out");
    }
    Ok((
        StatusCode::NO_CONTENT,
        authenticator.jar(&headers).await?.remove(authenticator.no_cookie(authenticator.cookie_name())),
    ))
}

/// Who am I?
#[utoipa::path(
    get,
    path = "/api/auth/session",
    tag = "signing in",
    responses((status = 200, description = "You.", body = SessionInfo)),
)]
pub async fn show(viewer: Viewer) -> Answer<SessionInfo> {
    let expires_at = viewer.until.as_ref().map(millis::format);
    let (role, extension_ids) = match viewer.scope {
        Scope::All => (Role::Admin, Vec::new()),
        Scope::Extensions(ids) => (Role::Agent, ids),
    };
    Answer(SessionInfo { viewer: ViewerInfo { id: viewer.id, role, extension_ids }, expires_at })
}

impl Authenticator {
    /// Whose session the cookie is.
    pub(super) async fn session(&self, headers: &HeaderMap) -> Result<Option<SessionClaims>, StoreError> {
        if !headers.contains_key(COOKIE) {
            return Ok(None);
        }
        let cookie = self.jar(headers).await?.get(self.cookie_name());
        let session = cookie.and_then(|cookie| serde_json::from_str::<Session>(cookie.value()).ok());
        let now = Utc::now();
        let is_good = |session: &Session| {
            let Some(opened) = session.claims.opened_by() else { return false };
            // None of ours is longer: one that is was made with a stolen key, or by a clock that was wrong.
            let longest = opened.begun + LONGEST_SESSION.num_microseconds().unwrap_or_default();
            let fits = opened.until <= now + LONGEST_SESSION + CLOCK_DIFFERENCE
                && opened.until.timestamp_micros() <= longest
                && opened.begun <= (now + CLOCK_DIFFERENCE).timestamp_micros();
            let is_known = self.0.credential_ids.contains(&session.credential_id);
            opened.until > now && fits && is_known && !self.0.revoked_sessions.contains(&opened)
        };
        Ok(session.filter(is_good).map(|session| session.claims))
    }

    /// A jar with the cookie of an authenticated viewer.
    pub(super) async fn begin_session(
        &self,
        jar: PrivateCookieJar,
        authenticated: Authenticated,
    ) -> Result<PrivateCookieJar, ApiError> {
        let latest = Utc::now() + LONGEST_SESSION;
        let until = authenticated.viewer.until.map_or(latest, |until| until.min(latest));
        let id = secret();
        let claims = SessionClaims {
            until: Some(until),
            session: Some(id.clone()),
            begun: Some(i64::MAX),
            ..authenticated.viewer.into()
        };
        let mut session = Session { claims, credential_id: authenticated.credential_id };
        // Sealing makes it longer by a third and a little.
        if json!(session).to_string().len() * 4 / 3 + 100 > LONGEST_COOKIE {
            return Err(ApiError::bad_request(
                "too_much_for_a_cookie",
                "This token names too many extensions for a cookie.",
            ));
        }
        let begun = self.0.revoked_sessions.begin(id, &session.claims.id, until).await;
        session.claims.begun = Some(begun.begun);
        info!(admin = session.claims.extension_ids.is_none(), "a viewer signed in");
        Ok(jar.add(self.cookie(self.cookie_name(), json!(session).to_string(), until)))
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
            self.0.revoked_sessions.share().await?;
            key(&self.0.store).await
        };
        let key = self.0.key.get_or_try_init(first).await?;
        Ok(PrivateCookieJar::from_headers(headers, key.clone()))
    }

    /// Browsers take a `__Host-` cookie only from this very host over https, so no neighbouring domain can slip one in.
    fn cookie_name(&self) -> &'static str {
        if self.0.secure { "__Host-caller_popup" } else { "caller_popup" }
    }

    /// A cookie that removes one of ours. Browsers do not let an insecure one touch a `__Host-` cookie.
    pub(super) fn no_cookie(&self, name: &'static str) -> Cookie<'static> {
        let mut gone = Cookie::new(name, "");
        gone.set_path("/");
        gone.set_secure(self.0.secure);
        gone
    }
}

/// Whether browsers reach the service over https, or not on this machine at least.
pub fn is_secure(config: &Config) -> bool {
    let known: Vec<_> = [&config.public_url, &config.ringcentral.redirect_uri].into_iter().flatten().collect();
    if known.is_empty() { !config.bind.ip().is_loopback() } else { known.iter().any(|url| url.scheme() == "https") }
}

/// The key of cookies, the same for every instance on this store and for every run; the first that needs it makes it.
async fn key(store: &Store) -> Result<Key, StoreError> {
    let mut fresh = [0; 64];
    rand::rng().fill_bytes(&mut fresh);
    let kept = store.get_or_insert_setting(KEY, &STANDARD.encode(fresh)).await?;
    // One that was damaged opens nothing, and sessions of this run alone are better than none.
    let bytes = STANDARD.decode(kept).unwrap_or_default();
    Ok(Key::try_from(&bytes[..]).unwrap_or_else(|_| Key::from(&fresh)))
}
