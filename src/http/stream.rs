//! The event stream.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use tracing::debug;
use utoipa::{IntoParams, ToSchema};

use super::AppState;
use super::auth::limits::Share;
use super::auth::origin::allowed_page;
use super::auth::revoked_sessions::SessionHandle;
use super::error::ApiError;
use super::extract::{Form, Query};
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

/// The same with the token of the viewer.
#[derive(Clone, Default, Deserialize, ToSchema)]
pub struct StreamForm {
    /// One of `API_TOKENS`, or a JWT of the host application.
    token: Option<String>,
    /// `message` leaves the events' names out.
    events: Option<String>,
    /// Where the client was.
    last_event_id: Option<String>,
}

impl StreamForm {
    /// What proves who the viewer is.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// What a stream takes of the request that opens it.
#[derive(FromRequestParts)]
#[from_request(state(AppState))]
pub struct Opening {
    #[from_request(via(State))]
    app: App,
    viewer: Viewer,
    session_handle: Option<Extension<SessionHandle>>,
    #[from_request(via(Extension))]
    share: Arc<Share>,
    #[from_request(via(Extension))]
    upgrade: Upgrade,
    #[from_request(via(Extension))]
    name: RequestId,
    headers: HeaderMap,
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
pub async fn open(method: Method, Query(query): Query<StreamQuery>, opening: Opening) -> Result<Response, ApiError> {
    let names = event_names(query.events.as_deref())?;
    if method == Method::HEAD {
        return Ok(event_stream().into_response());
    }
    let header = opening.headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    opening.open(names, header.or(query.last_event_id)).await
}

/// Opens a stream with a token in a form: the same stream as with `GET`.
///
/// For pages elsewhere, which read the events from the answer of `fetch`. A browser sends a form without a preflight, so that
/// the stream is open after one round trip. No cookie counts here.
#[utoipa::path(
    post,
    path = "/api/ringcentral/call-stream",
    tag = "calls",
    request_body(content = StreamForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The stream.", body = String, content_type = "text/event-stream")),
)]
pub async fn open_with_token(Extension(form): Extension<StreamForm>, opening: Opening) -> Result<Response, ApiError> {
    let names = event_names(form.events.as_deref())?;
    opening.open(names, form.last_event_id).await
}

/// Reads the form, whose token is checked before the handler runs. Without a body it is empty.
pub(super) async fn read_form(request: Request, next: Next) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let form = match parts.headers.contains_key(header::CONTENT_TYPE) {
        true => Form::from_request(Request::from_parts(parts.clone(), body), &()).await?.0,
        false => StreamForm::default(),
    };
    let mut request = Request::from_parts(parts, Body::empty());
    request.extensions_mut().insert(form);
    Ok(next.run(request).await)
}

impl Opening {
    /// Hands the socket over to the writers and never answers; the accept loop then drops this future.
    async fn open(self, names: EventNames, position: Option<String>) -> Result<Response, ApiError> {
        // Any status but 200 would make a browser give up for good. The connection is closed, or an idle one would keep its place.
        let refuse = |code, message| {
            let frame = closing_frame(names, Closing::Refused(code, message));
            Ok((event_stream(), [(header::CONNECTION, "close")], frame).into_response())
        };
        let Some(place) = self.share.stream() else {
            return refuse("too_many_streams", "You have too many dashboards open; this one tries again.");
        };
        let Some((cursor, [frames, rest])) = self.app.hub().open(self.viewer, names, position.as_deref()) else {
            return refuse("too_many_viewers", "Too many dashboards are open; this one tries again.");
        };
        debug!(resumes = position.is_some(), "a stream opens");
        let mut bytes = BytesMut::from(HEAD);
        bytes.put(&b"x-request-id: "[..]);
        bytes.put(self.name.0.as_bytes());
        bytes.put(&b"\r\n"[..]);
        if let Some(page) = allowed_page(self.app.config(), &self.headers) {
            let cors = format!("access-control-allow-origin: {page}\r\naccess-control-allow-credentials: true\r\n");
            bytes.put(cors.as_bytes());
        }
        bytes.put(&b"\r\n"[..]);
        bytes.put(frames);
        let session_handle = self.session_handle.map(|Extension(session_handle)| session_handle);
        let handoff = StreamHandoff { cursor, bytes: bytes.freeze(), rest, session_handle, place };
        self.upgrade.hijack(handoff).await;
        std::future::pending().await
    }
}

fn event_names(events: Option<&str>) -> Result<EventNames, ApiError> {
    match events {
        None | Some("named") => Ok(EventNames::Typed),
        Some("message") => Ok(EventNames::MessageOnly),
        Some(_) => Err(ApiError::bad_request("unknown_events", "events is \"message\" or left out.")),
    }
}

fn event_stream() -> [(header::HeaderName, &'static str); 3] {
    [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ]
}
