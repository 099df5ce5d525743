//! Answers to what cannot be done: a code for programs and a sentence for people. The cause goes to the log.

use std::any::Any;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::store::{StoreError, sources};

/// An error as clients see it.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// What an error's body holds.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Serialize, ToSchema)]
struct ErrorDetail {
    /// For programs, in `snake_case`.
    code: &'static str,
    /// For people, one sentence.
    message: String,
}

impl ApiError {
    /// Any error: its status, `snake_case` code and one sentence.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// 400: the request says something we cannot take.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: who is asking?
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Sign in, or send a valid token, to see calls.")
    }

    /// 401: a token that the host application made, and made wrong. The message says how.
    pub fn malformed_token(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 401: what proved who is asking is no longer good.
    pub fn expired() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "expired", "Your sign-in has ended. Sign in again to see calls.")
    }

    /// 403: known, and not allowed.
    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 429.
    pub fn too_many(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
    }

    /// Whether a credential may have been guessed: it is wrong, and not merely expired, malformed or without rights.
    pub fn is_wrong_credential(&self) -> bool {
        *self == Self::unauthorized()
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }
}

impl From<StoreError> for ApiError {
    fn from(cause: StoreError) -> Self {
        // A disk that fails is logged once, not by each request.
        if !cause.is_of_the_disk() || matches!(cause, StoreError::Full) {
            error!(error = %cause, error.sources = sources(&cause), "a request could not be answered");
        }
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "Calls cannot be stored or read right now.")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> axum::response::Response {
        let body = ErrorBody { error: ErrorDetail { code: self.code, message: self.message } };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// 405 for every route.
pub async fn method_not_allowed() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This address does not take that method.")
}

/// A defect of ours: the connection survives, the client learns nothing of it.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    error!("a request ended in a panic");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here.").into_response()
}
