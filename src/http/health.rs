//! For operators and the status light.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::auth::{Access, Asked, authenticate};
use super::client_address::ClientAddress;
use crate::app::ServiceStatus;
use crate::call::millis;
use crate::ringcentral::subscription::{State as Delivery, SubscriptionState};
use crate::store::Store;

/// A subscription this near its end should have been renewed days ago.
const SOON: TimeDelta = TimeDelta::days(1);
/// Any phone that is lifted is an event, so only an office on holiday is silent for so long.
const LONG_SILENCE: TimeDelta = TimeDelta::days(1);
/// RingCentral's own words and the ids of extensions are for those who may read calls.
const FOR_READERS: &str = "Sign in, or send a token, to read why.";
/// Neither how many nor which: that is in the log.
const SET_ASIDE: &str =
    "Something in active_calls is set aside, because it cannot be a call or cannot be written to; see the log.";
/// What is written goes to files that have no name any more.
const DATA_DIR_LOST: &str =
    "DATA_DIR was removed or replaced while the program runs; what is written now is lost when it ends.";
/// A refusal is news for this long.
const RECENT: TimeDelta = TimeDelta::hours(1);

/// The process runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Liveness {
    /// Always `live`.
    status: &'static str,
}

/// Whether the service can do its work, and what an operator should look at.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Calls can be stored and read.
    ready: bool,
    /// Why not, a sentence each.
    reasons: Vec<&'static str>,
    /// What works now and may not for long, a sentence each.
    warnings: Vec<&'static str>,
    /// `mongodb` or `sqlite`.
    store: &'static str,
    /// Whether other programs' changes are seen `at_once`, or at the next poll (`polled`).
    changes: &'static str,
    /// Whether the indexes of customers are `complete`; or the one of numbers is still `building`, and some callers are looked up by a
    /// slower search; or the one for searches, which miss some customers (`building_search`).
    customer_index: &'static str,
    /// Facts on this machine's disk that wait for the database; like the other counts `null` for those who may not read
    /// calls.
    spooled: Option<usize>,
    /// Open streams.
    viewers: Option<usize>,
    /// Deliveries turned away for a wrong verification token, since the start.
    refused_webhooks: Option<u64>,
    /// When the last one was.
    #[schema(format = DateTime)]
    last_refused_at: Option<String>,
    /// When RingCentral last told anything, since the start.
    #[schema(format = DateTime)]
    last_event_at: Option<String>,
    /// The webhook subscription, where there are credentials to ask for it.
    subscription: Option<SubscriptionState>,
}

/// Says that the process runs, and nothing else.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "operating",
    responses((status = 200, description = "It runs.", body = Liveness)),
)]
pub async fn live() -> Json<Liveness> {
    Json(Liveness { status: "live" })
}

/// Says whether the service can do its work, with the reasons when it cannot and what else an operator should look at.
///
/// Answers from memory; counts and the subscription's detail are for those who may read calls. For monitors and the status light; a
/// load balancer asks `/health/live`, because webhooks are taken in and kept also while the database is away.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operating",
    responses(
        (status = 200, description = "It can.", body = Readiness),
        (status = 503, description = "It cannot.", body = Readiness),
    ),
)]
pub async fn ready(
    State(state): State<AppState>,
    ClientAddress(address): ClientAddress,
    (method, uri, headers): (Method, Uri, HeaderMap),
) -> (StatusCode, Json<Readiness>) {
    let (app, now) = (&state.app, Utc::now());
    let status = app.status();
    let mut subscription = app.integration().and_then(|integration| integration.subscription());
    let asked = Asked { method: &method, uri: &uri, headers: &headers, token: None, address };
    let may_read = authenticate(&state, Access::Viewer, &asked).await.is_ok();
    if let Some(detail) = subscription.as_mut().and_then(|found| found.detail.as_mut())
        && !may_read
    {
        *detail = FOR_READERS.into();
    }
    let uptime = app.integration().map(|_| app.metrics().uptime());
    let lost = status.store_lost.then_some("The database does not answer.");
    let unwritable = status.disk_fails.then_some("Calls cannot be written to disk; the log says why.");
    let misplaced = app.has_lost_data_dir().then_some(DATA_DIR_LOST);
    let stops = status.retires.then_some("The service is stopping.");
    let reasons: Vec<_> = lost.into_iter().chain(unwritable).chain(misplaced).chain(stops).collect();
    let believes = app.accepts_unverified().then_some("Every webhook is believed: there is no verification token.");
    let aside = app.sets_aside().then_some(SET_ASIDE);
    let warnings = warnings(&status, app.spooled(), subscription.as_ref(), uptime, now);
    let readiness = Readiness {
        ready: reasons.is_empty(),
        reasons,
        warnings: believes.into_iter().chain(aside).chain(warnings).collect(),
        store: app.store().name(),
        changes: if status.follows { "at_once" } else { "polled" },
        customer_index: customer_index(app.store()),
        spooled: may_read.then(|| app.spooled()),
        viewers: may_read.then(|| app.hub().viewers()),
        refused_webhooks: may_read.then_some(status.refused),
        last_refused_at: status.refused_at.as_ref().map(millis::format),
        last_event_at: status.last_event_at.as_ref().map(millis::format),
        subscription,
    };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

/// How long no notification has arrived where some are expected: where some did before, or there are credentials.
fn silence(status: &ServiceStatus, linked_for: Option<Duration>, now: DateTime<Utc>) -> TimeDelta {
    match (status.last_event_at, linked_for) {
        (Some(at), _) => now - at,
        (None, Some(uptime)) => TimeDelta::from_std(uptime).unwrap_or(TimeDelta::MAX),
        (None, None) => TimeDelta::zero(),
    }
}

fn warnings(
    status: &ServiceStatus,
    spooled: usize,
    subscription: Option<&SubscriptionState>,
    linked_for: Option<Duration>,
    now: DateTime<Utc>,
) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if spooled > 0 {
        warnings.push("Calls wait on this machine's disk for the database.");
    }
    match subscription.map(|found| (found.state, found.expires_at)) {
        None => {}
        Some((Delivery::Active, Some(end))) if end - now <= SOON => {
            warnings.push("The subscription at RingCentral ends within a day and was not renewed.");
        }
        Some((Delivery::Active, _)) => {}
        Some((Delivery::Missing, _)) => warnings.push("RingCentral delivers nothing: there is no subscription."),
        Some((Delivery::Blacklisted, _)) => warnings.push("RingCentral delivers nothing: it gave our address up."),
        Some((Delivery::Unknown, _)) => warnings.push("RingCentral could not be asked for the subscription."),
    }
    if status.refused_at.is_some_and(|at| now - at < RECENT) {
        warnings.push("Deliveries with a wrong verification token were turned away within the last hour.");
    }
    if silence(status, linked_for, now) >= LONG_SILENCE {
        warnings.push("RingCentral has told nothing for more than a day.");
    }
    warnings
}

fn customer_index(store: &Store) -> &'static str {
    match (store.number_index_is_complete(), store.customer_search_is_complete()) {
        (false, _) => "building",
        (true, false) => "building_search",
        (true, true) => "complete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_that_ends_soon_is_a_warning_and_a_renewed_one_is_not() {
        let now = Utc::now();
        let ends_in = |hours| SubscriptionState {
            state: Delivery::Active,
            expires_at: Some(now + TimeDelta::hours(hours)),
            detail: None,
            id: None,
            checked_at: now,
        };
        let status = ServiceStatus::default();
        assert_eq!(warnings(&status, 0, Some(&ends_in(23)), None, now).len(), 1);
        assert_eq!(warnings(&status, 0, Some(&ends_in(100)), None, now).len(), 0);
        assert_eq!(warnings(&status, 3, None, Some(Duration::from_secs(90_000)), now).len(), 2);
    }

    #[test]
    fn silence_concerns_only_those_somebody_should_tell() {
        let (now, never) = (Utc::now(), ServiceStatus::default());
        assert_eq!(silence(&never, None, now), TimeDelta::zero());
        assert_eq!(silence(&never, Some(Duration::from_secs(90_000)), now), TimeDelta::seconds(90_000));
        let yesterday = ServiceStatus { last_event_at: Some(now - TimeDelta::days(1)), ..ServiceStatus::default() };
        assert_eq!(silence(&yesterday, None, now), TimeDelta::days(1));
    }
}
