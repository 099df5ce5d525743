//! Numbers for operators.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::{self, HeaderName};
use chrono::Utc;

use crate::app::App;
use crate::metrics::GaugeSnapshot;
use crate::ringcentral::subscription::State as Subscription;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is measured, in OpenMetrics text, as Prometheus reads it. Names and labels hold nothing of anybody's.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operating",
    responses((status = 200, description = "The numbers.", body = String, content_type = OPEN_METRICS)),
)]
pub async fn show(State(app): State<App>) -> ([(HeaderName, &'static str); 1], String) {
    let (status, now) = (app.status(), Utc::now());
    let subscription = app.integration().and_then(|integration| integration.subscription());
    let text = app.metrics().text(&GaugeSnapshot {
        viewers: app.hub().viewers(),
        active_calls: app.hub().calls().iter().map(|call| call.status).collect(),
        store_up: !status.store_lost && !status.disk_fails,
        store_follows: status.follows,
        customer_index_complete: app.store().number_index_is_complete(),
        spooled: app.spooled(),
        held: app.held(),
        data_dir_lost: app.has_lost_data_dir(),
        set_aside: app.store().set_aside().1,
        subscription: subscription
            .map(|found| (found.state == Subscription::Active, found.expires_at.map(|at| at.timestamp()))),
        last_event_age: status.last_event_at.map(|at| (now - at).to_std().unwrap_or(Duration::ZERO)),
    });
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text)
}
