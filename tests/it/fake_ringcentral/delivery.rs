//! Events on their way to the webhook: as they should come, and as they do come.

use axum::http::StatusCode;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::{ACCOUNT, FakeRingCentral};

/// What happens to events on the way. The same seed does the same.
#[derive(Clone, Copy, Debug)]
pub struct Disorder {
    pub seed: u64,
    /// The share that comes twice.
    pub duplicates: f64,
    /// The share that changes places with the one before.
    pub swaps: f64,
    /// The share that never comes.
    pub losses: f64,
}

impl Disorder {
    /// The events as they arrive.
    pub fn of(self, events: &[Value]) -> Vec<Value> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut arriving: Vec<Value> = Vec::new();
        for event in events {
            if random.random_bool(self.losses) {
                continue;
            }
            let copies = 1 + usize::from(random.random_bool(self.duplicates));
            arriving.extend(std::iter::repeat_n(event.clone(), copies));
        }
        for place in 1..arriving.len() {
            if random.random_bool(self.swaps) {
                arriving.swap(place - 1, place);
            }
        }
        arriving
    }
}

impl FakeRingCentral {
    /// Delivers a notification to every subscription that wants it; how many took it. Whoever answers anything but 200
    /// is blacklisted at once; the real one has more patience, but nobody knows how much.
    pub async fn publish(&self, event: &Value) -> usize {
        let path = event["event"].as_str().unwrap_or_default();
        let mut taken = 0;
        for one in self.subscriptions() {
            let wants = one.filters.iter().any(|filter| covers(filter, path) && !one.disabled.contains(filter));
            if !wants || one.blacklisted.is_some() {
                continue;
            }
            let mut envelope = event.clone();
            envelope["subscriptionId"] = one.id.clone().into();
            let mut request = self.platform.http.post(self.platform.route(&one.address)).json(&envelope);
            if let Some(token) = &one.token {
                request = request.header("Verification-Token", token);
            }
            let reason = match request.send().await {
                Ok(response) if response.status() == StatusCode::OK => {
                    taken += 1;
                    continue;
                }
                Ok(response) => format!("Webhook responses with code: [{}]", response.status()),
                Err(_) => "I/O operation is failed".to_owned(),
            };
            let mut world = self.platform.world();
            if let Some(one) = world.subscriptions.all.iter_mut().find(|known| known.id == one.id) {
                one.blacklisted = Some(reason);
            }
        }
        taken
    }

    /// The same for several, one after the other.
    pub async fn publish_all(&self, events: &[Value]) {
        for event in events {
            self.publish(event).await;
        }
    }
}

/// A subscription to the account's sessions or presence gets those of its extensions too; `~` is any account.
fn covers(filter: &str, event: &str) -> bool {
    let path = |text: &str| {
        let text = text.replace("/account/~", &format!("/account/{ACCOUNT}"));
        text.split('?').next().unwrap_or_default().to_owned()
    };
    let (filter, event) = (path(filter), path(event));
    let parts: Vec<&str> = event.split('/').collect();
    let of_account = match parts.iter().position(|part| *part == "extension") {
        Some(place) => [&parts[..place], &parts[place + 2..]].concat().join("/"),
        None => event.clone(),
    };
    filter == event || filter == of_account
}
