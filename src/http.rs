//! The edges: who may come in, what arrives, what is answered. Only this room knows axum.

mod answer;
mod assets;
mod auth;
mod calls;
mod client_address;
mod customers;
mod door;
mod error;
mod extract;
mod health;
mod metrics;
mod openapi;
mod request;
mod serve;
mod simulator;
mod strangers;
mod stream;
mod tally;
mod webhook;
mod writer;

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
pub use auth::{Gate, Who};
pub use door::{Door, Room};
pub use serve::{listen, serve};
use strangers::Strangers;
pub use writer::{LIFETIME, Writers};

/// No request of ours carries more than a few fields; the webhook has its own limit.
const LARGEST_BODY: usize = 64 * 1024;
/// A body that takes longer in all is not one of RingCentral's, which waits three seconds for everything.
const SLOWEST_BODY: Duration = Duration::from_secs(5);

/// For a year browsers that were here over https do not come over http.
const ONLY_HTTPS: &str = "max-age=31536000";

/// What handlers are given: the service, and what tells who somebody is.
#[derive(Clone, FromRef)]
pub struct Edge {
    app: App,
    gate: Gate,
    strangers: Strangers,
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
    pub who: Who,
    handler: fn(MethodFilter) -> MethodRouter<Edge>,
}

const GET: &str = "GET";
const POST: &str = "POST";
const DELETE: &str = "DELETE";

/// Every route there is, and for whom. The router is built from it, and so are the tests of who may come in. What stands
/// at no route is a file of `static/`, open to everybody.
pub const ROUTES: &[Route] = &[
    route(POST, "/api/webhooks/ringcentral", Who::Webhook, |by| on(by, webhook::receive)),
    route(GET, "/api/ringcentral/call-stream", Who::Watcher, |by| on(by, stream::open)),
    route(GET, "/api/ringcentral/active-calls", Who::Viewer, |by| on(by, calls::active)),
    route(GET, "/api/ringcentral/calls", Who::Viewer, |by| on(by, calls::history)),
    route(POST, "/api/ringcentral/calls/{id}/dismiss", Who::Viewer, |by| on(by, calls::dismiss)),
    route(GET, "/api/customers/{id}", Who::Viewer, |by| on(by, customers::show)),
    route(DELETE, "/api/customers/by-number/{number}", Who::Admin, |by| on(by, calls::erase)),
    route(GET, "/api/ringcentral/config", Who::Viewer, |by| on(by, calls::config)),
    route(POST, "/api/simulator/calls", Who::Admin, |by| on(by, simulator::play)),
    route(GET, "/api/simulator/scenarios", Who::Viewer, |by| on(by, simulator::list)),
    route(POST, "/api/auth/session", Who::Open, |by| on(by, auth::session::begin)),
    route(GET, "/api/auth/session", Who::Viewer, |by| on(by, auth::session::show)),
    route(DELETE, "/api/auth/session", Who::Open, |by| on(by, auth::session::end)),
    route(POST, "/api/auth/ticket", Who::Viewer, |by| on(by, auth::ticket::issue)),
    route(GET, "/api/auth/methods", Who::Open, |by| on(by, auth::sign_in::methods)),
    route(GET, "/api/auth/ringcentral/login", Who::Open, |by| on(by, auth::sign_in::begin)),
    route(GET, "/api/auth/ringcentral/callback", Who::Open, |by| on(by, auth::sign_in::finish)),
    route(GET, "/health/live", Who::Open, |by| on(by, health::live)),
    route(GET, "/health/ready", Who::Open, |by| on(by, health::ready)),
    route(GET, "/metrics", Who::Admin, |by| on(by, metrics::show)),
    route(GET, "/api/openapi.json", Who::Open, |by| on(by, openapi::show)),
];

const fn route(
    method: &'static str,
    path: &'static str,
    who: Who,
    handler: fn(MethodFilter) -> MethodRouter<Edge>,
) -> Route {
    Route { method, path, who, handler }
}

impl Route {
    fn serve(&self, edge: &Edge) -> MethodRouter<Edge> {
        let method = Method::from_bytes(self.method.as_bytes()).ok();
        let by = method.and_then(|method| method.try_into().ok()).expect("the table holds methods that axum knows");
        let handler = (self.handler)(by);
        match self.who {
            Who::Open | Who::Webhook => handler,
            Who::Viewer | Who::Watcher | Who::Admin => {
                handler.route_layer(from_fn_with_state((edge.clone(), self.who), auth::admit))
            }
        }
    }
}

/// Everything that is served.
pub fn router(app: App, gate: Gate) -> Router {
    assets::prepare();
    let cors = auth::origin::cors(app.config());
    let has_https = app.config().public_url.as_ref().is_some_and(|url| url.scheme() == "https");
    let edge = Edge { app: app.clone(), gate, strangers: Strangers::default(), limits: Limits::new() };
    let ours = ROUTES.iter().filter(|route| route.who != Who::Webhook);
    let api = ours
        .fold(Router::new(), |router, route| router.route(route.path, route.serve(&edge)))
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
    api.merge(webhook_routes(&edge))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn(request::name))
        .with_state(edge)
}

/// What RingCentral posts to. The handshake's whole answer must stay under 1,024 bytes, so it gets no other headers.
fn webhook_routes(edge: &Edge) -> Router<Edge> {
    let theirs = ROUTES.iter().filter(|route| route.who == Who::Webhook);
    theirs
        .fold(Router::new(), |router, route| router.route(route.path, route.serve(edge)))
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(webhook::LARGEST_BODY))
        .layer(RequestBodyDeadlineLayer::new(SLOWEST_BODY))
        .layer(from_fn_with_state((edge.app.clone(), edge.strangers.clone()), strangers::guard))
        .layer(from_fn_with_state(edge.app.clone(), auth::local::guard_webhook))
        .layer(from_fn_with_state(edge.app.clone(), webhook::count))
}

fn fixed(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
