//! Customers by themselves: for the page that *View customer* leads to by default, and for who looks for one.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::limits::Share;
use super::error::{ApiError, ErrorBody};
use super::extract::{Path, Query};
use crate::app::{App, AuditPage, UnmatchableNumber};
use crate::customer::search::{BadQuery, SearchQuery};
use crate::customer::{CustomerDetails, CustomerFound};
use crate::store::TextsPosition;
use crate::viewer::Viewer;

const AUDIT_PAGE: usize = 100;
const LARGEST_AUDIT_PAGE: usize = 500;

/// `?q=`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchParameters {
    /// The beginnings of words of a name or company, in any order; the beginning of an email address; a number in any spelling, or at
    /// least four digits in a row of one.
    q: Option<String>,
}

/// Customers who were found.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomersFound {
    /// At most 20, the best first: by number, by name, by the beginning of the name, then the others by name.
    customers: Vec<CustomerFound>,
}

/// Customers who are searched, for every viewer.
#[utoipa::path(
    get,
    path = "/api/customers",
    tag = "calls",
    params(SearchParameters),
    responses(
        (status = 200, description = "The customers.", body = CustomersFound),
        (status = 400, description = "The query is too short or too long.", body = ErrorBody),
        (status = 429, description = "This viewer reads several pages already.", body = ErrorBody),
    ),
)]
pub async fn search(
    State(app): State<App>,
    Extension(share): Extension<Arc<Share>>,
    Query(parameters): Query<SearchParameters>,
) -> Result<Json<CustomersFound>, ApiError> {
    let query = SearchQuery::parse(&parameters.q.unwrap_or_default(), app.config().region)?;
    let (customers, _page) = share.page(async move { app.search_customers(query).await }).await?;
    Ok(Json(CustomersFound { customers }))
}

/// `?limit=` and `?cursor=`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditParameters {
    /// Texts in a page, from 1 to 500; the nearest of these is taken. A page may hold some more, and fewer or none before the last.
    #[param(default = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Texts that can never match a caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnmatchableNumbers {
    numbers: Vec<UnmatchableNumber>,
    /// Where the next page begins; `null` on the last one.
    next_cursor: Option<String>,
}

/// Texts in customers' fields for telephone numbers that can never match a caller, with the reason and, where it can be derived, the
/// number that is meant.
#[utoipa::path(
    get,
    path = "/api/customers/unmatchable",
    tag = "operating",
    params(AuditParameters),
    responses(
        (status = 200, description = "A page, in the order of the customers.", body = UnmatchableNumbers),
        (status = 400, description = "A parameter cannot be read.", body = ErrorBody),
        (status = 429, description = "This viewer reads several pages already.", body = ErrorBody),
    ),
)]
pub async fn unmatchable(
    State(app): State<App>,
    Extension(share): Extension<Arc<Share>>,
    Query(parameters): Query<AuditParameters>,
) -> Result<Json<UnmatchableNumbers>, ApiError> {
    let limit = parameters.limit.unwrap_or(AUDIT_PAGE).clamp(1, LARGEST_AUDIT_PAGE);
    let bad_cursor = || ApiError::bad_request("bad_cursor", "The cursor is not one that this service gave.");
    let from = parameters.cursor.map(|cursor| TextsPosition::of_cursor(&cursor).ok_or_else(bad_cursor)).transpose()?;
    let (page, _page) = share.page(async move { app.unmatchable(from, limit).await }).await?;
    let AuditPage { numbers, next, .. } = page.ok_or_else(bad_cursor)?;
    Ok(Json(UnmatchableNumbers { numbers, next_cursor: next.map(|next| next.to_cursor()) }))
}

impl From<BadQuery> for ApiError {
    fn from(bad: BadQuery) -> Self {
        Self::bad_request("bad_query", bad.to_string())
    }
}

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
