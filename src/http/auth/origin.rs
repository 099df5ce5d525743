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

use super::Access;
use crate::app::App;
use crate::config::Config;
use crate::http::error::ApiError;
use crate::http::{ROUTES, Route};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
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

/// Refuses what a foreign page asks for. Where a link leads to an open route, such as the way back from RingCentral, it may
/// be followed.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    let (method, headers) = (request.method(), request.headers());
    let path = request.uri().path();
    let is_open = |route: &Route| route.access == Access::Public && (route.method, &*route.path) == ("GET", path);
    let is_followed = method.is_safe() && is_navigation(headers) && ROUTES.iter().any(is_open);
    if is_foreign(app.config(), method, headers) && !is_followed {
        return Err(foreign());
    }
    Ok(next.run(request).await)
}

/// Refuses whatever a page sends, ours too: RingCentral is no browser.
pub(super) fn refuse_pages(headers: &HeaderMap) -> Result<(), ApiError> {
    let from_page = headers.get(SITE).is_some_and(|site| site.as_bytes() != b"none");
    if headers.contains_key(ORIGIN) || from_page { Err(foreign()) } else { Ok(()) }
}

fn foreign() -> ApiError {
    ApiError::forbidden(
        "foreign_origin",
        "This page may not use the service. Add its origin to ALLOWED_ORIGINS, or set PUBLIC_URL if it is the service's own.",
    )
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
    let site = text(SITE);
    if site == Some("same-origin") {
        return false;
    }
    match text(ORIGIN) {
        Some(origin) => !is_ours(config, origin, text(HOST)) && allowed_page(config, headers).is_none(),
        // What scripts, images and frames of a page load names no origin; every browser names the site. Pages of the same
        // site are kept from reading it by `Cross-Origin-Resource-Policy`, and no browser changes anything that way.
        None if method.is_safe() => site == Some("cross-site"),
        None => matches!(site, Some("cross-site" | "same-site")),
    }
}

/// Whether the page is the service's own. The scheme counts: whoever is on the network can serve pages of the same name
/// over http.
fn is_ours(config: &Config, origin: &str, host: Option<&str>) -> bool {
    let asked =
        |scheme| origin.strip_prefix(scheme).is_some_and(|at| host.is_some_and(|host| at.eq_ignore_ascii_case(host)));
    match &config.public_url {
        Some(url) if url.origin().ascii_serialization() == origin => true,
        // Asked at another address than the public one, for example its own, it speaks http.
        Some(url) => asked("http://") && name_of(host) != url.host_str().map(str::to_ascii_lowercase),
        // A proxy may speak https for it; in local mode there is none.
        None => asked("http://") || (asked("https://") && !config.is_local_mode()),
    }
}

/// A `Host` without its port.
fn name_of(host: Option<&str>) -> Option<String> {
    let host = host?.to_ascii_lowercase();
    let end = host.rfind(':').filter(|at| !host[*at..].contains(']')).unwrap_or(host.len());
    Some(host[..end].to_owned())
}

/// A person follows a link or types an address: the answer becomes a page of its own, which the page with the link cannot
/// read.
fn is_navigation(headers: &HeaderMap) -> bool {
    let is =
        |name, value: &str| headers.get(name).is_some_and(|found: &HeaderValue| found.as_bytes() == value.as_bytes());
    !headers.contains_key(ORIGIN) && is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        is_refused_with(&[("PUBLIC_URL", "https://calls.example.com")], method, headers)
    }

    fn is_refused_with(
        vars: &[(&'static str, &'static str)],
        method: Method,
        headers: &[(&'static str, &'static str)],
    ) -> bool {
        let vars = [vars, &[("ALLOWED_ORIGINS", "https://crm.example.com")]].concat();
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
    }

    #[test]
    fn what_a_page_of_another_site_embeds_is_refused() {
        let host = ("host", "calls.example.com");
        for (site, refused) in [("cross-site", true), ("same-site", false), ("same-origin", false), ("none", false)] {
            assert_eq!(is_refused(Method::GET, &[host, ("sec-fetch-site", site)]), refused, "{site}");
        }
    }

    #[test]
    fn the_scheme_of_a_page_counts() {
        let host = ("host", "calls.example.com");
        let alias = [("host", "10.0.0.5:8080"), ("origin", "https://10.0.0.5:8080")];
        assert!(
            is_refused(Method::POST, &[host, ("origin", "http://calls.example.com")]),
            "whoever is on the network serves that"
        );
        assert!(is_refused(
            Method::POST,
            &[("host", "calls.example.com:80"), ("origin", "http://calls.example.com:80")]
        ));
        assert!(is_refused(Method::POST, &alias), "the service itself speaks no https");
        let token = ("API_TOKENS", "0123456789abcdef");
        assert!(
            !is_refused_with(&[token], Method::POST, &[host, ("origin", "https://calls.example.com")]),
            "a proxy may"
        );
        let local = ("host", "127.0.0.1:8080");
        assert!(
            is_refused_with(&[], Method::GET, &[local, ("origin", "https://127.0.0.1:8080")]),
            "in local mode there is none"
        );
        assert!(!is_refused_with(&[], Method::GET, &[local, ("origin", "http://127.0.0.1:8080")]));
    }

    #[test]
    fn a_webhook_that_a_page_sends_is_refused() {
        let refused = |headers: &[(&'static str, &'static str)]| {
            let header = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
            refuse_pages(&headers.iter().map(header).collect()).is_err()
        };
        for site in ["cross-site", "same-site", "same-origin"] {
            assert!(refused(&[("sec-fetch-site", site)]), "{site}");
        }
        assert!(refused(&[("origin", "null")]) && !refused(&[]) && !refused(&[("sec-fetch-site", "none")]));
    }
}
