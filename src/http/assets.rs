//! The pages, inside the binary; a debug build reads them from `static/` on every request.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::error::{ApiError, method_not_allowed};

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

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// For tools that read the folder itself, such as node and bundlers; not served.
const NOT_SERVED: [&str; 1] = ["package.json"];

/// A file of `static/`, or 404.
pub async fn file(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some(file) = Static::get(path).filter(|_| !NOT_SERVED.contains(&name)) else {
        return ApiError::not_found("There is nothing at this address.").into_response();
    };
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed().await.into_response();
    }
    let hash = file.metadata.sha256_hash();
    let etag = format!("\"{}\"", hash[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    // Always asked for again, so that a new version never runs with half of the old one.
    let headers =
        [(header::CONTENT_TYPE, content_type(path)), (header::ETAG, etag), (header::CACHE_CONTROL, "no-cache".into())];
    (headers, Body::from(file.data.into_owned())).into_response()
}

fn content_type(path: &str) -> String {
    // The registered type of `.ts` is a video.
    if path.ends_with(".d.ts") {
        return "text/plain; charset=utf-8".into();
    }
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    if kind.type_() == "text" { format!("{kind}; charset=utf-8") } else { kind.to_string() }
}
