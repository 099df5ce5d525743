//! Subscriptions, with the handshake as RingCentral does it: while the request that creates one is in flight.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::oauth::permits;
use super::{ACCOUNT, FakeRingCentral, OWNER, Platform, Recorded, error, json_answer};

const DEFAULT_LIFETIME: i64 = 604_800;
const LONGEST_LIFETIME: i64 = 315_360_000;
/// What older editions of RingCentral's reference allow; it is still sent by programs, and becomes the longest one.
const LONGEST_REQUEST: i64 = 630_720_000;
const MOST: usize = 30;
const HANDSHAKE_TIME: Duration = Duration::from_secs(3);
const HANDSHAKE_SIZE: usize = 1_024;
const LONGEST_TOKEN: usize = 32;

#[derive(Default)]
pub struct Registry {
    pub all: Vec<Fake>,
    disables_telephony: bool,
}

/// A subscription, with what RingCentral never tells.
#[derive(Clone, Debug)]
pub struct Fake {
    pub id: String,
    pub filters: Vec<String>,
    pub disabled: Vec<String>,
    pub address: String,
    pub token: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub lifetime: TimeDelta,
    /// Why it is blacklisted, if it is.
    pub blacklisted: Option<String>,
}

impl FakeRingCentral {
    /// The subscriptions that live.
    pub fn subscriptions(&self) -> Vec<Fake> {
        purge(&self.platform);
        self.platform.world().subscriptions.all.clone()
    }

    /// Gives up every address, as after ten bad minutes.
    pub fn blacklist_all(&self) {
        for one in &mut self.platform.world().subscriptions.all {
            one.blacklisted = Some("I/O operation is failed. Details: [Read timed out]".into());
        }
    }

    /// Lets every subscription end after this time.
    pub fn end_in(&self, time: TimeDelta) {
        let end = self.now() + time;
        self.platform.world().subscriptions.all.iter_mut().for_each(|one| one.expires_at = end);
    }

    /// A subscription that somebody else made.
    pub fn plant(&self, change: impl FnOnce(&mut Fake)) {
        let now = self.now();
        let mut world = self.platform.world();
        let registry = &mut world.subscriptions;
        let lifetime = TimeDelta::seconds(DEFAULT_LIFETIME);
        let mut one = Fake {
            id: random_id(),
            filters: vec![format!("/restapi/v1.0/account/{ACCOUNT}/telephony/sessions")],
            disabled: Vec::new(),
            address: "https://elsewhere.example.com/hook".into(),
            token: None,
            created_at: now,
            expires_at: now + lifetime,
            lifetime,
            blacklisted: None,
        };
        change(&mut one);
        registry.all.push(one);
    }

    /// Without the permission for call control, accepts such filters and does not serve them, instead of refusing.
    pub fn disable_instead_of_refusing(&self) {
        self.platform.world().subscriptions.disables_telephony = true;
    }
}

pub async fn answer(platform: &Platform, request: &Recorded, path: &[&str]) -> Response {
    purge(platform);
    match (request.method.as_str(), path) {
        ("GET", []) => {
            let now = platform.now();
            let records: Vec<Value> = platform.world().subscriptions.all.iter().map(|one| one.shown(now)).collect();
            json_answer(StatusCode::OK, &json!({ "uri": "…/subscription", "records": records }))
        }
        ("POST", []) => create(platform, &request.json()).await.unwrap_or_else(Refusal::into_response),
        ("PUT", [id]) => update(platform, id, &request.body).unwrap_or_else(Refusal::into_response),
        (method, [id, rest @ ..]) => {
            let now = platform.now();
            let mut world = platform.world();
            let all = &mut world.subscriptions.all;
            let Some(place) = all.iter().position(|one| one.id == *id) else { return unknown().into_response() };
            match (method, rest) {
                ("DELETE", []) => {
                    all.remove(place);
                    return StatusCode::NO_CONTENT.into_response();
                }
                ("POST", ["renew"]) => all[place].expires_at = now + all[place].lifetime,
                _ => {}
            }
            json_answer(StatusCode::OK, &all[place].shown(now))
        }
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "CMN-103", "Method not allowed"),
    }
}

async fn create(platform: &Platform, order: &Value) -> Result<Response, Refusal> {
    let mode = &order["deliveryMode"];
    let address = mode["address"].as_str().and_then(|address| address.parse::<Url>().ok());
    let Some(address) = address.filter(|_| mode["transportType"] == "WebHook") else {
        return Err(refuse("CMN-101", "Parameter [deliveryMode.address] value is invalid"));
    };
    let token = mode["verificationToken"].as_str().map(str::to_owned);
    if token.as_ref().is_some_and(|token| token.len() > LONGEST_TOKEN) {
        return Err(refuse("CMN-101", "Parameter [deliveryMode.verificationToken] value is invalid"));
    }
    let lifetime = lifetime(order)?;
    let (filters, disabled) = filters(platform, order, lifetime)?;
    if platform.world().subscriptions.all.len() >= MOST {
        return Err(forbid("SUB-505", "Subscriptions limit exceeded"));
    }
    if let Err((code, message)) =
        handshake(&platform.route(address.as_str()).parse().expect("a forward is an address")).await
    {
        return Err(refuse(code, message));
    }
    let now = platform.now();
    let one = Fake {
        id: random_id(),
        filters,
        disabled,
        address: address.to_string(),
        token,
        created_at: now,
        expires_at: now + lifetime,
        lifetime,
        blacklisted: None,
    };
    let shown = one.shown(now);
    platform.world().subscriptions.all.push(one);
    Ok(json_answer(StatusCode::OK, &shown))
}

/// Takes `eventFilters` and `expiresIn` and ignores what else is in the order; an empty one renews with the lifetime that is usual.
fn update(platform: &Platform, id: &str, body: &[u8]) -> Result<Response, Refusal> {
    let order: Value = serde_json::from_slice(body).unwrap_or_default();
    let lifetime = lifetime(&order)?;
    let changed = if body.is_empty() { None } else { Some(filters(platform, &order, lifetime)?) };
    let now = platform.now();
    let mut world = platform.world();
    let one = world.subscriptions.all.iter_mut().find(|one| one.id == id).ok_or_else(unknown)?;
    if let Some((filters, disabled)) = changed {
        (one.filters, one.disabled) = (filters, disabled);
    }
    (one.lifetime, one.expires_at) = (lifetime, now + lifetime);
    Ok(json_answer(StatusCode::OK, &one.shown(now)))
}

fn lifetime(order: &Value) -> Result<TimeDelta, Refusal> {
    let lifetime = order["expiresIn"].as_i64().unwrap_or(DEFAULT_LIFETIME);
    if !(1..=LONGEST_REQUEST).contains(&lifetime) {
        return Err(refuse("CMN-101", "Parameter [expiresIn] value is invalid"));
    }
    Ok(TimeDelta::seconds(lifetime.min(LONGEST_LIFETIME)))
}

/// The filters of an order with real ids, and which of them are not served.
fn filters(platform: &Platform, order: &Value, lifetime: TimeDelta) -> Result<(Vec<String>, Vec<String>), Refusal> {
    let filters: Vec<String> = serde_json::from_value(order["eventFilters"].clone()).unwrap_or_default();
    let is_reminder = |filter: &String| filter.starts_with("/restapi/v1.0/subscription/");
    if filters.is_empty() || !filters.iter().all(|filter| filter.starts_with("/restapi/v1.0/")) {
        return Err(refuse("SUB-508", "Invalid event filters"));
    }
    if filters.iter().all(is_reminder) {
        return Err(refuse("SUB-515", "Subscription containing only reminder filter is not allowed"));
    }
    for reminder in filters.iter().filter(|filter| is_reminder(filter)) {
        let query = super::pairs(reminder.split_once('?').unwrap_or_default().1);
        let value = |name: &str| query.iter().find(|(known, _)| known == name).and_then(|(_, n)| n.parse::<i64>().ok());
        let (threshold, interval) = (value("threshold").unwrap_or(0), value("interval").unwrap_or(0));
        if threshold * 2 > lifetime.num_seconds() || interval * 2 > threshold {
            return Err(refuse("SUB-508", "Invalid event filters: the reminder comes too early"));
        }
    }
    if !permits(platform, "SubscriptionWebhook") {
        let message = "[SubscriptionWebhook] application permission is required for [WebHook] transport";
        return Err(forbid("CMN-401", message));
    }
    let telephony = |filter: &&String| filter.contains("/telephony/sessions");
    let mut disabled = Vec::new();
    if !permits(platform, "CallControl") && filters.iter().any(|filter| telephony(&filter)) {
        if !platform.world().subscriptions.disables_telephony {
            return Err(forbid("CMN-401", "application needs to have [CallControl] permission"));
        }
        disabled = filters.iter().filter(telephony).cloned().collect();
    }
    let resolve = |filter: &String| {
        filter
            .replace("/account/~", &format!("/account/{ACCOUNT}"))
            .replace("/extension/~", &format!("/extension/{OWNER}"))
    };
    Ok((filters.iter().map(resolve).collect(), disabled))
}

/// Why an order is refused: the status, RingCentral's code, its message.
struct Refusal(StatusCode, &'static str, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        error(self.0, self.1, self.2)
    }
}

fn refuse(code: &'static str, message: &'static str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, code, message)
}

fn forbid(code: &'static str, message: &'static str) -> Refusal {
    Refusal(StatusCode::FORBIDDEN, code, message)
}

fn unknown() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "CMN-102", "Resource for parameter [subscriptionId] is not found")
}

/// A random UUID, as RingCentral's ids of subscriptions are.
fn random_id() -> String {
    let bits = rand::random::<u128>() & !(0xf << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Posts to the address and judges the raw answer: the size counts every byte of it.
async fn handshake(address: &Url) -> Result<(), (&'static str, &'static str)> {
    const UNREACHABLE: (&str, &str) = ("SUB-521", "WebHook is not reachable");
    const INVALID: (&str, &str) = ("SUB-525", "WebHook server response is invalid");
    let token = format!("{:032x}", rand::random::<u128>());
    let host = format!("{}:{}", address.host_str().unwrap_or_default(), address.port_or_known_default().unwrap_or(80));
    let exchange = async {
        let mut stream = TcpStream::connect(&host).await?;
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: {host}\r\nvalidation-token: {token}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            address.path()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(HANDSHAKE_TIME, exchange).await.map_err(|_| UNREACHABLE)?;
    let answer = answer.map_err(|_| UNREACHABLE)?;
    let text = String::from_utf8_lossy(&answer);
    let mut lines = text.split("\r\n\r\n").next().unwrap_or_default().lines();
    if lines.next().and_then(|line| line.split(' ').nth(1)) != Some("200") {
        return Err(("SUB-522", "WebHook responds with incorrect HTTP status"));
    }
    let headers: Vec<(String, &str)> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value)).collect();
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    let typed = header("content-type").is_some_and(|value| value.starts_with("application/json"));
    let valid = header("validation-token") == Some(&token) && typed && answer.len() <= HANDSHAKE_SIZE;
    if valid { Ok(()) } else { Err(INVALID) }
}

/// The expired vanish from the list.
fn purge(platform: &Platform) {
    let now = platform.now();
    platform.world().subscriptions.all.retain(|one| one.expires_at > now);
}

impl Fake {
    /// As RingCentral tells it; the verification token is not told.
    fn shown(&self, now: DateTime<Utc>) -> Value {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut shown = json!({
            "uri": format!("…/restapi/v1.0/subscription/{}", self.id),
            "id": self.id,
            "creationTime": time(self.created_at),
            "status": if self.blacklisted.is_some() { "Blacklisted" } else { "Active" },
            "eventFilters": self.filters,
            "expirationTime": time(self.expires_at),
            "expiresIn": (self.expires_at - now).num_seconds(),
            "deliveryMode": { "transportType": "WebHook", "encryption": false, "address": self.address },
        });
        if let Some(reason) = &self.blacklisted {
            shown["blacklistedData"] = json!({ "blacklistedAt": time(now), "reason": reason });
        }
        if !self.disabled.is_empty() {
            let one =
                |filter: &String| json!({ "filter": filter, "reason": "CallControl", "message": "no permission" });
            shown["disabledFilters"] = self.disabled.iter().map(one).collect();
        }
        shown
    }
}
