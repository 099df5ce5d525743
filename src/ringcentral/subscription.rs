//! One living subscription: RingCentral's promise to call our webhook.
//!
//! Subscriptions die in silence: they expire, or RingCentral blacklists an address that failed for some minutes. So
//! what RingCentral lists is compared with what we want ([`plan`]), at start and every few minutes, and only the
//! difference is carried out ([`Keeper::tick`]). Creating blindly would bring every event as often as we started.

mod plan;
mod verification;

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::{Client, Error};
use crate::call::millis;
pub use plan::{Ours, Step, plan};
pub use verification::Verification;

/// RingCentral's own default. Long enough to survive a long weekend without us, as it is renewed at half of it; short
/// enough that the subscription of a service that is gone for good does not outlive it by years.
pub const LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// RingCentral reminds us when three days are left: should our own renewal at half-life have failed, twice a day more.
/// The platform wants at most half of the lifetime, and for the interval at most half of that.
const REMINDER: &str = "/restapi/v1.0/subscription/~?threshold=259200&interval=43200";
/// Nobody tells us of a blacklisting, so we look; a look is one light request.
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// While nothing arrives, every minute counts.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A filter an extension, where call control is not permitted. Nobody documents how many a subscription may have.
const MOST_EXTENSIONS: usize = 200;

/// A subscription as RingCentral lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// RingCentral's id.
    pub id: String,
    /// Whether it delivers.
    pub status: Status,
    /// What it delivers; `~` stands here as real ids.
    pub filters: Vec<String>,
    /// Filters that were accepted and are not served, each with the reason.
    pub disabled: Vec<(String, String)>,
    /// Where it delivers to, for webhooks.
    pub address: Option<Url>,
    /// When it ends, unless renewed.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Whether a subscription delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Active,
    /// RingCentral gave our address up, for this reason.
    Blacklisted(String),
    /// It does not, by a word of other releases: `Suspended`, `Blocked`.
    Unknown(String),
}

/// What a new subscription is asked to be.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// What to deliver.
    pub filters: &'a [String],
    /// Where to.
    pub address: &'a Url,
    /// What every delivery carries.
    pub verification_token: &'a str,
    /// For how long.
    pub lifetime: Duration,
}

/// What is known of our subscription, for status pages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubscriptionState {
    /// Whether events arrive.
    pub state: State,
    /// Until when, unless renewed.
    #[serde(serialize_with = "maybe_millis")]
    pub expires_at: Option<DateTime<Utc>>,
    /// What a person should know: what failed and the cure, or which events are not delivered.
    pub detail: Option<String>,
    /// RingCentral's id.
    #[serde(skip)]
    pub id: Option<String>,
    /// When RingCentral was asked.
    #[serde(skip)]
    pub checked_at: DateTime<Utc>,
}

/// Whether events arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// RingCentral delivers.
    Active,
    /// There is no subscription that delivers, and none could be made.
    Missing,
    /// RingCentral gave our address up.
    Blacklisted,
    /// RingCentral could not be asked.
    Unknown,
}

/// Keeps the one subscription of this service.
#[derive(Debug)]
pub struct Keeper {
    client: Client,
    address: Url,
    account: String,
    verification: Verification,
    /// Call control was refused; presence serves until the next start, when the permission may be there.
    without_telephony: bool,
}

/// Where RingCentral delivers to: the webhook below `PUBLIC_URL`.
pub fn webhook_address(public_url: &Url) -> Url {
    let mut address = public_url.clone();
    address.path_segments_mut().expect("the settings allow http and https only").pop_if_empty().extend([
        "api",
        "webhooks",
        "ringcentral",
    ]);
    address.set_query(None);
    address
}

impl Keeper {
    /// Keeps a subscription of `account` (`~` or an id) that delivers to `address`.
    pub fn new(client: Client, address: Url, account: &str, verification: Verification) -> Self {
        Self { client, address, account: account.to_owned(), verification, without_telephony: false }
    }

    /// What deliveries must carry now.
    pub fn verification(&self) -> &Verification {
        &self.verification
    }

    /// Looks without changing anything, for the instance that does not hold the lease.
    pub async fn look(&self, now: DateTime<Utc>) -> SubscriptionState {
        match self.client.subscriptions().await {
            Ok(listed) => self.judge(&listed, now),
            Err(error) => SubscriptionState::failed(State::Unknown, &error, now),
        }
    }

    /// Looks, and puts right what is not as it should be. `user_ids` are the extensions to watch where only presence is
    /// permitted. `save` keeps the verification durably; it has returned before RingCentral hears of a new token,
    /// because the handshake and the first events arrive while creating is still under way.
    pub async fn tick(
        &mut self,
        now: DateTime<Utc>,
        user_ids: &[String],
        save: impl AsyncFn(&Verification) -> anyhow::Result<()>,
    ) -> SubscriptionState {
        let mut listed = match self.client.subscriptions().await {
            Ok(listed) => listed,
            Err(error) => return SubscriptionState::failed(State::Unknown, &error, now),
        };
        if let SubscriptionState { state: State::Blacklisted, detail, .. } = self.judge(&listed, now) {
            warn!(?detail, "RingCentral gave our address up");
        }
        // Twice at most: the second time without call control.
        loop {
            let ours = self.ours(user_ids);
            let steps = plan(&listed, &ours, now);
            for step in &steps {
                if let Err(error) = self.carry_out(step, &ours.filters, &mut listed, &save).await {
                    if matches!(step, Step::Create) && error.is_permission() && !self.without_telephony {
                        break;
                    }
                    warn!(%error, ?step, "the subscription could not be put right");
                    return SubscriptionState { detail: Some(cure(&error)), ..self.judge(&listed, now) };
                }
            }
            if self.without_telephony || !self.lacks_telephony(&listed, &ours.filters) {
                return self.judge(&listed, now);
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
        save: &impl AsyncFn(&Verification) -> anyhow::Result<()>,
    ) -> Result<(), Error> {
        match step {
            Step::Keep(_) => {
                // Since the last tick nothing else delivers here, and what was under way has arrived.
                if self.verification.previous.take().is_some() {
                    self.save(save).await?;
                }
            }
            Step::Renew(id) => match self.client.renew_subscription(id).await {
                Ok(renewed) => {
                    info!(subscription.id = %id, expires_at = ?renewed.expires_at, "subscription renewed");
                    replace(listed, renewed);
                }
                // It still lives, and there is time until the next tick. If it is gone, the next list says so.
                Err(error) => warn!(%error, subscription.id = %id, "the subscription was not renewed"),
            },
            Step::Delete(id) => {
                self.client.delete_subscription(id).await?;
                info!(subscription.id = %id, "subscription deleted");
                listed.retain(|one| one.id != *id);
            }
            Step::Create => {
                self.save(save).await?;
                let created = self
                    .client
                    .create_subscription(&Order {
                        filters,
                        address: &self.address,
                        verification_token: &self.verification.token,
                        lifetime: LIFETIME,
                    })
                    .await?;
                info!(subscription.id = %created.id, expires_at = ?created.expires_at, "subscription created");
                self.verification.subscription_id = Some(created.id.clone());
                replace(listed, created);
                self.save(save).await?;
            }
        }
        Ok(())
    }

    async fn save(&self, save: &impl AsyncFn(&Verification) -> anyhow::Result<()>) -> Result<(), Error> {
        save(&self.verification).await.map_err(|error| {
            warn!(%error, "the verification token could not be kept");
            Error::NotKept
        })
    }

    fn ours(&self, user_ids: &[String]) -> Ours {
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
        Ours { address: self.address.clone(), filters, subscription_id: self.verification.subscription_id.clone() }
    }

    /// Nothing of ours delivers telephony sessions: it was refused, or accepted and disabled.
    fn lacks_telephony(&self, listed: &[Subscription], filters: &[String]) -> bool {
        let id = self.verification.subscription_id.as_deref();
        let kept = listed.iter().find(|one| Some(one.id.as_str()) == id && one.covers(filters));
        kept.is_none_or(|one| one.disabled.iter().any(|(filter, _)| filter.contains("/telephony/sessions")))
    }

    fn judge(&self, listed: &[Subscription], now: DateTime<Utc>) -> SubscriptionState {
        let id = self.verification.subscription_id.as_deref();
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

/// What to do about an error, in a sentence that stands on its own.
pub fn cure(error: &Error) -> String {
    let advice = match error.code() {
        Some("SUB-521") => "RingCentral cannot reach PUBLIC_URL; open it to the internet",
        Some("SUB-522" | "SUB-525") => "something between RingCentral and this service answers for it; check the proxy",
        Some("SUB-524") => "the certificate of PUBLIC_URL is not valid; install the whole chain",
        Some("SUB-505") => "this app has 30 subscriptions already; delete some with `caller-popup subscription`",
        Some("CMN-101") => "RingCentral does not accept PUBLIC_URL or the verification token",
        _ if error.is_permission() => "give the app the permission in the developer console, then restart",
        _ => return error.to_string(),
    };
    format!("{advice} ({error})")
}

impl Subscription {
    pub(super) fn read(json: &Value) -> Result<Self, Error> {
        let texts = |list: &Value| -> Vec<String> {
            list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let complaint = |one: &Value| {
            let reason = [text(&one["reason"]), text(&one["message"])].join(" ").trim().to_owned();
            (text(&one["filter"]), reason)
        };
        Ok(Self {
            id: super::directory::id(&json["id"]).ok_or(Error::Unreadable("a subscription without an id"))?,
            status: match json["status"].as_str().unwrap_or_default() {
                "Active" => Status::Active,
                "Blacklisted" => Status::Blacklisted(text(&json["blacklistedData"]["reason"])),
                other => Status::Unknown(other.to_owned()),
            },
            filters: texts(&json["eventFilters"]),
            disabled: json["disabledFilters"].as_array().into_iter().flatten().map(complaint).collect(),
            address: json["deliveryMode"]["address"].as_str().and_then(|address| address.parse().ok()),
            expires_at: json["expirationTime"].as_str().and_then(millis::parse),
        })
    }

    fn delivers(&self, now: DateTime<Utc>) -> bool {
        self.status == Status::Active && self.expires_at.is_none_or(|end| end > now)
    }

    fn complaint(&self) -> Option<String> {
        let complaints: Vec<String> =
            self.disabled.iter().map(|(filter, reason)| format!("{filter} is not delivered: {reason}")).collect();
        (!complaints.is_empty()).then(|| complaints.join("; "))
    }
}

impl SubscriptionState {
    /// Nothing could be found out.
    pub fn failed(state: State, error: &Error, now: DateTime<Utc>) -> Self {
        Self { state, id: None, expires_at: None, detail: Some(cure(error)), checked_at: now }
    }
}

fn replace(listed: &mut Vec<Subscription>, new: Subscription) {
    listed.retain(|one| one.id != new.id);
    listed.push(new);
}

fn maybe_millis<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    time.as_ref().map(millis::format).serialize(serializer)
}
