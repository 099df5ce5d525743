//! The API's description, made from the handlers and the types they answer with, so that it cannot say anything else.

use std::sync::LazyLock;

use axum::http::header::{self, HeaderName};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi as Document, Ref, RefOr, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi};

use super::auth::Access;
use super::error;
use super::routes::{self, operations};

/// What a client sends, where a field that is left out is fine; in answers nothing is left out.
const REQUEST_SCHEMAS: [&str; 3] = ["LoginRequest", "SimulateRequest", "StreamForm"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Caller Popup",
        description = "Shows who is calling on every dashboard the moment RingCentral says a phone rings.\n\n\
            Times are RFC 3339 in UTC with milliseconds. Unknown values are `null`, never absent. Every answer carries \
            `x-request-id`, which the log knows too, and takes over the one of the request.\n\n\
            Without `API_TOKENS`, a JWT key or RingCentral sign-in in the settings the service answers only to this \
            machine, and nobody has to say who they are."
    ),
    components(schemas(error::ErrorBody)),
    tags(
        (name = "calls", description = "Calls as they happen, and those that ended."),
        (name = "ringcentral", description = "What RingCentral calls."),
        (name = "simulator", description = "Calls that never were."),
        (name = "signing in", description = "Who somebody is."),
        (name = "operating", description = "For those who run the service."),
    ),
)]
struct Description;

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut document = Description::openapi();
    for access in Access::ALL {
        let mut described = routes::description(access);
        described.paths.paths.iter_mut().flat_map(operations).for_each(|(_, _, operation)| guard(operation, access));
        document.merge(described);
    }
    SecurityModifier.modify(&mut document);
    let text = document.to_pretty_json();
    // The types are described for readers of Rust.
    text.expect("a description of strings and numbers can be written as JSON").replace("`None`", "`null`")
});

/// This description.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "operating",
    responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value)),
)]
pub async fn show() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], &TEXT)
}

/// The ways to authenticate, and that answers leave nothing out.
struct SecurityModifier;

impl Modify for SecurityModifier {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("One of `API_TOKENS`, or a JWT of the host application."));
        let key = |name, description| ApiKeyValue::with_description(name, description);
        let cookie = key("__Host-caller_popup", "Given at `/api/auth/session`; without https it is `caller_popup`.");
        let ticket = key("ticket", "Good once and for 30 seconds, from `/api/auth/ticket`.");
        let verification = key("Verification-Token", "What the subscription was made with, once it is known.");
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        components.add_security_scheme("ticket", SecurityScheme::ApiKey(ApiKey::Query(ticket)));
        components.add_security_scheme("verification", SecurityScheme::ApiKey(ApiKey::Header(verification)));
        for (name, schema) in &mut components.schemas {
            if let RefOr::T(Schema::Object(object)) = schema
                && !REQUEST_SCHEMAS.contains(&name.as_str())
            {
                object.required = object.properties.keys().cloned().collect();
            }
        }
    }
}

/// What is the same for every operation of this access.
fn guard(operation: &mut Operation, access: Access) {
    operation.security = Some(ways_in(access));
    if access == Access::Admin {
        let more = operation.description.take().unwrap_or_default();
        operation.description = Some(format!("Only for admins.\n\n{more}"));
    }
    let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
    let error = ResponseBuilder::new().description("Anything else.").content("application/json", body).build();
    operation.responses.responses.insert("default".into(), RefOr::T(error));
}

/// What opens a route, any one of them; nothing where it is open.
fn ways_in(access: Access) -> Vec<SecurityRequirement> {
    let names: &[&str] = match access {
        Access::Public => &[],
        Access::Viewer | Access::Admin => &["token", "cookie"],
        // Or the token in the form, for which there is no scheme.
        Access::StreamForm => &["token"],
        Access::StreamTicket => &["token", "cookie", "ticket"],
        Access::Webhook => &["verification"],
    };
    names.iter().map(|name| SecurityRequirement::new(*name, [""; 0])).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let document: Value = serde_json::from_str(&TEXT).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let described: BTreeSet<_> = paths
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())))
            .collect();
        let served =
            super::super::ROUTES.iter().map(|route| (route.method.to_lowercase(), route.path.clone())).collect();
        assert_eq!(described, served);
    }

    #[test]
    fn every_description_says_what_it_is_and_names_what_exists() {
        let document: Value = serde_json::from_str(&TEXT).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            }
        }
        for name in TEXT.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"][name].is_object(), "{name} is not described");
        }
    }
}
