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
mod serve;
mod simulator;
mod sse_writer;
mod stream;
mod webhook;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::RequestBodyDeadlineLayer;

use crate::app::App;
use auth::limits::Limits;
pub use auth::{Access, Authenticator};
pub use connection_limit::{ConnectionCapacity, ConnectionLimiter};
pub use serve::{listen, serve};
pub use sse_writer::{LIFETIME, SseWriters};
use webhook::rate_limit::UnauthenticatedLimits;

/// No request of ours carries more than a few fields; the webhook has its own limit.
const LARGEST_BODY: usize = 64 * 1024;
/// A body that takes longer in all is not one of RingCentral's, which waits three seconds for everything.
const SLOWEST_BODY: Duration = Duration::from_secs(5);

/// For a year browsers that were here over https do not come over http.
const ONLY_HTTPS: &str = "max-age=31536000";

/// What handlers are given: the service, and what tells who somebody is.
#[derive(Clone, FromRef)]
pub struct AppState {
    app: App,
    authenticator: Authenticator,
    unauthenticated: UnauthenticatedLimits,
    limits: Limits,
}

/// A line of the table.
#[derive(Clone, Copy)]
pub struct Route {
    /// How it is asked; `GET` means `HEAD` too.
    pub method: &'static str,
    /// Where; `{id}` stands for any one segment.
    pub path: &'static str,
    /// For whom.
    pub access: Access,
    handler: fn(MethodFilter) -> MethodRouter<AppState>,
}

const GET: &str = "GET";
const POST: &str = "POST";
const DELETE: &str = "DELETE";

/// Every route there is, and for whom. The router is built from it, and so are the tests of who may come in. What stands
/// at no route is a file of `static/`, open to everybody.
pub const ROUTES: &[Route] = &[
    route(POST, "/api/webhooks/ringcentral", Access::Webhook, |by| on(by, webhook::receive)),
    route(GET, "/api/ringcentral/call-stream", Access::StreamTicket, |by| on(by, stream::open)),
    route(GET, "/api/ringcentral/active-calls", Access::Viewer, |by| on(by, calls::active)),
    route(GET, "/api/ringcentral/calls", Access::Viewer, |by| on(by, calls::history)),
    route(POST, "/api/ringcentral/calls/{id}/dismiss", Access::Viewer, |by| on(by, calls::dismiss)),
    route(GET, "/api/customers/{id}", Access::Viewer, |by| on(by, customers::show)),
    route(DELETE, "/api/customers/by-number/{number}", Access::Admin, |by| on(by, calls::erase)),
    route(GET, "/api/ringcentral/config", Access::Viewer, |by| on(by, calls::config)),
    route(POST, "/api/simulator/calls", Access::Admin, |by| on(by, simulator::play)),
    route(GET, "/api/simulator/scenarios", Access::Viewer, |by| on(by, simulator::list)),
    route(POST, "/api/auth/session", Access::Public, |by| on(by, auth::session::begin)),
    route(GET, "/api/auth/session", Access::Viewer, |by| on(by, auth::session::show)),
    route(DELETE, "/api/auth/session", Access::Public, |by| on(by, auth::session::end)),
    route(POST, "/api/auth/ticket", Access::Viewer, |by| on(by, auth::ticket::issue)),
    route(GET, "/api/auth/methods", Access::Public, |by| on(by, auth::sign_in::methods)),
    route(GET, "/api/auth/ringcentral/login", Access::Public, |by| on(by, auth::sign_in::begin)),
    route(GET, "/api/auth/ringcentral/callback", Access::Public, |by| on(by, auth::sign_in::finish)),
    route(GET, "/health/live", Access::Public, |by| on(by, health::live)),
    route(GET, "/health/ready", Access::Public, |by| on(by, health::ready)),
    route(GET, "/metrics", Access::Admin, |by| on(by, metrics::show)),
    route(GET, "/api/openapi.json", Access::Public, |by| on(by, openapi::show)),
];

const fn route(
    method: &'static str,
    path: &'static str,
    access: Access,
    handler: fn(MethodFilter) -> MethodRouter<AppState>,
) -> Route {
    Route { method, path, access, handler }
}

impl Route {
    fn serve(&self, state: &AppState) -> MethodRouter<AppState> {
        let method = Method::from_bytes(self.method.as_bytes()).ok();
        let by = method.and_then(|method| method.try_into().ok()).expect("the table holds methods that axum knows");
        let handler = (self.handler)(by);
        match self.access {
            Access::Public | Access::Webhook => handler,
            Access::Viewer | Access::StreamTicket | Access::Admin => {
                handler.route_layer(from_fn_with_state((state.clone(), self.access), auth::require_access))
            }
        }
    }
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
    let ours = ROUTES.iter().filter(|route| route.access != Access::Webhook);
    let api = ours
        .fold(Router::new(), |router, route| router.route(route.path, route.serve(&state)))
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
    let theirs = ROUTES.iter().filter(|route| route.access == Access::Webhook);
    theirs
        .fold(Router::new(), |router, route| router.route(route.path, route.serve(state)))
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(webhook::LARGEST_BODY))
        .layer(RequestBodyDeadlineLayer::new(SLOWEST_BODY))
        .layer(from_fn_with_state((state.app.clone(), state.unauthenticated.clone()), webhook::rate_limit::guard))
        .layer(from_fn_with_state(state.app.clone(), auth::local::guard_webhook))
        .layer(from_fn_with_state(state.app.clone(), webhook::count))
}

fn fixed(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
