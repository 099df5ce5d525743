//! Tokens: by JWT, by refresh token (each good once), by code with PKCE.

use std::collections::HashMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{ACCOUNT, FakeRingCentral, OWNER, Platform, Recorded, json_answer};

pub const CLIENT_ID: &str = "app-id";
pub const CLIENT_SECRET: &str = "app-secret";
pub const JWT: &str = "jwt-of-the-service-user";
pub const REDIRECT_URI: &str = "http://localhost/api/auth/ringcentral/callback";

/// Someone who has a token.
#[derive(Clone, Debug)]
pub struct Person {
    pub extension_id: String,
    pub account_id: String,
    pub name: String,
    pub is_admin: bool,
}

#[derive(Default)]
pub struct Sessions {
    issued: usize,
    tokens: Vec<Token>,
    codes: HashMap<String, Code>,
    lifetime: Option<u32>,
    scope: Option<&'static str>,
}

struct Token {
    access: String,
    refresh: String,
    expires_at: DateTime<Utc>,
    person: Person,
}

struct Code {
    challenge: String,
    person: Person,
}

impl Person {
    pub fn owner() -> Self {
        Self::new(OWNER, ACCOUNT, "Service User", true)
    }

    pub fn new(extension_id: &str, account_id: &str, name: &str, is_admin: bool) -> Self {
        Self { extension_id: extension_id.into(), account_id: account_id.into(), name: name.into(), is_admin }
    }
}

impl FakeRingCentral {
    /// How long the next access tokens live; an hour else.
    pub fn issue_tokens_for(&self, seconds: u32) {
        self.platform.world().oauth.lifetime = Some(seconds);
    }

    /// What the app is permitted.
    pub fn permit(&self, scope: &'static str) {
        self.platform.world().oauth.scope = Some(scope);
    }

    /// Ends every session, as an administrator can.
    pub fn forget_tokens(&self) {
        self.platform.world().oauth.tokens.clear();
    }

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        self.platform.world().oauth.tokens.len()
    }

    /// What the sign-in page does once `person` has typed the password: the code the browser returns with.
    pub fn sign_in(&self, authorize: &Url, person: Person) -> String {
        let query: HashMap<String, String> = authorize.query_pairs().into_owned().collect();
        assert!(authorize.as_str().starts_with(&format!("{}/restapi/oauth/authorize?", self.url)));
        let fixed =
            ["response_type", "client_id", "redirect_uri", "code_challenge_method"].map(|name| &query[name][..]);
        assert_eq!(fixed, ["code", CLIENT_ID, REDIRECT_URI, "S256"]);
        let mut world = self.platform.world();
        let code = format!("code-{}", world.oauth.codes.len());
        world.oauth.codes.insert(code.clone(), Code { challenge: query["code_challenge"].clone(), person });
        code
    }
}

/// Whose this access token is, while it is good.
pub fn person(platform: &Platform, access: &str) -> Option<Person> {
    let now = platform.now();
    let world = platform.world();
    world.oauth.tokens.iter().find(|token| token.access == access && token.expires_at > now).map(|it| it.person.clone())
}

/// Whether the app has this permission.
pub fn permits(platform: &Platform, permission: &str) -> bool {
    scope(platform).split(' ').any(|one| one == permission)
}

fn scope(platform: &Platform) -> &'static str {
    platform.world().oauth.scope.unwrap_or("CallControl ReadAccounts ReadPresence SubscriptionWebhook")
}

pub fn answer(platform: &Platform, request: &Recorded) -> Response {
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    let public = request.authorization.is_none() && request.form("client_id").as_deref() == Some(CLIENT_ID);
    if !public && request.authorization != Some(basic) {
        return refused("invalid_client", "OAU-153");
    }
    if request.path.ends_with("/revoke") {
        let token = request.form("token").unwrap_or_default();
        platform.world().oauth.tokens.retain(|one| one.access != token && one.refresh != token);
        return StatusCode::OK.into_response();
    }
    match request.form("grant_type").as_deref() {
        Some("urn:ietf:params:oauth:grant-type:jwt-bearer") if request.form("assertion").as_deref() == Some(JWT) => {
            issue(platform, Person::owner())
        }
        Some("refresh_token") => {
            let refresh = request.form("refresh_token").unwrap_or_default();
            let mut world = platform.world();
            let Some(place) = world.oauth.tokens.iter().position(|token| token.refresh == refresh) else {
                return refused("invalid_grant", "OAU-210");
            };
            // The old access token is void at once, the refresh token is used up.
            let person = world.oauth.tokens.remove(place).person;
            drop(world);
            issue(platform, person)
        }
        Some("authorization_code") => {
            let field = |name| request.form(name).unwrap_or_default();
            let code = platform.world().oauth.codes.remove(&field("code"));
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
            match code {
                Some(code) if code.challenge == challenge && field("redirect_uri") == REDIRECT_URI => {
                    issue(platform, code.person)
                }
                _ => refused("invalid_grant", "OAU-108"),
            }
        }
        _ => refused("invalid_grant", "OAU-140"),
    }
}

fn issue(platform: &Platform, person: Person) -> Response {
    let (now, scope) = (platform.now(), scope(platform));
    let mut world = platform.world();
    let sessions = &mut world.oauth;
    sessions.issued += 1;
    let (access, refresh) = (format!("access-{}", sessions.issued), format!("refresh-{}", sessions.issued));
    let lifetime = sessions.lifetime.unwrap_or(3_600);
    let expires_at = now + TimeDelta::seconds(lifetime.into());
    let body = json!({
        "access_token": access, "token_type": "bearer", "expires_in": lifetime, "refresh_token": refresh,
        "refresh_token_expires_in": 604_800, "scope": scope, "owner_id": person.extension_id, "endpoint_id": "endpoint",
    });
    sessions.tokens.push(Token { access, refresh, expires_at, person });
    json_answer(StatusCode::OK, &body)
}

fn refused(error: &str, code: &str) -> Response {
    let body = json!({ "error": error, "error_description": "refused", "errors": [{ "errorCode": code, "message": "refused" }] });
    json_answer(StatusCode::BAD_REQUEST, &body)
}
