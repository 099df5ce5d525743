//! Customers by themselves, for the page that *View customer* leads to by default.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::auth::limits::Share;
use super::error::{ApiError, ErrorBody};
use super::extract::Path;
use crate::app::App;
use crate::customer::CustomerDetails;
use crate::viewer::Viewer;

/// A customer: name, email address and numbers. An agent sees those of their own calls.
#[utoipa::path(
    get,
    path = "/api/customers/{id}",
    tag = "calls",
    params(("id" = String, Path, description = "The customer's `id`, as calls have it in `customer_id`.")),
    responses(
        (status = 200, description = "The customer.", body = CustomerDetails),
        (status = 404, description = "There is none, or this viewer has no call with them.", body = ErrorBody),
        (status = 429, description = "This viewer reads several pages already.", body = ErrorBody),
    ),
)]
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Extension(share): Extension<Arc<Share>>,
    Path(id): Path<String>,
) -> Result<Json<CustomerDetails>, ApiError> {
    // An agent's history may be searched.
    let (customer, _page) = share.page(async move { app.customer(&id, &viewer).await }).await?;
    // The same answer in both cases, so that it does not say who is a customer.
    customer.map(Json).ok_or_else(|| ApiError::not_found("There is no such customer among your calls."))
}
