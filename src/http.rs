//! The edges: who may come in, what arrives, what is answered. Only this room knows axum.

mod assets;
mod auth;
mod calls;
mod error;
mod extract;
mod health;
mod serve;
mod simulator;
mod stream;
mod webhook;
mod writer;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::App;
pub use serve::serve;
pub use writer::Writers;

/// No request of ours carries more than a few fields; the webhook has its own limit.
const LARGEST_BODY: usize = 64 * 1024;

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
        .layer(from_fn_with_state(app.clone(), auth::guard_local_mode))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, assets::POLICY));
    api.merge(webhook_routes(&app))
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(CatchPanicLayer::custom(error::panicked))
        .with_state(app)
}

/// What RingCentral posts to. The handshake's whole answer must stay under 1,024 bytes, so it gets no other headers.
fn webhook_routes(app: &App) -> Router<App> {
    Router::new()
        .route("/api/webhooks/ringcentral", post(webhook::receive).fallback(error::method_not_allowed))
        .layer(DefaultBodyLimit::max(webhook::LARGEST_BODY))
        .layer(from_fn_with_state(app.clone(), auth::guard_webhook))
}

fn fixed(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
