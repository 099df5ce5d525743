//! What authenticates deliveries: the token in `Verification-Token`, and which subscription was created with it; or the id of a
//! subscription that another program created.
//!
//! RingCentral sets the token of a subscription when it is created and never again: an update takes `eventFilters` and `expiresIn`
//! and ignores the rest (`UpdateSubscriptionRequest` of its OpenAPI description). So the deliveries of a subscription that was taken
//! over carry no token of ours, and RingCentral signs nothing. What they do carry, in the body, is the id of the subscription: a random
//! UUID that RingCentral shows to the app that created it alone. It is treated as the token is: compared in constant time, and not logged.

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
    /// A subscription that another program created and that was taken over: its deliveries are authenticated by this id.
    #[serde(default)]
    pub adopted: Option<String>,
}

impl WebhookSecret {
    /// The configured token, else the stored one, else a new one.
    pub fn of(configured: Option<&str>, stored: Option<Self>) -> Self {
        match (configured, stored) {
            (Some(token), Some(stored)) if stored.token != token => {
                let (token, previous) = (token.to_owned(), Some(stored.token));
                Self { token, previous, subscription_id: None, adopted: stored.adopted }
            }
            (_, Some(stored)) => stored,
            (configured, None) => {
                let token = configured.map_or_else(generate::<GENERATED_BYTES>, str::to_owned);
                Self { token, previous: None, subscription_id: None, adopted: None }
            }
        }
    }

    /// Whether a delivery that carries `presented` is RingCentral's. Takes as long for a near miss as for a far one.
    pub fn accepts(&self, presented: &[u8]) -> bool {
        let known = [Some(&self.token), self.previous.as_ref()];
        known.into_iter().flatten().fold(false, |found, token| found | bool::from(token.as_bytes().ct_eq(presented)))
    }

    /// Whether a delivery that names this subscription is RingCentral's.
    pub fn accepts_subscription(&self, id: &str) -> bool {
        self.adopted.as_ref().is_some_and(|known| known.as_bytes().ct_eq(id.as_bytes()).into())
    }
}

/// Whether a subscription's id is a random UUID (version 4), of which 122 bits cannot be guessed.
pub(super) fn is_unguessable(id: &str) -> bool {
    let is_hyphen = |place: usize| matches!(place, 8 | 13 | 18 | 23);
    let id = id.as_bytes();
    id.len() == 36
        && id
            .iter()
            .enumerate()
            .all(|(place, byte)| if is_hyphen(place) { *byte == b'-' } else { byte.is_ascii_hexdigit() })
        && id[14] == b'4'
        && matches!(id[19], b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
}

/// What tells the tokens of a [`WebhookSecret`], for a place where they themselves must not be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretDigests(pub Vec<String>);

impl SecretDigests {
    /// Those of all tokens a delivery may carry, and of the id that stands for one.
    pub fn of(known: &WebhookSecret) -> Self {
        let secrets = [Some(&known.token), known.previous.as_ref(), known.adopted.as_ref()];
        Self(secrets.into_iter().flatten().map(digest).collect())
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
        let adopts = self.adopted.is_some();
        write!(
            f,
            "WebhookSecret(of {:?}, {})",
            self.subscription_id,
            if adopts { "and an adopted one" } else { "no other" }
        )
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
    fn a_delivery_is_authenticated_by_the_id_of_an_adopted_subscription_alone() {
        let known = WebhookSecret { subscription_id: Some("ours".into()), ..WebhookSecret::of(None, None) };
        assert!(!known.accepts_subscription("ours"), "its deliveries carry a token");
        let known = WebhookSecret { adopted: Some("theirs".into()), ..known };
        assert!(known.accepts_subscription("theirs"));
        assert!(["their", "theirs2", "ours", ""].iter().all(|id| !known.accepts_subscription(id)));
        assert!(!known.accepts(b"theirs"), "the id is no token");
    }

    #[test]
    fn after_a_change_of_the_token_an_adopted_subscription_is_accepted_until_its_successor_stands() {
        let adopted = WebhookSecret { adopted: Some("theirs".into()), ..WebhookSecret::of(None, None) };
        assert!(WebhookSecret::of(Some("new"), Some(adopted)).accepts_subscription("theirs"));
    }

    #[test]
    fn what_an_earlier_version_stored_is_read() {
        let stored = r#"{ "token": "t", "previous": null, "subscription_id": "s" }"#;
        let stored: WebhookSecret = serde_json::from_str(stored).unwrap();
        assert_eq!((stored.subscription_id.as_deref(), stored.adopted), (Some("s"), None));
    }

    #[test]
    fn only_random_uuids_cannot_be_guessed() {
        for id in ["dd2f0ff2-580e-4581-a277-76f9c9a54bc9", "4A2EEE85-880D-4690-9959-85D9FC70728B"] {
            assert!(is_unguessable(id), "{id}");
        }
        let guessable = [
            "",
            "1",
            "5263714563894563789",
            "dd2f0ff2-580e-1581-a277-76f9c9a54bc9",
            "dd2f0ff2-580e-4581-c277-76f9c9a54bc9",
            "dd2f0ff2-580e-4581-a277-76f9c9a54bcg",
            "dd2f0ff2a580ea4581aa277a76f9c9a54bc9",
        ];
        assert!(guessable.iter().all(|id| !is_unguessable(id)));
    }

    #[test]
    fn digests_accept_the_same_tokens_and_hold_none() {
        let (previous, adopted) = (Some("old".into()), Some("theirs".into()));
        let known = WebhookSecret { previous, adopted, ..WebhookSecret::of(Some("new"), None) };
        let mut digests = SecretDigests::of(&known);
        digests.add("newest");
        for (token, accepted) in
            [("new", true), ("old", true), ("theirs", true), ("newest", true), ("newer", false), ("", false)]
        {
            assert_eq!(digests.accepts(token.as_bytes()), accepted, "{token}");
        }
        assert!(digests.0.iter().all(|digest| !digest.contains("new") && !digests.accepts(digest.as_bytes())));
    }
}
