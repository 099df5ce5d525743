//! Customers by themselves, for viewers.

use std::sync::Arc;

use super::App;
use crate::call::Call;
use crate::customer::search::SearchQuery;
use crate::customer::{CustomerDetails, CustomerFound};
use crate::store::{HistoryQuery, StoreError};
use crate::viewer::{Scope, Viewer};

impl App {
    /// A customer, for a viewer who sees everything or a call with them.
    pub async fn customer(&self, id: &str, viewer: &Viewer) -> Result<Option<CustomerDetails>, StoreError> {
        if self.has_call_with(id, viewer).await? { self.store().customer(id).await } else { Ok(None) }
    }

    /// The customers that match a query, the best first. Every viewer may search, so that an unknown caller can be found by name.
    pub async fn search_customers(&self, query: SearchQuery) -> Result<Vec<CustomerFound>, StoreError> {
        self.store().search_customers(query).await
    }

    async fn has_call_with(&self, id: &str, viewer: &Viewer) -> Result<bool, StoreError> {
        let Scope::Extensions(extension_ids) = &viewer.scope else { return Ok(true) };
        let is_with = |call: &Arc<Call>| call.customers.iter().any(|customer| customer.id == id);
        if self.hub().active_calls(viewer).iter().any(is_with) {
            return Ok(true);
        }
        let (customer_id, extension_ids) = (Some(id.to_owned()), Some(extension_ids.clone()));
        let query = HistoryQuery { limit: 1, customer_id, extension_ids, ..HistoryQuery::default() };
        Ok(!self.history(query).await?.calls.is_empty())
    }
}
