//! Whose request this is: the connection's other end, or whom a proxy of ours names in its place.
//!
//! Every proxy adds the address it was asked from at the end of `X-Forwarded-For`; what stands before is only what it was
//! told. So the last address there that is no proxy of ours (`TRUSTED_PROXIES`) is the client's, whatever a client
//! writes in front. A connection from anywhere else is not asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;

use super::AppState;
use super::error::ApiError;
use crate::app::App;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// The client's address, as far as `proxies` can be believed.
    pub fn client(self, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
        let peer = self.0.ip().to_canonical();
        if !is_proxy(peer, proxies) {
            return peer;
        }
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let mut client = peer;
        for hop in hops {
            // What is no address was not written by a proxy of ours, nor was anything before it.
            let Some(address) = address(hop.trim()) else { break };
            client = address;
            if !is_proxy(address, proxies) {
                break;
            }
        }
        client
    }
}

/// The client's address. Without a connection it is our own simulator.
pub fn client(peer: Option<&Peer>, headers: &HeaderMap, app: &App) -> IpAddr {
    peer.map_or(Ipv4Addr::LOCALHOST.into(), |peer| peer.client(headers, &app.config().access.trusted_proxies))
}

/// The same, for a handler.
pub struct ClientAddress(pub IpAddr);

impl FromRequestParts<AppState> for ClientAddress {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Ok(Self(client(parts.extensions.get(), &parts.headers, &state.app)))
    }
}

/// What one client of many is counted by: a household has a whole /64.
pub fn client_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

fn is_proxy(address: IpAddr, proxies: &[IpNet]) -> bool {
    proxies.iter().any(|network| network.contains(&address))
}

/// An address as proxies write it: plain, in brackets, with or without a port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(peer: &str, forwarded: &[&'static str]) -> String {
        let proxies: Vec<IpNet> = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()).to_vec();
        let line = |line: &&'static str| (FORWARDED_FOR.parse().unwrap(), HeaderValue::from_static(line));
        let peer = Peer(SocketAddr::new(peer.parse().unwrap(), 40_000));
        peer.client(&forwarded.iter().map(line).collect(), &proxies).to_string()
    }

    #[test]
    fn a_proxy_of_ours_is_believed_and_nobody_else() {
        assert_eq!(client("192.0.2.7", &["203.0.113.9"]), "192.0.2.7");
        assert_eq!(client("127.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("::ffff:10.1.2.3", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn the_last_address_that_is_no_proxy_of_ours_counts() {
        assert_eq!(client("127.0.0.1", &["198.51.100.1, 203.0.113.9, 10.0.0.4"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &["198.51.100.1, 203.0.113.9", "10.0.0.4"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &["10.0.0.9,10.0.0.4"]), "10.0.0.9");
    }

    #[test]
    fn an_address_may_be_written_in_each_way_and_nonsense_names_nobody() {
        for written in ["2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:443"] {
            assert_eq!(client("127.0.0.1", &[written]), "2001:db8::7");
        }
        assert_eq!(client("127.0.0.1", &["203.0.113.9:443"]), "203.0.113.9");
        for nonsense in ["", ",", "unknown", "203.0.113.9, evil", "203.0.113.9.1"] {
            assert_eq!(client("127.0.0.1", &[nonsense]), "127.0.0.1", "{nonsense}");
        }
        assert_eq!(client("127.0.0.1", &["203.0.113.9, evil, 10.0.0.4"]), "10.0.0.4");
    }
}
