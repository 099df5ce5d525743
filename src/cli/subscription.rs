//! `subscription`: the webhook subscription at RingCentral.

use anyhow::{Context, Result};
use caller_popup::app::App;
use caller_popup::call::millis;
use caller_popup::config::Config;
use caller_popup::ringcentral::Client;
use caller_popup::ringcentral::subscription::{State, SubscriptionReconciler, WebhookSecret, webhook_address};
use caller_popup::store::Store;
use clap::Subcommand;

use super::store_failure;

/// What to do with it.
#[derive(Subcommand)]
pub enum Command {
    /// Show every subscription of the app.
    List,
    /// See to it that exactly one delivers here.
    Ensure,
    /// Delete those that deliver here.
    Delete,
}

/// Lists, creates or deletes subscriptions.
pub async fn run(config: Config, command: Command) -> Result<()> {
    let client = Client::new(&config.ringcentral)?;
    let public_url =
        config.public_url.clone().context("PUBLIC_URL is not set; RingCentral needs an address to deliver to");
    match command {
        Command::List => {
            for one in client.subscriptions().await? {
                let expires = one.expires_at.map_or("never".into(), |at| millis::format(&at));
                let address = one.address.map_or("another transport".into(), |address| address.to_string());
                println!("{}  {:?}  ends {expires}  {address}", one.id, one.status);
                one.filters.iter().for_each(|filter| println!("    {filter}"));
            }
        }
        Command::Ensure => {
            public_url?;
            let store = Store::open(&config).await.map_err(|cause| store_failure(&config, &cause))?;
            let app = App::start_beside(config, store).await?;
            app.tend_subscription().await;
            let state = app
                .integration()
                .and_then(|integration| integration.subscription())
                .context("another instance looks after it")?;
            println!("{}", serde_json::to_string_pretty(&state)?);
            anyhow::ensure!(state.state == State::Active, "RingCentral does not deliver");
        }
        Command::Delete => {
            let address = webhook_address(&public_url?);
            let keeper = SubscriptionReconciler::new(
                client,
                address,
                &config.ringcentral.account_id,
                WebhookSecret::of(None, None),
            );
            println!("{} deleted", keeper.delete().await?);
        }
    }
    Ok(())
}
