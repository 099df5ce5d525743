//! The log, and traces for OpenTelemetry where the settings name a receiver.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use caller_popup::config::{Config, TracesConfig};
use caller_popup::{ringcentral, trace};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::warn;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// How long a receiver of traces may take for one batch.
const EXPORT_TIME: Duration = Duration::from_secs(5);
/// How long the end of the program waits for the last batch.
const LAST_BATCH: Duration = Duration::from_millis(300);

/// Traces that are exported, until it is closed.
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what is left.
    pub async fn close(self) {
        let Some(provider) = self.0 else { return };
        // It waits for a thread that needs this runtime.
        drop(tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_BATCH)).await);
    }
}

/// Starts the log of a command.
pub fn start(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    if config.log_json { log.json().flatten_event(true).with_span_list(false).init() } else { log.init() }
}

/// Starts the log of the service, and its traces if the settings name a receiver.
pub fn start_with_traces(config: &Config) -> Result<Traces> {
    let Some(traces) = &config.traces else {
        start(config);
        return Ok(Traces(None));
    };
    let provider = provider(traces, config).context("OTEL_EXPORTER_OTLP_ENDPOINT cannot be used")?;
    let exported = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("caller-popup"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == trace::TARGET));
    let log = fmt::layer::<Registry>()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let log = if config.log_json { log.json().flatten_event(true).with_span_list(false).boxed() } else { log.boxed() };
    let logged = EnvFilter::new(&config.log).and(filter_fn(|metadata| metadata.target() != trace::TARGET));
    tracing_subscriber::registry().with(log.with_filter(logged)).with(exported).init();
    trace::start();
    Ok(Traces(Some(provider)))
}

fn provider(traces: &TracesConfig, config: &Config) -> Result<SdkTracerProvider> {
    let endpoint = format!("{}/v1/traces", traces.endpoint.as_str().trim_end_matches('/'));
    let client = Client {
        client: ringcentral::http_client().timeout(EXPORT_TIME).build()?,
        runtime: Handle::current(),
        failed: AtomicBool::new(false),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIME)
        .with_http_client(client)
        .build()?;
    let of_this_instance = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", config.bind.to_string()),
    ];
    let resource = Resource::builder().with_service_name(traces.service.clone()).with_attributes(of_this_instance);
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

/// Sends batches with the program's own HTTP client. The exporter's thread has no runtime, so the program's does the work.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
    failed: AtomicBool,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let post = self.client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let sent = self.runtime.spawn(async move {
            let answer = post.send().await?.error_for_status()?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        });
        let sent = sent.await?;
        let failed = sent.is_err();
        if self.failed.swap(failed, Ordering::Relaxed) != failed && failed {
            warn!("traces cannot be exported to OTEL_EXPORTER_OTLP_ENDPOINT; they are dropped until it answers");
        }
        let (status, body) = sent?;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }
}
