//! Who may come in, and as whom.
//!
//! Every route stands in the table with [`Who`] it is for, and [`admit`] sees to it before the handler runs. What proves
//! who somebody is, in this order: a bearer token ([`jwt`] or one of `API_TOKENS`), a one-time [`ticket`] where the route
//! takes one, the cookie of a [`session`]. In [`local`] mode nobody has to prove anything.

pub mod guesses;
pub mod jwt;
pub mod limits;
pub mod local;
pub mod origin;
pub mod session;
pub mod sign_in;
pub mod signed_out;
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

use self::guesses::{Credential, Guesses};
use self::signed_out::{SignedOut, Visit, earliest_begin};
use super::Edge;
use super::client_address::client;
use super::error::ApiError;
use crate::app::App;
use crate::config::JwtKey;
use crate::hub::{Sees, Viewer};
use crate::ringcentral::Client;
use crate::ringcentral::directory::Directory;
use crate::secret::{digest, generate};
use crate::store::{NewSession, Store};

/// Names under which people try to put a secret into an address, where logs and histories keep it.
const SECRETS_IN_ADDRESSES: [&str; 6] = ["token", "access_token", "bearer", "jwt", "id_token", "api_key"];

/// How long a request waits for the directory; without it only ids are known.
const DIRECTORY_PATIENCE: Duration = Duration::from_secs(2);

/// Whom a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody: health, signing in and out.
    Open,
    /// Whoever may see calls.
    Viewer,
    /// The same, also with a one-time ticket in the address, because an `EventSource` sends no headers.
    Watcher,
    /// Whoever may see all calls.
    Admin,
    /// RingCentral, which proves itself in its own way.
    Webhook,
}

/// What the service needs to tell who somebody is. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    api_tokens: Vec<String>,
    /// What reads JWTs, and the digest of its key.
    jwt: Option<(jwt::Verifier, String)>,
    store: Store,
    /// Seals cookies; read when first needed, because the store may be away when the service starts.
    key: OnceCell<Key>,
    signed_out: SignedOut,
    guesses: Guesses,
    /// Knows which extension a number in a JWT means; with RingCentral's credentials only.
    directory: Option<Directory>,
    /// Cookies travel over https only.
    secure: bool,
    /// Digests of the secrets in the settings; a session ends with the one that began it.
    vouchers: Vec<String>,
    sign_in: Option<Client>,
}

/// Someone who proved who they are, and the digest of the secret that vouches for it.
struct Proven {
    viewer: Viewer,
    voucher: String,
}

/// A viewer, as cookies and tickets say it.
#[derive(Serialize, Deserialize)]
struct Badge {
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
    /// From where.
    pub address: IpAddr,
}

impl Gate {
    /// Reads the settings.
    pub fn open(app: &App) -> anyhow::Result<Self> {
        let (settings, ringcentral) = (&app.config().access, &app.config().ringcentral);
        let client = || match app.link() {
            Some(link) => Ok(link.client().clone()),
            None => Client::counted(ringcentral, app.metrics().clone()),
        };
        let sign_in = ringcentral.has_sign_in().then(client).transpose().context("preparing to ask RingCentral")?;
        let jwt = settings.jwt_key.as_ref().map(|key| {
            let (JwtKey::Hs256(secret) | JwtKey::Rs256(secret) | JwtKey::Es256(secret)) = key;
            (jwt::Verifier::new(key, settings.jwt_audience.as_deref()), digest(secret))
        });
        let tokens = settings.api_tokens.iter().map(digest);
        let sign_in_voucher = sign_in.as_ref().map(|_| sign_in::voucher(ringcentral));
        Ok(Self(Arc::new(Inner {
            api_tokens: settings.api_tokens.clone(),
            store: app.store().clone(),
            key: OnceCell::new(),
            signed_out: SignedOut::new(app),
            guesses: Guesses::new(app),
            directory: app.link().map(|link| link.directory().clone()),
            secure: session::is_secure(app.config()),
            vouchers: jwt.iter().map(|(_, voucher)| voucher.clone()).chain(tokens).chain(sign_in_voucher).collect(),
            jwt,
            sign_in,
        })))
    }

    /// Learns which sessions were revoked at other instances, and records what could not be recorded before.
    pub async fn share_sign_outs(&self) {
        if let Err(cause) = self.0.signed_out.share().await {
            // The poll logs it when the store is away; the next attempt makes up for this one.
            debug!(error = &cause as &dyn std::error::Error, "revoked sessions could not be shared");
        }
    }

    /// Who has this badge, and the session they came with.
    fn enter(&self, badge: Badge) -> (Viewer, Option<Visit>) {
        let visit = badge.opened_by().map(|session| self.0.signed_out.visit(session));
        (badge.into(), visit)
    }

    /// The same as [`Gate::prove`] for a secret that a client sent: wrong ones are counted, logged and limited by address.
    /// A right one is accepted whatever came before.
    fn check(&self, secret: &str, credential: Credential, address: IpAddr) -> Result<Proven, ApiError> {
        let proven = self.prove(secret);
        match proven {
            Err(refusal) if refusal.is_wrong_credential() => Err(self.0.guesses.refuse(credential, address, refusal)),
            proven => proven,
        }
    }

    /// Who a bearer token or a JWT belongs to.
    fn prove(&self, secret: &str) -> Result<Proven, ApiError> {
        // Every token is compared, so that the time taken tells nothing of which one came close.
        let is_known = |known, token: &String| known | bool::from(token.as_bytes().ct_eq(secret.as_bytes()));
        if self.0.api_tokens.iter().fold(false, is_known) {
            // Whoever shares a token shares what was dismissed with it.
            let voucher = digest(secret);
            let viewer = Viewer { id: format!("token-{}", &voucher[..16]), sees: Sees::All, until: None };
            return Ok(Proven { viewer, voucher });
        }
        let (jwt, voucher) = self.0.jwt.as_ref().ok_or_else(ApiError::unauthorized)?;
        let mut viewer = jwt.viewer(secret)?;
        if let (Sees::Extensions(named), Some(directory)) = (&mut viewer.sees, &self.0.directory) {
            named.iter_mut().for_each(|named| *named = directory.id_of(named));
        }
        Ok(Proven { viewer, voucher: voucher.clone() })
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
pub async fn admit(
    State((edge, who)): State<(Edge, Who)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let address = client(request.extensions().get(), headers, &edge.app);
    let (viewer, visit) = identify(&edge, who, &Asked { method, uri, headers, address }).await?;
    if who == Who::Admin && viewer.sees != Sees::All {
        return Err(ApiError::forbidden("admins_only", "Only admins may do this."));
    }
    let share = edge.limits.of(&viewer);
    let turn = share.turn().await?;
    request.extensions_mut().insert(viewer);
    request.extensions_mut().insert(share);
    visit.into_iter().for_each(|visit| drop(request.extensions_mut().insert(visit)));
    Ok(limits::until_sent(next.run(request).await, turn))
}

/// Who is asking, and with which session.
pub async fn identify(edge: &Edge, who: Who, asked: &Asked<'_>) -> Result<(Viewer, Option<Visit>), ApiError> {
    let &Asked { method, uri, headers, address } = asked;
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(uri).unwrap_or_default();
    if query.iter().any(|(name, _)| SECRETS_IN_ADDRESSES.contains(&name.to_ascii_lowercase().as_str())) {
        return Err(ApiError::bad_request(
            "secret_in_address",
            "Secrets do not belong in an address. Send an Authorization header, or get a ticket at /api/auth/ticket.",
        ));
    }
    if edge.app.config().is_local_mode() {
        return Ok((Viewer { id: "local".into(), sees: Sees::All, until: None }, None));
    }
    if let Some(secret) = bearer(headers) {
        edge.gate.know_extensions().await;
        return edge.gate.check(secret, Credential::Bearer, address).map(|proven| (proven.viewer, None));
    }
    let ticket = query.iter().find(|(name, _)| who == Who::Watcher && name == "ticket");
    if let Some((_, ticket)) = ticket {
        let redeemed = ticket::redeem(edge, ticket, method).await?;
        return redeemed
            .ok_or_else(|| edge.gate.0.guesses.refuse(Credential::Ticket, address, ApiError::unauthorized()));
    }
    let badge = edge.gate.session(headers).await?.ok_or_else(ApiError::unauthorized)?;
    Ok(edge.gate.enter(badge))
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

impl From<Viewer> for Badge {
    fn from(viewer: Viewer) -> Self {
        let extension_ids = match viewer.sees {
            Sees::All => None,
            Sees::Extensions(ids) => Some(ids),
        };
        Self { id: viewer.id, extension_ids, until: viewer.until, session: None, begun: None }
    }
}

impl Badge {
    /// The session by which they came in.
    fn opened_by(&self) -> Option<NewSession> {
        let (id, until) = (self.session.clone()?, self.until?);
        let begun = self.begun.unwrap_or_else(|| earliest_begin(until));
        Some(NewSession { id, viewer: self.id.clone(), begun, until })
    }
}

impl From<Badge> for Viewer {
    fn from(badge: Badge) -> Self {
        Self { id: badge.id, sees: badge.extension_ids.map_or(Sees::All, Sees::Extensions), until: badge.until }
    }
}

/// A secret of our own: 256 random bits.
fn secret() -> String {
    generate::<32>()
}
