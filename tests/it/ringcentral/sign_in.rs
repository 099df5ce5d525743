//! People who sign in with RingCentral.

use std::time::Duration;

use caller_popup::config::RingCentralConfig;
use caller_popup::ringcentral::{Client, Error, Person, Pkce};

use futures_util::future::join_all;

use crate::fake_ringcentral::{ACCOUNT, FakeRingCentral, Frozen, Person as Someone};

/// The way of a browser: to RingCentral with the challenge, back with a code.
async fn sign_in(fake: &FakeRingCentral, config: &RingCentralConfig, someone: Someone) -> Result<Person, Error> {
    let client = Client::new(config).unwrap();
    let pkce = Pkce::new();
    let code = fake.sign_in(&client.authorize_url("state", &pkce.challenge).unwrap(), someone);
    client.sign_in(&code, &pkce.verifier).await
}

fn agent() -> Someone {
    Someone::new("297277020", ACCOUNT, "Agent One", false)
}

#[tokio::test]
async fn who_signs_in_is_the_agent_of_their_own_extension() {
    let fake = FakeRingCentral::start().await;
    let person = sign_in(&fake, &fake.config(), agent()).await.unwrap();
    assert_eq!((person.extension_id.as_str(), person.name.as_deref()), ("297277020", Some("Agent One")));
    assert!(!person.is_admin);
    assert!(sign_in(&fake, &fake.config(), Someone::owner()).await.unwrap().is_admin);
}

#[tokio::test]
async fn their_token_is_revoked_as_soon_as_we_know_who_they_are() {
    let fake = FakeRingCentral::start().await;
    sign_in(&fake, &fake.config(), agent()).await.unwrap();
    assert_eq!(fake.requests("POST", "/oauth/revoke").len(), 1);
    // What is left is the service's own, which was asked for its account.
    assert_eq!(fake.open_sessions(), 1);
}

#[tokio::test]
async fn people_of_other_companies_are_turned_away() {
    let fake = FakeRingCentral::start().await;
    let stranger = Someone::new("1", "4711", "Stranger", true);
    assert!(matches!(sign_in(&fake, &fake.config(), stranger).await, Err(Error::OtherAccount)));
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_its_verifier_nor_a_second_time() {
    let fake = FakeRingCentral::start().await;
    let client = Client::new(&fake.config()).unwrap();
    let pkce = Pkce::new();
    let authorize = client.authorize_url("state", &pkce.challenge).unwrap();
    let code = fake.sign_in(&authorize, agent());
    assert!(matches!(client.sign_in(&code, &Pkce::new().verifier).await, Err(Error::SignIn(_))));
    let code = fake.sign_in(&authorize, agent());
    client.sign_in(&code, &pkce.verifier).await.unwrap();
    assert!(matches!(client.sign_in(&code, &pkce.verifier).await, Err(Error::SignIn(_))));
}

#[tokio::test]
async fn made_up_codes_are_not_requests_without_end() {
    let fake = FakeRingCentral::start().await;
    fake.limit("auth", 1_000);
    let client = Client::new(&fake.config()).unwrap();
    let mut frozen = Frozen::start().await;
    let guess = || client.sign_in("made-up", "verifier");
    let answers = join_all((0..200).map(|_| guess())).await;
    assert!(answers.iter().any(|answer| matches!(answer, Err(Error::Busy(_)))));
    let asked = fake.requests("POST", "/oauth/token").len();
    assert!((1..100).contains(&asked), "{asked} of 200 guesses were asked of RingCentral");
    client.scope().await.expect("the service's own token does not wait for them");
    frozen.pass(Duration::from_secs(70)).await;
    assert!(matches!(guess().await, Err(Error::SignIn(_))), "and later they may try again");
}

#[tokio::test]
async fn a_429_is_no_refusal_and_is_not_asked_for_again() {
    let fake = FakeRingCentral::start().await;
    let client = Client::new(&fake.config()).unwrap();
    fake.penalise("auth");
    for _ in 0..3 {
        assert!(matches!(client.sign_in("a-code", "verifier").await, Err(Error::Busy(_))));
    }
    assert_eq!(fake.requests("POST", "/oauth/token").len(), 1, "each would begin the penalty anew");
}

#[tokio::test]
async fn an_app_without_a_secret_signs_people_in_by_its_id_alone() {
    let fake = FakeRingCentral::start().await;
    let public = |name: &str, value| (!name.contains("SECRET") && !name.contains("JWT")).then_some(value);
    let mut config = fake.config_with(public);
    // Nobody asks the platform whose account is ours, so the settings must say it.
    assert!(matches!(sign_in(&fake, &config, agent()).await, Err(Error::NoCredentials)));
    config.account_id = ACCOUNT.into();
    sign_in(&fake, &config, agent()).await.unwrap();
    assert!(fake.requests("POST", "/oauth/token").iter().all(|request| request.authorization.is_none()));
}
