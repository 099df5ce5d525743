//! Which customers change while calls go on: a caller is looked up again only then.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ChangeStreamEvent;
use tokio::time::sleep;

use super::mongo::change_stream::next_event;
use super::mongo::{Mongo, id_text};
use super::sqlite::Sqlite;
use super::{Result, StoreError};
use crate::call::Call;
use crate::phone::{PhoneNumber, Region};

/// How often a store without a change stream is asked for its count, which costs it some microseconds.
const PACE: Duration = Duration::from_secs(1);

/// Follows the customers.
pub enum CustomerWatch {
    /// MongoDB tells each change, on a connection of its own.
    Versioned {
        /// What it tells.
        changes: Box<ChangeStream<ChangeStreamEvent<Document>>>,
        /// Whose fields hold numbers.
        mongo: Mongo,
        /// Ends with the stream.
        _client: Client,
    },
    /// The embedded file counts what is written of customers.
    Database(Sqlite, i64),
    /// A MongoDB that is no replica set, or whose role may not watch: the number of customers, which the collection's
    /// metadata has. A number that is added to a customer is not found out.
    Count(Mongo, u64),
}

/// What is known of a change.
#[derive(Debug)]
pub enum Changed {
    /// One customer, who now has the numbers that stand in these texts; none when they were removed.
    One {
        /// Their id as a text.
        id: String,
        /// Their `_id`.
        key: Bson,
        /// As the fields hold them.
        phones: Vec<String>,
        /// Where numbers without a country code are from.
        region: Region,
    },
    /// Any of them.
    Some,
    /// Any of them, and the index of numbers does not have it yet.
    Unindexed,
}

impl Changed {
    /// Whether who is calling may be told differently now.
    pub fn concerns(&self, call: &Call, number: &PhoneNumber) -> bool {
        match self {
            Self::One { id, phones, region, .. } => {
                let is_known = call.customers.iter().any(|customer| customer.id == *id);
                is_known || super::mongo::matched(phones, number, *region).is_some()
            }
            Self::Some | Self::Unindexed => true,
        }
    }
}

impl CustomerWatch {
    /// Waits for the next change. After an error another watch is needed, and what lies between is not known.
    pub async fn next(&mut self) -> Result<Changed> {
        match self {
            Self::Versioned { changes, mongo, .. } => {
                let change = next_event(changes).await?;
                // Without a document it is the collection itself that was dropped or renamed.
                let key = change.document_key.ok_or(StoreError::Closed)?;
                let phones = change.full_document.map_or_else(Vec::new, |document| mongo.phones(&document));
                let key = key.get("_id").cloned().unwrap_or(Bson::Null);
                Ok(Changed::One { id: id_text(Some(&key)), key, phones, region: mongo.region() })
            }
            Self::Database(sqlite, seen) => loop {
                sleep(PACE).await;
                let now = sqlite.customer_changes().await?;
                if std::mem::replace(seen, now) != now {
                    return Ok(Changed::Some);
                }
            },
            Self::Count(mongo, seen) => loop {
                sleep(PACE).await;
                let now = mongo.count_customers().await?;
                if std::mem::replace(seen, now) != now {
                    return Ok(Changed::Unindexed);
                }
            },
        }
    }
}

/// Of an event only what [`CustomerWatch::next`] reads: a host's document may be so large that the event cannot be sent.
pub(super) fn asked_for(phone_fields: Document) -> Document {
    let fields = phone_fields.keys().map(|field| format!("fullDocument.{field}"));
    let of_the_event = ["_id", "operationType", "clusterTime", "wallTime", "documentKey", "ns"].map(str::to_owned);
    let asked = of_the_event.into_iter().chain(fields);
    doc! { "$project": asked.map(|field| (field, 1.into())).collect::<Document>() }
}
