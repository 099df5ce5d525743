//! Requests in somebody's name: `app.as_admin().get(path)`.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::TestApp;

/// The token of admins, which a test sets as `API_TOKENS`.
pub const ADMIN_TOKEN: &str = "a-token-nobody-guesses";

/// Someone who sends a token with each request.
pub struct Caller<'a> {
    app: &'a TestApp,
    bearer: &'a str,
}

impl TestApp {
    /// Requests with [`ADMIN_TOKEN`].
    pub fn as_admin(&self) -> Caller<'_> {
        self.bearing(ADMIN_TOKEN)
    }

    /// Requests with this token or JWT.
    pub fn bearing<'a>(&'a self, bearer: &'a str) -> Caller<'a> {
        Caller { app: self, bearer }
    }

    /// The metrics as Prometheus reads them, where they are open to everybody.
    pub async fn metrics(&self) -> String {
        self.get("/metrics").await.text().await.expect("metrics are text")
    }
}

impl Caller<'_> {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.app.request(method, path).bearer_auth(self.bearer)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.expect("an answer comes")
    }

    pub async fn post(&self, path: &str) -> Response {
        self.request(Method::POST, path).send().await.expect("an answer comes")
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.expect("an answer comes")
    }

    pub async fn get_json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "GET {path}");
        answer.json().await.expect("the answer is JSON")
    }

    /// A stream that is asked for; it is opened by `Viewer::open`.
    pub fn stream(&self) -> RequestBuilder {
        self.app.client.get(self.app.url("/api/ringcentral/call-stream")).bearer_auth(self.bearer)
    }
}
