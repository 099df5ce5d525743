//! Pages that are not ours.
//!
//! A browser adds the cookie, or in local mode its mere address, to whatever request a page makes, so what a foreign page
//! asks for is refused whoever the person is. Browsers say whose page it is, and pages cannot change that.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, PRAGMA};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::app::App;
use crate::config::Config;
use crate::http::error::ApiError;

/// How long a browser may remember what a page is allowed.
const PREFLIGHT: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Request headers a page of an allowed origin may send. Beside the API's own these are the headers that EventSource
/// libraries (event-source-polyfill, react-native-sse, mercure's clients) add to every request: one header that is not
/// listed fails the preflight, and with it the whole stream.
const ALLOWED_HEADERS: [HeaderName; 6] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    CACHE_CONTROL,
    PRAGMA,
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("x-requested-with"),
];

/// Refuses what a foreign page asks for.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    refuse_foreign_pages(app.config(), &request)?;
    Ok(next.run(request).await)
}

pub(super) fn refuse_foreign_pages(config: &Config, request: &Request) -> Result<(), ApiError> {
    if !is_foreign(config, request.method(), request.headers()) {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "foreign_origin",
        "This page may not use the service. Add its origin to ALLOWED_ORIGINS, or set PUBLIC_URL if it is the service's own.",
    ))
}

/// Answers to pages from elsewhere; `None` when no other page may read.
pub fn cors(config: &Config) -> Option<CorsLayer> {
    let origins = &config.access.allowed_origins;
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    (!config.access.allowed_origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers(ALLOWED_HEADERS)
            .max_age(PREFLIGHT)
    })
}

/// The page from elsewhere that asks and may, for an answer that is written by hand.
pub fn allowed_page<'a>(config: &'a Config, headers: &HeaderMap) -> Option<&'a str> {
    let origin = headers.get(ORIGIN)?;
    config.access.allowed_origins.iter().find(|allowed| allowed.as_bytes() == origin.as_bytes()).map(String::as_str)
}

fn is_foreign(config: &Config, method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    if site == Some("same-origin") {
        return false;
    }
    let Some(origin) = text(ORIGIN) else {
        // Every browser names the origin of what changes something; some older ones named the site only.
        return !method.is_safe() && matches!(site, Some("cross-site" | "same-site"));
    };
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let is_asked = host.is_some() && host.zip(text(HOST)).is_some_and(|(ours, host)| ours.eq_ignore_ascii_case(host));
    let is_public = config.public_url.as_ref().is_some_and(|url| url.origin().ascii_serialization() == origin);
    !is_asked && !is_public && allowed_page(config, headers).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        let vars = [("PUBLIC_URL", "https://calls.example.com"), ("ALLOWED_ORIGINS", "https://crm.example.com")];
        let var = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let config = Config::from_vars(var).unwrap();
        let header = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        is_foreign(&config, &method, &headers.iter().map(header).collect())
    }

    #[test]
    fn our_pages_allowed_ones_and_programs_may_ask() {
        let host = ("host", "10.0.0.5:8080");
        for headers in [
            vec![host],
            vec![host, ("origin", "http://10.0.0.5:8080")],
            vec![host, ("origin", "https://calls.example.com")],
            vec![host, ("origin", "https://crm.example.com"), ("sec-fetch-site", "cross-site")],
            vec![host, ("origin", "https://renamed.by.proxy"), ("sec-fetch-site", "same-origin")],
            vec![host, ("sec-fetch-site", "none")],
        ] {
            assert!(!is_refused(Method::POST, &headers), "{headers:?}");
        }
        assert!(!is_refused(Method::GET, &[host, ("sec-fetch-site", "cross-site")]), "a link leads here");
    }

    #[test]
    fn foreign_pages_may_not() {
        let host = ("host", "calls.example.com");
        for headers in [
            vec![host, ("origin", "https://evil.example")],
            vec![host, ("origin", "null")],
            vec![host, ("origin", "https://calls.example.com.evil.example")],
            vec![host, ("origin", "https://calls.example.com:8443")],
            vec![host, ("origin", "http://crm.example.com")],
            vec![host, ("origin", "calls.example.com")],
            vec![host, ("sec-fetch-site", "cross-site")],
            vec![host, ("sec-fetch-site", "same-site")],
        ] {
            assert!(is_refused(Method::POST, &headers), "{headers:?}");
        }
        assert!(is_refused(Method::GET, &[host, ("origin", "https://evil.example")]));
    }
}
