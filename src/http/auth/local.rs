//! Local mode: nothing says who may read, so everything is open, but only to what began on this machine.
//!
//! The listener is on a loopback address then. A foreign `Host` is a page that rebound its name to that address; a
//! forwarding header is a proxy with the world behind it.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderName, Version};
use axum::middleware::Next;
use axum::response::Response;

use super::origin::refuse_pages;
use crate::app::App;
use crate::http::error::ApiError;

/// Headers by which a proxy, a tunnel or a content network says that the request comes from elsewhere.
const FORWARDING: [&str; 32] = [
    "akamai-origin-hop",
    "cdn-loop",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "incap-client-ip",
    "proxy-client-ip",
    "proxy-connection",
    "remote-addr",
    "true-client-ip",
    "via",
    "wl-proxy-client-ip",
    "x-appengine-user-ip",
    "x-client-ip",
    "x-cloud-trace-context",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-host",
    "x-http-client-ip",
    "x-nf-client-connection-ip",
    "x-proxy-id",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-real-port",
    "x-remote-addr",
    "x-remote-ip",
    "x-request-start",
    "x-scheme",
    "x-sucuri-clientip",
    "x-varnish",
];
/// The same by their beginnings: `X-Forwarded-For`, `CF-Ray`, `X-ARR-ClientIP`.
const FORWARDING_FAMILIES: [&str; 14] = [
    "cf-",
    "cloudfront-",
    "fly-",
    "ngrok-",
    "tailscale-",
    "x-amzn-",
    "x-arr-",
    "x-azure-",
    "x-envoy-",
    "x-forwarded-",
    "x-original-",
    "x-vercel-",
    "x-railway-",
    "wl-proxy-",
];

/// Lets only this machine in while the service is in local mode.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    if app.config().is_local_mode() {
        began_here(&request)?;
    }
    Ok(next.run(request).await)
}

/// The webhook of a service in local mode may stand behind a tunnel once a verification token protects it. One that a page
/// sends is refused whatever it carries.
pub async fn guard_webhook(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    if app.config().is_local_mode() && app.believes_everyone() {
        began_here(&request)?;
    }
    refuse_pages(request.headers())?;
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
            "This service runs in local mode and answers only to localhost. To open it, set API_TOKENS (for example to what \
             `openssl rand -hex 24` prints) and restart it.",
        ));
    }
    // Nothing on this machine speaks HTTP/1.0 any more, but nginx does so to what it forwards to, with no other sign.
    if request.headers().keys().any(is_forwarding) || request.version() < Version::HTTP_11 {
        return Err(ApiError::forbidden(
            "local_only",
            "This service runs in local mode and does not answer through a proxy or tunnel. To open it, set API_TOKENS (for \
             example to what `openssl rand -hex 24` prints) and restart it.",
        ));
    }
    Ok(())
}

fn is_forwarding(name: &HeaderName) -> bool {
    let name = name.as_str();
    FORWARDING.contains(&name) || FORWARDING_FAMILIES.iter().any(|family| name.starts_with(family))
}

/// `localhost` or a loopback address, with or without a port, and not a character more. No name may be rebound to these.
fn is_this_machine(host: &str) -> bool {
    let (name, rest) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or_default(),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_loopback = match host.starts_with('[') {
        true => name.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()),
        false => name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
    };
    is_loopback && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
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
            "[::1]evil",
            "[::1]evil:80",
            "[::1]:evil",
            "[::1",
            "::1]",
            "[[::1]]",
            "[127.0.0.1]",
            "[localhost]",
            "127.0.0.1:evil",
            "127.0.0.1:80evil",
            "127.0.0.1:80:80",
            "127.0.0.1:+80",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "127.1",
            "0x7f.0.0.1",
            "localhost:evil",
            "localhost/evil",
            "localhost#evil",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
