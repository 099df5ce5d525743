//! A webhook that is nothing but a webhook, with good or bad manners.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use reqwest::Url;
use serde_json::Value;
use tokio::net::TcpListener;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// As RingCentral wants it.
    Good,
    /// Never.
    Silent,
    /// With the token, and too much beside it.
    Verbose,
    /// Without saying of which type the body is.
    Untyped,
    /// With this status.
    Failing(StatusCode),
}

/// A running receiver.
pub struct Receiver {
    /// For `PUBLIC_URL`.
    pub url: Url,
    seen: Arc<Seen>,
    server: tokio::task::JoinHandle<()>,
}

struct Seen {
    manners: Mutex<Manners>,
    handshakes: Mutex<usize>,
    deliveries: Mutex<Vec<(Option<String>, Value)>>,
}

impl Receiver {
    pub async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let seen =
            Arc::new(Seen { manners: Mutex::new(manners), handshakes: Mutex::default(), deliveries: Mutex::default() });
        let router = Router::new().fallback(receive).with_state(seen.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url: format!("http://{address}").parse().expect("an address is a URL"), seen, server }
    }

    pub fn behave(&self, manners: Manners) {
        *self.seen.manners.lock().unwrap() = manners;
    }

    /// How often somebody shook hands.
    pub fn handshakes(&self) -> usize {
        *self.seen.handshakes.lock().unwrap()
    }

    /// What arrived, with the verification token it carried.
    pub fn deliveries(&self) -> Vec<(Option<String>, Value)> {
        self.seen.deliveries.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let validation = text("validation-token");
    match &validation {
        Some(_) => *seen.handshakes.lock().unwrap() += 1,
        None => {
            let delivery = (text("verification-token"), serde_json::from_slice(&body).unwrap_or_default());
            seen.deliveries.lock().unwrap().push(delivery);
        }
    }
    let manners = *seen.manners.lock().unwrap();
    let mut answer = match manners {
        Manners::Silent => std::future::pending().await,
        Manners::Good | Manners::Untyped => "{}".to_owned().into_response(),
        Manners::Verbose => " ".repeat(1_024).into_response(),
        Manners::Failing(status) => status.into_response(),
    };
    answer.headers_mut().remove(header::CONTENT_TYPE);
    if manners != Manners::Untyped {
        answer.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    }
    if let Some(token) = validation {
        answer.headers_mut().insert("validation-token", token.parse().unwrap());
    }
    answer
}
