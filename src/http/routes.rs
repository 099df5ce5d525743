//! Every route, by who may use it. Method, path and description are written at the handler; the router, the API's description and
//! the tests of access are all built from this table.

use std::sync::LazyLock;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{self, Access, session, sign_in, ticket};
use super::{AppState, calls, customers, health, metrics, openapi, simulator, stream, webhook};

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// `GET` means `HEAD` too.
    pub method: &'static str,
    /// `{id}` stands for any one segment.
    pub path: String,
    /// Who may use it.
    pub access: Access,
}

/// Every route there is. What has none is a file of `static/`, open to everybody.
pub static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| Access::ALL.into_iter().flat_map(described).collect());

fn routes_for(access: Access) -> OpenApiRouter<AppState> {
    let router = OpenApiRouter::new();
    match access {
        Access::Public => router
            .routes(routes!(session::begin))
            .routes(routes!(session::end))
            .routes(routes!(sign_in::methods))
            .routes(routes!(sign_in::begin))
            .routes(routes!(sign_in::finish))
            .routes(routes!(health::live))
            .routes(routes!(health::ready))
            .routes(routes!(openapi::show)),
        Access::Viewer => router
            .routes(routes!(calls::active))
            .routes(routes!(calls::history))
            .routes(routes!(calls::dismiss))
            .routes(routes!(calls::config))
            .routes(routes!(customers::search))
            .routes(routes!(customers::show))
            .routes(routes!(simulator::list))
            .routes(routes!(session::show))
            .routes(routes!(ticket::issue)),
        Access::StreamTicket => router.routes(routes!(stream::open)),
        Access::StreamForm => router.routes(routes!(stream::open_with_token)),
        Access::Admin => {
            let router = router.routes(routes!(calls::erase)).routes(routes!(customers::unmatchable));
            router.routes(routes!(simulator::play)).routes(routes!(metrics::show))
        }
        Access::Webhook => router.routes(routes!(webhook::receive)),
    }
}

/// The handlers of these routes, behind the check of who may use them.
pub(super) fn handlers(access: Access, state: &AppState) -> Router<AppState> {
    let (router, _) = routes_for(access).split_for_parts();
    let guarded =
        |router: Router<_>| router.route_layer(from_fn_with_state((state.clone(), access), auth::require_access));
    match access {
        Access::Public | Access::Webhook => router,
        Access::Viewer | Access::StreamTicket | Access::Admin => guarded(router),
        Access::StreamForm => guarded(router).route_layer(from_fn(stream::read_form)),
    }
}

/// What the handlers say of these routes.
pub(super) fn description(access: Access) -> OpenApi {
    routes_for(access).into_openapi()
}

fn described(access: Access) -> Vec<Route> {
    let mut document = description(access);
    let all = document.paths.paths.iter_mut().flat_map(operations);
    all.map(|(method, path, _)| Route { method, path: path.to_owned(), access }).collect()
}

/// The operations of a path, each with its method.
pub(super) fn operations<'a>(
    (path, item): (&'a String, &'a mut PathItem),
) -> impl Iterator<Item = (&'static str, &'a str, &'a mut Operation)> {
    let of = [("GET", &mut item.get), ("POST", &mut item.post), ("DELETE", &mut item.delete)];
    of.into_iter().filter_map(move |(method, operation)| Some((method, path.as_str(), operation.as_mut()?)))
}
