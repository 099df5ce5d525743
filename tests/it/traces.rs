//! Traces, at a receiver of our own: spans of requests, without a number, a name or a token in them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;

use crate::support::{ADMIN_TOKEN, Setup, Store, TestApp, eventually, privacy};

on_both_stores!(a_webhook_is_a_span_with_its_steps);

type Batches = Arc<Mutex<Vec<Bytes>>>;

/// A receiver of OTLP over HTTP, and what it got.
async fn receiver() -> (String, Batches) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let batches = Batches::default();
    let take = async |State(batches): State<Batches>, body: Bytes| batches.lock().unwrap().push(body);
    let router = Router::new().route("/v1/traces", post(take)).with_state(batches.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, batches)
}

fn spans(batches: &Batches) -> Vec<Span> {
    let batches = batches.lock().unwrap();
    let requests = batches.iter().map(|batch| ExportTraceServiceRequest::decode(batch.clone()).expect("it is OTLP"));
    let scopes = requests.flat_map(|request| request.resource_spans).flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

async fn start(store: Store, endpoint: &str) -> TestApp {
    let setup = Setup::on(store).with("API_TOKENS", ADMIN_TOKEN).with("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    setup.with("OTEL_BSP_SCHEDULE_DELAY", "100").start().await
}

async fn a_webhook_is_a_span_with_its_steps(store: Store) {
    let (endpoint, batches) = receiver().await;
    let app = start(store, &endpoint).await;
    app.ring_as("traced", "+14165551234", "Test Caller").await;
    app.hang_up("traced").await;
    assert_eq!(app.as_admin().get("/api/ringcentral/active-calls").await.status(), 200);
    let found = eventually("spans of the webhook", async || {
        let spans = spans(&batches);
        let webhook = spans.iter().find(|span| span.name == "POST /api/webhooks/ringcentral")?.clone();
        let of_it = spans.into_iter().filter(|span| span.parent_span_id == webhook.span_id);
        let steps: Vec<_> = of_it.map(|span| span.name).collect();
        let complete = ["look up the caller", "load the call", "store the call"];
        complete.iter().all(|step| steps.contains(&(*step).to_owned())).then_some(webhook)
    });
    let attribute = |span: &Span, name: &str| {
        let found = span.attributes.iter().find(|attribute| attribute.key == name);
        format!("{:?}", found.and_then(|attribute| attribute.value.clone()))
    };
    let webhook = found.await;
    assert!(attribute(&webhook, "http.response.status_code").contains("200"), "{webhook:?}");
    assert!(webhook.end_time_unix_nano > webhook.start_time_unix_nano);
    for batch in batches.lock().unwrap().iter() {
        let text = String::from_utf8_lossy(batch);
        for private in
            privacy::spellings("+14165551234").iter().map(String::as_str).chain(["Test Caller", ADMIN_TOKEN, "traced"])
        {
            assert!(!text.contains(private), "{private} in {text:?}");
        }
    }
    assert!(!app.log().contains("store the call"), "steps are not in the log");
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_a_warning_and_nothing_more() {
    let app = start(Store::Sqlite, "http://127.0.0.1:9").await;
    for session in ["first", "second", "third"] {
        app.ring(session, "+14165551234").await;
    }
    let warned = || app.log().lines().filter(|line| line.contains("traces cannot be exported")).count();
    eventually("a warning", async || (warned() > 0).then_some(())).await;
    app.ring("fourth", "+14165551234").await;
    assert_eq!(warned(), 1);
}
