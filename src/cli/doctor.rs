//! `doctor`: every step from a ringing phone to the popup is checked and the cure printed.

use std::time::Duration;

use anyhow::Result;
use caller_popup::app::known_verification;
use caller_popup::config::Config;
use caller_popup::doctor::{Findings, examine, is_healthy};
use caller_popup::ringcentral::Client;
use caller_popup::ringcentral::subscription::{SubscriptionReconciler, WebhookSecret, webhook_address};
use caller_popup::store::{HistoryQuery, Store, StoreError};
use chrono::Utc;
use tokio::time::timeout;

/// How long reading the store may take.
const READING: Duration = Duration::from_secs(10);

/// Prints the checks; an error when one fails.
pub async fn run(config: Config) -> Result<()> {
    let store = Store::open(&config).await;
    let newest = HistoryQuery { limit: 1, ..HistoryQuery::default() };
    let mut verifies = config.ringcentral.verification_token.is_some();
    let read = async {
        let store = store?;
        verifies |= known_verification(&config, &store).await?.is_some();
        let active = store.active().await?;
        let ended = store.history(newest).await?;
        let last_event = active.iter().chain(&ended.calls).map(|call| call.facts.heard_at).max();
        Ok((last_event, Some(store.number_index_progress().await?), store.name().to_owned()))
    };
    // What was not read is not well.
    let (last_event, customer_index, opened) = match timeout(READING, read).await.unwrap_or(Err(StoreError::Slow)) {
        Ok((last_event, index, name)) => (last_event, index, Ok(name)),
        Err(cause) => (None, None, Err(cause.in_words())),
    };
    let client = Client::new(&config.ringcentral).ok().filter(|_| config.ringcentral.credentials.is_some());
    let mut state = None;
    if let (Some(client), Some(url)) = (&client, &config.public_url) {
        let verification = WebhookSecret::of(config.ringcentral.verification_token.as_deref(), None);
        let keeper = SubscriptionReconciler::new(
            client.clone(),
            webhook_address(url),
            &config.ringcentral.account_id,
            verification,
        );
        state = Some(keeper.inspect(Utc::now()).await);
    }
    let findings = Findings { store: opened, customer_index, verifies, last_event, subscription: state };
    let checks = examine(&config, client.as_ref(), &findings, Utc::now()).await;
    checks.iter().for_each(|check| println!("{check}"));
    anyhow::ensure!(is_healthy(&checks), "something is wrong; the cure stands beside it");
    Ok(())
}
