//! Sign-in with RingCentral: authorization code and PKCE. Whoever comes back is the agent of their own extension and of
//! their call queues, and an administrator of the account is an admin here too.
//!
//! What ties the return to the departure travels in a sealed cookie, so that any instance can finish what another began.
//! The store remembers which were used, so that each is good once. Attempts that RingCentral does not confirm are limited
//! by client address ([`super::failed_attempts`]).

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::PrivateCookieJar;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::failed_attempts::Credential;
use super::{Authenticated, Authenticator, digest, secret};
use crate::config::RingCentralConfig;
use crate::http::AppState;
use crate::http::client_address::ClientAddress;
use crate::http::error::ApiError;
use crate::http::extract::Query;
use crate::ringcentral::{Error, Person, Pkce};
use crate::viewer::{Scope, Viewer};

/// Typing a password and a second factor takes less.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// A used state is remembered longer than any clock would still take it for good.
const REMEMBERED: TimeDelta = TimeDelta::hours(1);

/// What a browser takes along and brings back.
#[derive(Serialize, Deserialize)]
struct OAuthState {
    state: String,
    verifier: String,
    until: DateTime<Utc>,
}

/// What RingCentral sends the browser back with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CallbackQuery {
    /// Ties the return to the departure.
    state: Option<String>,
    /// Missing when RingCentral, or the person, said no.
    code: Option<String>,
}

/// The ways to sign in.
#[derive(Debug, Serialize, ToSchema)]
pub struct Methods {
    /// Whether signing in with RingCentral is configured.
    ringcentral: bool,
}

/// Which ways to sign in the sign-in page offers.
#[utoipa::path(
    get,
    path = "/api/auth/methods",
    tag = "signing in",
    responses((status = 200, description = "The ways to sign in, beside an access token.", body = Methods)),
)]
pub async fn methods(State(authenticator): State<Authenticator>) -> Json<Methods> {
    let url = authenticator.0.sign_in.as_ref().and_then(|client| client.authorize_url("", "").ok());
    Json(Methods { ringcentral: url.is_some() })
}

/// Sends the browser to RingCentral.
#[utoipa::path(
    get,
    path = "/api/auth/ringcentral/login",
    tag = "signing in",
    responses((status = 303, description = "Go there.")),
)]
pub async fn begin(State(authenticator): State<Authenticator>, headers: HeaderMap) -> Result<Response, ApiError> {
    let (state, pkce) = (secret(), Pkce::new());
    let url = authenticator.0.sign_in.as_ref().and_then(|client| client.authorize_url(&state, &pkce.challenge).ok());
    let Some(url) = url else { return Ok(redirect_with_error("sign_in_off")) };
    let until = Utc::now() + PATIENCE;
    let departure = json!(OAuthState { state, verifier: pkce.verifier, until }).to_string();
    let jar =
        authenticator.jar(&headers).await?.add(authenticator.cookie(authenticator.departure_name(), departure, until));
    Ok((jar, Redirect::to(url.as_str())).into_response())
}

/// The browser is back.
#[utoipa::path(
    get,
    path = "/api/auth/ringcentral/callback",
    tag = "signing in",
    params(CallbackQuery),
    responses((status = 303, description = "Signed in, or back at the sign-in page with the reason.")),
)]
pub async fn finish(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    (method, headers): (Method, HeaderMap),
    Query(answer): Query<CallbackQuery>,
) -> Result<Response, ApiError> {
    let authenticator = &state.authenticator;
    if method == Method::HEAD {
        // Whatever looks where an address leads must not use the way back up.
        return Ok(Redirect::to("/").into_response());
    }
    let jar = authenticator.jar(&headers).await?;
    let departure = departure(authenticator, &jar, &answer);
    let jar = jar.remove(authenticator.no_cookie(authenticator.departure_name()));
    let arrived = match departure {
        Some(departure) => complete_sign_in(&state, departure, answer, address).await,
        None => Err("sign_in_stale"),
    };
    match arrived {
        Ok(authenticated) => {
            Ok((authenticator.begin_session(jar, authenticated).await?, Redirect::to("/")).into_response())
        }
        Err(code) => {
            authenticator.0.failed_attempts.count(Credential::SignIn);
            Ok((jar, redirect_with_error(code)).into_response())
        }
    }
}

/// The departure that this is the return from.
fn departure(authenticator: &Authenticator, jar: &PrivateCookieJar, answer: &CallbackQuery) -> Option<OAuthState> {
    let departure = jar.get(authenticator.departure_name())?;
    let departure: OAuthState = serde_json::from_str(departure.value()).ok()?;
    (answer.state.as_ref() == Some(&departure.state) && departure.until > Utc::now()).then_some(departure)
}

/// The person who came back, or the code of the sentence that says why nobody did.
async fn complete_sign_in(
    state: &AppState,
    departure: OAuthState,
    answer: CallbackQuery,
    address: IpAddr,
) -> Result<Authenticated, &'static str> {
    let authenticator = &state.authenticator;
    let client = authenticator.0.sign_in.as_ref().ok_or("sign_in_off")?;
    let code = answer.code.ok_or("sign_in_refused")?;
    // First, so that a stranger who is over the limit costs no request and no write.
    let mut attempt = authenticator.0.failed_attempts.attempt(address).await.ok_or("sign_in_failed")?;
    let attempt_id = digest(format!("state:{}", departure.state));
    let is_first = state.app.store().use_once(&attempt_id, departure.until + REMEMBERED).await.map_err(|cause| {
        authenticator.0.failed_attempts.note_failure(|| cause.to_string());
        "sign_in_failed"
    })?;
    if !is_first {
        return Err("sign_in_stale");
    }
    let person = client.sign_in(&code, &departure.verifier).await.map_err(|cause| {
        authenticator.0.failed_attempts.note_failure(|| reason(&cause));
        match cause {
            Error::OtherAccount => "sign_in_other_account",
            Error::SignIn(_) => {
                attempt.was_wrong();
                "sign_in_refused"
            }
            _ => "sign_in_failed",
        }
    })?;
    Ok(Authenticated { viewer: person.into(), credential_id: credential_id(&state.app.config().ringcentral) })
}

/// Why a sign-in failed, without what RingCentral says of the code: that may be anybody's words.
fn reason(cause: &Error) -> String {
    match cause {
        Error::SignIn(refusal) | Error::Refused(refusal) => format!("refused with {} {}", refusal.status, refusal.code),
        other => other.to_string(),
    }
}

/// What vouches for a session that began with RingCentral: the app, by its id and secret.
pub(super) fn credential_id(config: &RingCentralConfig) -> String {
    let part = |part: &Option<String>| part.as_deref().map_or_else(String::new, digest);
    digest(format!("{}:{}", part(&config.client_id), part(&config.client_secret)))
}

impl Authenticator {
    /// The cookie that ties a return to its departure, with the prefix that keeps other hosts from setting it.
    fn departure_name(&self) -> &'static str {
        if self.0.secure { "__Host-caller_popup_sign_in" } else { "caller_popup_sign_in" }
    }
}

impl From<Person> for Viewer {
    fn from(person: Person) -> Self {
        let id = format!("extension-{}", person.extension_id);
        let theirs = [vec![person.extension_id], person.queue_ids].concat();
        let scope = if person.is_admin { Scope::All } else { Scope::Extensions(theirs) };
        Self { id, scope, until: None }
    }
}

/// To the dashboard, which has a sentence for each of these codes.
fn redirect_with_error(code: &'static str) -> Response {
    Redirect::to(&format!("/?error={code}")).into_response()
}
