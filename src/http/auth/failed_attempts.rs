//! Limits on wrong credentials, by client address: tokens that are guessed, sign-ins with codes that RingCentral did not
//! issue. A client with the right token is never slowed down, whatever others at its address send.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::warn;

use crate::app::App;
use crate::http::client_address::client_key;
use crate::http::error::ApiError;
use crate::http::log_throttle::LogThrottle;
use crate::metrics::Metrics;

/// Wrong tokens of one client. An office whose token was replaced shares an address, and its dashboards try again.
const WRONG_TOKENS: f64 = 50.0;
/// In this time they come back, evenly.
const TOKENS_RECOVER: Duration = Duration::from_secs(60);
/// Codes of one client that RingCentral did not issue, and sign-ins under way. RingCentral allows an app five requests of this
/// kind a minute, and an honest browser never has a wrong code.
const WRONG_CODES: f64 = 3.0;
/// In this time they come back, evenly.
const CODES_RECOVER: Duration = Duration::from_secs(600);
/// How long a sign-in waits for others from the same address: an office at nine.
const LONGEST_TURN: Duration = Duration::from_secs(10);
/// How often it looks whether one of these is done.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Addresses remembered before those with a full budget are forgotten.
const REMEMBERED_ADDRESSES: usize = 10_000;
/// Addresses remembered at all: a few MB.
const MOST_ADDRESSES: usize = 100_000;

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer`.
    Bearer,
    /// The token that is to become a session.
    Session,
    /// `?ticket=`.
    Ticket,
    /// The way back from RingCentral.
    SignIn,
}

/// Counts wrong credentials.
pub struct FailedAttempts {
    metrics: Arc<Metrics>,
    tokens: Budgets,
    sign_ins: Budgets,
    logged: LogThrottle,
    failures: LogThrottle,
}

/// A sign-in under way. It counts against its address until dropped, or longer when its code was [wrong](Self::was_wrong).
pub struct Attempt<'a> {
    failed_attempts: &'a FailedAttempts,
    address: IpAddr,
    wrong: bool,
}

/// What each address has left.
struct Budgets {
    most: f64,
    recovery: Duration,
    left: Mutex<Left>,
}

#[derive(Default)]
struct Left {
    by_address: HashMap<IpAddr, Budget>,
    sweep_at: usize,
}

struct Budget {
    left: f64,
    at: Instant,
    /// Spent, and perhaps given back.
    under_way: u32,
}

impl FailedAttempts {
    /// Nothing was wrong yet.
    pub fn new(app: &App) -> Self {
        let metrics = app.metrics().clone();
        let tokens = Budgets::of(WRONG_TOKENS, TOKENS_RECOVER);
        let sign_ins = Budgets::of(WRONG_CODES, CODES_RECOVER);
        Self { metrics, tokens, sign_ins, logged: LogThrottle::default(), failures: LogThrottle::default() }
    }

    /// A wrong credential from this address: `refusal`, or 429 when there were many.
    pub fn refuse(&self, credential: Credential, address: IpAddr, refusal: ApiError) -> ApiError {
        self.count(credential);
        match self.tokens.spend(address) {
            true => refusal,
            false => ApiError::too_many("Too many wrong credentials came from this address. Wait a minute."),
        }
    }

    /// A turn to sign in with RingCentral; `None` when too many codes from this address were wrong. Waits for others at the
    /// same address, so that many at once are as limited as one after the other.
    pub async fn attempt(&self, address: IpAddr) -> Option<Attempt<'_>> {
        let patience = Instant::now() + LONGEST_TURN;
        loop {
            if self.sign_ins.begin(address) {
                return Some(Attempt { failed_attempts: self, address, wrong: false });
            }
            if !self.sign_ins.is_under_way(address) || Instant::now() > patience {
                return None;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Logs why a sign-in that reached RingCentral failed.
    pub fn note_failure(&self, reason: impl FnOnce() -> String) {
        if let Some(count) = self.failures.count() {
            warn!(count, newest = reason(), "sign-ins with RingCentral failed");
        }
    }

    /// Counts and logs a wrong credential.
    pub fn count(&self, credential: Credential) {
        self.metrics.credential_refused(credential.word());
        if let Some(count) = self.logged.count() {
            warn!(count, newest = credential.word(), "wrong credentials were refused");
        }
    }
}

impl Credential {
    fn word(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Session => "session",
            Self::Ticket => "ticket",
            Self::SignIn => "sign_in",
        }
    }
}

impl Attempt<'_> {
    /// RingCentral did not issue the code.
    pub fn was_wrong(&mut self) {
        self.wrong = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.failed_attempts.sign_ins.end(self.address, self.wrong);
    }
}

impl Budgets {
    fn of(most: f64, recovery: Duration) -> Self {
        Self { most, recovery, left: Mutex::default() }
    }

    /// Takes one from this address's budget; `false` when there is none left.
    fn spend(&self, address: IpAddr) -> bool {
        self.take(address, 0)
    }

    /// The same for what is given back at the [end](Self::end) unless it was wrong.
    fn begin(&self, address: IpAddr) -> bool {
        self.take(address, 1)
    }

    fn take(&self, address: IpAddr, under_way: u32) -> bool {
        let (now, mut left) = (Instant::now(), self.left());
        self.sweep(&mut left, now);
        let full = Budget { left: self.most, at: now, under_way: 0 };
        let budget = left.by_address.entry(client_key(address)).or_insert(full);
        budget.left = self.recovered(budget, now);
        budget.at = now;
        let may = budget.left >= 1.0;
        if may {
            budget.left -= 1.0;
            budget.under_way += under_way;
        }
        may
    }

    fn end(&self, address: IpAddr, wrong: bool) {
        if let Some(budget) = self.left().by_address.get_mut(&client_key(address)) {
            budget.under_way = budget.under_way.saturating_sub(1);
            budget.left = (budget.left + if wrong { 0.0 } else { 1.0 }).min(self.most);
        }
    }

    fn is_under_way(&self, address: IpAddr) -> bool {
        self.left().by_address.get(&client_key(address)).is_some_and(|budget| budget.under_way > 0)
    }

    fn recovered(&self, budget: &Budget, now: Instant) -> f64 {
        let share = (now - budget.at).as_secs_f64() / self.recovery.as_secs_f64();
        (budget.left + self.most * share).min(self.most)
    }

    fn sweep(&self, left: &mut Left, now: Instant) {
        if left.by_address.len() < left.sweep_at.max(REMEMBERED_ADDRESSES) {
            return;
        }
        left.by_address.retain(|_, budget| budget.under_way > 0 || self.recovered(budget, now) < self.most);
        if left.by_address.len() >= MOST_ADDRESSES {
            left.by_address.clear();
        }
        left.sweep_at = left.by_address.len() * 2;
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_uses_up_its_own_budget_and_no_other() {
        let budgets = Budgets::of(10.0, Duration::from_secs(600));
        let (one, other) = ("192.0.2.7".parse().unwrap(), "192.0.2.8".parse().unwrap());
        assert_eq!((0..100).filter(|_| budgets.begin(one)).count(), 10);
        assert!(budgets.begin(other));
        budgets.end(one, true);
        assert!(!budgets.begin(one) && budgets.is_under_way(one));
        budgets.end(one, false);
        assert!(budgets.begin(one) && !budgets.begin(one));
    }

    #[test]
    fn memory_is_bounded_whatever_the_number_of_addresses() {
        let budgets = Budgets::of(10.0, TOKENS_RECOVER);
        for n in 0..300_000_u32 {
            budgets.spend(std::net::Ipv4Addr::from_bits(n).into());
        }
        assert!(budgets.left().by_address.len() <= 2 * MOST_ADDRESSES);
    }
}
