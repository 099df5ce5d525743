//! Ended calls, newest first.

use std::thread;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, DateTime as BsonDateTime, Document, doc};
use mongodb::options::FindOptions;
use tokio::task::yield_now;

use super::Mongo;
use super::document::from_document;
use super::id::{bson_id, extended, id_text};
use crate::store::{HistoryPage, HistoryQuery, Position, Result, scope};

/// Documents of one answer while a page of the history is read: a page may end early.
const HISTORY_BATCH: u32 = 100;
/// Calls that began in one millisecond, among which a place in the history is looked for.
const MOST_AT_ONCE: i64 = 1_000;

/// A filter with all of these conditions and one of the alternatives, which each hold them all, so that each can use an index.
fn each_with(all: Vec<Document>, alternatives: Vec<Document>) -> Document {
    let with = |it: Document| {
        let conditions: Vec<_> = all.iter().cloned().chain([it]).filter(|it| !it.is_empty()).collect();
        if conditions.is_empty() {
            doc! {}
        } else {
            doc! { "$and": conditions }
        }
    };
    doc! { "$or": alternatives.into_iter().map(with).collect::<Vec<_>>() }
}

impl Mongo {
    /// The `_id` at a place in the history. Its text may not say the type.
    async fn id_at(&self, place: &Position) -> Result<Bson> {
        let at = BsonDateTime::from_millis(place.timestamp.timestamp_millis());
        let ids = self.history.find(doc! { "timestamp": at }).projection(doc! { "_id": 1 }).limit(MOST_AT_ONCE);
        let ids: Vec<Document> = ids.await?.try_collect().await?;
        let same = |id: &Bson| id_text(Some(id)) == place.id || extended(id) == place.id;
        let found = ids.into_iter().filter_map(|mut it| it.remove("_id")).find(same);
        Ok(found.unwrap_or_else(|| bson_id(&place.id)))
    }

    pub async fn history(&self, query: HistoryQuery) -> Result<HistoryPage> {
        let mut all = Vec::new();
        if let Some(before) = &query.before {
            let at = BsonDateTime::from_millis(before.timestamp.timestamp_millis());
            // A plain comparison would leave out ids of other types. The range is what an index can use.
            let before_id = doc! { "$expr": { "$lt": ["$_id", { "$literal": self.id_at(before).await? }] } };
            let not_at = doc! { "timestamp": { "$ne": at } };
            all.extend([doc! { "timestamp": { "$lte": at } }, doc! { "$or": [not_at, before_id] }]);
        }
        all.extend(query.result.map(|result| doc! { "result": result.as_str() }));
        all.extend(query.direction.map(|direction| doc! { "direction": direction.as_str() }));
        all.extend(query.customer_id.map(|id| doc! { "customer_id": id }));
        all.extend(
            query.since.map(|at| doc! { "timestamp": { "$gte": BsonDateTime::from_millis(at.timestamp_millis()) } }),
        );
        // Each of these pairs has an index in the order of the history; MongoDB merges what it reads from both.
        let numbers = query.number.map(|number| ["from_number", "to_number"].map(|field| doc! { field: &number }));
        let extensions = query.extension_ids.map(|ids| scope::mongodb(&ids));
        let filter = match (numbers, extensions) {
            (None, None) => each_with(all, vec![doc! {}]),
            (Some(pair), None) | (None, Some(pair)) => each_with(all, pair.into()),
            (Some(numbers), Some(extensions)) => {
                all.push(doc! { "$or": extensions.to_vec() });
                each_with(all, numbers.into())
            }
        };
        let limit = query.limit;
        let options = FindOptions::builder()
            .sort(doc! { "timestamp": -1, "_id": -1 })
            .limit(limit as i64 + 1)
            .batch_size(HISTORY_BATCH)
            .build();
        let mut documents = self.history.find(filter).with_options(options).await?;
        let mut page = HistoryPage::default();
        while let Some(document) = documents.try_next().await? {
            // Reading a document takes 30 µs of a worker's time, which a webhook may wait for.
            thread::yield_now();
            yield_now().await;
            if let Ok(call) = from_document(document)
                && !page.add(call, limit)
            {
                break;
            }
        }
        Ok(page)
    }
}
