//! The event stream.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;

use super::error::ApiError;
use crate::app::App;
use crate::hub::{Naming, Viewer};

/// How a viewer wants to be told.
#[derive(Debug, Default, Deserialize)]
pub struct Wishes {
    /// `message` leaves the events' names out.
    events: Option<String>,
    /// Where the client was, for those that cannot send `Last-Event-ID`.
    last_event_id: Option<String>,
}

/// Opens a stream: `connected`, what rings now, then everything as it happens.
pub async fn open(
    State(app): State<App>,
    viewer: Viewer,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let naming = match wishes.events.as_deref() {
        None | Some("named") => Naming::Named,
        Some("message") => Naming::Plain,
        Some(_) => return Err(ApiError::bad_request("unknown_events", "events is \"message\" or left out.")),
    };
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let position = header.or(wishes.last_event_id.as_deref());
    let listener = app.hub().listen(viewer, naming, position).ticking(app.config().poll_interval);
    let frames = unfold(listener, |mut listener| async {
        let frames = listener.next().await?;
        Some((Ok::<_, std::convert::Infallible>(frames), listener))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}
