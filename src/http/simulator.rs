//! "Simulate a call": a scenario played through the real webhook path.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use tower::ServiceExt;
use tracing::warn;
use utoipa::ToSchema;

use super::AppState;
use super::answer::{STATUS_OK, StatusOk};
use super::error::{ApiError, ErrorBody};
use super::extract::Json;
use crate::simulator::{Scenario, ScenarioSummary, scenarios};

/// Plays at the same time; a person starts one or two.
const MOST_PLAYS: usize = 20;

/// Which scenario to play.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SimulateRequest {
    /// Its `name`.
    #[schema(example = "direct")]
    scenario: String,
}

/// What can be played.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScenarioList {
    scenarios: Vec<ScenarioSummary>,
}

/// The scenarios there are.
#[utoipa::path(
    get,
    path = "/api/simulator/scenarios",
    tag = "simulator",
    responses((status = 200, description = "The menu.", body = ScenarioList)),
)]
pub async fn list() -> Answer<ScenarioList> {
    Answer(ScenarioList { scenarios: scenarios() })
}

/// Begins a play: what is due at once has happened when this answers, the rest follows as in life.
#[utoipa::path(
    post,
    path = "/api/simulator/calls",
    tag = "simulator",
    request_body = SimulateRequest,
    responses(
        (status = 200, description = "It plays.", body = StatusOk),
        (status = 429, description = "Twenty calls are being simulated.", body = ErrorBody),
    ),
)]
pub async fn play(
    State(state): State<AppState>,
    Json(request): Json<SimulateRequest>,
) -> Result<Answer<StatusOk>, ApiError> {
    let scenario = Scenario::named(&request.scenario)
        .ok_or_else(|| ApiError::bad_request("unknown_scenario", "There is no scenario of that name."))?;
    let play = RunningSimulation::begin().ok_or_else(|| {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_plays", "Many calls are being simulated; wait a little.")
    })?;
    let start = Instant::now();
    let mut steps = scenario.notifications(Utc::now(), rand::random()).into_iter().peekable();
    while let Some((_, notification)) = steps.next_if(|(due, _)| due.is_zero()) {
        post(&state, &notification).await;
    }
    tokio::spawn(async move {
        for (due, notification) in steps {
            sleep_until(start + due).await;
            post(&state, &notification).await;
        }
        drop(play);
    });
    Ok(Answer(STATUS_OK))
}

/// Posts as RingCentral would: to the same route, with the same header.
async fn post(state: &AppState, notification: &Value) {
    let mut request = Request::post("/api/webhooks/ringcentral").header("host", "localhost");
    if let Some(token) = state.app.verification_token().await {
        request = request.header("verification-token", token);
    }
    let request = request.body(Body::from(notification.to_string())).expect("a request of constants is well formed");
    let Ok(answer) = super::webhook_routes(state).with_state(state.clone()).oneshot(request).await;
    if !answer.status().is_success() {
        warn!(status = answer.status().as_u16(), "a simulated notification was refused");
    }
}

/// One of the plays that may go on at once.
struct RunningSimulation;

static PLAYS: AtomicUsize = AtomicUsize::new(0);

impl RunningSimulation {
    fn begin() -> Option<Self> {
        let play = Self;
        (PLAYS.fetch_add(1, Ordering::Relaxed) < MOST_PLAYS).then_some(play)
    }
}

impl Drop for RunningSimulation {
    fn drop(&mut self) {
        PLAYS.fetch_sub(1, Ordering::Relaxed);
    }
}
