//! Old history is removed in slices, between which the server has time for others.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use mongodb::Cursor;
use mongodb::bson::{Bson, DateTime as BsonDateTime, Document, doc};
use mongodb::options::{Acknowledgment, WriteConcern};
use tokio::time::sleep;

use super::Mongo;
use crate::store::{Result, in_time};

/// Old calls that are removed with one command, which takes some milliseconds.
const PRUNED_AT_ONCE: u32 = 50;
/// Between two commands: 500,000 calls take a quarter of an hour.
const LEAST_PAUSE: Duration = Duration::from_millis(90);

impl Mongo {
    pub async fn prune_history(&self, before: DateTime<Utc>) -> Result<u64> {
        let before = BsonDateTime::from_millis(before.timestamp_millis());
        self.shapes().prune(before).await?;
        // One cursor for all: a new search walks past everything in the index that was removed lately.
        let old = self.history.find(doc! { "timestamp": { "$lt": before } }).projection(doc! { "_id": 1 });
        let mut old = old.batch_size(PRUNED_AT_ONCE).await?;
        let mut all = 0;
        loop {
            let begun = Instant::now();
            match in_time(self.prune_slice(&mut old)).await? {
                Some(pruned) => all += pruned,
                None => return Ok(all),
            }
            // Three quarters of the time are for others. What is removed stays in every index until the next checkpoint, once a minute,
            // and a lookup beside it walks past all of it: so there is no more than this pace leaves.
            sleep((begun.elapsed() * 3).max(LEAST_PAUSE)).await;
        }
    }

    /// Removes the next of these calls; how many, `None` where there are no more.
    async fn prune_slice(&self, old: &mut Cursor<Document>) -> Result<Option<u64>> {
        let mut ids: Vec<Bson> = Vec::new();
        while ids.len() < PRUNED_AT_ONCE as usize
            && let Some(mut call) = old.try_next().await?
        {
            ids.extend(call.remove("_id"));
        }
        if ids.is_empty() {
            return Ok(None);
        }
        // What a crash brings back is removed again.
        let unsynced = WriteConcern::builder().w(Acknowledgment::Nodes(1)).build();
        let delete = self.history.delete_many(doc! { "_id": { "$in": ids } }).write_concern(unsynced);
        Ok(Some(delete.await?.deleted_count))
    }
}
