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
use super::signed_out::Visit;
use super::{Badge, digest, secret};
use crate::app::App;
use crate::http::Edge;
use crate::http::error::{ApiError, ErrorBody};
use crate::hub::Viewer;

/// Long enough to open a stream, too short for whoever reads logs.
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
    visit: Option<Extension<Visit>>,
    Extension(share): Extension<Arc<Share>>,
) -> Result<Answer<Ticket>, ApiError> {
    share.ticket()?;
    let ticket = secret();
    let session = visit.as_ref().map(|visit| visit.session.id.clone());
    let begun = visit.as_ref().map(|visit| visit.session.begun);
    let badge = json!(Badge { session, begun, ..viewer.into() }).to_string();
    app.store().put_ticket(&digest(&ticket), &badge, Utc::now() + LIFE).await?;
    Ok(Answer(Ticket { ticket, expires_in: LIFE.num_seconds() }))
}

/// Whose ticket this was, if it was one; it is good once. `HEAD` opens no stream and leaves it good.
pub(super) async fn redeem(
    edge: &Edge,
    ticket: &str,
    method: &Method,
) -> Result<Option<(Viewer, Option<Visit>)>, ApiError> {
    let (store, id, now) = (edge.app.store(), digest(ticket), Utc::now());
    let badge = match *method {
        Method::HEAD => store.peek_ticket(&id, now).await?,
        _ => store.take_ticket(&id, now).await?,
    };
    let Some(badge) = badge.and_then(|badge| serde_json::from_str::<Badge>(&badge).ok()) else { return Ok(None) };
    let (viewer, visit) = edge.gate.enter(badge);
    if visit.as_ref().is_some_and(Visit::is_over) {
        return Err(ApiError::unauthorized());
    }
    Ok(Some((viewer, visit)))
}
