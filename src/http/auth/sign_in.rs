//! Sign-in with RingCentral: authorization code and PKCE. Whoever comes back is the agent of their own extension and of
//! their call queues, and an administrator of the account is an admin here too.
//!
//! What ties the return to the departure travels in a sealed cookie, so that any instance can finish what another began.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::Cookie;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::warn;
use utoipa::IntoParams;

use super::{Gate, Proven, digest, secret};
use crate::app::App;
use crate::http::error::ApiError;
use crate::http::extract::Query;
use crate::hub::{Sees, Viewer};
use crate::ringcentral::{Error, Person, Pkce};

/// Typing a password and a second factor takes less.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);
const COOKIE: &str = "caller_popup_sign_in";

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
    let jar = gate.jar(&headers).await?.add(gate.cookie(COOKIE, departure, until));
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
    State(app): State<App>,
    State(gate): State<Gate>,
    headers: HeaderMap,
    Query(answer): Query<Return>,
) -> Result<Response, ApiError> {
    let jar = gate.jar(&headers).await?;
    let departure = jar.get(COOKIE).and_then(|cookie| serde_json::from_str(cookie.value()).ok());
    let mut used = Cookie::new(COOKIE, "");
    used.set_path("/");
    let jar = jar.remove(used);
    match arrive(&app, &gate, departure, answer).await {
        Ok(proven) => Ok((gate.begin_session(jar, proven)?, Redirect::to("/")).into_response()),
        Err(code) => Ok((jar, back(code)).into_response()),
    }
}

/// Who came back, or the code of the sentence that says why nobody did.
async fn arrive(app: &App, gate: &Gate, departure: Option<Departure>, answer: Return) -> Result<Proven, &'static str> {
    let client = gate.0.sign_in.as_ref().ok_or("sign_in_off")?;
    let departure = departure
        .filter(|departure| answer.state.as_ref() == Some(&departure.state) && departure.until > Utc::now())
        .ok_or("sign_in_stale")?;
    let code = answer.code.ok_or("sign_in_refused")?;
    let person = client.sign_in(&code, &departure.verifier).await.map_err(|cause| {
        warn!(error = &cause as &dyn std::error::Error, "somebody could not sign in with RingCentral");
        match cause {
            Error::OtherAccount => "sign_in_other_account",
            Error::SignIn(_) => "sign_in_refused",
            _ => "sign_in_failed",
        }
    })?;
    let app_id = app.config().ringcentral.client_id.as_deref().unwrap_or_default();
    Ok(Proven { viewer: person.into(), voucher: digest(app_id) })
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
