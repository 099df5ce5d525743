//! The sliding windows, and the penalty that every disturbance restarts.

use std::collections::{HashMap, VecDeque};

use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};

use super::{FakeRingCentral, Platform};

const WINDOW: TimeDelta = TimeDelta::seconds(60);
const PENALTY: TimeDelta = TimeDelta::seconds(60);

#[derive(Default)]
pub struct Limits {
    allowed: HashMap<&'static str, usize>,
    windows: HashMap<&'static str, VecDeque<DateTime<Utc>>>,
    penalties: HashMap<&'static str, DateTime<Utc>>,
    disturbances: usize,
}

/// What one request left of its group's window.
pub struct Counted {
    group: &'static str,
    limit: usize,
    remaining: usize,
}

/// A request too many.
#[derive(Clone)]
pub struct Refused {
    group: &'static str,
    limit: usize,
}

impl FakeRingCentral {
    /// Changes what this app may do in a minute.
    pub fn limit(&self, group: &'static str, requests: usize) {
        self.platform.world().limits.allowed.insert(group, requests);
    }

    /// Penalises a group, as if another program of the same user had asked too much.
    pub fn penalise(&self, group: &'static str) {
        let until = self.now() + PENALTY;
        self.platform.world().limits.penalties.insert(group, until);
    }

    /// Requests that arrived during a penalty after the one that was told of it.
    pub fn disturbances(&self) -> usize {
        self.platform.world().limits.disturbances
    }
}

pub fn count(platform: &Platform, group: &'static str) -> Result<Counted, Refused> {
    let now = platform.now();
    let mut world = platform.world();
    let limits = &mut world.limits;
    let limit = limits.allowed.get(group).copied().unwrap_or(match group {
        "light" => 50,
        "medium" => 40,
        "auth" => 5,
        _ => 10,
    });
    let window = limits.windows.entry(group).or_default();
    while window.front().is_some_and(|sent| *sent + WINDOW <= now) {
        window.pop_front();
    }
    let penalised = limits.penalties.get(group).is_some_and(|until| *until > now);
    if penalised || window.len() >= limit {
        limits.disturbances += usize::from(penalised);
        limits.penalties.insert(group, now + PENALTY);
        return Err(Refused { group, limit });
    }
    window.push_back(now);
    Ok(Counted { group, limit, remaining: limit - window.len() })
}

pub fn headers(counted: &Result<Counted, Refused>) -> HeaderMap {
    let (group, limit, remaining) = match counted {
        Ok(counted) => (counted.group, counted.limit, counted.remaining),
        Err(refused) => (refused.group, refused.limit, 0),
    };
    let mut pairs = vec![
        ("x-rate-limit-group", group.to_owned()),
        ("x-rate-limit-limit", limit.to_string()),
        ("x-rate-limit-remaining", remaining.to_string()),
        ("x-rate-limit-window", WINDOW.num_seconds().to_string()),
    ];
    if counted.is_err() {
        pairs.push(("retry-after", PENALTY.num_seconds().to_string()));
    }
    let header =
        |(name, value): (&'static str, String)| (HeaderName::from_static(name), value.parse().expect("a header value"));
    pairs.into_iter().map(header).collect()
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        super::error(StatusCode::TOO_MANY_REQUESTS, "CMN-301", "Request rate exceeded")
    }
}
