//! The edges: who may come in, what arrives, what is answered. Only this room knows axum.

mod answer;
mod assets;
mod auth;
mod calls;
mod client_address;
mod connection_limit;
mod customers;
mod error;
mod extract;
mod health;
mod log_throttle;
mod metrics;
mod openapi;
mod request_id;
mod routes;
mod serve;
mod simulator;
mod sse_writer;
mod stream;
mod webhook;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::RequestBodyDeadlineLayer;

use crate::app::App;
use auth::limits::Limits;
pub use auth::{Access, Authenticator};
pub use connection_limit::{ConnectionCapacity, ConnectionLimiter};
pub use routes::{ROUTES, Route};
pub use serve::{listen, serve};
pub use sse_writer::{LIFETIME, SseWriters};
use webhook::rate_limit::UnauthenticatedLimits;

/// No request of ours carries more than a few fields; the webhook has its own limit.
const LARGEST_BODY: usize = 64 * 1024;
/// A body that takes longer in all is not one of RingCentral's, which waits three seconds for everything.
const SLOWEST_BODY: Duration = Duration::from_secs(5);

/// For a year browsers that were here over https do not come over http.
const ONLY_HTTPS: &str = "max-age=31536000";

/// What handlers are given: the service, and what identifies viewers.
#[derive(Clone, FromRef)]
pub struct AppState {
    app: App,
    authenticator: Authenticator,
    unauthenticated: UnauthenticatedLimits,
    limits: Limits,
}

/// Everything that is served.
pub fn router(app: App, authenticator: Authenticator) -> Router {
    assets::prepare();
    let cors = auth::origin::cors(app.config());
    let has_https = app.config().public_url.as_ref().is_some_and(|url| url.scheme() == "https");
    let state = AppState {
        app: app.clone(),
        authenticator,
        unauthenticated: UnauthenticatedLimits::default(),
        limits: Limits::new(),
    };
    let ours = Access::ALL.into_iter().filter(|access| *access != Access::Webhook);
    let api = ours
        .fold(Router::new(), |router, access| router.merge(routes::handlers(access, &state)))
        .route_layer(from_fn_with_state(app.clone(), auth::origin::guard))
        .route_layer(fixed(header::CACHE_CONTROL, "no-store"))
        .route_layer(fixed(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .route_layer(fixed(header::VARY, "origin, cookie, authorization"))
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(assets::file)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(RequestBodyDeadlineLayer::new(SLOWEST_BODY))
        .layer(from_fn_with_state(app, auth::local::guard));
    let api = assets::PROTECTION.iter().fold(api, |api, (name, value)| api.layer(fixed(name.clone(), value)));
    let api = match has_https {
        true => api.layer(fixed(header::STRICT_TRANSPORT_SECURITY, ONLY_HTTPS)),
        false => api,
    };
    let api = match cors {
        Some(cors) => api.layer(cors),
        None => api,
    };
    api.merge(webhook_routes(&state))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn(request_id::assign))
        .with_state(state)
}

/// What RingCentral posts to. The handshake's whole answer must stay under 1,024 bytes, so it gets no other headers.
fn webhook_routes(state: &AppState) -> Router<AppState> {
    routes::handlers(Access::Webhook, state)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(webhook::LARGEST_BODY))
        .layer(RequestBodyDeadlineLayer::new(SLOWEST_BODY))
        .layer(from_fn_with_state(state.app.clone(), auth::local::guard_webhook))
        .layer(from_fn_with_state(state.app.clone(), webhook::count))
}

fn fixed(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
