//! How many may be connected at once: as many as there are file descriptors for, and from one address no more than an
//! office needs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use super::client_address::client_key;
use crate::hub::MOST_VIEWERS;

/// What a process holds beside connections: the database's, the spool, files, the log.
const OWN_DESCRIPTORS: usize = 500;
/// Never given to viewers, so that webhooks come in when every place is taken.
const KEPT_FOR_REQUESTS: usize = 1_500;
/// A large office behind one address: a thousand dashboards, each with a stream and a request under way.
const MOST_FROM_ONE_ADDRESS: usize = 2_000;
/// A flood of connections must not flood the log too.
pub const WARNING_PAUSE: Duration = Duration::from_secs(10);

/// How many connections there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionCapacity {
    /// In all.
    pub connections: usize,
    /// How many of these may be viewers.
    pub viewers: usize,
}

impl ConnectionCapacity {
    /// Asks for as many file descriptors as the system allows, and says in the log if these are too few.
    pub fn make() -> Self {
        let limit = getrlimit(Resource::Nofile);
        // Where this is forbidden, what there is must do.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let descriptors = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
        let (capacity, wanted) = (Self::with(descriptors), Self::with(usize::MAX));
        if capacity != wanted {
            warn!(
                descriptors,
                viewers = capacity.viewers,
                "too few file descriptors for {MOST_VIEWERS} viewers; raise the hard limit to {} (LimitNOFILE in systemd, \
                 --ulimit nofile in Docker)",
                wanted.connections + OWN_DESCRIPTORS,
            );
        }
        capacity
    }

    fn with(descriptors: usize) -> Self {
        // Of very few, half are for viewers all the same.
        let own = OWN_DESCRIPTORS.min(descriptors / 4);
        let kept = KEPT_FOR_REQUESTS.min(descriptors / 4);
        let viewers = MOST_VIEWERS.min(descriptors - own - kept);
        Self { connections: viewers + kept, viewers }
    }
}

/// Counts who is connected. Cheap to clone.
#[derive(Clone)]
pub struct ConnectionLimiter(Arc<Counts>);

struct Counts {
    most: usize,
    proxies: Vec<IpNet>,
    permit: AtomicUsize,
    by_address: Mutex<ByAddress>,
}

#[derive(Default)]
struct ByAddress {
    permit: HashMap<IpAddr, usize>,
    warned_at: Option<Instant>,
}

/// One connection's place, given back when dropped.
pub struct ConnectionPermit {
    limiter: ConnectionLimiter,
    address: Option<IpAddr>,
}

impl ConnectionLimiter {
    /// Lets so many in. Many clients come through each of these proxies.
    pub fn new(capacity: ConnectionCapacity, proxies: &[IpNet]) -> Self {
        let (most, proxies) = (capacity.connections, proxies.to_vec());
        Self(Arc::new(Counts { most, proxies, permit: AtomicUsize::new(0), by_address: Mutex::default() }))
    }

    /// A place for a connection from this address; `None` when it must be closed at once.
    pub fn enter(&self, peer: IpAddr) -> Option<ConnectionPermit> {
        let in_all = self.0.permit.fetch_add(1, Ordering::Relaxed) + 1;
        let mut place = ConnectionPermit { limiter: self.clone(), address: None };
        let mut by_address = self.by_address();
        let address = self.one_of_many(peer);
        let from_there = address.map_or(0, |address| by_address.permit.get(&address).copied().unwrap_or(0));
        if in_all > self.0.most || from_there >= MOST_FROM_ONE_ADDRESS {
            if by_address.warned_at.is_none_or(|at| at.elapsed() > WARNING_PAUSE) {
                by_address.warned_at = Some(Instant::now());
                warn!(connections = in_all, from_there, "too many connections, some are closed at once");
            }
            drop(by_address);
            return None;
        }
        if let Some(address) = address {
            *by_address.permit.entry(address).or_default() += 1;
            place.address = Some(address);
        }
        drop(by_address);
        Some(place)
    }

    /// What a peer is counted by, if it is one client of many: behind a proxy everyone is the proxy.
    fn one_of_many(&self, peer: IpAddr) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        let is_many = peer.is_loopback() || self.0.proxies.iter().any(|proxy| proxy.contains(&peer));
        (!is_many).then(|| client_key(peer))
    }

    fn by_address(&self) -> MutexGuard<'_, ByAddress> {
        self.0.by_address.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limiter.0.permit.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut by_address = self.limiter.by_address();
            if let Some(count) = by_address.permit.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    by_address.permit.remove(&address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(
        limiter: &ConnectionLimiter,
        addresses: impl Iterator<Item = &'static str>,
    ) -> Vec<Option<ConnectionPermit>> {
        addresses.map(|address| limiter.enter(address.parse().unwrap())).collect()
    }

    #[test]
    fn few_descriptors_are_shared_and_webhooks_keep_some() {
        assert_eq!(ConnectionCapacity::with(usize::MAX), ConnectionCapacity { connections: 19_500, viewers: 18_000 });
        assert_eq!(ConnectionCapacity::with(20_000), ConnectionCapacity::with(usize::MAX));
        assert_eq!(ConnectionCapacity::with(10_000), ConnectionCapacity { connections: 9_500, viewers: 8_000 });
        assert_eq!(ConnectionCapacity::with(1_024), ConnectionCapacity { connections: 768, viewers: 512 });
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let limiter = ConnectionLimiter::new(ConnectionCapacity::with(usize::MAX), &[]);
        let mut places = fill(&limiter, std::iter::repeat_n("203.0.113.7", MOST_FROM_ONE_ADDRESS));
        assert!(places.iter().all(Option::is_some));
        assert!(limiter.enter("203.0.113.7".parse().unwrap()).is_none());
        assert!(limiter.enter("::ffff:203.0.113.7".parse().unwrap()).is_none(), "the same, spelled differently");
        assert!(limiter.enter("203.0.113.8".parse().unwrap()).is_some());
        places.pop();
        assert!(limiter.enter("203.0.113.7".parse().unwrap()).is_some(), "a place was given back");
        drop(places);
        assert!(limiter.by_address().permit.is_empty());
        let _places = fill(&limiter, std::iter::repeat_n("2001:db8::1", MOST_FROM_ONE_ADDRESS));
        assert!(limiter.enter("2001:db8::2".parse().unwrap()).is_none(), "the same household");
        assert!(limiter.enter("2001:db8:0:1::1".parse().unwrap()).is_some());
    }

    #[test]
    fn whoever_comes_through_a_proxy_is_counted_in_all_only() {
        let limiter = ConnectionLimiter::new(ConnectionCapacity::with(usize::MAX), &["10.0.0.0/8".parse().unwrap()]);
        let most = ConnectionCapacity::with(usize::MAX).connections;
        let places = fill(&limiter, ["127.0.0.1", "10.1.2.3"].into_iter().cycle().take(most));
        assert!(places.iter().all(Option::is_some));
        assert!(limiter.enter("127.0.0.1".parse().unwrap()).is_none());
        drop(places);
        assert!(limiter.enter("127.0.0.1".parse().unwrap()).is_some());
    }
}
