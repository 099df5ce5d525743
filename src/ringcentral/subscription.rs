//! One living subscription: RingCentral's promise to call our webhook.
//!
//! Subscriptions die in silence: they expire, or RingCentral blacklists an address that failed for some minutes. So
//! what RingCentral lists is compared with what we want ([`plan`]), at start and every few minutes, and only the
//! difference is carried out ([`SubscriptionReconciler::reconcile`]). Creating blindly would bring every event as often as we started.

mod plan;
mod reconciler;
mod webhook_secret;

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::Error;
use crate::call::millis;
pub use plan::{DesiredSubscription, Step, plan};
pub use reconciler::{SubscriptionReconciler, keep};
pub use webhook_secret::{SecretDigests, WebhookSecret};

/// RingCentral's own default. Long enough to survive a long weekend without us, as it is renewed at half of it; short
/// enough that the subscription of a service that is gone for good does not outlive it by years.
pub const LIFETIME: Duration = Duration::from_secs(7 * 86_400);

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
pub struct NewSubscription<'a> {
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
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SubscriptionStatus)]
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

fn maybe_millis<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    time.as_ref().map(millis::format).serialize(serializer)
}
