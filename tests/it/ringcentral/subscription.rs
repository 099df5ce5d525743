//! The one subscription: made, kept, renewed, replaced.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use axum::http::StatusCode;
use caller_popup::config::RingCentralConfig;
use caller_popup::doctor::{Findings, Outcome, examine};
use caller_popup::ringcentral::Client;
use caller_popup::ringcentral::subscription::{
    State, SubscriptionReconciler, SubscriptionState, WebhookSecret, webhook_address,
};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::fake_ringcentral::{Disorder, FakeRingCentral, Frozen, Manners, Receiver};
use crate::support::{Store, TestApp};

/// A service that has nothing but a subscription.
struct Service {
    fake: FakeRingCentral,
    receiver: Receiver,
    reconciler: SubscriptionReconciler,
    users: Vec<String>,
    /// What was stored, newest last.
    stored: RefCell<Vec<WebhookSecret>>,
}

impl Service {
    async fn start() -> Self {
        Self::with(FakeRingCentral::start().await, Receiver::start(Manners::Good).await, None, None)
    }

    fn with(
        fake: FakeRingCentral,
        receiver: Receiver,
        configured: Option<&str>,
        stored: Option<WebhookSecret>,
    ) -> Self {
        let config = RingCentralConfig { verification_token: configured.map(str::to_owned), ..fake.config() };
        let (client, verification) = (Client::new(&config).unwrap(), WebhookSecret::of(configured, stored));
        let reconciler = SubscriptionReconciler::new(client, webhook_address(&receiver.url), "~", verification);
        Self { fake, receiver, reconciler, users: Vec::new(), stored: RefCell::default() }
    }

    /// The next process of the same service, with another token in its settings or none.
    fn restart(self, configured: Option<&str>) -> Self {
        let stored = self.stored.borrow().last().cloned();
        Self { users: self.users, ..Self::with(self.fake, self.receiver, configured, stored) }
    }

    async fn reconcile(&mut self) -> SubscriptionState {
        let (stored, now) = (&self.stored, self.fake.now());
        let save = async |verification: &WebhookSecret| {
            stored.borrow_mut().push(verification.clone());
            Ok(())
        };
        self.reconciler.reconcile(now, &self.users, save).await
    }

    fn address(&self) -> String {
        webhook_address(&self.receiver.url).to_string()
    }

    /// The id of the only subscription there is.
    fn only(&self) -> String {
        let all = self.fake.subscriptions();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].id.clone()
    }

    /// Another program made a subscription that delivers here; its id.
    fn plant(&self) -> String {
        self.fake.plant(|one| one.address = self.address());
        self.only()
    }

    /// The methods of all requests but that for a token.
    fn methods(&self) -> Vec<String> {
        self.fake.all_requests().into_iter().skip(1).map(|request| request.method).collect()
    }

    fn created(&self) -> Vec<Value> {
        self.fake.requests("POST", "/subscription").iter().map(|request| request.json()).collect()
    }
}

#[tokio::test]
async fn one_is_made_and_its_token_is_stored_before_ringcentral_hears_of_it() {
    let mut service = Service::start().await;
    let state = service.reconcile().await;
    assert_eq!((state.state, state.detail), (State::Active, None));
    assert_eq!(state.expires_at.map(|end| (end - service.fake.now()).num_days()), Some(6));
    assert_eq!(service.receiver.handshakes(), 1);
    let stored = service.stored.borrow();
    assert_eq!(stored[0].subscription_id, None);
    assert_eq!(stored[1].subscription_id.as_deref(), Some(service.only().as_str()));
    assert_eq!(service.created()[0]["deliveryMode"]["verificationToken"], stored[0].token.as_str());
    assert_eq!(service.fake.subscriptions()[0].token, Some(stored[0].token.clone()));
}

#[tokio::test]
async fn a_token_that_cannot_be_stored_is_never_used() {
    let mut service = Service::start().await;
    let now = service.fake.now();
    let state =
        service.reconciler.reconcile(now, &[], async |_: &WebhookSecret| anyhow::bail!("the disk is full")).await;
    assert_eq!(state.state, State::Missing);
    assert!(service.created().is_empty());
}

#[tokio::test]
async fn one_that_is_right_is_only_looked_at() {
    let mut service = Service::start().await;
    service.reconcile().await;
    let before = service.fake.all_requests().len();
    assert_eq!(service.reconcile().await.state, State::Active);
    let asked: Vec<String> = service.fake.all_requests()[before..].iter().map(|one| one.method.clone()).collect();
    assert_eq!(asked, ["GET"]);
}

#[tokio::test]
async fn it_survives_a_restart_with_its_token() {
    let mut service = Service::start().await;
    service.reconcile().await;
    let first = service.only();
    let mut service = service.restart(None);
    assert_eq!(service.reconcile().await.state, State::Active);
    assert_eq!(service.only(), first);
}

#[tokio::test]
async fn another_instance_takes_over_the_subscription_it_finds_in_the_store() {
    let mut service = Service::start().await;
    service.reconcile().await;
    let (first, stored) = (service.only(), service.stored.borrow().last().cloned().unwrap());
    let client = Client::new(&service.fake.config()).unwrap();
    let address = webhook_address(&service.receiver.url);
    let mut other = SubscriptionReconciler::new(client, address, "~", WebhookSecret::of(None, None));
    other.set_secret(stored);
    let state =
        other.reconcile(service.fake.now(), &[], async |_: &WebhookSecret| anyhow::bail!("nothing to store")).await;
    assert_eq!((state.state, service.only()), (State::Active, first));
}

#[tokio::test]
async fn it_is_renewed_at_half_life_and_lives_for_ever() {
    let mut service = Service::start().await;
    let mut frozen = Frozen::start().await;
    service.reconcile().await;
    let first = service.only();
    for _ in 0..5 {
        frozen.pass(Duration::from_secs(4 * 86_400)).await;
        let state = service.reconcile().await;
        assert_eq!(state.state, State::Active);
        assert!(state.expires_at.unwrap() - service.fake.now() > TimeDelta::days(6));
    }
    assert_eq!(service.only(), first);
    assert_eq!(service.fake.requests("POST", "/renew").len(), 5);
}

#[tokio::test]
async fn one_that_ended_while_we_were_away_is_made_anew() {
    let mut service = Service::start().await;
    service.reconcile().await;
    service.fake.advance(TimeDelta::days(8));
    assert_eq!(service.reconcile().await.state, State::Active);
    service.only();
}

#[tokio::test]
async fn a_blacklisted_one_is_back_within_one_tick() {
    let mut service = Service::start().await;
    service.reconcile().await;
    service.fake.blacklist_all();
    let seen = service.reconciler.inspect(service.fake.now()).await;
    assert_eq!(seen.state, State::Blacklisted);
    assert!(seen.detail.unwrap().contains("Read timed out"));
    assert_eq!(service.reconcile().await.state, State::Active);
    assert!(service.fake.subscriptions()[0].blacklisted.is_none());
    service.only();
}

#[tokio::test]
async fn duplicates_of_ours_go_and_those_of_others_stay() {
    let mut service = Service::start().await;
    service.reconcile().await;
    let (ours, address) = (service.only(), service.address());
    service.fake.plant(|one| one.address = address.clone());
    service.fake.plant(|one| (one.address, one.blacklisted) = (address, Some("404".into())));
    service.fake.plant(|_| {});
    service.reconcile().await;
    let left: HashSet<String> = service.fake.subscriptions().into_iter().map(|one| one.id).collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&ours));
}

#[tokio::test]
async fn one_of_another_program_is_taken_over_in_place() {
    let mut service = Service::start().await;
    let planted = service.plant();
    assert_eq!(service.reconcile().await.state, State::Active);
    assert_eq!(service.only(), planted);
    assert!(service.reconciler.verification().accepts_subscription(&planted));
    assert_eq!(service.stored.borrow().last().unwrap().adopted, Some(planted));
    assert_eq!(service.methods(), ["GET", "PUT"]);
    assert_eq!(service.reconcile().await.state, State::Active);
    assert_eq!(service.methods(), ["GET", "PUT", "GET"]);
}

#[tokio::test]
async fn one_of_another_program_is_replaced_without_a_gap_where_the_settings_name_a_token() {
    let service = Service::start().await;
    let planted = service.plant();
    let mut service = service.restart(Some("a-token-of-the-settings"));
    assert_eq!(service.reconcile().await.state, State::Active);
    assert_ne!(service.only(), planted);
    assert_eq!(service.methods(), ["GET", "POST", "DELETE"]);
}

#[tokio::test]
async fn a_token_of_the_settings_replaces_one_that_was_taken_over_and_its_id_is_believed_until_then() {
    let mut service = Service::start().await;
    let planted = service.plant();
    service.reconcile().await;
    let mut service = service.restart(Some("a-token-of-the-settings"));
    assert!(service.reconciler.verification().accepts_subscription(&planted));
    assert_eq!(service.reconcile().await.state, State::Active);
    assert_ne!(service.only(), planted);
    assert_eq!(service.fake.subscriptions()[0].token.as_deref(), Some("a-token-of-the-settings"));
    service.reconcile().await;
    assert!(!service.reconciler.verification().accepts_subscription(&planted));
    assert_eq!(service.stored.borrow().last().unwrap().adopted, None);
}

#[tokio::test]
async fn one_that_was_taken_over_watches_presence_without_call_control_and_follows_the_users() {
    let mut service = Service::start().await;
    service.fake.permit("ReadPresence SubscriptionWebhook");
    service.users = vec!["297277020".into()];
    let planted = service.plant();
    assert_eq!(service.reconcile().await.state, State::Active);
    assert_eq!(service.only(), planted);
    assert!(
        service.fake.subscriptions()[0].filters[0]
            .ends_with("/extension/297277020/presence?detailedTelephonyState=true")
    );
    service.users.push("297278020".into());
    assert_eq!(service.reconcile().await.state, State::Active);
    assert_eq!((service.only(), service.fake.subscriptions()[0].filters.len()), (planted, 3));
    assert!(service.created().is_empty());
}

#[tokio::test]
async fn after_a_change_of_the_token_both_are_accepted_until_the_old_subscription_is_gone() {
    let mut service = Service::start().await;
    service.reconcile().await;
    let old = service.stored.borrow()[0].token.clone();
    let mut service = service.restart(Some("a-token-of-the-settings"));
    assert!(service.reconciler.verification().accepts(old.as_bytes()));
    service.reconcile().await;
    service.only();
    assert_eq!(service.fake.subscriptions()[0].token.as_deref(), Some("a-token-of-the-settings"));
    service.reconcile().await;
    assert!(!service.reconciler.verification().accepts(old.as_bytes()));
    assert_eq!(service.stored.borrow().last().unwrap().previous, None);
}

#[tokio::test]
async fn a_webhook_that_answers_badly_is_told_with_its_cure() {
    let mut frozen = Frozen::start().await;
    let mut service = Service::start().await;
    for (manners, code) in [
        (Manners::Silent, "SUB-521"),
        (Manners::Failing(StatusCode::INTERNAL_SERVER_ERROR), "SUB-522"),
        (Manners::Verbose, "SUB-525"),
        (Manners::Untyped, "SUB-525"),
    ] {
        service.receiver.behave(manners);
        let state = frozen.run(service.reconcile()).await;
        assert_eq!(state.state, State::Missing, "{manners:?}");
        assert!(state.detail.unwrap().contains(code), "{manners:?}");
    }
    service.receiver.behave(Manners::Good);
    assert_eq!(frozen.run(service.reconcile()).await.state, State::Active);
}

#[tokio::test]
async fn without_call_control_presence_of_every_user_is_watched() {
    let mut service = Service::start().await;
    service.fake.permit("ReadPresence SubscriptionWebhook");
    service.users = vec!["297277020".into(), "297278020".into()];
    assert_eq!(service.reconcile().await.state, State::Active);
    let filters = &service.fake.subscriptions()[0].filters;
    assert_eq!(filters.len(), 3);
    assert!(filters[0].ends_with("/extension/297277020/presence?detailedTelephonyState=true"));
    let asked = service.created().len();
    service.reconcile().await;
    assert_eq!(service.created().len(), asked);
    // The next process asks for more once, and keeps what there is when it is refused again.
    let kept = service.only();
    let mut service = service.restart(None);
    assert_eq!(service.reconcile().await.state, State::Active);
    assert_eq!((service.only(), service.created().len()), (kept, asked + 1));
}

#[tokio::test]
async fn filters_that_were_accepted_and_are_not_served_are_noticed() {
    let mut service = Service::start().await;
    service.fake.permit("SubscriptionWebhook");
    service.fake.disable_instead_of_refusing();
    assert_eq!(service.reconcile().await.state, State::Active);
    service.only();
    assert!(service.fake.subscriptions()[0].filters[0].ends_with("/presence?detailedTelephonyState=true"));
    assert!(service.reconcile().await.detail.is_none());
}

#[tokio::test]
async fn when_ringcentral_cannot_be_asked_nothing_is_known_and_nothing_changed() {
    let mut service = Service::start().await;
    service.reconcile().await;
    service.fake.fail_next(StatusCode::FORBIDDEN, "");
    assert_eq!(service.reconcile().await.state, State::Unknown);
    assert_eq!(service.reconcile().await.state, State::Active);
}

#[tokio::test]
async fn the_state_is_told_in_the_words_of_the_health_page() {
    let mut service = Service::start().await;
    let missing = service.reconciler.inspect(service.fake.now()).await;
    assert_eq!(json!(missing), json!({ "state": "missing", "expires_at": null, "detail": null }));
    let active = json!(service.reconcile().await);
    assert_eq!(active["state"], "active");
    assert!(active["expires_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn deleting_takes_ours_only() {
    let mut service = Service::start().await;
    service.reconcile().await;
    service.fake.plant(|_| {});
    assert_eq!(service.reconciler.delete().await.unwrap(), 1);
    assert_ne!(service.fake.subscriptions()[0].address, service.address());
}

#[tokio::test]
async fn deliveries_carry_the_token_and_anything_but_200_ends_them() {
    let mut service = Service::start().await;
    service.reconcile().await;
    let event = |sequence: u32| {
        let path = "/restapi/v1.0/account/900100016/extension/297277020/telephony/sessions";
        json!({ "uuid": sequence.to_string(), "event": path, "body": { "sequence": sequence, "parties": [] } })
    };
    let events: Vec<Value> = (0..200).map(event).collect();
    let disorder = Disorder { seed: 7, duplicates: 0.05, swaps: 0.2, losses: 0.02 };
    let arriving = disorder.of(&events);
    assert_eq!(arriving, disorder.of(&events));
    service.fake.publish_all(&arriving).await;
    let deliveries = service.receiver.deliveries();
    assert_eq!(deliveries.len(), arriving.len());
    let token = service.stored.borrow()[0].token.clone();
    assert!(deliveries.iter().all(|(presented, _)| presented.as_ref() == Some(&token)));
    service.receiver.behave(Manners::Failing(StatusCode::NO_CONTENT));
    assert_eq!(service.fake.publish(&event(201)).await, 0);
    assert_eq!(service.reconcile().await.state, State::Missing);
}

#[tokio::test]
async fn the_programs_own_webhook_passes_the_handshake_while_create_is_in_flight() {
    let app = TestApp::start(Store::Sqlite).await;
    let fake = FakeRingCentral::start().await;
    let client = Client::new(&fake.config()).unwrap();
    let address = webhook_address(&app.url("").parse().unwrap());
    let mut reconciler = SubscriptionReconciler::new(client, address, "~", WebhookSecret::of(None, None));
    let state = reconciler.reconcile(fake.now(), &[], async |_: &WebhookSecret| Ok(())).await;
    assert_eq!((state.state, state.detail), (State::Active, None));
}

#[tokio::test]
async fn the_doctor_shakes_hands_as_ringcentral_does() {
    let fake = FakeRingCentral::start().await;
    let receiver = Receiver::start(Manners::Good).await;
    let client = Client::new(&fake.config()).unwrap();
    let mut config = caller_popup::config::Config::from_vars(|_| None).unwrap();
    (config.ringcentral, config.public_url) = (fake.config(), Some(receiver.url.clone()));
    let findings = Findings {
        store: Ok("sqlite".into()),
        customer_index: None,
        verifies: true,
        last_event: Some(fake.now()),
        subscription: None,
    };
    let outcome = async |name: &str| {
        let checks = examine(&config, Some(&client), &findings, fake.now()).await;
        checks.into_iter().find(|check| check.name == name).unwrap().outcome
    };
    for name in ["settings", "store", "credentials", "app permissions", "public address", "last event"] {
        assert!(matches!(outcome(name).await, Outcome::Good(_)), "{name}");
    }
    for manners in [Manners::Failing(StatusCode::NOT_FOUND), Manners::Verbose, Manners::Untyped] {
        receiver.behave(manners);
        assert!(matches!(outcome("public address").await, Outcome::Bad { .. }), "{manners:?}");
    }
}
