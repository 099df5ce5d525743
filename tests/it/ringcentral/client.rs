//! Tokens, limits, repetitions, lists.

use std::time::Duration;

use axum::http::StatusCode;
use caller_popup::phone::{PhoneNumber, Region};
use caller_popup::ringcentral::directory::{Directory, ExtensionKind};
use caller_popup::ringcentral::subscription::{LIFETIME, NewSubscription};
use caller_popup::ringcentral::{Client, Error};
use futures_util::future::join_all;
use serde_json::json;

use crate::fake_ringcentral::{ACCOUNT, FakeRingCentral, Frozen, Manners, OWNER, Person, Receiver};

const TOKEN: &str = "/oauth/token";
const ME: &str = "/account/~/extension/~";

async fn platform() -> (FakeRingCentral, Client) {
    let fake = FakeRingCentral::start().await;
    let client = Client::new(&fake.config()).unwrap();
    (fake, client)
}

/// So many at once, all of which must succeed.
async fn ask_who_we_are(client: &Client, times: usize) {
    for answer in join_all((0..times).map(|_| client.me())).await {
        assert_eq!(answer.unwrap().extension_id, OWNER);
    }
}

#[tokio::test]
async fn fifty_requests_at_once_fetch_one_token_and_later_refresh_it_once() {
    let (fake, client) = platform().await;
    let mut frozen = Frozen::start().await;
    ask_who_we_are(&client, 50).await;
    assert_eq!(fake.requests("POST", TOKEN).len(), 1);
    frozen.pass(Duration::from_secs(3_500)).await;
    ask_who_we_are(&client, 50).await;
    let grants = fake.requests("POST", TOKEN);
    assert_eq!(grants.len(), 2);
    assert_eq!(grants[1].form("grant_type").as_deref(), Some("refresh_token"));
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_so_that_none_is_ever_refused() {
    let (fake, client) = platform().await;
    let mut frozen = Frozen::start().await;
    fake.issue_tokens_for(600);
    for _ in 0..6 {
        ask_who_we_are(&client, 1).await;
        frozen.pass(Duration::from_secs(500)).await;
    }
    let (asked, answered) = (fake.requests("GET", ME), fake.requests("POST", TOKEN));
    assert_eq!((asked.len(), answered.len()), (6, 6));
}

#[tokio::test]
async fn a_session_that_an_administrator_ended_is_begun_anew_once() {
    let (fake, client) = platform().await;
    ask_who_we_are(&client, 1).await;
    fake.forget_tokens();
    ask_who_we_are(&client, 20).await;
    // The grant at first, the refresh token that was refused, the new grant.
    assert_eq!(fake.requests("POST", TOKEN).len(), 3);
}

#[tokio::test]
async fn refused_credentials_are_not_tried_again_within_a_minute() {
    let fake = FakeRingCentral::start().await;
    let wrong = |name: &str, value| Some(if name == "RINGCENTRAL_JWT_TOKEN" { "expired".into() } else { value });
    let client = Client::new(&fake.config_with(wrong)).unwrap();
    let mut frozen = Frozen::start().await;
    for answer in join_all((0..20).map(|_| client.me())).await {
        assert!(matches!(answer, Err(Error::SignIn(refusal)) if refusal.code == "OAU-140"));
    }
    assert_eq!(fake.requests("POST", TOKEN).len(), 1);
    frozen.pass(Duration::from_secs(61)).await;
    assert!(client.me().await.is_err());
    assert_eq!(fake.requests("POST", TOKEN).len(), 2);
}

#[tokio::test]
async fn without_credentials_nothing_is_asked() {
    let fake = FakeRingCentral::start().await;
    let client = Client::new(&fake.config_with(|name, value| (!name.contains("JWT")).then_some(value))).unwrap();
    assert!(matches!(client.me().await, Err(Error::NoCredentials)));
    assert!(fake.all_requests().is_empty());
}

#[tokio::test]
async fn a_429_is_followed_by_silence_in_its_group_until_the_penalty_is_over() {
    let (fake, client) = platform().await;
    let mut frozen = Frozen::start().await;
    ask_who_we_are(&client, 1).await;
    fake.penalise("light");
    let told = tokio::spawn({
        let client = client.clone();
        async move { client.me().await }
    });
    frozen.settle().await;
    let others = tokio::spawn({
        let client = client.clone();
        async move { join_all((0..20).map(|_| client.me())).await }
    });
    // Only the request that was told of the penalty; had another been sent, the penalty would begin again.
    frozen.pass(Duration::from_secs(59)).await;
    assert_eq!((fake.requests("GET", ME).len(), fake.disturbances()), (2, 1));
    // Other groups go on meanwhile.
    client.extensions().await.unwrap();
    frozen.pass(Duration::from_secs(1)).await;
    frozen.run(told).await.unwrap().unwrap();
    frozen.run(others).await.unwrap().into_iter().for_each(|answer| assert!(answer.is_ok()));
    assert_eq!(fake.disturbances(), 1);
}

#[tokio::test]
async fn what_the_headers_allow_is_never_exceeded() {
    let (fake, client) = platform().await;
    let mut frozen = Frozen::start().await;
    fake.limit("heavy", 3);
    client.account_presence().await.unwrap();
    let lookups = join_all((0..5).map(|_| client.account_presence()));
    for answer in frozen.run(lookups).await {
        answer.unwrap();
    }
    assert_eq!((fake.requests("GET", "/presence").len(), fake.disturbances()), (6, 0));
}

#[tokio::test]
async fn a_platform_that_is_away_for_a_moment_is_asked_again() {
    let (fake, client) = platform().await;
    let mut frozen = Frozen::start().await;
    fake.fail_next(StatusCode::SERVICE_UNAVAILABLE, "");
    fake.fail_next(StatusCode::BAD_GATEWAY, "<html>Bad gateway</html>");
    frozen.run(client.me()).await.unwrap();
    assert_eq!(fake.requests("GET", ME).len(), 3);
}

#[tokio::test]
async fn one_that_stays_away_is_asked_three_times_and_no_more() {
    let (fake, client) = platform().await;
    let mut frozen = Frozen::start().await;
    for _ in 0..5 {
        fake.fail_next(StatusCode::SERVICE_UNAVAILABLE, "");
    }
    let error = frozen.run(client.me()).await.unwrap_err();
    assert!(matches!(error, Error::Refused(refusal) if refusal.status == 503));
    assert_eq!(fake.requests("GET", ME).len(), 3);
}

#[tokio::test]
async fn creating_is_not_repeated_because_it_may_have_happened() {
    let (fake, client) = platform().await;
    fake.fail_next(StatusCode::SERVICE_UNAVAILABLE, "");
    let address = "https://popup.example.com/hook".parse().unwrap();
    let filters = ["/restapi/v1.0/account/~/telephony/sessions".to_owned()];
    let order =
        NewSubscription { filters: &filters, address: &address, verification_token: "token", lifetime: LIFETIME };
    assert!(client.create_subscription(&order).await.is_err());
    assert_eq!(fake.requests("POST", "/subscription").len(), 1);
}

#[tokio::test]
async fn a_platform_that_cannot_be_reached_is_an_error_that_names_no_path() {
    let (fake, _) = platform().await;
    let gone = |name: &str, value| Some(if name.ends_with("SERVER_URL") { "http://127.0.0.1:9".into() } else { value });
    let client = Client::new(&fake.config_with(gone)).unwrap();
    let error = client.me().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)));
    assert!(!format!("{error} {error:?}").contains("restapi"));
}

#[tokio::test]
async fn tokens_and_secrets_show_nowhere() {
    let (fake, client) = platform().await;
    ask_who_we_are(&client, 1).await;
    fake.fail_next(StatusCode::FORBIDDEN, r#"{"errorCode":"CMN-401","message":"no"}"#);
    let error = client.me().await.unwrap_err();
    let shown = format!("{client:?} {error:?} {error} {:?}", fake.config());
    for secret in ["access-1", "refresh-1", "app-secret", "jwt-of"] {
        assert!(!shown.contains(secret), "{secret} shows in {shown}");
    }
}

#[tokio::test]
async fn the_directory_knows_every_number_and_extension_over_several_pages() {
    let (fake, client) = platform().await;
    let directory = Directory::default();
    directory.refresh(&client, Region::default()).await.unwrap();
    let number = |text| PhoneNumber::parse(text, Region::default()).unwrap();
    assert!(directory.is_ours(&number("(800) 555-0100")));
    assert!(!directory.is_ours(&number("+14165551234")));
    let queue = directory.extension("411753183").unwrap();
    assert_eq!((queue.name.as_deref(), queue.kind), (Some("Sales"), ExtensionKind::Queue));
    assert_eq!(directory.user_ids(), ["297277020", "297278020", OWNER]);
    assert_eq!(fake.requests("GET", "/extension").len(), 3);
}

#[tokio::test]
async fn without_the_permission_to_read_the_account_the_directory_stays_as_it_was() {
    let (fake, client) = platform().await;
    fake.permit("CallControl SubscriptionWebhook");
    let directory = Directory::default();
    let error = directory.refresh(&client, Region::default()).await.unwrap_err();
    assert!(error.is_permission());
    assert!(directory.user_ids().is_empty());
    assert_eq!(client.scope().await.unwrap(), ["CallControl", "SubscriptionWebhook"]);
}

#[tokio::test]
async fn presence_comes_in_the_shape_of_its_notifications() {
    let (fake, client) = platform().await;
    let record = |id: u64| json!({ "extension": { "id": id }, "telephonyStatus": "NoCall", "activeCalls": [] });
    fake.set_presence(vec![record(1), record(2), record(3)]);
    let bodies = client.account_presence().await.unwrap();
    let ids: Vec<_> = bodies.iter().map(|body| body["extensionId"].as_u64()).collect();
    assert_eq!(ids, [Some(1), Some(2), Some(3)]);
}

#[tokio::test]
async fn a_call_that_is_over_is_gone_and_no_error() {
    let (fake, client) = platform().await;
    fake.set_sessions(vec![json!({ "id": "s-1", "parties": [] })]);
    assert!(client.telephony_session("s-1").await.unwrap().is_some());
    assert!(client.telephony_session("s-2").await.unwrap().is_none());
    // Ids of another age hold what a path must not.
    assert!(client.telephony_session("Y3Mx/../==?").await.unwrap().is_none());
}

#[tokio::test]
async fn every_operation_of_the_openapi_excerpt_is_used_as_it_says() {
    let (fake, client) = platform().await;
    let receiver = Receiver::start(Manners::Good).await;
    let filters = ["/restapi/v1.0/account/~/telephony/sessions".to_owned()];
    let order =
        NewSubscription { filters: &filters, address: &receiver.url, verification_token: "token", lifetime: LIFETIME };
    let created = client.create_subscription(&order).await.unwrap();
    assert_eq!(client.subscription(&created.id).await.unwrap().id, created.id);
    client.renew_subscription(&created.id).await.unwrap();
    let presence = ["/restapi/v1.0/account/~/presence".to_owned()];
    let updated = client.update_subscription(&created.id, &presence, LIFETIME).await.unwrap();
    assert_eq!((updated.id, updated.address), (created.id.clone(), created.address));
    assert!(updated.filters[0].ends_with("/presence"), "{:?}", updated.filters);
    client.subscriptions().await.unwrap();
    client.delete_subscription(&created.id).await.unwrap();
    client.delete_subscription(&created.id).await.unwrap();
    client.account_presence().await.unwrap();
    client.extensions().await.unwrap();
    client.phone_numbers().await.unwrap();
    client.telephony_session("s-1").await.unwrap();
    let pkce = caller_popup::ringcentral::Pkce::new();
    let agent = Person::new("297277020", ACCOUNT, "Agent One", false);
    let code = fake.sign_in(&client.authorize_url("state", &pkce.challenge).unwrap(), agent);
    client.sign_in(&code, &pkce.verifier).await.unwrap();
    client.revoke().await;
    // What is not of the excerpt fails every test when its fake goes; here, nothing of it may be missing.
    assert_eq!(fake.never_asked(), Vec::<String>::new());
    assert_eq!(fake.open_sessions(), 0);
}
