//! For operators and the status light.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;
use crate::call::millis;

/// The process runs.
pub async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// The service can do its work; the reasons when it cannot.
pub async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let pulse = app.pulse();
    let subscription = app.link().and_then(|link| link.subscription());
    let mut reasons = Vec::new();
    if pulse.store_lost {
        reasons.push("The database does not answer.");
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "store": app.store().name(),
        "changes": if pulse.follows { "at_once" } else { "polled" },
        "spooled": app.spooled(),
        "viewers": app.hub().viewers(),
        "refused_webhooks": pulse.refused,
        "last_event_at": pulse.last_event_at.as_ref().map(millis::format),
        "subscription": subscription,
    });
    (status, Json(body))
}
