//! Customers who are searched, by the keys in `caller_popup_customer_search` and, for a whole number, by the index of numbers. What they
//! find is read from the host's collection.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use mongodb::bson::{Bson, Document, doc};

use super::Mongo;
use super::number_index::{LONGEST_READ, binary};
use crate::customer::CustomerFound;
use crate::customer::search::{MOST_FOUND, Place, SearchQuery, Searchable};
use crate::store::Result;
use crate::store::search_keys::{Range, name_range, other_ranges};

/// Customers of one range that are read: of a beginning that more have, some are ranked.
const CANDIDATES: i64 = 300;

impl Mongo {
    /// The customers that match a query, the best first.
    pub async fn search_customers(&self, query: &SearchQuery) -> Result<Vec<CustomerFound>> {
        let by_number = async {
            match &query.number {
                Some(number) => self.ids_by_number(number).await,
                None => Ok(Vec::new()),
            }
        };
        let by_name = async {
            match name_range(query) {
                Some(range) => self.ids_in(&[range]).await,
                None => Ok(Vec::new()),
            }
        };
        let (number, name) = tokio::try_join!(by_number, by_name)?;
        let mut seen = HashSet::new();
        let mut candidates = self.candidates([number, name], &mut seen).await?;
        let is_better =
            |customer: &&Searchable| query.place(customer, self.region).is_some_and(|place| place < Place::Elsewhere);
        // All others rank behind these.
        if candidates.iter().filter(is_better).count() < MOST_FOUND {
            let others = other_ranges(query);
            let others = try_join_all(others.iter().map(|ranges| self.ids_in(ranges))).await?;
            candidates.extend(self.candidates(others, &mut seen).await?);
        }
        Ok(query.answer(candidates, self.region))
    }

    /// The customers with a key in each of these ranges.
    async fn ids_in(&self, ranges: &[Range]) -> Result<Vec<Bson>> {
        let has = |(first, last): &Range| {
            let bounds = doc! { "$gte": binary(first.clone()), "$lte": binary(last.clone()) };
            doc! { "keys": { "$elemMatch": bounds } }
        };
        let all: Vec<Document> = ranges.iter().map(has).collect();
        let found = self.numbers.search_index.find(doc! { "$and": all }).projection(doc! { "_id": 1 });
        let found = found.limit(CANDIDATES).max_time(LONGEST_READ).await?;
        let found: Vec<Document> = found.try_collect().await?;
        Ok(found.into_iter().filter_map(|mut document| document.remove("_id")).collect())
    }

    /// These customers as they are now, without those that were read before.
    async fn candidates(
        &self,
        ids: impl IntoIterator<Item = Vec<Bson>>,
        seen: &mut HashSet<String>,
    ) -> Result<Vec<Searchable>> {
        let ids: Vec<Bson> = ids.into_iter().flatten().filter(|id| seen.insert(format!("{id:?}"))).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.customers.find(doc! { "_id": { "$in": ids } }).projection(self.searched_fields());
        let found: Vec<Document> = found.max_time(LONGEST_READ).await?.try_collect().await?;
        Ok(found.iter().map(|document| self.searchable(document)).collect())
    }
}
