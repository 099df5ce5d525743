//! Carries out what is planned, and asks again every few minutes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::{
    DesiredSubscription, LIFETIME, NewSubscription, State, Status, Step, Subscription, SubscriptionState,
    WebhookSecret, cure, plan,
};
use crate::call::millis;
use crate::ringcentral::{Client, Error};

/// RingCentral reminds us when three days are left: should our own renewal at half-life have failed, twice a day more.
/// The platform wants at most half of the lifetime, and for the interval at most half of that.
const REMINDER: &str = "/restapi/v1.0/subscription/~?threshold=259200&interval=43200";
/// A blacklisting is not notified, so it is polled for; that is one light request.
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// While nothing arrives, every minute counts.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A filter an extension, where call control is not permitted. How many a subscription may have is not documented.
const MOST_EXTENSIONS: usize = 200;

/// Keeps the one subscription of this service.
#[derive(Debug)]
pub struct SubscriptionReconciler {
    client: Client,
    address: Url,
    account: String,
    verification: WebhookSecret,
    /// Call control was refused; presence serves until the next start, when the permission may be there.
    without_telephony: bool,
}

impl SubscriptionReconciler {
    /// Keeps a subscription of `account` (`~` or an id) that delivers to `address`.
    pub fn new(client: Client, address: Url, account: &str, verification: WebhookSecret) -> Self {
        Self { client, address, account: account.to_owned(), verification, without_telephony: false }
    }

    /// What deliveries must carry now.
    pub fn verification(&self) -> &WebhookSecret {
        &self.verification
    }

    /// Takes over what the store holds, before a tick: another instance may have made the subscription meanwhile, and
    /// this one would replace it as one with an unknown token.
    pub fn set_secret(&mut self, stored: WebhookSecret) {
        self.verification = stored;
    }

    /// Looks without changing anything, for the instance that does not hold the lease.
    pub async fn inspect(&self, now: DateTime<Utc>) -> SubscriptionState {
        match self.client.subscriptions().await {
            Ok(listed) => self.status_of(&listed, now),
            Err(error) => SubscriptionState::failed(State::Unknown, &error, now),
        }
    }

    /// Looks, and puts right what is not as it should be. `user_ids` are the extensions to watch where only presence is
    /// permitted. `save` keeps the verification durably; it has returned before RingCentral hears of a new token,
    /// because the handshake and the first events arrive while creating is still under way.
    pub async fn reconcile(
        &mut self,
        now: DateTime<Utc>,
        user_ids: &[String],
        save: impl AsyncFn(&WebhookSecret) -> anyhow::Result<()>,
    ) -> SubscriptionState {
        let mut listed = match self.client.subscriptions().await {
            Ok(listed) => listed,
            Err(error) => return SubscriptionState::failed(State::Unknown, &error, now),
        };
        if let SubscriptionState { state: State::Blacklisted, detail, .. } = self.status_of(&listed, now) {
            warn!(?detail, "RingCentral gave our address up");
        }
        // Twice at most: the second time without call control.
        loop {
            let ours = self.ours(user_ids);
            let steps = plan(&listed, &ours, now);
            for step in &steps {
                if let Err(error) = self.carry_out(step, &ours.filters, &mut listed, &save).await {
                    let asks_for_telephony = matches!(step, Step::Create | Step::Update(_)) && !self.without_telephony;
                    if asks_for_telephony && error.is_permission() {
                        break;
                    }
                    warn!(%error, step = step.name(), "the subscription could not be put right");
                    return SubscriptionState { detail: Some(cure(&error)), ..self.status_of(&listed, now) };
                }
            }
            if self.without_telephony || !self.lacks_telephony(&listed, &ours.filters) {
                return self.status_of(&listed, now);
            }
            warn!("call control is not permitted; watching presence instead");
            self.without_telephony = true;
        }
    }

    /// Deletes every subscription that delivers to our address; how many there were.
    pub async fn delete(&self) -> Result<usize, Error> {
        let listed = self.client.subscriptions().await?;
        let at_ours = listed.iter().filter(|one| one.address.as_ref() == Some(&self.address));
        let mut deleted = 0;
        for one in at_ours {
            self.client.delete_subscription(&one.id).await?;
            deleted += 1;
        }
        Ok(deleted)
    }

    async fn carry_out(
        &mut self,
        step: &Step,
        filters: &[String],
        listed: &mut Vec<Subscription>,
        save: &impl AsyncFn(&WebhookSecret) -> anyhow::Result<()>,
    ) -> Result<(), Error> {
        match step {
            Step::Keep(id) => {
                // Since the last tick nothing else delivers here, and what was under way has arrived.
                let adopted = self.verification.adopted.take_if(|adopted| adopted != id);
                if self.verification.previous.take().is_some() || adopted.is_some() {
                    self.save(save).await?;
                }
            }
            Step::Renew(id) => match self.client.renew_subscription(id).await {
                Ok(renewed) => {
                    info!(subscription.id = begin(id), expires_at = end(&renewed), "subscription renewed");
                    replace(listed, renewed);
                }
                // It still lives, and there is time until the next tick. If it is gone, the next list says so.
                Err(error) => warn!(%error, subscription.id = begin(id), "the subscription was not renewed"),
            },
            Step::Delete(id) => {
                self.client.delete_subscription(id).await?;
                info!(subscription.id = begin(id), "subscription deleted");
                listed.retain(|one| one.id != *id);
            }
            Step::Update(id) => {
                // Before the filters change, because it delivers already.
                (self.verification.adopted, self.verification.subscription_id) = (Some(id.clone()), None);
                self.save(save).await?;
                let updated = self.client.update_subscription(id, filters, LIFETIME).await?;
                info!(
                    subscription.id = begin(id),
                    expires_at = end(&updated),
                    "subscription of another program taken over"
                );
                replace(listed, updated);
            }
            Step::Create => self.create(filters, listed, save).await?,
        }
        Ok(())
    }

    async fn create(
        &mut self,
        filters: &[String],
        listed: &mut Vec<Subscription>,
        save: &impl AsyncFn(&WebhookSecret) -> anyhow::Result<()>,
    ) -> Result<(), Error> {
        self.save(save).await?;
        let created = self
            .client
            .create_subscription(&NewSubscription {
                filters,
                address: &self.address,
                verification_token: &self.verification.token,
                lifetime: LIFETIME,
            })
            .await?;
        info!(subscription.id = begin(&created.id), expires_at = end(&created), "subscription created");
        self.verification.subscription_id = Some(created.id.clone());
        replace(listed, created);
        self.save(save).await
    }

    async fn save(&self, save: &impl AsyncFn(&WebhookSecret) -> anyhow::Result<()>) -> Result<(), Error> {
        save(&self.verification).await.map_err(|error| {
            warn!(%error, "the verification token could not be kept");
            Error::NotKept
        })
    }

    fn ours(&self, user_ids: &[String]) -> DesiredSubscription {
        let account = &self.account;
        let mut filters = vec![REMINDER.to_owned()];
        if !self.without_telephony {
            filters.insert(0, format!("/restapi/v1.0/account/{account}/telephony/sessions"));
        } else if user_ids.is_empty() || user_ids.len() > MOST_EXTENSIONS {
            filters.insert(0, format!("/restapi/v1.0/account/{account}/presence?detailedTelephonyState=true"));
        } else {
            // Only presence of single extensions is documented to hold the calls.
            let of_user =
                |id| format!("/restapi/v1.0/account/{account}/extension/{id}/presence?detailedTelephonyState=true");
            filters.splice(0..0, user_ids.iter().map(of_user));
        }
        DesiredSubscription {
            address: self.address.clone(),
            filters,
            subscription_id: self.verification.subscription_id.clone(),
            adopted: self.verification.adopted.clone(),
            adopts: !self.client.requires_token(),
        }
    }

    /// The one whose deliveries are authentic, by the token or by its id.
    fn subscription_id(&self) -> Option<&str> {
        let adopted = self.verification.adopted.as_deref().filter(|_| !self.client.requires_token());
        self.verification.subscription_id.as_deref().or(adopted)
    }

    /// Nothing of ours delivers telephony sessions: it was refused, or accepted and disabled.
    fn lacks_telephony(&self, listed: &[Subscription], filters: &[String]) -> bool {
        let id = self.subscription_id();
        let kept = listed.iter().find(|one| Some(one.id.as_str()) == id && one.covers(filters));
        kept.is_none_or(|one| one.disabled.iter().any(|(filter, _)| filter.contains("/telephony/sessions")))
    }

    fn status_of(&self, listed: &[Subscription], now: DateTime<Utc>) -> SubscriptionState {
        let id = self.subscription_id();
        let at_ours = || listed.iter().filter(|one| one.address.as_ref() == Some(&self.address));
        // Another instance may know the id of one that it has just created.
        let active = at_ours().filter(|one| one.delivers(now)).max_by_key(|one| Some(one.id.as_str()) == id);
        let best = active.or_else(|| at_ours().next());
        let (state, detail) = match best.map(|one| &one.status) {
            Some(Status::Active) if active.is_some() => (State::Active, best.and_then(Subscription::complaint)),
            Some(Status::Blacklisted(reason)) => (State::Blacklisted, Some(format!("blacklisted: {reason}"))),
            Some(Status::Unknown(word)) => (State::Blacklisted, Some(format!("its status is {word}"))),
            Some(Status::Active) | None => (State::Missing, None),
        };
        SubscriptionState {
            state,
            id: best.map(|one| one.id.clone()),
            expires_at: active.and_then(|one| one.expires_at),
            detail,
            checked_at: now,
        }
    }
}

/// Ticks for ever: every few minutes, sooner while nothing arrives, at once when `reminded`.
pub async fn keep(mut tick: impl AsyncFnMut() -> State, reminded: &Notify) {
    loop {
        let pause = match tick().await {
            State::Active => LOOK_EVERY,
            State::Missing | State::Blacklisted | State::Unknown => LOOK_AGAIN,
        };
        // Elapsed or reminded, it is time to look either way.
        let _ = tokio::time::timeout(pause, reminded.notified()).await;
    }
}

/// The first part of an id, for the log: that of a subscription of another program authenticates its deliveries.
fn begin(id: &str) -> &str {
    id.split('-').next().unwrap_or_default()
}

fn end(of: &Subscription) -> Option<String> {
    of.expires_at.as_ref().map(millis::format)
}

fn replace(listed: &mut Vec<Subscription>, new: Subscription) {
    listed.retain(|one| one.id != new.id);
    listed.push(new);
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// The pauses before the second and every later look, when these states are found one after the other.
    async fn pauses(states: &[State], reminded: &Notify) -> Vec<u64> {
        let (mut found, mut last, mut pauses) = (states.iter(), Instant::now(), Vec::new());
        let tick = async || match found.next() {
            Some(state) => {
                pauses.push(last.elapsed().as_secs());
                last = Instant::now();
                *state
            }
            None => std::future::pending().await,
        };
        let _ = tokio::time::timeout(Duration::from_secs(86_400), keep(tick, reminded)).await;
        pauses
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_is_down_is_looked_at_every_minute_and_one_that_lives_every_five() {
        let states = [State::Missing, State::Active, State::Active, State::Unknown, State::Active];
        assert_eq!(pauses(&states, &Notify::new()).await, [0, 60, 300, 300, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reminder_makes_it_look_at_once() {
        let reminded = Notify::new();
        reminded.notify_one();
        assert_eq!(pauses(&[State::Active; 3], &reminded).await, [0, 0, 300]);
    }
}
