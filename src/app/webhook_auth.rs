//! Whether a delivery is RingCentral's: the token it must carry, or the id of a subscription that was taken over, as the store has it,
//! or as this machine remembers it while the store is away.

use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::Instant;

use anyhow::Context;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::warn;

use super::outage::{Outage, STORE_PATIENCE};
use super::{App, Core};
use crate::config::Config;
use crate::ringcentral::subscription::{SecretDigests, WebhookSecret};
use crate::store::{Store, StoreError, sources};

/// Under this name the store keeps the verification token, for the next run and for other instances.
const VERIFICATION: &str = "verification";

/// What deliveries must carry.
#[derive(Default)]
enum ExpectedToken {
    /// Nothing: no token was ever set or made.
    #[default]
    Anything,
    /// One of these tokens.
    Tokens(WebhookSecret),
    /// One that has one of these digests: the store was away when we started, and this is what we remember of it.
    Remembered(SecretDigests),
    /// A token that may exist: the store has not answered since this machine first used it.
    Unknown,
}

/// Verifies deliveries.
pub(super) struct WebhookAuth {
    core: Arc<Core>,
    outage: Arc<Outage>,
    expected: RwLock<ExpectedToken>,
    /// When the store was last asked for it.
    asked: Mutex<Instant>,
}

impl WebhookAuth {
    pub(super) fn new(core: Arc<Core>, outage: Arc<Outage>) -> Self {
        Self { core, outage, expected: RwLock::default(), asked: Mutex::new(Instant::now()) }
    }

    /// Whether a delivery that carries `presented` is RingCentral's. Another instance may have made a new token, so the
    /// store is asked before anyone is turned away: RingCentral gives an address up that answers 401.
    pub(super) async fn verify_delivery(&self, presented: Option<&[u8]>) -> bool {
        if self.accepts(presented) {
            return true;
        }
        self.ask_for_tokens().await;
        self.accepts(presented)
    }

    /// Whether a delivery without the right token may be RingCentral's all the same, which the id of its subscription decides: where a
    /// subscription of another program was taken over, or may have been.
    pub(super) fn verifies_by_subscription(&self) -> bool {
        match &*self.expected() {
            ExpectedToken::Tokens(known) => known.adopted.is_some(),
            ExpectedToken::Remembered(_) => true,
            ExpectedToken::Anything | ExpectedToken::Unknown => false,
        }
    }

    /// Whether a delivery that names this subscription is RingCentral's.
    pub(super) fn verify_subscription(&self, id: &str) -> bool {
        match &*self.expected() {
            ExpectedToken::Tokens(known) => known.accepts_subscription(id),
            ExpectedToken::Remembered(known) => known.accepts(id.as_bytes()),
            ExpectedToken::Anything | ExpectedToken::Unknown => false,
        }
    }

    /// Whether deliveries need no token, because none was ever set or made.
    pub(super) fn believes_everyone(&self) -> bool {
        self.accepts(None)
    }

    /// What our own deliveries must carry, for the simulator.
    pub(super) async fn verification_token(&self) -> Option<String> {
        if matches!(*self.expected(), ExpectedToken::Remembered(_) | ExpectedToken::Unknown) {
            self.ask_for_tokens().await;
        }
        match &*self.expected() {
            ExpectedToken::Tokens(known) => Some(known.token.clone()),
            ExpectedToken::Anything | ExpectedToken::Remembered(_) | ExpectedToken::Unknown => {
                self.core.config.ringcentral.verification_token.clone()
            }
        }
    }

    /// From now on deliveries carry one of these, also for a start while the database is away. `None` changes nothing.
    pub(super) async fn expect(&self, known: Option<WebhookSecret>) -> Result<(), StoreError> {
        let digests = known.as_ref().map(SecretDigests::of).unwrap_or_default();
        if let Some(known) = known {
            let tokens = ExpectedToken::Tokens(known);
            self.set(tokens);
        }
        match (self.outage.spool(), &self.core.config.mongodb) {
            (Some(spool), Some(mongodb)) => spool.remember(&mongodb.database, digests.0).await,
            _ => Ok(()),
        }
    }

    /// Reads what deliveries must carry from the store.
    pub(super) async fn load(&self) -> Result<Option<WebhookSecret>, StoreError> {
        own_verification(&self.core.config, &self.core.store).await
    }

    /// The tokens that this machine remembers of an earlier run; `None` where there was none.
    pub(super) async fn remembered(&self) -> Result<Option<SecretDigests>, StoreError> {
        match (self.outage.spool(), &self.core.config.mongodb) {
            (Some(spool), Some(mongodb)) => Ok(spool.remembered(&mongodb.database).await?.map(SecretDigests)),
            _ => Ok(None),
        }
    }

    /// The store is away: deliveries carry what this machine remembers, or what the settings say.
    pub(super) fn expect_remembered(&self, mut digests: SecretDigests) {
        self.core.config.ringcentral.verification_token.iter().for_each(|token| digests.add(token));
        // Where the subscription is ours, what carries no token is forged also while we do not know the token.
        if !digests.0.is_empty() || makes_its_token(&self.core.config) {
            let remembered = ExpectedToken::Remembered(digests);
            self.set(remembered);
        }
    }

    /// The store is away and never worked on this machine: deliveries carry what the settings say. Where they say nothing, only a
    /// service that only this machine can reach accepts every delivery.
    pub(super) fn expect_unknown(&self) {
        let mut digests = SecretDigests::default();
        self.core.config.ringcentral.verification_token.iter().for_each(|token| digests.add(token));
        if !digests.0.is_empty() {
            self.set(ExpectedToken::Remembered(digests));
        } else if makes_its_token(&self.core.config) || !self.core.config.is_local_mode() {
            self.set(ExpectedToken::Unknown);
        }
    }

    /// Asks the store which tokens there are, once for all who wait: however many come with a wrong one, it is a single
    /// question at a time. While the store is away, those known are good.
    pub(super) async fn ask_for_tokens(&self) {
        let came = Instant::now();
        let mut asked = self.asked.lock().await;
        if *asked > came {
            return;
        }
        *asked = Instant::now();
        let asked = timeout(STORE_PATIENCE, own_verification(&self.core.config, &self.core.store)).await;
        match asked.unwrap_or(Err(StoreError::Slow)) {
            Ok(Some(known)) => self.learn_tokens(known).await,
            Ok(None) if matches!(*self.expected(), ExpectedToken::Unknown) => {
                self.set(ExpectedToken::Anything);
                if let Err(cause) = self.expect(None).await {
                    warn!(error = %cause, error.sources = sources(&cause), "the database could not be remembered");
                }
            }
            Ok(None) | Err(_) => {}
        }
    }

    /// The store knows these tokens.
    pub(super) async fn learn_tokens(&self, known: WebhookSecret) {
        let is_news = !matches!(&*self.expected(), ExpectedToken::Tokens(old) if *old == known);
        if is_news && let Err(cause) = self.expect(Some(known)).await {
            warn!(error = %cause, error.sources = sources(&cause), "the verification token could not be remembered");
        }
    }

    fn accepts(&self, presented: Option<&[u8]>) -> bool {
        match (&*self.expected(), presented) {
            (ExpectedToken::Anything, _) => true,
            (ExpectedToken::Tokens(known), Some(presented)) => known.accepts(presented),
            (ExpectedToken::Remembered(known), Some(presented)) => known.accepts(presented),
            (ExpectedToken::Unknown, Some(_)) | (_, None) => false,
        }
    }

    fn expected(&self) -> RwLockReadGuard<'_, ExpectedToken> {
        self.expected.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn set(&self, expected: ExpectedToken) {
        *self.expected.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = expected;
    }

    /// Stores the token of a subscription that is about to be created, and expects it.
    pub(super) async fn save(&self, secret: &WebhookSecret) -> anyhow::Result<()> {
        let text = serde_json::to_string(secret).context("writing the verification token")?;
        self.core.store.set_setting(VERIFICATION, &text).await.context("storing the verification token")?;
        self.expect(Some(secret.clone())).await.context("remembering the verification token")
    }
}

impl App {
    /// Whether a delivery that carries `presented` is RingCentral's.
    pub async fn verify_delivery(&self, presented: Option<&[u8]>) -> bool {
        self.0.webhook_auth.verify_delivery(presented).await
    }

    /// Whether a delivery without the right token may be RingCentral's all the same: the id of its subscription decides.
    pub fn verifies_by_subscription(&self) -> bool {
        self.0.webhook_auth.verifies_by_subscription()
    }

    /// Whether a delivery that names this subscription is RingCentral's.
    pub fn verify_subscription(&self, id: &str) -> bool {
        self.0.webhook_auth.verify_subscription(id)
    }

    /// Whether deliveries need no token, because none was ever set or made.
    pub fn believes_everyone(&self) -> bool {
        self.0.webhook_auth.believes_everyone()
    }

    /// Whether anybody on the network may forge calls: others than this machine come in, and nothing distinguishes a delivery of
    /// RingCentral's from theirs.
    pub fn accepts_unverified(&self) -> bool {
        !self.config().is_local_mode() && self.believes_everyone()
    }

    /// What our own deliveries must carry, for the simulator.
    pub async fn verification_token(&self) -> Option<String> {
        self.0.webhook_auth.verification_token().await
    }
}

/// Like [`known_verification`]. Where the subscription is ours to create its token is made now and stored, the same for
/// every instance, before anything is delivered: until RingCentral has a subscription of ours every delivery is forged.
pub(super) async fn own_verification(config: &Config, store: &Store) -> Result<Option<WebhookSecret>, StoreError> {
    let known = known_verification(config, store).await?;
    if known.is_some() || !makes_its_token(config) {
        return Ok(known);
    }
    let made = WebhookSecret::of(None, None);
    let text = serde_json::to_string(&made)?;
    let kept = store.get_or_insert_setting(VERIFICATION, &text).await?;
    if let Ok(kept) = serde_json::from_str(&kept) {
        return Ok(Some(kept));
    }
    // One that was damaged proves nothing.
    store.set_setting(VERIFICATION, &text).await?;
    Ok(Some(made))
}

/// Whether the subscription is created here, with a token of our own.
fn makes_its_token(config: &Config) -> bool {
    config.ringcentral.credentials.is_some() && config.public_url.is_some()
}

/// The verification token of the settings, of an earlier run or of another instance. `None`: every delivery is believed.
pub async fn known_verification(config: &Config, store: &Store) -> Result<Option<WebhookSecret>, StoreError> {
    let configured = config.ringcentral.verification_token.as_deref();
    let stored = store.setting(VERIFICATION).await?.and_then(|text| serde_json::from_str(&text).ok());
    let known = configured.is_some() || stored.is_some();
    Ok(known.then(|| WebhookSecret::of(configured, stored)))
}
