//! The event stream.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use tracing::debug;
use utoipa::IntoParams;

use super::auth::limits::Share;
use super::auth::origin::allowed_page;
use super::auth::revoked_sessions::SessionHandle;
use super::error::ApiError;
use super::extract::Query;
use super::request_id::RequestId;
use super::serve::Upgrade;
use super::sse_writer::StreamHandoff;
use crate::app::App;
use crate::hub::{Closing, EventNames, closing_frame};
use crate::viewer::Viewer;

/// The answer's head, but for what depends on who asks. Nothing says how long the answer is: it ends when the connection
/// does.
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache, no-transform\r\n\
                    x-accel-buffering: no\r\nx-content-type-options: nosniff\r\ncross-origin-resource-policy: same-origin\r\nvary: origin\r\nconnection: close\r\n";

/// How a viewer wants to be told.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// `message` leaves the events' names out.
    events: Option<String>,
    /// Where the client was, for those that cannot send `Last-Event-ID`.
    last_event_id: Option<String>,
}

/// Opens a stream: `connected`, what rings now, then everything as it happens.
///
/// Server-Sent Events; the data of each is one line of JSON whose `type` is the event's name:
///
/// - `connected`: comes first, `{"type","resumed","server_time","active"}`
/// - `call`: a call starts ringing, `{"type","call"}`
/// - `call_updated`: a call on this viewer's screen changed, `{"type","call"}`
/// - `call_ended`: it left the screen, `{"type","call"}`
/// - `heartbeat`: the line is alive, `{"type","server_time"}`
/// - `resync`: drop everything but the calls in `active`, the calls follow, `{"type","active"}`
/// - `error`: the service cannot do its work now, the stream stays open, `{"type","error"}`; whoever opens one meanwhile
///   is told before or after the calls
///
/// A reader keeps the highest `rev` of a call and drops the rest.
#[utoipa::path(
    get,
    path = "/api/ringcentral/call-stream",
    tag = "calls",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "Where the client was.")),
    responses((status = 200, description = "The stream.", body = String, content_type = "text/event-stream")),
)]
// Hands the socket over to the writers and never answers; the accept loop then drops this future.
pub async fn open(
    State(app): State<App>,
    method: Method,
    (viewer, session_handle, Extension(share)): (Viewer, Option<Extension<SessionHandle>>, Extension<Arc<Share>>),
    Query(query): Query<StreamQuery>,
    Extension(upgrade): Extension<Upgrade>,
    Extension(RequestId(name)): Extension<RequestId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let names = match query.events.as_deref() {
        None | Some("named") => EventNames::Typed,
        Some("message") => EventNames::MessageOnly,
        Some(_) => return Err(ApiError::bad_request("unknown_events", "events is \"message\" or left out.")),
    };
    if method == Method::HEAD {
        return Ok(event_stream().into_response());
    }
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let position = header.or(query.last_event_id.as_deref());
    // Any status but 200 would make a browser give up for good. The connection is closed, or an idle one would keep its place.
    let refuse = |code, message| {
        let frame = closing_frame(names, Closing::Refused(code, message));
        Ok((event_stream(), [(header::CONNECTION, "close")], frame).into_response())
    };
    let Some(place) = share.stream() else {
        return refuse("too_many_streams", "You have too many dashboards open; this one tries again.");
    };
    let Some((cursor, [frames, rest])) = app.hub().open(viewer, names, position) else {
        return refuse("too_many_viewers", "Too many dashboards are open; this one tries again.");
    };
    debug!(resumes = position.is_some(), "a stream opens");
    let mut bytes = BytesMut::from(HEAD);
    bytes.put(&b"x-request-id: "[..]);
    bytes.put(name.as_bytes());
    bytes.put(&b"\r\n"[..]);
    if let Some(page) = allowed_page(app.config(), &headers) {
        let cors = format!("access-control-allow-origin: {page}\r\naccess-control-allow-credentials: true\r\n");
        bytes.put(cors.as_bytes());
    }
    bytes.put(&b"\r\n"[..]);
    bytes.put(frames);
    let session_handle = session_handle.map(|Extension(session_handle)| session_handle);
    upgrade.hijack(StreamHandoff { cursor, bytes: bytes.freeze(), rest, session_handle, place }).await;
    std::future::pending().await
}

fn event_stream() -> [(header::HeaderName, &'static str); 3] {
    [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ]
}
