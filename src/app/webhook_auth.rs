//! Whether a delivery is RingCentral's: the token it must carry, as the store knows it, or as this machine remembers it
//! while the store is away.

use std::sync::RwLockReadGuard;
use std::time::Instant;

use chrono::Utc;
use tracing::warn;

use super::{App, integration};
use crate::ringcentral::subscription::{SecretDigests, WebhookSecret};
use crate::store::StoreError;

/// What deliveries must carry.
#[derive(Default)]
pub(super) enum ExpectedToken {
    /// Nothing: no token was ever set or made.
    #[default]
    Anything,
    /// One of these tokens.
    Tokens(WebhookSecret),
    /// One that has one of these digests: the store was away when we started, and this is what we remember of it.
    Remembered(SecretDigests),
}

impl App {
    /// Whether a delivery that carries `presented` is RingCentral's. Another instance may have made a new token, so the
    /// store is asked before anyone is turned away: RingCentral gives an address up that answers 401.
    pub async fn verify_delivery(&self, presented: Option<&[u8]>) -> bool {
        if self.accepts(presented) {
            return true;
        }
        self.ask_for_tokens().await;
        self.accepts(presented)
    }

    /// Whether deliveries need no token, because none was ever set or made.
    pub fn believes_everyone(&self) -> bool {
        self.accepts(None)
    }

    /// Whether anybody on the network may forge calls: others than this machine come in, and nothing tells a delivery of
    /// RingCentral's from theirs.
    pub fn accepts_unverified(&self) -> bool {
        !self.config().is_local_mode() && self.believes_everyone()
    }

    /// What our own deliveries must carry, for the simulator.
    pub async fn verification_token(&self) -> Option<String> {
        if matches!(*self.expected(), ExpectedToken::Remembered(_)) {
            self.ask_for_tokens().await;
        }
        match &*self.expected() {
            ExpectedToken::Tokens(known) => Some(known.token.clone()),
            ExpectedToken::Anything | ExpectedToken::Remembered(_) => {
                self.config().ringcentral.verification_token.clone()
            }
        }
    }

    /// A delivery was turned away for its token.
    pub fn note_refusal(&self) {
        self.update_status(|status| {
            status.refused += 1;
            status.refused_at = Some(Utc::now());
        });
    }

    /// From now on deliveries carry one of these, also for a start while the database is away. `None` changes nothing.
    pub(super) async fn expect(&self, known: Option<WebhookSecret>) -> Result<(), StoreError> {
        let digests = known.as_ref().map(SecretDigests::of).unwrap_or_default();
        if let Some(known) = known {
            let tokens = ExpectedToken::Tokens(known);
            *self.0.expected.write().expect("nobody panics while holding what is expected") = tokens;
        }
        match (&self.0.spool, &self.0.config.mongodb) {
            (Some(spool), Some(mongodb)) => spool.remember(&mongodb.database, digests.0).await,
            _ => Ok(()),
        }
    }

    /// The store is away: deliveries carry what this machine remembers, or what the settings say.
    pub(super) fn expect_remembered(&self, mut digests: SecretDigests) {
        self.config().ringcentral.verification_token.iter().for_each(|token| digests.add(token));
        // Where the subscription is ours, what carries no token is forged also while we do not know the token.
        if !digests.0.is_empty() || integration::makes_its_token(self.config()) {
            let remembered = ExpectedToken::Remembered(digests);
            *self.0.expected.write().expect("nobody panics while holding what is expected") = remembered;
        }
    }

    /// Asks the store which tokens there are, once for all who wait: however many come with a wrong one, it is a single
    /// question at a time. While the store is away, those known are good.
    async fn ask_for_tokens(&self) {
        let came = Instant::now();
        let mut asked = self.0.asked.lock().await;
        if *asked > came {
            return;
        }
        *asked = Instant::now();
        if let Ok(Some(known)) = integration::own_verification(&self.0.config, &self.0.store).await {
            self.learn_tokens(known).await;
        }
    }

    /// The store knows these tokens.
    pub(super) async fn learn_tokens(&self, known: WebhookSecret) {
        let is_news = !matches!(&*self.expected(), ExpectedToken::Tokens(old) if *old == known);
        if is_news && let Err(cause) = self.expect(Some(known)).await {
            warn!(error = &cause as &dyn std::error::Error, "the verification token could not be remembered");
        }
    }

    fn accepts(&self, presented: Option<&[u8]>) -> bool {
        match (&*self.expected(), presented) {
            (ExpectedToken::Anything, _) => true,
            (ExpectedToken::Tokens(known), Some(presented)) => known.accepts(presented),
            (ExpectedToken::Remembered(known), Some(presented)) => known.accepts(presented),
            (_, None) => false,
        }
    }

    fn expected(&self) -> RwLockReadGuard<'_, ExpectedToken> {
        self.0.expected.read().expect("nobody panics while holding what is expected")
    }
}
