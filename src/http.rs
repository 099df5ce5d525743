//! The edges: who may come in, what arrives, what is answered. Only this room knows axum.

mod assets;
mod auth;
mod calls;
mod error;
mod extract;
mod gate;
mod health;
mod serve;
mod simulator;
mod stream;
mod webhook;
mod writer;

use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::app::App;
use gate::Gate;
pub use serve::serve;
pub use writer::Writers;

/// No request of ours carries more than a few fields; the webhook has its own limit.
const LARGEST_BODY: usize = 64 * 1024;

/// A body that takes longer is not one of RingCentral's, which waits three seconds for everything.
const SLOWEST_BODY: Duration = Duration::from_secs(5);

/// Every route there is.
pub fn router(app: App) -> Router {
    let api = Router::new()
        .route("/api/ringcentral/call-stream", get(stream::open))
        .route("/api/ringcentral/active-calls", get(calls::active))
        .route("/api/ringcentral/calls", get(calls::history))
        .route("/api/ringcentral/calls/{id}/dismiss", post(calls::dismiss))
        .route("/api/customers/by-number/{number}", delete(calls::erase))
        .route("/api/ringcentral/config", get(calls::config))
        .route("/api/simulator/calls", post(simulator::play))
        .route("/api/simulator/scenarios", get(simulator::list))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(assets::file)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(RequestBodyTimeoutLayer::new(SLOWEST_BODY))
        .layer(from_fn_with_state(app.clone(), auth::guard_local_mode))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, assets::POLICY));
    api.merge(webhook_routes(&app, Gate::default()))
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(CatchPanicLayer::custom(error::panicked))
        .with_state(app)
}

/// What RingCentral posts to. The handshake's whole answer must stay under 1,024 bytes, so it gets no other headers.
fn webhook_routes(app: &App, gate: Gate) -> Router<App> {
    Router::new()
        .route("/api/webhooks/ringcentral", post(webhook::receive).fallback(error::method_not_allowed))
        .layer(DefaultBodyLimit::max(webhook::LARGEST_BODY))
        .layer(RequestBodyTimeoutLayer::new(SLOWEST_BODY))
        .layer(from_fn_with_state(app.clone(), gate::guard))
        .layer(from_fn_with_state(app.clone(), auth::guard_webhook))
        .layer(Extension(gate))
}

fn fixed(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
