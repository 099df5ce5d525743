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

use super::Edge;
use super::answer::{SUCCESS, Success};
use super::error::{ApiError, ErrorBody};
use super::extract::Json;
use crate::simulator::{Choice, Scenario, scenarios};

/// Plays at the same time; a person starts one or two.
const MOST_PLAYS: usize = 20;

/// Which scenario to play.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Wish {
    /// Its `name`.
    #[schema(example = "direct")]
    scenario: String,
}

/// What can be played.
#[derive(Debug, Serialize, ToSchema)]
pub struct Menu {
    scenarios: Vec<Choice>,
}

/// The scenarios there are.
#[utoipa::path(
    get,
    path = "/api/simulator/scenarios",
    tag = "simulator",
    responses((status = 200, description = "The menu.", body = Menu)),
)]
pub async fn list() -> Answer<Menu> {
    Answer(Menu { scenarios: scenarios() })
}

/// Begins a play: what is due at once has happened when this answers, the rest follows as in life.
#[utoipa::path(
    post,
    path = "/api/simulator/calls",
    tag = "simulator",
    request_body = Wish,
    responses(
        (status = 200, description = "It plays.", body = Success),
        (status = 429, description = "Twenty calls are being simulated.", body = ErrorBody),
    ),
)]
pub async fn play(State(edge): State<Edge>, Json(wish): Json<Wish>) -> Result<Answer<Success>, ApiError> {
    let scenario = Scenario::named(&wish.scenario)
        .ok_or_else(|| ApiError::bad_request("unknown_scenario", "There is no scenario of that name."))?;
    let play = Play::begin().ok_or_else(|| {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_plays", "Many calls are being simulated; wait a little.")
    })?;
    let start = Instant::now();
    let mut steps = scenario.notifications(Utc::now(), rand::random()).into_iter().peekable();
    while let Some((_, notification)) = steps.next_if(|(due, _)| due.is_zero()) {
        post(&edge, &notification).await;
    }
    tokio::spawn(async move {
        for (due, notification) in steps {
            sleep_until(start + due).await;
            post(&edge, &notification).await;
        }
        drop(play);
    });
    Ok(Answer(SUCCESS))
}

/// Posts as RingCentral would: to the same route, with the same header.
async fn post(edge: &Edge, notification: &Value) {
    let mut request = Request::post("/api/webhooks/ringcentral").header("host", "localhost");
    if let Some(token) = edge.app.verification_token().await {
        request = request.header("verification-token", token);
    }
    let request = request.body(Body::from(notification.to_string())).expect("a request of constants is well formed");
    let Ok(answer) = super::webhook_routes(edge).with_state(edge.clone()).oneshot(request).await;
    if !answer.status().is_success() {
        warn!(status = answer.status().as_u16(), "a simulated notification was refused");
    }
}

/// One of the plays that may go on at once.
struct Play;

static PLAYS: AtomicUsize = AtomicUsize::new(0);

impl Play {
    fn begin() -> Option<Self> {
        let play = Self;
        (PLAYS.fetch_add(1, Ordering::Relaxed) < MOST_PLAYS).then_some(play)
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        PLAYS.fetch_sub(1, Ordering::Relaxed);
    }
}
