//! Authentication and authorization of requests.
//!
//! Every route is in the table with the [`Access`] it needs, and [`require_access`] checks it before the handler runs. What proves
//! an identity, in this order: a token ([`jwt`] or one of `API_TOKENS`) in the header or, where the route takes it there, in a
//! form; a one-time [`ticket`] where the route takes one; the cookie of a [`session`]. In [`local`] mode nothing has to be proven.

pub mod failed_attempts;
pub mod jwt;
pub mod limits;
pub mod local;
pub mod origin;
pub mod revoked_sessions;
pub mod session;
pub mod sign_in;
pub mod ticket;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::Response;
use axum_extra::extract::cookie::Key;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tracing::debug;

use self::failed_attempts::{Credential, FailedAttempts};
use self::revoked_sessions::{RevokedSessions, SessionHandle, earliest_begin};
use super::AppState;
use super::client_address::client;
use super::error::ApiError;
use super::stream::StreamForm;
use crate::app::App;
use crate::config::JwtKey;
use crate::ringcentral::Client;
use crate::ringcentral::directory::Directory;
use crate::secret::{digest, generate};
use crate::store::{NewSession, Store, sources};
use crate::viewer::{Scope, Viewer};

/// Names under which people try to put a secret into an address, where logs and histories keep it.
const SECRETS_IN_ADDRESSES: [&str; 6] = ["token", "access_token", "bearer", "jwt", "id_token", "api_key"];

/// How long a request waits for the directory; without it only ids are known.
const DIRECTORY_PATIENCE: Duration = Duration::from_secs(2);

/// Whom a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody: health, signing in and out.
    Public,
    /// Viewers of calls.
    Viewer,
    /// The same, also with a one-time ticket in the address, because an `EventSource` sends no headers.
    StreamTicket,
    /// Viewers whose token is in the form that they send. Browsers send forms of other pages without a preflight and with the
    /// cookie, so no cookie counts.
    StreamForm,
    /// Viewers of all calls.
    Admin,
    /// RingCentral, which proves itself in its own way.
    Webhook,
}

impl Access {
    /// Every level.
    pub const ALL: [Self; 6] =
        [Self::Public, Self::Viewer, Self::StreamTicket, Self::StreamForm, Self::Admin, Self::Webhook];
}

/// Identifies viewers. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    api_tokens: Vec<String>,
    /// What reads JWTs, and the digest of its key.
    jwt: Option<(jwt::Verifier, String)>,
    store: Store,
    /// Seals cookies; read when first needed, because the store may be away when the service starts.
    key: OnceCell<Key>,
    revoked_sessions: RevokedSessions,
    failed_attempts: FailedAttempts,
    /// Knows which extension a number in a JWT means; with RingCentral's credentials only.
    directory: Option<Directory>,
    /// Cookies travel over https only.
    secure: bool,
    /// Digests of the secrets in the settings; a session ends with the one that began it.
    credential_ids: Vec<String>,
    sign_in: Option<Client>,
}

/// Someone who proved who they are, and the digest of the secret that vouches for it.
struct Authenticated {
    viewer: Viewer,
    credential_id: String,
}

/// A viewer, as cookies and tickets say it.
#[derive(Serialize, Deserialize)]
struct SessionClaims {
    id: String,
    /// `None`: an admin.
    extension_ids: Option<Vec<String>>,
    until: Option<DateTime<Utc>>,
    /// The session by which they came in, if it was one.
    session: Option<String>,
    /// When that began, in Unix microseconds; missing in those of a version before.
    #[serde(default)]
    begun: Option<i64>,
}

/// What a request shows to prove who makes it.
pub struct Asked<'a> {
    /// How it asks; `HEAD` uses nothing up.
    pub method: &'a Method,
    /// For what.
    pub uri: &'a Uri,
    /// With which credentials.
    pub headers: &'a HeaderMap,
    /// The token of its form.
    pub token: Option<&'a str>,
    /// From where.
    pub address: IpAddr,
}

impl Authenticator {
    /// Reads the settings.
    pub fn open(app: &App) -> anyhow::Result<Self> {
        let (settings, ringcentral) = (&app.config().access, &app.config().ringcentral);
        let client = || match app.integration() {
            Some(integration) => Ok(integration.client().clone()),
            None => Client::counted(ringcentral, app.metrics().clone()),
        };
        let sign_in = ringcentral.has_sign_in().then(client).transpose().context("preparing to ask RingCentral")?;
        let jwt = settings.jwt_key.as_ref().map(|key| {
            let (JwtKey::Hs256(secret) | JwtKey::Rs256(secret) | JwtKey::Es256(secret)) = key;
            (jwt::Verifier::new(key, settings.jwt_audience.as_deref()), digest(secret))
        });
        let tokens = settings.api_tokens.iter().map(digest);
        let sign_in_credential_id = sign_in.as_ref().map(|_| sign_in::credential_id(ringcentral));
        Ok(Self(Arc::new(Inner {
            api_tokens: settings.api_tokens.clone(),
            store: app.store().clone(),
            key: OnceCell::new(),
            revoked_sessions: RevokedSessions::new(app),
            failed_attempts: FailedAttempts::new(app),
            directory: app.integration().map(|integration| integration.directory().clone()),
            secure: session::is_secure(app.config()),
            credential_ids: jwt
                .iter()
                .map(|(_, credential_id)| credential_id.clone())
                .chain(tokens)
                .chain(sign_in_credential_id)
                .collect(),
            jwt,
            sign_in,
        })))
    }

    /// Learns which sessions were revoked at other instances, and records what could not be recorded before.
    pub async fn share_sign_outs(&self) {
        if let Err(cause) = self.0.revoked_sessions.share().await {
            // The poll logs it when the store is away; the next attempt makes up for this one.
            debug!(error = %cause, error.sources = sources(&cause), "revoked sessions could not be shared");
        }
    }

    /// The viewer of these claims, and a handle of their session.
    fn open_session(&self, claims: SessionClaims) -> (Viewer, Option<SessionHandle>) {
        let session_handle = claims.opened_by().map(|session| self.0.revoked_sessions.session_handle(session));
        (claims.into(), session_handle)
    }

    /// The same as [`Authenticator::verify_credential`] for a secret that a client sent: wrong ones are counted, logged and limited by address.
    /// A right one is accepted whatever came before.
    fn check(&self, secret: &str, credential: Credential, address: IpAddr) -> Result<Authenticated, ApiError> {
        let authenticated = self.verify_credential(secret);
        match authenticated {
            Err(refusal) if refusal.is_wrong_credential() => {
                Err(self.0.failed_attempts.refuse(credential, address, refusal))
            }
            authenticated => authenticated,
        }
    }

    /// The viewer of a bearer token or a JWT.
    fn verify_credential(&self, secret: &str) -> Result<Authenticated, ApiError> {
        // Every token is compared, so that the time taken tells nothing of which one came close.
        let is_known = |known, token: &String| known | bool::from(token.as_bytes().ct_eq(secret.as_bytes()));
        if self.0.api_tokens.iter().fold(false, is_known) {
            // People who share a token share what was dismissed with it.
            let credential_id = digest(secret);
            let viewer = Viewer { id: format!("token-{}", &credential_id[..16]), scope: Scope::All, until: None };
            return Ok(Authenticated { viewer, credential_id });
        }
        let (jwt, credential_id) = self.0.jwt.as_ref().ok_or_else(ApiError::unauthorized)?;
        let mut viewer = jwt.viewer(secret)?;
        if let (Scope::Extensions(named), Some(directory)) = (&mut viewer.scope, &self.0.directory) {
            named.iter_mut().for_each(|named| *named = directory.id_of(named));
        }
        Ok(Authenticated { viewer, credential_id: credential_id.clone() })
    }

    /// Waits until the directory can tell extension numbers from ids. A viewer who is let in before that, as after a restart,
    /// would see no calls until the next request.
    pub async fn know_extensions(&self) {
        if let (Some(directory), Some(_)) = (&self.0.directory, &self.0.jwt) {
            let _ = timeout(DIRECTORY_PATIENCE, directory.tried()).await;
        }
    }
}

/// Lets a request through to a route that is `who`'s, with the [`Viewer`] in its extensions.
pub async fn require_access(
    State((state, access)): State<(AppState, Access)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let address = client(request.extensions().get(), headers, &state.app);
    let token = request.extensions().get::<StreamForm>().and_then(StreamForm::token);
    let asked = Asked { method, uri, headers, token, address };
    let (viewer, session_handle) = authenticate(&state, access, &asked).await?;
    if access == Access::Admin && viewer.scope != Scope::All {
        return Err(ApiError::forbidden("admins_only", "Only admins may do this."));
    }
    let share = state.limits.of(&viewer);
    let turn = share.turn().await?;
    request.extensions_mut().insert(viewer);
    request.extensions_mut().insert(share);
    session_handle.into_iter().for_each(|session_handle| drop(request.extensions_mut().insert(session_handle)));
    Ok(limits::until_sent(next.run(request).await, turn))
}

/// The viewer of a request, and their session.
pub async fn authenticate(
    state: &AppState,
    access: Access,
    asked: &Asked<'_>,
) -> Result<(Viewer, Option<SessionHandle>), ApiError> {
    let &Asked { method, uri, headers, token, address } = asked;
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(uri).unwrap_or_default();
    if query.iter().any(|(name, _)| SECRETS_IN_ADDRESSES.contains(&name.to_ascii_lowercase().as_str())) {
        return Err(ApiError::bad_request(
            "secret_in_address",
            "Secrets do not belong in an address. Send an Authorization header, or get a ticket at /api/auth/ticket.",
        ));
    }
    if state.app.config().is_local_mode() {
        return Ok((Viewer { id: "local".into(), scope: Scope::All, until: None }, None));
    }
    if let Some(secret) = token.or_else(|| bearer(headers)) {
        state.authenticator.know_extensions().await;
        return state
            .authenticator
            .check(secret, Credential::Bearer, address)
            .map(|authenticated| (authenticated.viewer, None));
    }
    let ticket = query.iter().find(|(name, _)| access == Access::StreamTicket && name == "ticket");
    if let Some((_, ticket)) = ticket {
        let redeemed = ticket::redeem(state, ticket, method).await?;
        return redeemed.ok_or_else(|| {
            state.authenticator.0.failed_attempts.refuse(Credential::Ticket, address, ApiError::unauthorized())
        });
    }
    if access == Access::StreamForm {
        return Err(ApiError::unauthorized());
    }
    let claims = state.authenticator.session(headers).await?.ok_or_else(ApiError::unauthorized)?;
    Ok(state.authenticator.open_session(claims))
}

/// The secret of `Authorization: Bearer`. Other schemes are a proxy's business.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = ApiError;

    /// Whom the table of routes let in; a route that the table opens to everybody has no viewer.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get().cloned().ok_or_else(ApiError::unauthorized)
    }
}

impl From<Viewer> for SessionClaims {
    fn from(viewer: Viewer) -> Self {
        let extension_ids = match viewer.scope {
            Scope::All => None,
            Scope::Extensions(ids) => Some(ids),
        };
        Self { id: viewer.id, extension_ids, until: viewer.until, session: None, begun: None }
    }
}

impl SessionClaims {
    /// The session by which they came in.
    fn opened_by(&self) -> Option<NewSession> {
        let (id, until) = (self.session.clone()?, self.until?);
        let begun = self.begun.unwrap_or_else(|| earliest_begin(until));
        Some(NewSession { id, viewer: self.id.clone(), begun, until })
    }
}

impl From<SessionClaims> for Viewer {
    fn from(claims: SessionClaims) -> Self {
        Self { id: claims.id, scope: claims.extension_ids.map_or(Scope::All, Scope::Extensions), until: claims.until }
    }
}

/// A secret of our own: 256 random bits.
fn secret() -> String {
    generate::<32>()
}
