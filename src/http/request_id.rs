//! What a request is called, in its answer and in every line that is logged on its behalf.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, debug, info_span};

use crate::trace;

const NAME: HeaderName = HeaderName::from_static("x-request-id");
/// A proxy's name for the request is kept if it is one; UUIDs have 36 characters.
const LONGEST: usize = 64;

/// What this request is called, for a handler that writes its answer's head itself.
#[derive(Clone)]
pub struct RequestId(pub HeaderValue);

/// Names a request and says how it was answered. Its address stays out of the log, because there may be a number in it;
/// the route tells as much.
pub async fn assign(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(NAME).filter(|id| is_name(id)).cloned().unwrap_or_else(new_name);
    request.extensions_mut().insert(RequestId(id.clone()));
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let span = info_span!("request", id = id.to_str().unwrap_or_default());
    let name = route.as_ref().map_or("static", MatchedPath::as_str);
    let traced = trace::request(method.as_str(), name);
    let answered = traced.clone();
    async {
        let start = Instant::now();
        let mut response = next.run(request).await;
        let route = route.as_ref().map_or("static", MatchedPath::as_str);
        let (status, took) = (response.status().as_u16(), start.elapsed());
        trace::answered(&answered, status);
        debug!(%method, route, status, ms = took.as_secs_f64() * 1000.0, "a request was answered");
        // RingCentral's handshake wants nothing but its token back.
        if !response.headers().contains_key("validation-token") {
            response.headers_mut().insert(NAME, id.clone());
        }
        response
    }
    .instrument(span)
    .instrument(traced)
    .await
}

fn is_name(id: &HeaderValue) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    !id.is_empty() && id.len() <= LONGEST && id.as_bytes().iter().all(fits)
}

fn new_name() -> HeaderValue {
    HeaderValue::try_from(format!("{:016x}", rand::random::<u64>())).expect("hex digits are a header")
}
