//! The pages, inside the binary; a debug build reads them from `static/` when they changed.
//!
//! Every file has the address it has in `static/`, asked for again each time. Pages name their files by hashed addresses
//! (`static/HASH/…`), which browsers keep for ever; only the page itself is asked for again.

mod bundle;
mod site;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::error::{ApiError, method_not_allowed};
use site::Site;

/// What browsers are told to keep others from doing with our pages: nothing from elsewhere and nothing inline runs in
/// them, only our own pages frame them (a foreign one could have its visitors click on ours unseen), no window that opens
/// them holds on to them, and none of the devices is theirs to ask for.
pub static PROTECTION: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; frame-ancestors 'self'; form-action 'self'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// A hashed address has the same content for ever.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Asked for again each time, so that a new version never runs with half of the old one.
const ASK_AGAIN: &str = "no-cache";
/// The widget is one file, which pages of other sites name by an address that stays: for five minutes it costs them
/// nothing, and for an hour it is there at once while the browser asks for a newer one.
const SHORTLY: &str = "public, max-age=300, stale-while-revalidate=3600";
const WIDGET: &str = "call-popup.js";

/// Prepares the files, so that the first request does not wait for it.
pub fn prepare() {
    current();
}

/// Where the default of `CUSTOMER_URL` leads, and the page that shows the customer.
const CUSTOMERS: &str = "customers/";
const CUSTOMER_PAGE: &str = "../customer.html?id=";

/// A file of `static/`, or 404.
pub async fn file(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let site = current();
    if let Some(id) = uri.path().trim_start_matches('/').strip_prefix(CUSTOMERS)
        && !id.is_empty()
        && !id.contains('/')
    {
        // What separates parameters is text in a path. Relative, because the service may be under a prefix.
        let id = id.replace('&', "%26").replace('+', "%2B");
        return Redirect::temporary(&format!("{CUSTOMER_PAGE}{id}")).into_response();
    }
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let Some((path, asset, is_hashed)) = site.find(path) else {
        return ApiError::not_found("There is nothing at this address.").into_response();
    };
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed().await.into_response();
    }
    let gzip = asset.gzip.as_ref().filter(|_| accepts_gzip(&headers));
    let etag = format!("\"{}{}\"", asset.hash, if gzip.is_some() { "-gzip" } else { "" });
    let cache = match path {
        _ if is_hashed => FOR_EVER,
        WIDGET => SHORTLY,
        _ => ASK_AGAIN,
    };
    let is_known = knows(&headers, &etag);
    let mut answer = (
        [(header::ETAG, etag), (header::CACHE_CONTROL, cache.into()), (header::VARY, "accept-encoding".into())],
        Body::empty(),
    )
        .into_response();
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return answer;
    }
    let kind = HeaderValue::try_from(&asset.kind).expect("a content type is printable");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    if gzip.is_some() {
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *answer.body_mut() = Body::from(gzip.unwrap_or(&asset.plain).clone());
    answer
}

#[cfg(not(debug_assertions))]
fn current() -> Arc<Site> {
    static SITE: std::sync::LazyLock<Arc<Site>> = std::sync::LazyLock::new(|| Arc::new(Site::read()));
    SITE.clone()
}

#[cfg(debug_assertions)]
fn current() -> Arc<Site> {
    type Known = Option<((Option<std::time::SystemTime>, usize), Arc<Site>)>;
    static KNOWN: std::sync::Mutex<Known> = std::sync::Mutex::new(None);
    let mut known = KNOWN.lock().expect("reading the files does not panic");
    let stamp = site::stamp();
    match &*known {
        Some((of, site)) if *of == stamp => site.clone(),
        _ => known.insert((stamp, Arc::new(Site::read()))).1.clone(),
    }
}

/// Whether the client has this version. A proxy that compresses calls an `ETag` weak.
fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|known| known.trim_start_matches("W/") == etag)
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let quality = quality.trim().trim_start_matches("q=").parse::<f32>();
        name.trim().eq_ignore_ascii_case("gzip") && quality.is_ok_and(|quality| quality > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_accept_it() {
        let accepts = |list: &'static str| {
            accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(list))]))
        };
        for list in ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, GZIP;q=0.5", "deflate,gzip; q=1"] {
            assert!(accepts(list), "{list}");
        }
        for list in ["", "br", "identity", "gzip;q=0", "gzip; q=0.000, br", "x-gzip"] {
            assert!(!accepts(list), "{list}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
