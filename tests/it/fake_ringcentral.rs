//! A RingCentral of our own: its OAuth, subscriptions, handshake, limits, lists and deliveries, with the rules of the
//! real one where they are known. It knows the public OpenAPI ([`openapi`]) and fails the test in which something else was
//! asked. It writes every request down, and its clock is tokio's: a test that stops time stops it here too.

mod delivery;
mod frozen;
mod limits;
mod lists;
mod oauth;
mod openapi;
mod receiver;
mod subscriptions;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use caller_popup::config::{Config, RingCentralConfig};
pub use delivery::Disorder;
pub use frozen::Frozen;
pub use oauth::Person;
pub use receiver::{Manners, Receiver};

/// The account everything here belongs to.
pub const ACCOUNT: &str = "900100016";
/// The service user, an administrator.
pub const OWNER: &str = "62295327016";
/// Nothing we send is longer.
const LARGEST_REQUEST: usize = 1 << 20;

/// A running fake. Dropping it ends it, and the test too if a request was not of the public OpenAPI.
pub struct FakeRingCentral {
    /// Where it listens, for `RINGCENTRAL_SERVER_URL`.
    pub url: String,
    platform: Arc<Platform>,
    server: tokio::task::JoinHandle<()>,
}

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub content_type: Option<String>,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

/// All that the fake knows; the lock is never held while it talks.
struct Platform {
    started: (DateTime<Utc>, Instant),
    world: Mutex<World>,
    http: reqwest::Client,
}

#[derive(Default)]
struct World {
    ahead: TimeDelta,
    requests: Vec<Recorded>,
    undocumented: Vec<String>,
    oauth: oauth::Sessions,
    limits: limits::Limits,
    subscriptions: subscriptions::Registry,
    lists: lists::Lists,
    failures: Vec<(StatusCode, &'static str)>,
    /// Public addresses, and where the program that has each one listens.
    forwards: Vec<(String, String)>,
}

impl FakeRingCentral {
    pub async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let platform = Arc::new(Platform {
            started: (Utc::now(), Instant::now()),
            world: Mutex::default(),
            http: reqwest::Client::new(),
        });
        let router = Router::new().fallback(answer).with_state(platform.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, platform, server }
    }

    /// The settings that make a program talk to this fake.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("RINGCENTRAL_SERVER_URL", self.url.clone()),
            ("RINGCENTRAL_CLIENT_ID", oauth::CLIENT_ID.into()),
            ("RINGCENTRAL_CLIENT_SECRET", oauth::CLIENT_SECRET.into()),
            ("RINGCENTRAL_JWT_TOKEN", oauth::JWT.into()),
            ("RINGCENTRAL_REDIRECT_URI", oauth::REDIRECT_URI.into()),
        ]
    }

    /// The same, read; `change` may alter or remove a setting.
    pub fn config_with(&self, change: impl Fn(&str, String) -> Option<String>) -> RingCentralConfig {
        let settings = self.settings();
        let var = |name: &str| {
            let (name, value) = settings.iter().find(|(known, _)| *known == name)?;
            change(name, value.clone())
        };
        Config::from_vars(var).expect("the settings are right").ringcentral
    }

    pub fn config(&self) -> RingCentralConfig {
        self.config_with(|_, value| Some(value))
    }

    /// Its clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.platform.now()
    }

    /// Sets its clock forward.
    pub fn advance(&self, by: TimeDelta) {
        self.platform.world().ahead += by;
    }

    /// What is sent to this public address arrives at that one, as through a proxy.
    pub fn forward(&self, public: &str, local: &str) {
        self.platform.world().forwards.push((public.to_owned(), local.to_owned()));
    }

    /// Everything asked so far of a method and a path that ends so.
    pub fn requests(&self, method: &str, end: &str) -> Vec<Recorded> {
        let world = self.platform.world();
        world.requests.iter().filter(|one| one.method == method && one.path.ends_with(end)).cloned().collect()
    }

    /// Everything asked so far.
    pub fn all_requests(&self) -> Vec<Recorded> {
        self.platform.world().requests.clone()
    }

    /// Operations of the excerpt that nobody asked for.
    pub fn never_asked(&self) -> Vec<String> {
        openapi::never_asked(&self.all_requests())
    }

    /// The next API request gets this answer instead of its own; several queue up.
    pub fn fail_next(&self, status: StatusCode, body: &'static str) {
        self.platform.world().failures.push((status, body));
    }
}

impl Drop for FakeRingCentral {
    fn drop(&mut self) {
        self.server.abort();
        let undocumented = std::mem::take(&mut self.platform.world().undocumented);
        if !std::thread::panicking() {
            assert!(undocumented.is_empty(), "not of RingCentral's OpenAPI: {undocumented:#?}");
        }
    }
}

impl World {
    fn failure(&mut self) -> Option<(StatusCode, &'static str)> {
        (!self.failures.is_empty()).then(|| self.failures.remove(0))
    }
}

impl Platform {
    fn now(&self) -> DateTime<Utc> {
        let (date, instant) = self.started;
        let elapsed = TimeDelta::from_std(instant.elapsed()).expect("tests are short");
        let ahead = self.world().ahead;
        date + elapsed + ahead
    }

    /// Where an address leads.
    fn route(&self, address: &str) -> String {
        let world = self.world();
        let forward = |(public, local): &(String, String)| Some(format!("{local}{}", address.strip_prefix(public)?));
        world.forwards.iter().find_map(forward).unwrap_or_else(|| address.to_owned())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Recorded {
    /// The body as JSON, `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A field of a form.
    pub fn form(&self, name: &str) -> Option<String> {
        self.form_fields().into_iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }

    fn form_fields(&self) -> Vec<(String, String)> {
        pairs(&String::from_utf8_lossy(&self.body))
    }
}

async fn answer(State(platform): State<Arc<Platform>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request = Recorded {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: pairs(parts.uri.query().unwrap_or_default()),
        content_type: header(header::CONTENT_TYPE),
        authorization: header(header::AUTHORIZATION),
        body: to_bytes(body, LARGEST_REQUEST).await.expect("a request has a modest size").to_vec(),
    };
    let operation = openapi::operation(&request);
    {
        let mut world = platform.world();
        world.requests.push(request.clone());
        if let Err(objection) = &operation {
            let complaint = format!("{} {}: {objection}", request.method, request.path);
            world.undocumented.push(complaint);
        }
    }
    let Ok(operation) = operation else {
        return error(StatusCode::NOT_FOUND, "CMN-102", "Resource not found");
    };
    let bearer = request.authorization.as_deref().and_then(|value| value.strip_prefix("Bearer "));
    let person = bearer.and_then(|token| oauth::person(&platform, token));
    let is_oauth = request.path.starts_with("/restapi/oauth/");
    if person.is_none() && !is_oauth {
        return error(StatusCode::UNAUTHORIZED, "OAU-129", "Access token corrupted");
    }
    // A token is not revoked often enough to be counted.
    let counted = (!request.path.ends_with("/revoke")).then(|| limits::count(&platform, &operation.group));
    let mut response = match (&counted, person) {
        (Some(Err(refused)), _) => refused.clone().into_response(),
        (_, None) => oauth::answer(&platform, &request),
        (_, Some(person)) => {
            let failure = platform.world().failure();
            match failure {
                Some((status, body)) => (status, body).into_response(),
                None => dispatch(&platform, &request, &person).await,
            }
        }
    };
    response.headers_mut().extend(counted.iter().flat_map(limits::headers));
    response
}

async fn dispatch(platform: &Platform, request: &Recorded, person: &oauth::Person) -> Response {
    let path: Vec<&str> = request.path.split('/').skip(3).collect();
    match (request.method.as_str(), path.as_slice()) {
        (_, ["subscription", rest @ ..]) => subscriptions::answer(platform, request, rest).await,
        ("GET", ["account", account, rest @ ..]) if *account == "~" || *account == ACCOUNT => {
            lists::answer(platform, request, rest, person)
        }
        _ => error(StatusCode::NOT_FOUND, "CMN-102", "Resource not found"),
    }
}

/// RingCentral's usual error, told twice.
fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let one = json!({ "errorCode": code, "message": message });
    json_answer(status, &json!({ "errorCode": code, "message": message, "errors": [one] }))
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, "application/json".parse().expect("a header value"));
    (status, headers, body.to_string()).into_response()
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://form/?{query}")).expect("any query parses");
    url.query_pairs().into_owned().collect()
}
