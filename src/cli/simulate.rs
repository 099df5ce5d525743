//! `simulate`: a call played to a running service.

use anyhow::{Context, Result};
use caller_popup::app::known_verification;
use caller_popup::config::Config;
use caller_popup::ringcentral;
use caller_popup::simulator::{Scenario, scenarios};
use caller_popup::store::Store;
use chrono::Utc;
use reqwest::Url;
use tokio::time::{Instant, sleep_until};

/// Prints which scenarios there are.
pub fn list() -> Result<()> {
    for choice in scenarios() {
        println!("{:<18} {}", choice.name, choice.title);
    }
    Ok(())
}

/// Posts the notifications of a scenario in their time.
pub async fn run(config: Config, name: &str, url: Option<Url>) -> Result<()> {
    let scenario = Scenario::named(name)
        .with_context(|| format!("there is no scenario {name:?}; `caller-popup simulate` lists them"))?;
    let service = url.map_or_else(|| Url::parse(&format!("http://{}", config.bind)), Ok)?;
    let webhook = service.join("/api/webhooks/ringcentral")?;
    let client = ringcentral::http_client().build()?;
    let token = expected_token(&config).await;
    let start = Instant::now();
    println!("{}", scenario.title);
    for (due, notification) in scenario.notifications(Utc::now(), rand::random()) {
        sleep_until(start + due).await;
        let mut request = client.post(webhook.clone()).json(&notification);
        if let Some(token) = &token {
            request = request.header("Verification-Token", token);
        }
        let status = request.send().await.with_context(|| format!("{service} does not answer"))?.status();
        println!("{:>6.1} s  {status}", due.as_secs_f64());
        anyhow::ensure!(status.is_success(), "the service refused the notification");
    }
    Ok(())
}

/// What the service wants deliveries to carry: the token of the settings, or the one it made, where its store is at hand.
async fn expected_token(config: &Config) -> Option<String> {
    let configured = config.ringcentral.verification_token.clone();
    if configured.is_some() || (config.mongodb.is_none() && !config.data_dir.exists()) {
        return configured;
    }
    let store = Store::open(config).await.ok()?;
    known_verification(config, &store).await.ok()?.map(|known| known.token)
}
