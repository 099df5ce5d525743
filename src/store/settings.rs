//! What the service remembers beside calls: settings, tickets, leases, shapes of notifications.

use chrono::{DateTime, Utc};

use super::{Result, Store, in_time};

impl Store {
    /// Counts a notification by its shape. Of more than `MOST_SHAPES` those that were not seen for longest are deleted.
    pub async fn record_shape(&self, shape: &str, at: DateTime<Utc>) -> Result<()> {
        match self {
            Self::Mongo(mongo) => mongo.record_shape(shape, at).await,
            Self::Sqlite(sqlite) => sqlite.record_shape(shape, at).await,
        }
    }

    /// Something the service must remember between runs, such as a generated verification token.
    pub async fn setting(&self, key: &str) -> Result<Option<String>> {
        match self {
            Self::Mongo(mongo) => in_time(mongo.setting(key)).await,
            Self::Sqlite(sqlite) => sqlite.setting(key).await,
        }
    }

    /// Remembers it, durably.
    pub async fn set_setting(&self, key: &str, value: &str) -> Result<()> {
        match self {
            Self::Mongo(mongo) => in_time(mongo.set_setting(key, value)).await,
            Self::Sqlite(sqlite) => sqlite.set_setting(key, value).await,
        }
    }

    /// Remembers it unless something is remembered already; answers what is, the same to every instance.
    pub async fn get_or_insert_setting(&self, key: &str, value: &str) -> Result<String> {
        match self {
            Self::Mongo(mongo) => in_time(mongo.get_or_insert_setting(key, value)).await,
            Self::Sqlite(sqlite) => sqlite.get_or_insert_setting(key, value).await,
        }
    }

    /// Keeps something that is handed out once, until `until`.
    pub async fn put_ticket(&self, id: &str, value: &str, until: DateTime<Utc>) -> Result<()> {
        match self {
            Self::Mongo(mongo) => in_time(mongo.put_ticket(id, value, until)).await,
            Self::Sqlite(sqlite) => sqlite.put_ticket(id, value, until).await,
        }
    }

    /// Hands it out, once.
    pub async fn take_ticket(&self, id: &str, now: DateTime<Utc>) -> Result<Option<String>> {
        match self {
            Self::Mongo(mongo) => in_time(mongo.take_ticket(id, now)).await,
            Self::Sqlite(sqlite) => sqlite.take_ticket(id, now).await,
        }
    }

    /// Whether `holder` may do `name` until `until`; `true` for one of several instances only.
    pub async fn lease(&self, name: &str, holder: &str, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool> {
        match self {
            Self::Mongo(mongo) => in_time(mongo.lease(name, holder, now, until)).await,
            // The file has one process.
            Self::Sqlite(_) => Ok(true),
        }
    }
}
