//! The secret every delivery carries in `Verification-Token`, and which subscription was created with it.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::secret::{digest, generate};

/// RingCentral takes at most 32 characters; so many random hex digits are 128 bits.
const GENERATED_BYTES: usize = 16;

/// What deliveries must carry. It is stored, because a token that only memory knows turns every delivery after a restart
/// into a 401, and those into a blacklisting.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSecret {
    /// The token for new subscriptions.
    pub token: String,
    /// The one before, which deliveries carry until the successor of their subscription stands.
    pub previous: Option<String>,
    /// The subscription that was created with `token`; `None` until it is.
    pub subscription_id: Option<String>,
}

impl WebhookSecret {
    /// The configured token, else the stored one, else a new one.
    pub fn of(configured: Option<&str>, stored: Option<Self>) -> Self {
        match (configured, stored) {
            (Some(token), Some(stored)) if stored.token != token => {
                Self { token: token.to_owned(), previous: Some(stored.token), subscription_id: None }
            }
            (_, Some(stored)) => stored,
            (configured, None) => {
                let token = configured.map_or_else(generate::<GENERATED_BYTES>, str::to_owned);
                Self { token, previous: None, subscription_id: None }
            }
        }
    }

    /// Whether a delivery that carries `presented` is RingCentral's. Takes as long for a near miss as for a far one.
    pub fn accepts(&self, presented: &[u8]) -> bool {
        let known = [Some(&self.token), self.previous.as_ref()];
        known.into_iter().flatten().fold(false, |found, token| found | bool::from(token.as_bytes().ct_eq(presented)))
    }
}

/// What tells the tokens of a [`WebhookSecret`], for a place where they themselves must not be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretDigests(pub Vec<String>);

impl SecretDigests {
    /// Those of all tokens a delivery may carry.
    pub fn of(known: &WebhookSecret) -> Self {
        Self([Some(&known.token), known.previous.as_ref()].into_iter().flatten().map(digest).collect())
    }

    /// Adds a token.
    pub fn add(&mut self, token: &str) {
        self.0.push(digest(token));
    }

    /// Whether `presented` is one of the tokens.
    pub fn accepts(&self, presented: &[u8]) -> bool {
        let presented = digest(presented);
        self.0.iter().fold(false, |found, known| found | bool::from(known.as_bytes().ct_eq(presented.as_bytes())))
    }
}

/// Secrets stay out of logs.
impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecret(of {:?})", self.subscription_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_token_is_one_ringcentral_accepts() {
        let one = WebhookSecret::of(None, None);
        assert_eq!(one.token.len(), 32);
        assert!(one.token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one.token, WebhookSecret::of(None, None).token);
    }

    #[test]
    fn a_stored_token_survives_a_restart_with_its_subscription() {
        let stored = WebhookSecret { subscription_id: Some("s".into()), ..WebhookSecret::of(Some("a"), None) };
        assert_eq!(WebhookSecret::of(None, Some(stored.clone())), stored);
        assert_eq!(WebhookSecret::of(Some("a"), Some(stored.clone())), stored);
    }

    #[test]
    fn after_a_change_both_tokens_are_accepted_and_the_subscription_is_made_anew() {
        let stored = WebhookSecret { subscription_id: Some("s".into()), ..WebhookSecret::of(Some("old"), None) };
        let changed = WebhookSecret::of(Some("new"), Some(stored));
        assert!(
            changed.accepts(b"new") && changed.accepts(b"old") && !changed.accepts(b"newer") && !changed.accepts(b"")
        );
        assert_eq!(changed.subscription_id, None);
    }

    #[test]
    fn digests_accept_the_same_tokens_and_hold_none() {
        let known = WebhookSecret { previous: Some("old".into()), ..WebhookSecret::of(Some("new"), None) };
        let mut digests = SecretDigests::of(&known);
        digests.add("newest");
        for (token, accepted) in [("new", true), ("old", true), ("newest", true), ("newer", false), ("", false)] {
            assert_eq!(digests.accepts(token.as_bytes()), accepted, "{token}");
        }
        assert!(digests.0.iter().all(|digest| !digest.contains("new") && !digests.accepts(digest.as_bytes())));
    }
}
