//! Spans for OpenTelemetry: one for each request, with its steps below it. They hold a route, a method, a status and times; no number,
//! name, token or address. While nothing exports them, none is made.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Span, field, info_span};

/// The target of these spans, by which they are kept out of the log, and everything else out of what is exported.
pub const TARGET: &str = "caller_popup_trace";

static EXPORTS: AtomicBool = AtomicBool::new(false);

/// From now on spans are made.
pub fn start() {
    EXPORTS.store(true, Ordering::Relaxed);
}

/// The span of a request. Its status is recorded with [`answered`].
pub fn request(method: &str, route: &str) -> Span {
    if !EXPORTS.load(Ordering::Relaxed) {
        return Span::none();
    }
    info_span!(
        target: TARGET,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
    )
}

/// Records how a request was answered.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// The span of a step of a request.
pub fn step(name: &'static str) -> Span {
    if EXPORTS.load(Ordering::Relaxed) { info_span!(target: TARGET, "step", otel.name = name) } else { Span::none() }
}
