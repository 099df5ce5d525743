//! Counts what would flood the log, and says when a line is due.

use std::sync::Mutex;
use std::time::Instant;

use super::connection_limit::WARNING_PAUSE;

/// Refusals of one kind, logged together.
#[derive(Default)]
pub struct LogThrottle(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    unlogged: u64,
    logged_at: Option<Instant>,
}

impl LogThrottle {
    /// Counts one. Answers how many there were since the last line, when the next line is due.
    pub fn count(&self) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        counted.unlogged += 1;
        counted.logged_at.is_none_or(|at| at.elapsed() > WARNING_PAUSE).then(|| {
            counted.logged_at = Some(Instant::now());
            std::mem::take(&mut counted.unlogged)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_at_once_and_those_that_follow_later() {
        let tally = LogThrottle::default();
        assert_eq!(tally.count(), Some(1));
        assert!((0..1_000).all(|_| tally.count().is_none()));
    }
}
