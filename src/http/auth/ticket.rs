//! Tickets: a secret that may stand in an address, because it is worth nothing a moment later.
//!
//! An `EventSource` sends no headers, and no cookie either to where the browser calls it third-party. Its page gets a
//! ticket instead, with the credential it has, and opens the stream with it. The store keeps only a digest, and whichever
//! instance gets the stream takes it out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Method;
use axum::{Extension, Json as Answer};
use chrono::{TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::limits::Share;
use super::revoked_sessions::SessionHandle;
use super::{SessionClaims, digest, secret};
use crate::app::App;
use crate::http::AppState;
use crate::http::error::{ApiError, ErrorBody};
use crate::viewer::Viewer;

/// Long enough to open a stream, too short for readers of logs.
const LIFE: TimeDelta = TimeDelta::seconds(30);

/// A secret for one stream.
#[derive(Serialize, ToSchema)]
pub struct Ticket {
    /// Goes into the stream's address as `?ticket=`.
    ticket: String,
    /// In seconds.
    expires_in: i64,
}

/// Hands out a ticket for one stream.
#[utoipa::path(
    post,
    path = "/api/auth/ticket",
    tag = "signing in",
    responses(
        (status = 200, description = "The ticket.", body = Ticket),
        (status = 429, description = "This viewer asked for many tickets lately.", body = ErrorBody),
    ),
)]
pub async fn issue(
    State(app): State<App>,
    viewer: Viewer,
    session_handle: Option<Extension<SessionHandle>>,
    Extension(share): Extension<Arc<Share>>,
) -> Result<Answer<Ticket>, ApiError> {
    share.ticket()?;
    let ticket = secret();
    let session = session_handle.as_ref().map(|session_handle| session_handle.session.id.clone());
    let begun = session_handle.as_ref().map(|session_handle| session_handle.session.begun);
    let claims = json!(SessionClaims { session, begun, ..viewer.into() }).to_string();
    app.store().put_ticket(&digest(&ticket), &claims, Utc::now() + LIFE).await?;
    Ok(Answer(Ticket { ticket, expires_in: LIFE.num_seconds() }))
}

/// Whose ticket this was, if it was one; it is good once. `HEAD` opens no stream and leaves it good.
pub(super) async fn redeem(
    state: &AppState,
    ticket: &str,
    method: &Method,
) -> Result<Option<(Viewer, Option<SessionHandle>)>, ApiError> {
    let (store, id, now) = (state.app.store(), digest(ticket), Utc::now());
    let claims = match *method {
        Method::HEAD => store.peek_ticket(&id, now).await?,
        _ => store.take_ticket(&id, now).await?,
    };
    let Some(claims) = claims.and_then(|claims| serde_json::from_str::<SessionClaims>(&claims).ok()) else {
        return Ok(None);
    };
    let (viewer, session_handle) = state.authenticator.open_session(claims);
    if session_handle.as_ref().is_some_and(SessionHandle::is_over) {
        return Err(ApiError::unauthorized());
    }
    Ok(Some((viewer, session_handle)))
}
