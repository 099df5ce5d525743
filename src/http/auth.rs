//! Who may come in, and as whom.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::error::ApiError;
use crate::app::App;
use crate::hub::{Sees, Viewer};

/// Headers by which a proxy says that the request comes from elsewhere.
const FORWARDING: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// In local mode everything is open, so only requests that began on this machine may pass: a foreign `Host` is a page
/// that rebound its name to this address, a forwarding header is a proxy with the world behind it.
pub async fn guard_local_mode(State(app): State<App>, request: Request, next: Next) -> Response {
    if app.config().is_local_mode()
        && let Err(refused) = began_here(request.uri(), request.headers())
    {
        return refused.into_response();
    }
    next.run(request).await
}

/// The webhook of a service in local mode may stand behind a tunnel once a verification token protects it.
pub async fn guard_webhook(State(app): State<App>, request: Request, next: Next) -> Response {
    let protected = app.config().ringcentral.verification_token.is_some();
    if app.config().is_local_mode()
        && !protected
        && let Err(refused) = began_here(request.uri(), request.headers())
    {
        return refused.into_response();
    }
    next.run(request).await
}

fn began_here(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let header = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = uri.authority().map(|authority| authority.as_str()).or(header).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    if !matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        return Err(ApiError::forbidden(
            "local_only",
            "This service runs in local mode and answers only to localhost. Set API_TOKENS to open it.",
        ));
    }
    if FORWARDING.iter().any(|name| headers.contains_key(*name)) {
        return Err(ApiError::forbidden(
            "local_only",
            "This service runs in local mode and does not answer through a proxy. Set API_TOKENS to open it.",
        ));
    }
    Ok(())
}

impl FromRequestParts<App> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let access = &app.config().access;
        if app.config().is_local_mode() {
            return Ok(Self { id: "local".into(), sees: Sees::All });
        }
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(ApiError::unauthorized)?;
        // Every token is compared, so that the time taken tells nothing of which one came close.
        let known =
            access.api_tokens.iter().fold(false, |known, t| known | bool::from(t.as_bytes().ct_eq(token.as_bytes())));
        known.then(|| Self { id: "admin".into(), sees: Sees::All }).ok_or_else(ApiError::unauthorized)
    }
}
