//! RingCentral's REST API: every request the service makes, and how one is made.
//!
//! A request waits for its turn (`limits.rs`), carries a fresh token (`oauth.rs`), and is repeated only where a
//! second copy does no harm. Every address comes from `RINGCENTRAL_SERVER_URL`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::sleep;

use super::Error;
use super::Refusal;
use super::directory::{DirectoryEntry, id};
use super::limits::{Group, Limits};
use super::oauth::{AccessToken, Person};
use super::subscription::{NewSubscription, Subscription};
use crate::config::RingCentralConfig;
use crate::metrics::Metrics;

/// A connection is there within this time or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Creating a subscription takes RingCentral the three seconds of the handshake and its own work.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a request is repeated, for whatever reason.
const REPETITIONS: u32 = 2;
/// The pause before the first repetition; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that a 503 may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A page of a thousand extensions has about 1 MiB.
const LARGEST_ANSWER: usize = 16 << 20;
/// What RingCentral gives at most in a page.
const PER_PAGE: usize = 1_000;
/// An agent has a few queues, and a cookie has room for so many.
const MOST_QUEUES: usize = 100;
/// With a thousand in a page, more than any account has.
const MOST_PAGES: usize = 50;

/// The REST API as seen by one RingCentral app. Clones share token, limits and connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    pub(super) config: RingCentralConfig,
    pub(super) session: Mutex<AccessToken>,
    pub(super) limits: Limits,
    metrics: Arc<Metrics>,
    own_account: OnceCell<String>,
    /// Requests under way that RingCentral may answer with a handshake first.
    handshakes: AtomicUsize,
}

/// One of these requests; counted until dropped.
struct Handshake<'a>(&'a AtomicUsize);

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One request, before it has a token.
pub(super) struct Request<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    group: Group,
}

/// What came back, whatever its status.
pub(super) struct ApiResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Client {
    /// A client for the app in the settings. Fails where the machine has no root certificates.
    pub fn new(config: &RingCentralConfig) -> Result<Self, Error> {
        Self::counted(config, Arc::default())
    }

    /// The same, with metrics of how often RingCentral was asked.
    pub fn counted(config: &RingCentralConfig, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let http = super::http_client()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // The API does not redirect; a redirect would send our token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self(Arc::new(Inner {
            http,
            config: config.clone(),
            session: Mutex::default(),
            limits: Limits::default(),
            metrics,
            own_account: OnceCell::new(),
            handshakes: AtomicUsize::new(0),
        })))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// The subscriptions of this app and user, at any address.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, Error> {
        let answer: Value = self.ask(Request::get(Group::Light, &["restapi", "v1.0", "subscription"])).await?;
        let records = answer["records"].as_array().ok_or(Error::Unreadable("no records in the subscriptions"))?;
        records.iter().map(Subscription::read).collect()
    }

    /// One subscription; [`Error::is_gone`] when it has expired or was deleted.
    pub async fn subscription(&self, id: &str) -> Result<Subscription, Error> {
        let path = ["restapi", "v1.0", "subscription", id];
        Subscription::read(&self.ask(Request::get(Group::Light, &path)).await?)
    }

    /// Creates a subscription. RingCentral calls the address while this waits.
    pub async fn create_subscription(&self, order: &NewSubscription<'_>) -> Result<Subscription, Error> {
        let body = json!({
            "eventFilters": order.filters,
            "deliveryMode": {
                "transportType": "WebHook",
                "address": order.address.as_str(),
                "verificationToken": order.verification_token,
            },
            "expiresIn": order.lifetime.as_secs(),
        });
        let path = ["restapi", "v1.0", "subscription"];
        let _handshake = self.expect_handshake();
        let request = Request { body: Some(body), ..Request::of(Method::POST, Group::Medium, &path) };
        Subscription::read(&self.ask(request).await?)
    }

    /// Whether a subscription is being created, updated or renewed: RingCentral sends its handshake before it answers.
    pub fn changes_subscription(&self) -> bool {
        self.0.handshakes.load(Ordering::Acquire) > 0
    }

    /// Whether the settings name a verification token, so that only a subscription that was created with it will do.
    pub(super) fn requires_token(&self) -> bool {
        self.0.config.verification_token.is_some()
    }

    fn expect_handshake(&self) -> Handshake<'_> {
        self.0.handshakes.fetch_add(1, Ordering::AcqRel);
        Handshake(&self.0.handshakes)
    }

    /// Gives a subscription its whole life again.
    pub async fn renew_subscription(&self, id: &str) -> Result<Subscription, Error> {
        let path = ["restapi", "v1.0", "subscription", id, "renew"];
        let _handshake = self.expect_handshake();
        Subscription::read(&self.ask(Request::of(Method::POST, Group::Light, &path)).await?)
    }

    /// Gives a subscription other filters and a lifetime. RingCentral changes nothing else of one: neither where it delivers nor its
    /// verification token. Whether it sends a handshake is not documented, so one may come while this waits.
    pub async fn update_subscription(
        &self,
        id: &str,
        filters: &[String],
        lifetime: Duration,
    ) -> Result<Subscription, Error> {
        let body = json!({ "eventFilters": filters, "expiresIn": lifetime.as_secs() });
        let path = ["restapi", "v1.0", "subscription", id];
        let _handshake = self.expect_handshake();
        let request = Request { body: Some(body), ..Request::of(Method::PUT, Group::Medium, &path) };
        Subscription::read(&self.ask(request).await?)
    }

    /// Deletes a subscription; one that is gone already is deleted.
    pub async fn delete_subscription(&self, id: &str) -> Result<(), Error> {
        let path = ["restapi", "v1.0", "subscription", id];
        match self.send(Request::of(Method::DELETE, Group::Medium, &path)).await {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }

    /// Who is on the phone, all over the account: one presence body an extension, of the shape its notifications have.
    pub async fn account_presence(&self) -> Result<Vec<Value>, Error> {
        let path = ["restapi", "v1.0", "account", &self.0.config.account_id, "presence"];
        let query = vec![("detailedTelephonyState", "true".to_owned())];
        let mut bodies = self.pages(Group::Heavy, &path, query).await?;
        for body in &mut bodies {
            // Notifications have the id where answers have an object.
            body["extensionId"] = body["extension"]["id"].take();
        }
        Ok(bodies)
    }

    /// Every extension of the account: people, queues, menus.
    pub async fn extensions(&self) -> Result<Vec<DirectoryEntry>, Error> {
        let path = ["restapi", "v1.0", "account", &self.0.config.account_id, "extension"];
        let records = self.pages(Group::Medium, &path, Vec::new()).await?;
        Ok(records.iter().filter_map(DirectoryEntry::read).collect())
    }

    /// Every phone number of the account, as RingCentral writes them.
    pub async fn phone_numbers(&self) -> Result<Vec<String>, Error> {
        let path = ["restapi", "v1.0", "account", &self.0.config.account_id, "phone-number"];
        let records = self.pages(Group::Heavy, &path, Vec::new()).await?;
        Ok(records.iter().filter_map(|record| record["phoneNumber"].as_str().map(str::to_owned)).collect())
    }

    /// Whose credentials these are.
    pub async fn me(&self) -> Result<Person, Error> {
        Person::read(&self.ask(Request::get(Group::Light, &ME)).await?)
    }

    /// The account the credentials belong to, asked once.
    pub async fn own_account(&self) -> Result<&str, Error> {
        let account = async || self.me().await.map(|person| person.account_id);
        self.0.own_account.get_or_try_init(account).await.map(String::as_str)
    }

    /// A live call by its telephony session id, of the shape notifications have; `None` when it is over.
    pub async fn telephony_session(&self, id: &str) -> Result<Option<Value>, Error> {
        let path = ["restapi", "v1.0", "account", &self.0.config.account_id, "telephony", "sessions", id];
        match self.ask(Request::get(Group::Light, &path)).await {
            Err(error) if error.is_gone() => Ok(None),
            answer => answer.map(Some),
        }
    }

    async fn pages(
        &self,
        group: Group,
        path: &[&str],
        query: Vec<(&'static str, String)>,
    ) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let mut query = query.clone();
            query.extend([("page", page.to_string()), ("perPage", PER_PAGE.to_string())]);
            let mut answer: Value = self.ask(Request { query, ..Request::get(group, path) }).await?;
            let Value::Array(records) = answer["records"].take() else {
                return Err(Error::Unreadable("no records in a list"));
            };
            all.extend(records);
            // The answer's own page size counts: the platform may give less than was asked for.
            if answer["paging"]["totalPages"].as_u64().is_none_or(|pages| page as u64 >= pages) {
                break;
            }
        }
        Ok(all)
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, Error> {
        serde_json::from_slice(&self.send(request).await?).map_err(|_| Error::Unreadable("not the JSON expected"))
    }

    /// Sends until there is an answer: with a new token after a 401, after the penalty of a 429, after a pause when the
    /// platform is not there. Only what may arrive twice is repeated when it may have arrived.
    async fn send(&self, request: Request<'_>) -> Result<Bytes, Error> {
        let mut rejected = false;
        let mut repetition = 0;
        loop {
            let token = self.access_token().await?;
            self.0.limits.turn(request.group).await?;
            let pause = PAUSE * 2_u32.pow(repetition);
            let answer = match self.0.deliver(self.0.build(&request, &token)).await {
                Err(Error::Unreachable(cause))
                    if repetition < REPETITIONS && (request.may_repeat() || cause.is_connect()) =>
                {
                    sleep(pause).await;
                    repetition += 1;
                    continue;
                }
                answer => answer?,
            };
            self.0.limits.learn(request.group, &answer.headers);
            match answer.status.as_u16() {
                200..=299 => return Ok(answer.body),
                401 if !rejected => {
                    rejected = true;
                    self.discard(&token).await;
                    continue;
                }
                429 => {
                    let penalty = self.0.limits.penalise(request.group, &answer.headers);
                    if repetition == REPETITIONS {
                        return Err(Error::Busy(penalty));
                    }
                }
                502..=504 if request.may_repeat() && repetition < REPETITIONS => {
                    sleep(answer.retry_after().unwrap_or(pause).min(LONGEST_PAUSE)).await;
                }
                _ => return Err(Error::Refused(answer.refusal())),
            }
            repetition += 1;
        }
    }

    /// Who a token belongs to. Counted by RingCentral for that person, so it takes no turn of ours.
    pub(super) async fn person_behind(&self, token: &str) -> Result<Person, Error> {
        let answer = self.0.deliver(self.0.build(&Request::get(Group::Light, &ME), token)).await?;
        if !answer.status.is_success() {
            return Err(Error::Refused(answer.refusal()));
        }
        Person::read(&serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// The ids of the call queues that this extension is a member of, asked with a person's own token.
    pub(super) async fn queues_of(&self, extension_id: &str, token: &str) -> Result<Vec<String>, Error> {
        let query = vec![("memberExtensionId", extension_id.to_owned()), ("perPage", MOST_QUEUES.to_string())];
        let request = Request { query, ..Request::get(Group::Medium, &QUEUES) };
        let answer = self.0.deliver(self.0.build(&request, token)).await?;
        if !answer.status.is_success() {
            return Err(Error::Refused(answer.refusal()));
        }
        let mut answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Value::Array(records) = answer["records"].take() else {
            return Err(Error::Unreadable("no records in the queues"));
        };
        Ok(records.iter().filter_map(|queue| id(&queue["id"])).take(MOST_QUEUES).collect())
    }
}

const QUEUES: [&str; 5] = ["restapi", "v1.0", "account", "~", "call-queues"];
const ME: [&str; 6] = ["restapi", "v1.0", "account", "~", "extension", "~"];

impl Inner {
    /// An address on the platform; what stands in `path` cannot leave its segment.
    pub(super) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.config.server_url.clone();
        url.path_segments_mut().expect("the settings allow http and https only").pop_if_empty().extend(path);
        url
    }

    fn build(&self, request: &Request<'_>, token: &str) -> RequestBuilder {
        let mut builder = self.http.request(request.method.clone(), self.url(request.path)).bearer_auth(token);
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        match &request.body {
            Some(body) => builder.json(body),
            None => builder,
        }
    }

    pub(super) async fn deliver(&self, request: RequestBuilder) -> Result<ApiResponse, Error> {
        let sent = request.send().await;
        self.metrics.ringcentral_request(sent.as_ref().ok().map(|response| response.status().as_u16()));
        let mut response = sent?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(Error::Unreadable("more than 16 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(ApiResponse { status: response.status(), headers: response.headers().clone(), body: body.freeze() })
    }
}

impl<'a> Request<'a> {
    fn get(group: Group, path: &'a [&'a str]) -> Self {
        Self::of(Method::GET, group, path)
    }

    fn of(method: Method, group: Group, path: &'a [&'a str]) -> Self {
        Self { method, path, query: Vec::new(), body: None, group }
    }

    /// Of all we send, only what creates something carries a body.
    fn may_repeat(&self) -> bool {
        self.body.is_none()
    }
}

impl ApiResponse {
    pub(super) fn refusal(&self) -> Refusal {
        Refusal::read(self.status.as_u16(), &self.body)
    }

    fn retry_after(&self) -> Option<Duration> {
        self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().map(Duration::from_secs).ok()
    }
}

/// Tokens are inside, so only the platform shows.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.0.config.server_url)
    }
}
