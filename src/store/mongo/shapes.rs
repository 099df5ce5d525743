//! Shapes of notifications that were not understood.
//!
//! Several instances may insert at once. Each insert is followed by a look for what is one too many, so whichever look is
//! the last one finds all that were inserted before, and the collection is within its bound once they are done.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, DateTime as BsonDateTime, Document, doc};
use mongodb::options::UpdateModifications;
use mongodb::{Collection, Database, IndexModel};

use super::is_duplicate;
use crate::store::{MOST_SHAPES, Result};

/// The collection.
pub struct Shapes(Collection<Document>);

impl Shapes {
    pub fn of(database: &Database) -> Self {
        Self(database.collection("notification_shapes"))
    }

    pub async fn prepare(&self) -> Result<()> {
        self.0.create_index(IndexModel::builder().keys(doc! { "last_seen": -1 }).build()).await?;
        Ok(())
    }

    pub async fn record(&self, shape: &str, at: DateTime<Utc>) -> Result<()> {
        let at = BsonDateTime::from_millis(at.timestamp_millis());
        let update = doc! { "$inc": { "count": 1 }, "$max": { "last_seen": at }, "$setOnInsert": { "first_seen": at } };
        let update = UpdateModifications::from(update);
        let recorded = match self.0.update_one(doc! { "_id": shape }, update.clone()).upsert(true).await {
            // Another instance inserted it in this moment, so now it is there to be updated.
            Err(error) if is_duplicate(&error) => self.0.update_one(doc! { "_id": shape }, update).await?,
            recorded => recorded?,
        };
        // Only a shape that is new can be one too many.
        if recorded.upserted_id.is_some() { self.bound().await } else { Ok(()) }
    }

    /// Deletes what is beyond the bound: those that were not seen for longest.
    async fn bound(&self) -> Result<()> {
        let too_many = self.0.find(doc! {}).sort(doc! { "last_seen": -1 }).skip(MOST_SHAPES.into());
        let too_many: Vec<Document> = too_many.projection(doc! { "last_seen": 1 }).await?.try_collect().await?;
        let Some(newest) = too_many.first().and_then(|shape| shape.get("last_seen")).cloned() else { return Ok(()) };
        let ids: Vec<Bson> = too_many.into_iter().filter_map(|mut shape| shape.remove("_id")).collect();
        // One that was seen again since stays.
        self.0.delete_many(doc! { "_id": { "$in": ids }, "last_seen": { "$lte": newest } }).await?;
        Ok(())
    }

    pub async fn prune(&self, before: BsonDateTime) -> Result<()> {
        self.0.delete_many(doc! { "last_seen": { "$lt": before } }).await?;
        Ok(())
    }

    /// How many there were.
    pub async fn erase(&self) -> Result<u64> {
        Ok(self.0.delete_many(doc! {}).await?.deleted_count)
    }
}
