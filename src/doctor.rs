//! `caller-popup doctor`: every step from a ringing phone to the popup, each with what is wrong and the cure.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;

use crate::config::Config;
use crate::ringcentral::subscription::{State, SubscriptionState, webhook_address};
use crate::ringcentral::{self, Client, Error};
use crate::store::IndexProgress;

/// RingCentral waits this long for the answer to its handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(3);
/// And takes an answer of at most so many bytes, headers included.
const HANDSHAKE_SIZE: usize = 1_024;
/// A company whose phones are silent for longer than this is worth a look.
const QUIET: TimeDelta = TimeDelta::hours(24);
/// Without it there are no webhooks at all. RingCentral has spelled it both ways.
const WEBHOOK_PERMISSION: [&str; 2] = ["SubscriptionWebhook", "WebhookSubscriptions"];
/// Each of these is missed by a part of the service only.
const PERMISSIONS: [(&str, &str); 3] = [
    ("CallControl", "call events come from presence, which knows less about queues and transfers"),
    ("ReadPresence", "what is missed while the service is down stays missed"),
    (
        "ReadAccounts",
        "agents have no names and not the calls of their queues, and calls from your own numbers look like callers",
    ),
];

/// The code by which local mode refuses.
const LOCAL_ONLY: &[u8] = b"\"local_only\"";
/// The way out of local mode.
const OPEN: &str = "set API_TOKENS (`openssl rand -hex 24` prints one), a JWT key, or RINGCENTRAL_CLIENT_ID with \
                    RINGCENTRAL_REDIRECT_URI, and restart";

/// What others found out: those who hold the store.
#[derive(Debug)]
pub struct Findings {
    /// The store answered, or why not.
    pub store: Result<String, String>,
    /// How far the index of customers' numbers is, where the store could be read.
    pub customer_index: Option<IndexProgress>,
    /// A token tells RingCentral's deliveries from forged ones.
    pub verifies: bool,
    /// When the last event of a call arrived.
    pub last_event: Option<DateTime<Utc>>,
    /// What RingCentral says of our subscription, where it can be asked.
    pub subscription: Option<SubscriptionState>,
}

/// One step, looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The step.
    pub name: &'static str,
    /// How it is.
    pub outcome: Outcome,
}

/// How a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be.
    Good(String),
    /// It works, but not as well as it could.
    Fair {
        /// What was found.
        found: String,
        /// What to do.
        cure: String,
    },
    /// It does not work.
    Bad {
        /// What was found.
        found: String,
        /// What to do.
        cure: String,
    },
    /// It could not be looked at, because of an earlier step.
    Skipped(String),
}

/// Looks at every step, in the order a call takes them backwards: what the earlier ones lack the later ones cannot have.
pub async fn examine(config: &Config, client: Option<&Client>, findings: &Findings, now: DateTime<Utc>) -> Vec<Check> {
    let scope = match client {
        Some(client) => client.scope().await,
        None => Err(Error::NoCredentials),
    };
    vec![
        Check { name: "settings", outcome: settings(config) },
        Check { name: "store", outcome: store(&findings.store) },
        Check { name: "customer index", outcome: customer_index(findings.customer_index) },
        Check { name: "credentials", outcome: credentials(&scope) },
        Check { name: "app permissions", outcome: permissions(&scope) },
        Check { name: "verification", outcome: verification(findings.verifies, config.is_local_mode()) },
        Check { name: "public address", outcome: public_address(config.public_url.as_ref()).await },
        Check { name: "subscription", outcome: subscription(findings.subscription.as_ref()) },
        Check { name: "last event", outcome: last_event(findings, now) },
    ]
}

/// Whether nothing is broken, for the exit status.
pub fn is_healthy(checks: &[Check]) -> bool {
    !checks.iter().any(|check| matches!(check.outcome, Outcome::Bad { .. }))
}

fn settings(config: &Config) -> Outcome {
    let rc = &config.ringcentral;
    let missing: Vec<&str> = [
        (rc.credentials.is_none(), "RINGCENTRAL_CLIENT_ID, RINGCENTRAL_CLIENT_SECRET and RINGCENTRAL_JWT_TOKEN"),
        (config.public_url.is_none(), "PUBLIC_URL"),
    ]
    .into_iter()
    .filter_map(|(missing, name)| missing.then_some(name))
    .collect();
    if config.is_unreachable() {
        return bad("PUBLIC_URL is set and nothing says who may read: dashboards at that address are refused", OPEN);
    }
    if missing.is_empty() {
        return Outcome::Good("complete".into());
    }
    fair(
        format!("{} not set: webhooks are received, but the subscription is yours to keep", missing.join(" and ")),
        "take them from the app's page at https://developers.ringcentral.com and set them; .env.example explains each",
    )
}

fn store(store: &Result<String, String>) -> Outcome {
    match store {
        Ok(name) => Outcome::Good(name.clone()),
        Err(problem) => bad(problem, "check MONGODB_URI and that its server runs, or that DATA_DIR can be written"),
    }
}

fn customer_index(progress: Option<IndexProgress>) -> Outcome {
    match progress {
        None => Outcome::Skipped("the store cannot be read".into()),
        Some(IndexProgress::Complete) => Outcome::Good("it has the numbers of every customer".into()),
        Some(IndexProgress::Building) => fair(
            "it is being built, and callers who are not in it yet are searched for",
            "wait until /health/ready says customer_index: complete; if that does not come, the log of the service says why",
        ),
        Some(IndexProgress::NotBegun) => fair("it is not there", "start the service, which builds it"),
    }
}

fn credentials(scope: &Result<Vec<String>, Error>) -> Outcome {
    match scope {
        Ok(_) => Outcome::Good("RingCentral gave a token".into()),
        Err(Error::NoCredentials) => Outcome::Skipped("no credentials are set".into()),
        Err(error @ Error::SignIn(_)) => bad(
            error,
            "the JWT must be of this app and this environment and not expired: make a new one in the developer console, \
             and check the app's id and secret and that its sign-in method is JWT",
        ),
        Err(error @ Error::Unreachable(_)) => {
            bad(error, "open the way to RINGCENTRAL_SERVER_URL: outgoing https, the name server, the clock")
        }
        Err(error @ Error::Busy(_)) => fair(error.to_string(), "wait that long and start the doctor again"),
        Err(error) => bad(error, "try again later; https://status.ringcentral.com says whether RingCentral is down"),
    }
}

fn permissions(scope: &Result<Vec<String>, Error>) -> Outcome {
    let Ok(scope) = scope else { return Outcome::Skipped("there is no token to read them from".into()) };
    let has = |name: &str| scope.iter().any(|one| one.eq_ignore_ascii_case(name));
    let console = "give it to the app in the developer console, then restart";
    if !WEBHOOK_PERMISSION.iter().any(|name| has(name)) {
        return bad("the app lacks SubscriptionWebhook: RingCentral will not call us", console);
    }
    let lacking: Vec<String> = PERMISSIONS
        .iter()
        .filter(|(name, _)| !has(name))
        .map(|(name, loss)| format!("without {name}, {loss}"))
        .collect();
    if lacking.is_empty() { Outcome::Good("all there".into()) } else { fair(lacking.join("; "), console) }
}

fn verification(verifies: bool, is_local_mode: bool) -> Outcome {
    match (verifies, is_local_mode) {
        (true, _) => {
            Outcome::Good("deliveries must carry a token, or the id of the subscription that was taken over".into())
        }
        (false, true) => Outcome::Good("there is no token, and only this machine may deliver".into()),
        (false, false) => bad(
            "every webhook is believed, from any sender",
            "set RINGCENTRAL_VERIFICATION_TOKEN and give it to the subscription, or let \
             `caller-popup subscription ensure` make both",
        ),
    }
}

/// Does what RingCentral does before it trusts an address.
async fn public_address(public_url: Option<&Url>) -> Outcome {
    let Some(public_url) = public_url else { return Outcome::Skipped("PUBLIC_URL is not set".into()) };
    match handshake(&webhook_address(public_url)).await {
        Ok(()) => Outcome::Good(format!("{public_url} answers the handshake")),
        Err((found, cure)) => bad(found, cure),
    }
}

async fn handshake(address: &Url) -> Result<(), (String, &'static str)> {
    let token = format!("{:032x}", rand::random::<u128>());
    let sent = ringcentral::http_client()
        .timeout(HANDSHAKE_TIME)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map(|client| client.post(address.clone()).header("Validation-Token", &token));
    let unreachable = |error: reqwest::Error| {
        let cure = match error {
            _ if error.is_timeout() => "it must answer within 3 seconds; check the proxy and the machine's load",
            _ => "start `caller-popup serve`, and check the name, the certificate with its chain, and the proxy",
        };
        (format!("{address} cannot be reached: {}", innermost(&error.without_url())), cure)
    };
    let response = match sent {
        Ok(request) => request.send().await.map_err(unreachable)?,
        Err(error) => return Err(unreachable(error)),
    };
    let status = response.status();
    let headers = response.headers().clone();
    let body = response.bytes().await.map_err(unreachable)?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let size = "HTTP/1.1 200 OK\r\n\r\n".len()
        + headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
        + body.len();
    let proxy = "something in front of this service answers or changes the answer; let POST requests through unchanged";
    if status == reqwest::StatusCode::FORBIDDEN && body.windows(LOCAL_ONLY.len()).any(|part| part == LOCAL_ONLY) {
        return Err((format!("{address} refuses what comes through a proxy or tunnel: it runs in local mode"), OPEN));
    }
    if status != reqwest::StatusCode::OK {
        return Err((format!("{address} answers {status} instead of 200"), proxy));
    }
    if header("validation-token") != token {
        return Err((format!("{address} does not send the Validation-Token back"), proxy));
    }
    if !header("content-type").starts_with("application/json") {
        return Err((format!("{address} answers without Content-Type: application/json"), proxy));
    }
    if size > HANDSHAKE_SIZE {
        return Err((format!("the answer of {address} has {size} bytes, RingCentral takes {HANDSHAKE_SIZE}"), proxy));
    }
    Ok(())
}

fn subscription(state: Option<&SubscriptionState>) -> Outcome {
    let Some(state) = state else { return Outcome::Skipped("RingCentral cannot be asked".into()) };
    let detail = state.detail.clone().unwrap_or_default();
    let ensure = "run `caller-popup subscription ensure`; a running service does so by itself every minute";
    match state.state {
        State::Active if detail.is_empty() => Outcome::Good(match state.expires_at {
            Some(end) => format!("active until {}, renewed long before", end.format("%Y-%m-%d %H:%M UTC")),
            None => "active".into(),
        }),
        State::Active => fair(detail, "give the app the permission in the developer console, then restart"),
        State::Missing => bad(format!("there is none {detail}").trim(), ensure),
        State::Blacklisted => bad(detail, ensure),
        State::Unknown => bad(detail, "cure what stands above first"),
    }
}

fn last_event(findings: &Findings, now: DateTime<Utc>) -> Outcome {
    let call = "call one of your numbers and start the doctor again";
    match findings.last_event {
        Some(at) if now - at < QUIET => Outcome::Good(format!("{} minutes ago", (now - at).num_minutes().max(0))),
        Some(at) => fair(format!("none for {} hours", (now - at).num_hours()), call),
        None => fair("none has ever arrived".to_owned(), call),
    }
}

fn fair(found: impl Into<String>, cure: &str) -> Outcome {
    Outcome::Fair { found: found.into(), cure: cure.to_owned() }
}

fn bad(found: impl fmt::Display, cure: &str) -> Outcome {
    Outcome::Bad { found: found.to_string(), cure: cure.to_owned() }
}

/// The cause says "connection refused" or "invalid certificate"; what wraps it only says that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Good(found) => write!(f, "ok    {}: {found}", self.name),
            Outcome::Fair { found, cure } => write!(f, "fair  {}: {found}\n      cure: {cure}", self.name),
            Outcome::Bad { found, cure } => write!(f, "BAD   {}: {found}\n      cure: {cure}", self.name),
            Outcome::Skipped(why) => write!(f, "-     {}: not looked at, {why}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(names: &[&str]) -> Result<Vec<String>, Error> {
        Ok(names.iter().map(|&name| name.to_owned()).collect())
    }

    fn refused() -> Error {
        Error::SignIn(crate::ringcentral::Refusal::read(400, br#"{"error":"invalid_grant"}"#))
    }

    #[test]
    fn an_app_without_the_webhook_permission_is_broken_and_one_without_call_control_is_not() {
        assert!(matches!(permissions(&scope(&["CallControl"])), Outcome::Bad { .. }));
        let fair = permissions(&scope(&["SubscriptionWebhook", "ReadPresence", "ReadAccounts"]));
        assert!(matches!(fair, Outcome::Fair { found, .. } if found.contains("CallControl")));
        let all = ["SubscriptionWebhook", "CallControl", "ReadPresence", "ReadAccounts"];
        assert!(matches!(permissions(&scope(&all)), Outcome::Good(_)));
    }

    #[test]
    fn refused_credentials_are_bad_and_missing_ones_are_not_looked_at() {
        assert!(matches!(credentials(&Err(refused())), Outcome::Bad { cure, .. } if cure.contains("JWT")));
        assert!(matches!(credentials(&Err(Error::NoCredentials)), Outcome::Skipped(_)));
        assert!(matches!(permissions(&Err(refused())), Outcome::Skipped(_)));
    }

    #[test]
    fn whoever_lets_the_world_in_needs_a_token() {
        assert!(matches!(verification(false, false), Outcome::Bad { .. }));
        assert!(matches!(verification(false, true), Outcome::Good(_)));
        assert!(matches!(verification(true, false), Outcome::Good(_)));
    }

    #[tokio::test]
    async fn with_nothing_set_every_step_is_named_and_what_is_wrong_has_a_cure() {
        let config = Config::from_vars(|_| None).unwrap();
        let store = Err("no disk".into());
        let findings = Findings { store, customer_index: None, verifies: false, last_event: None, subscription: None };
        let checks = examine(&config, None, &findings, Utc::now()).await;
        assert_eq!(checks.len(), 9);
        assert!(!is_healthy(&checks));
        let shown: String = checks.iter().map(|check| format!("{check}\n")).collect();
        assert!(shown.contains("BAD   store: no disk") && shown.contains("cure: check MONGODB_URI"), "{shown}");
    }
}
