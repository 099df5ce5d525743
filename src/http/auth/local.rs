//! Local mode: nothing says who may read, so everything is open, but only to what began on this machine.
//!
//! The listener is on a loopback address then. A foreign `Host` is a page that rebound its name to that address; a
//! forwarding header is a proxy with the world behind it.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderName, Version};
use axum::middleware::Next;
use axum::response::Response;

use super::origin::refuse_foreign_pages;
use crate::app::App;
use crate::http::error::ApiError;

/// Headers by which a proxy says that the request comes from elsewhere, beside every `X-Forwarded-…`.
const FORWARDING: [&str; 10] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-host",
    "true-client-ip",
    "fastly-client-ip",
    "cf-connecting-ip",
    "x-envoy-external-address",
];

/// Lets only this machine in while the service is in local mode.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    if app.config().is_local_mode() {
        began_here(&request)?;
    }
    Ok(next.run(request).await)
}

/// The webhook of a service in local mode may stand behind a tunnel once a verification token protects it.
pub async fn guard_webhook(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    if app.config().is_local_mode() && app.believes_everyone() {
        began_here(&request)?;
        refuse_foreign_pages(app.config(), &request)?;
    }
    Ok(next.run(request).await)
}

fn began_here(request: &Request) -> Result<(), ApiError> {
    let hosts: Vec<_> = request.headers().get_all(HOST).iter().collect();
    let named = match hosts[..] {
        [host] => host.to_str().is_ok_and(is_this_machine),
        _ => false,
    };
    // A request to a proxy names its target in full; then that counts too.
    if !named || request.uri().authority().is_some_and(|target| !is_this_machine(target.as_str())) {
        return Err(ApiError::forbidden(
            "local_only",
            "This service runs in local mode and answers only to localhost. Set API_TOKENS to open it.",
        ));
    }
    // Nothing on this machine speaks HTTP/1.0 any more, but nginx does so to what it forwards to, with no other sign.
    if request.headers().keys().any(is_forwarding) || request.version() < Version::HTTP_11 {
        return Err(ApiError::forbidden(
            "local_only",
            "This service runs in local mode and does not answer through a proxy. Set API_TOKENS to open it.",
        ));
    }
    Ok(())
}

fn is_forwarding(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded") || FORWARDING.contains(&name.as_str())
}

/// `localhost` or a loopback address, with or without a port. No name may be rebound to these.
fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    !host.contains('@')
        && (name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names_and_by_no_other() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.8.8.8", "[::1]", "[::1]:8080"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "localhost.",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example@localhost",
            "localhost@evil.example",
            "localhost:80@evil.example",
            "0.0.0.0",
            "192.0.2.7",
            "[::]",
            "[::ffff:192.0.2.7]",
            "::1",
            "localhost evil.example",
            "localhost,evil.example",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
