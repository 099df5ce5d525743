//! How often RingCentral may be asked, group by group.
//!
//! RingCentral counts requests of a user and an app per group in a sliding window. This keeps the same count, so that
//! the limit is met by waiting here instead of by a 429 there; a 429 costs a penalty of a minute that every further
//! request restarts. <https://developers.ringcentral.com/guide/basics/rate-limits>

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::{Instant, sleep_until};

use super::Error;

/// Without a `Retry-After`, RingCentral's guide says to wait at least this long.
const SHORTEST_PENALTY: Duration = Duration::from_secs(30);
/// Two penalties in a row; who has waited that long is told instead.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// RingCentral counts a request when it arrives, so it counts there for a little longer than here.
const UNDER_WAY: Duration = Duration::from_secs(2);
/// Keeps what a header says from becoming memory.
const HIGHEST_LIMIT: usize = 1_000;
/// Nor may a header silence us for more than a day.
const LONGEST_PENALTY: Duration = Duration::from_secs(86_400);

/// Which count a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // RingCentral's own names.
pub enum Group {
    Light,
    Medium,
    Heavy,
    Auth,
    /// Not RingCentral's: people who sign in. RingCentral counts each for themselves; this keeps made-up codes from being
    /// requests without end, and the service's own token from waiting for them.
    SignIn,
}

impl Group {
    /// What an app may do in a minute until the headers say otherwise.
    fn default_limit(self) -> usize {
        match self {
            Self::Light => 50,
            Self::Medium => 40,
            Self::Heavy => 10,
            Self::Auth => 5,
            // An office at nine.
            Self::SignIn => 60,
        }
    }
}

/// The counts of all groups.
#[derive(Debug, Default)]
pub struct Limits(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    windows: HashMap<Group, Window>,
    /// A limiter above the groups wants silence.
    silent_until: Option<Instant>,
}

#[derive(Debug)]
struct Window {
    limit: usize,
    length: Duration,
    /// When each request that still counts was sent.
    sent: VecDeque<Instant>,
    silent_until: Option<Instant>,
}

impl Limits {
    /// Waits until a request of `group` may be sent, and counts it.
    pub async fn turn(&self, group: Group) -> Result<(), Error> {
        let patience = Instant::now() + LONGEST_WAIT;
        while let Err(until) = self.reserve(group, Instant::now()) {
            if until > patience {
                return Err(Error::Busy(until - Instant::now()));
            }
            sleep_until(until).await;
        }
        Ok(())
    }

    /// The same for who does not wait.
    pub fn turn_now(&self, group: Group) -> Result<(), Error> {
        let now = Instant::now();
        self.reserve(group, now).map_err(|until| Error::Busy(until - now))
    }

    /// Learns from an answer's headers. The group they name may differ from the one we expect, as apps are configured
    /// one by one; what is said then holds for the group of the request.
    pub fn learn(&self, group: Group, headers: &HeaderMap) {
        let now = Instant::now();
        let mut counts = self.lock();
        let window = counts.window(group);
        if let Some(limit) = number(headers, "x-rate-limit-limit").filter(|limit| *limit > 0) {
            window.limit = (limit as usize).min(HIGHEST_LIMIT);
        }
        if let Some(seconds) = number(headers, "x-rate-limit-window").filter(|seconds| *seconds > 0) {
            window.length = Duration::from_secs(seconds).min(LONGEST_PENALTY);
        }
        window.forget(now);
        // RingCentral has counted more than we sent: another instance spends from the same purse.
        if let Some(remaining) = number(headers, "x-rate-limit-remaining") {
            let counted = window.limit.saturating_sub(remaining as usize);
            let others = counted.saturating_sub(window.sent.len());
            window.sent.extend(std::iter::repeat_n(now, others));
        }
    }

    /// A 429 arrived: nothing more goes out until the penalty is over. Returns how long that is.
    pub fn penalise(&self, group: Group, headers: &HeaderMap) -> Duration {
        let told = number(headers, RETRY_AFTER.as_str()).map(Duration::from_secs);
        let penalty = told.unwrap_or(SHORTEST_PENALTY).min(LONGEST_PENALTY);
        let until = Some(Instant::now() + penalty);
        let mut counts = self.lock();
        // One that names no group comes from a limiter above them.
        if headers.contains_key("x-rate-limit-group") || matches!(group, Group::Auth | Group::SignIn) {
            let window = counts.window(group);
            window.silent_until = window.silent_until.max(until);
        } else {
            counts.silent_until = counts.silent_until.max(until);
        }
        penalty
    }

    fn reserve(&self, group: Group, now: Instant) -> Result<(), Instant> {
        let mut counts = self.lock();
        let everyone = counts.silent_until;
        let window = counts.window(group);
        window.forget(now);
        let oldest = window.sent.front().filter(|_| window.sent.len() >= window.limit);
        let full_until = oldest.map(|sent| *sent + window.length + UNDER_WAY);
        match everyone.max(window.silent_until).max(full_until) {
            Some(until) if until > now => Err(until),
            _ => {
                window.sent.push_back(now);
                Ok(())
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().expect("nobody panics while counting")
    }
}

impl Counts {
    fn window(&mut self, group: Group) -> &mut Window {
        self.windows.entry(group).or_insert_with(|| Window {
            limit: group.default_limit(),
            length: Duration::from_secs(60),
            sent: VecDeque::new(),
            silent_until: None,
        })
    }
}

impl Window {
    fn forget(&mut self, now: Instant) {
        while self.sent.front().is_some_and(|sent| *sent + self.length + UNDER_WAY <= now) {
            self.sent.pop_front();
        }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_eleventh_heavy_request_waits_for_the_first_to_leave_the_window() {
        let (limits, start) = (Limits::default(), Instant::now());
        for _ in 0..10 {
            limits.turn(Group::Heavy).await.unwrap();
        }
        assert_eq!(start.elapsed().as_secs(), 0);
        limits.turn(Group::Heavy).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 62);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_are_what_the_headers_say() {
        let (limits, start) = (Limits::default(), Instant::now());
        limits.learn(Group::Heavy, &headers(&[("x-rate-limit-limit", "2"), ("x-rate-limit-window", "20")]));
        for _ in 0..3 {
            limits.turn(Group::Heavy).await.unwrap();
        }
        assert_eq!(start.elapsed().as_secs(), 22);
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_instance_spent_counts_too() {
        let (limits, start) = (Limits::default(), Instant::now());
        limits.turn(Group::Heavy).await.unwrap();
        limits.learn(Group::Heavy, &headers(&[("x-rate-limit-limit", "10"), ("x-rate-limit-remaining", "0")]));
        limits.turn(Group::Heavy).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 62);
    }

    #[tokio::test(start_paused = true)]
    async fn a_penalty_silences_its_group_and_no_other() {
        let (limits, start) = (Limits::default(), Instant::now());
        limits.penalise(Group::Light, &headers(&[("retry-after", "45"), ("x-rate-limit-group", "light")]));
        limits.turn(Group::Medium).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 0);
        limits.turn(Group::Light).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 45);
    }

    #[tokio::test(start_paused = true)]
    async fn a_penalty_without_a_group_silences_everything_for_at_least_thirty_seconds() {
        let (limits, start) = (Limits::default(), Instant::now());
        limits.penalise(Group::Light, &HeaderMap::new());
        limits.turn(Group::Medium).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_wait_too_long_is_told() {
        let limits = Limits::default();
        limits.penalise(Group::Light, &headers(&[("retry-after", "3600")]));
        assert!(matches!(limits.turn(Group::Light).await, Err(Error::Busy(wait)) if wait.as_secs() == 3600));
    }
}
