//! Customers, and who of them has a number.

use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;

use super::{Changed, CustomerWatch, Result, Store};
use crate::customer::search::SearchQuery;
use crate::customer::{Customer, CustomerDetails, CustomerFound};
use crate::phone::PhoneNumber;
use crate::secret;

/// How often the embedded store is asked who has changed.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// The key of a number in the index.
pub fn number_key(number: &PhoneNumber) -> String {
    secret::digest(format!("number of a customer:{}", number.e164()))
}

/// How far the index of customers' numbers is, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexProgress {
    /// No service has begun it with these settings.
    NotBegun,
    /// Callers who are not in it yet are searched for.
    Building,
    /// It has the numbers of every customer.
    Complete,
}

impl Store {
    /// The customers who have this number, in any spelling, ranked.
    pub async fn customers_by_phone(&self, number: &PhoneNumber) -> Result<Vec<Customer>> {
        match self {
            Self::Mongo(mongo) => mongo.customers_by_phone(number, None).await,
            Self::Sqlite(sqlite) => sqlite.customers_by_phone(number).await,
        }
    }

    /// The same for many numbers with one question: those that stand in the database in a common spelling.
    pub async fn customers_by_phones(&self, numbers: &[PhoneNumber]) -> Result<Vec<Vec<Customer>>> {
        match self {
            Self::Mongo(mongo) => mongo.customers_by_phones(numbers).await,
            Self::Sqlite(sqlite) => {
                let mut found = Vec::with_capacity(numbers.len());
                for number in numbers {
                    found.push(sqlite.customers_by_phone(number).await?);
                }
                Ok(found)
            }
        }
    }

    /// The customer with this id, as [`Customer::id`] has it.
    pub async fn customer(&self, id: &str) -> Result<Option<CustomerDetails>> {
        match self {
            Self::Mongo(mongo) => mongo.customer_by_id(id).await,
            Self::Sqlite(sqlite) => sqlite.customer_by_id(id).await,
        }
    }

    /// The customers that match a query, the best first.
    pub async fn search_customers(&self, query: SearchQuery) -> Result<Vec<CustomerFound>> {
        match self {
            Self::Mongo(mongo) => mongo.search_customers(&query).await,
            Self::Sqlite(sqlite) => sqlite.search_customers(query).await,
        }
    }

    /// Whether searches find all customers.
    pub fn customer_search_is_complete(&self) -> bool {
        match self {
            Self::Mongo(mongo) => mongo.customer_search_is_complete(),
            Self::Sqlite(sqlite) => sqlite.customer_search_is_complete(),
        }
    }

    /// Watches the customers.
    pub async fn watch_customers(&self) -> Result<CustomerWatch> {
        match self {
            Self::Mongo(mongo) => mongo.watch_customers().await,
            Self::Sqlite(sqlite) => Ok(CustomerWatch::Database(sqlite.clone(), sqlite.customer_changes().await?)),
        }
    }

    /// Brings the embedded store's index of customers' numbers in line with this version and region; at once where it is.
    pub async fn rebuild_phone_keys(&self) -> Result<()> {
        match self {
            Self::Mongo(_) => Ok(()),
            Self::Sqlite(sqlite) => sqlite.rebuild_phone_keys().await,
        }
    }

    /// The customers who have this number, right after a change of customers, which may not be indexed yet.
    pub async fn customers_after(&self, number: &PhoneNumber, changed: &Changed) -> Result<Vec<Customer>> {
        match (self, changed) {
            (Self::Mongo(mongo), Changed::One { key, .. }) => mongo.customers_by_phone(number, Some(key)).await,
            (Self::Mongo(mongo), Changed::Unindexed) => mongo.customers_by_pattern(number).await,
            _ => self.customers_by_phone(number).await,
        }
    }

    /// Keeps the indexes of customers until an error, after which it is to be called again. In the embedded file numbers are written
    /// with each customer, and what they are searched by soon after another program wrote one.
    pub async fn keep_number_index(&self) -> Result<()> {
        match self {
            Self::Mongo(mongo) => mongo.keep_number_index().await,
            Self::Sqlite(sqlite) => loop {
                let more = sqlite.refresh_customer_search().await?;
                sleep(if more { Duration::ZERO } else { REFRESH_EVERY }).await;
            },
        }
    }

    /// How far that index is, for a process that does not keep it.
    pub async fn number_index_progress(&self) -> Result<IndexProgress> {
        match self {
            Self::Mongo(mongo) => mongo.number_index_progress().await,
            Self::Sqlite(_) => Ok(IndexProgress::Complete),
        }
    }

    /// Whether the index of customers' numbers holds all of them: it is not being built, and what changed is in it.
    pub fn number_index_is_complete(&self) -> bool {
        match self {
            Self::Mongo(mongo) => mongo.number_index_is_complete(),
            Self::Sqlite(_) => true,
        }
    }

    /// Waits until that becomes so.
    pub async fn number_index_completed(&self) {
        match self {
            Self::Mongo(mongo) => mongo.number_index_completed().await,
            Self::Sqlite(_) => pending().await,
        }
    }
}
