//! Sign-in with RingCentral: authorization code and PKCE. Whoever comes back is the agent of their own extension and of
//! their call queues, and an administrator of the account is an admin here too.
//!
//! What ties the return to the departure travels in a sealed cookie, so that any instance can finish what another began.
//! The store remembers which were used, so that each is good once. Attempts that RingCentral does not confirm are limited
//! by client address ([`super::guesses`]).

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

use super::guesses::Credential;
use super::{Gate, Proven, digest, secret};
use crate::config::RingCentralConfig;
use crate::http::Edge;
use crate::http::client_address::ClientAddress;
use crate::http::error::ApiError;
use crate::http::extract::Query;
use crate::hub::{Sees, Viewer};
use crate::ringcentral::{Error, Person, Pkce};

/// Typing a password and a second factor takes less.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// A used state is remembered longer than any clock would still take it for good.
const REMEMBERED: TimeDelta = TimeDelta::hours(1);

/// What a browser takes along and brings back.
#[derive(Serialize, Deserialize)]
struct Departure {
    state: String,
    verifier: String,
    until: DateTime<Utc>,
}

/// What RingCentral sends the browser back with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Return {
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
pub async fn methods(State(gate): State<Gate>) -> Json<Methods> {
    let url = gate.0.sign_in.as_ref().and_then(|client| client.authorize_url("", "").ok());
    Json(Methods { ringcentral: url.is_some() })
}

/// Sends the browser to RingCentral.
#[utoipa::path(
    get,
    path = "/api/auth/ringcentral/login",
    tag = "signing in",
    responses((status = 303, description = "Go there.")),
)]
pub async fn begin(State(gate): State<Gate>, headers: HeaderMap) -> Result<Response, ApiError> {
    let (state, pkce) = (secret(), Pkce::new());
    let url = gate.0.sign_in.as_ref().and_then(|client| client.authorize_url(&state, &pkce.challenge).ok());
    let Some(url) = url else { return Ok(back("sign_in_off")) };
    let until = Utc::now() + PATIENCE;
    let departure = json!(Departure { state, verifier: pkce.verifier, until }).to_string();
    let jar = gate.jar(&headers).await?.add(gate.cookie(gate.departure_name(), departure, until));
    Ok((jar, Redirect::to(url.as_str())).into_response())
}

/// The browser is back.
#[utoipa::path(
    get,
    path = "/api/auth/ringcentral/callback",
    tag = "signing in",
    params(Return),
    responses((status = 303, description = "Signed in, or back at the sign-in page with the reason.")),
)]
pub async fn finish(
    State(edge): State<Edge>,
    ClientAddress(address): ClientAddress,
    (method, headers): (Method, HeaderMap),
    Query(answer): Query<Return>,
) -> Result<Response, ApiError> {
    let gate = &edge.gate;
    if method == Method::HEAD {
        // Whatever looks where an address leads must not use the way back up.
        return Ok(Redirect::to("/").into_response());
    }
    let jar = gate.jar(&headers).await?;
    let departure = departure(gate, &jar, &answer);
    let jar = jar.remove(gate.no_cookie(gate.departure_name()));
    let arrived = match departure {
        Some(departure) => arrive(&edge, departure, answer, address).await,
        None => Err("sign_in_stale"),
    };
    match arrived {
        Ok(proven) => Ok((gate.begin_session(jar, proven).await?, Redirect::to("/")).into_response()),
        Err(code) => {
            gate.0.guesses.count(Credential::SignIn);
            Ok((jar, back(code)).into_response())
        }
    }
}

/// The departure that this is the return from.
fn departure(gate: &Gate, jar: &PrivateCookieJar, answer: &Return) -> Option<Departure> {
    let departure = jar.get(gate.departure_name())?;
    let departure: Departure = serde_json::from_str(departure.value()).ok()?;
    (answer.state.as_ref() == Some(&departure.state) && departure.until > Utc::now()).then_some(departure)
}

/// Who came back, or the code of the sentence that says why nobody did.
async fn arrive(edge: &Edge, departure: Departure, answer: Return, address: IpAddr) -> Result<Proven, &'static str> {
    let gate = &edge.gate;
    let client = gate.0.sign_in.as_ref().ok_or("sign_in_off")?;
    let code = answer.code.ok_or("sign_in_refused")?;
    // First, so that a stranger who is over the limit costs no request and no write.
    let mut attempt = gate.0.guesses.attempt(address).await.ok_or("sign_in_failed")?;
    let state = digest(format!("state:{}", departure.state));
    let is_first = edge.app.store().use_once(&state, departure.until + REMEMBERED).await.map_err(|cause| {
        gate.0.guesses.note_failure(|| cause.to_string());
        "sign_in_failed"
    })?;
    if !is_first {
        return Err("sign_in_stale");
    }
    let person = client.sign_in(&code, &departure.verifier).await.map_err(|cause| {
        gate.0.guesses.note_failure(|| reason(&cause));
        match cause {
            Error::OtherAccount => "sign_in_other_account",
            Error::SignIn(_) => {
                attempt.was_wrong();
                "sign_in_refused"
            }
            _ => "sign_in_failed",
        }
    })?;
    Ok(Proven { viewer: person.into(), voucher: voucher(&edge.app.config().ringcentral) })
}

/// Why a sign-in failed, without what RingCentral says of the code: that may be anybody's words.
fn reason(cause: &Error) -> String {
    match cause {
        Error::SignIn(refusal) | Error::Refused(refusal) => format!("refused with {} {}", refusal.status, refusal.code),
        other => other.to_string(),
    }
}

/// What vouches for a session that began with RingCentral: the app, by its id and secret.
pub(super) fn voucher(config: &RingCentralConfig) -> String {
    let part = |part: &Option<String>| part.as_deref().map_or_else(String::new, digest);
    digest(format!("{}:{}", part(&config.client_id), part(&config.client_secret)))
}

impl Gate {
    /// The cookie that ties a return to its departure, with the prefix that keeps other hosts from setting it.
    fn departure_name(&self) -> &'static str {
        if self.0.secure { "__Host-caller_popup_sign_in" } else { "caller_popup_sign_in" }
    }
}

impl From<Person> for Viewer {
    fn from(person: Person) -> Self {
        let id = format!("extension-{}", person.extension_id);
        let theirs = [vec![person.extension_id], person.queue_ids].concat();
        let sees = if person.is_admin { Sees::All } else { Sees::Extensions(theirs) };
        Self { id, sees, until: None }
    }
}

/// To the dashboard, which has a sentence for each of these codes.
fn back(code: &'static str) -> Response {
    Redirect::to(&format!("/?error={code}")).into_response()
}
