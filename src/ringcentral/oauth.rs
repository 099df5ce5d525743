//! Tokens: the service's own by its JWT, and people who sign in with RingCentral.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::Error;
use super::client::{ApiResponse, Client};
use super::limits::Group;

const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// A token is renewed this long before it ends, so that none ends under way.
const AHEAD: Duration = Duration::from_secs(300);
/// Refused credentials stay refused; asking again sooner only spends the five requests a minute.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// All that wait for a token get one failure, instead of each failing in turn.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// The service's token, and why there is none.
#[derive(Default)]
pub(super) struct AccessToken {
    token: Option<Token>,
    failed: Option<(Instant, Error)>,
}

struct Token {
    access: String,
    refresh: Option<String>,
    renew_at: Instant,
    scope: Vec<String>,
}

/// What the token endpoint answers. Only `expires_in` says how long a token lives; the documents disagree.
#[derive(Deserialize)]
struct Issued {
    access_token: String,
    expires_in: u64,
    refresh_token: Option<String>,
    #[serde(default)]
    scope: String,
}

/// Someone with a RingCentral extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their extension's id.
    pub extension_id: String,
    /// Their company's account.
    pub account_id: String,
    /// As RingCentral shows it.
    pub name: Option<String>,
    /// Administrators of the account see every call.
    pub is_admin: bool,
    /// The call queues they are a member of, where that was asked for and told.
    pub queue_ids: Vec<String>,
}

/// The secret of one sign-in, and what may be shown of it (RFC 7636).
pub struct Pkce {
    /// Kept until the browser returns.
    pub verifier: String,
    /// Goes with the browser.
    pub challenge: String,
}

impl Pkce {
    /// A new secret.
    pub fn new() -> Self {
        let mut secret = [0; 32];
        rand::rng().fill_bytes(&mut secret);
        let verifier = URL_SAFE_NO_PAD.encode(secret);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        Self { verifier, challenge }
    }
}

impl Default for Pkce {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Where a browser goes to sign in. `state` and the challenge come back unchanged or not at all.
    pub fn authorize_url(&self, state: &str, challenge: &str) -> Result<Url, Error> {
        let config = &self.inner().config;
        let (Some(client_id), Some(redirect_uri)) = (&config.client_id, &config.redirect_uri) else {
            return Err(Error::NoCredentials);
        };
        let mut url = self.inner().url(&["restapi", "oauth", "authorize"]);
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", redirect_uri.as_str())
            .append_pair("state", state)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Who came back with `code`. Their token serves to learn that and is revoked at once. Without credentials of our
    /// own and without `RINGCENTRAL_ACCOUNT_ID` it is unknown which account is ours, so everyone is refused.
    pub async fn sign_in(&self, code: &str, verifier: &str) -> Result<Person, Error> {
        let redirect_uri = self.inner().config.redirect_uri.as_ref().ok_or(Error::NoCredentials)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri.as_str()),
            ("code_verifier", verifier),
        ];
        // Anybody can come back with a made-up code, and each is a request of ours.
        self.inner().limits.turn_now(Group::SignIn)?;
        let answer = self.request_token(Group::SignIn, &form).await?;
        let token = answer.issued()?.access_token;
        let person = self.agent_behind(&token).await;
        self.revoke_token(&token).await;
        let person = person?;
        let ours = match self.inner().config.account_id.as_str() {
            "~" => self.own_account().await?,
            id => id,
        };
        if person.account_id == ours { Ok(person) } else { Err(Error::OtherAccount) }
    }

    /// Who a token belongs to, and their queues. Without these they still see the calls of their own extension.
    async fn agent_behind(&self, token: &str) -> Result<Person, Error> {
        let mut person = self.person_behind(token).await?;
        if !person.is_admin {
            match self.queues_of(&person.extension_id, token).await {
                Ok(queues) => person.queue_ids = queues,
                Err(error) => warn!(%error, "the queues of somebody who signed in could not be read"),
            }
        }
        Ok(person)
    }

    /// What the app and its user may do, by RingCentral's names.
    pub async fn scope(&self) -> Result<Vec<String>, Error> {
        let mut session = self.inner().session.lock().await;
        self.fresh(&mut session).await.map(|token| token.scope.clone())
    }

    /// Ends the session; for shutting down. A failure is of no consequence, the session ends by itself.
    pub async fn revoke(&self) {
        let token = self.inner().session.lock().await.token.take();
        if let Some(token) = token {
            self.revoke_token(&token.access).await;
        }
    }

    /// A token that will not end under way. One caller fetches it while the others wait for it.
    pub(super) async fn access_token(&self) -> Result<String, Error> {
        let mut session = self.inner().session.lock().await;
        self.fresh(&mut session).await.map(|token| token.access.clone())
    }

    /// The platform refused `access`. A late notice does no harm to the token that followed.
    pub(super) async fn discard(&self, access: &str) {
        let mut session = self.inner().session.lock().await;
        if let Some(token) = session.token.as_mut().filter(|token| token.access == access) {
            token.renew_at = Instant::now();
        }
    }

    async fn fresh<'s>(&self, session: &'s mut AccessToken) -> Result<&'s Token, Error> {
        let now = Instant::now();
        if session.token.as_ref().is_none_or(|token| token.renew_at <= now) {
            if let Some((_, error)) = session.failed.as_ref().filter(|(until, _)| *until > now) {
                return Err(error.clone());
            }
            let old = session.token.take();
            match self.renew(old.and_then(|token| token.refresh)).await {
                Ok(issued) => session.token = Some(Token::from(issued)),
                Err(error) => {
                    let silence = match &error {
                        Error::SignIn(_) => REFUSED_FOR,
                        Error::Busy(penalty) => *penalty,
                        _ => FAILED_FOR,
                    };
                    session.failed = Some((Instant::now() + silence, error.clone()));
                    return Err(error);
                }
            }
        }
        session.token.as_ref().ok_or(Error::NoCredentials)
    }

    /// By refresh token where there is one, else, or when it is refused, by JWT.
    async fn renew(&self, refresh: Option<String>) -> Result<Issued, Error> {
        let jwt = &self.inner().config.credentials.as_ref().ok_or(Error::NoCredentials)?.jwt;
        if let Some(refresh) = refresh {
            match self.grant(&[("grant_type", "refresh_token"), ("refresh_token", &refresh)]).await {
                Err(Error::SignIn(refusal)) => debug!(%refusal, "the refresh token is no longer good"),
                answer => return answer,
            }
        }
        self.grant(&[("grant_type", JWT_GRANT), ("assertion", jwt)]).await
    }

    async fn grant(&self, form: &[(&str, &str)]) -> Result<Issued, Error> {
        let limits = &self.inner().limits;
        limits.turn(Group::Auth).await?;
        let answer = self.request_token(Group::Auth, form).await?;
        limits.learn(Group::Auth, &answer.headers);
        answer.issued()
    }

    async fn request_token(&self, group: Group, form: &[(&str, &str)]) -> Result<ApiResponse, Error> {
        let answer = self.post_form("token", form).await?;
        if answer.status.as_u16() == 429 {
            return Err(Error::Busy(self.inner().limits.penalise(group, &answer.headers)));
        }
        Ok(answer)
    }

    async fn revoke_token(&self, token: &str) {
        match self.post_form("revoke", &[("token", token)]).await {
            Ok(answer) if answer.status.is_success() => {}
            Ok(answer) => debug!(refusal = %answer.refusal(), "a token was not revoked"),
            Err(error) => debug!(%error, "a token was not revoked"),
        }
    }

    /// An app with a secret proves itself by it; one without only says who it is.
    async fn post_form(&self, endpoint: &str, form: &[(&str, &str)]) -> Result<ApiResponse, Error> {
        let config = &self.inner().config;
        let client_id = config.client_id.as_deref().ok_or(Error::NoCredentials)?;
        let request = self.inner().http.post(self.inner().url(&["restapi", "oauth", endpoint]));
        let request = match &config.client_secret {
            Some(secret) => request.basic_auth(client_id, Some(secret)).form(form),
            None => request.form(&[form, &[("client_id", client_id)]].concat()),
        };
        self.inner().deliver(request).await
    }
}

impl ApiResponse {
    fn issued(&self) -> Result<Issued, Error> {
        match self.status.as_u16() {
            200..=299 => serde_json::from_slice(&self.body).map_err(|_| Error::Unreadable("no token in the answer")),
            400..=499 => Err(Error::SignIn(self.refusal())),
            _ => Err(Error::Refused(self.refusal())),
        }
    }
}

impl From<Issued> for Token {
    fn from(issued: Issued) -> Self {
        let life = Duration::from_secs(issued.expires_in);
        Self {
            renew_at: Instant::now() + life - AHEAD.min(life / 4),
            access: issued.access_token,
            refresh: issued.refresh_token,
            scope: issued.scope.split_whitespace().map(str::to_owned).collect(),
        }
    }
}

impl Person {
    pub(super) fn read(json: &Value) -> Result<Self, Error> {
        let id = |value: &Value| super::directory::id(value).ok_or(Error::Unreadable("an extension without ids"));
        Ok(Self {
            extension_id: id(&json["id"])?,
            account_id: id(&json["account"]["id"])?,
            name: super::directory::name(json),
            is_admin: json["permissions"]["admin"]["enabled"] == true,
            queue_ids: Vec::new(),
        })
    }
}

/// The verifier is a secret.
impl fmt::Debug for Pkce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkce({})", self.challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_the_verifiers_digest_and_each_sign_in_has_its_own() {
        let (one, other) = (Pkce::new(), Pkce::new());
        assert_ne!(one.verifier, other.verifier);
        // RFC 7636 wants 43 to 128 characters.
        assert_eq!((one.verifier.len(), one.challenge.len()), (43, 43));
        assert_eq!(one.challenge, URL_SAFE_NO_PAD.encode(Sha256::digest(&one.verifier)));
    }

    #[test]
    fn a_short_lived_token_is_used_for_most_of_its_life() {
        let issued = |expires_in| Issued {
            access_token: "secret".into(),
            expires_in,
            refresh_token: None,
            scope: "CallControl ReadPresence".into(),
        };
        let now = Instant::now();
        assert_eq!((Token::from(issued(60)).renew_at - now).as_secs(), 45);
        assert_eq!((Token::from(issued(3600)).renew_at - now).as_secs(), 3300);
        assert_eq!(Token::from(issued(60)).scope, ["CallControl", "ReadPresence"]);
    }
}
