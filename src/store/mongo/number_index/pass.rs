//! A pass over all customers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{FindOptions, Hint};

use super::State;
use crate::store::mongo::Mongo;
use crate::store::{Result, StoreError};

/// Customers of one slice, some 30 ms of work.
const SLICE: usize = 1_000;
/// How often the position is stored, and the lease renewed.
const STORE_EVERY: Duration = Duration::from_secs(2);

/// What both collections hold from a position on.
struct Slice {
    customers: Vec<Document>,
    /// The first customer behind it; `None` at the end.
    next: Option<Bson>,
    indexed: Vec<Document>,
}

impl Mongo {
    /// Walks all customers from where `state` says, and marks it complete; `false` when the lease went to another instance.
    pub(super) async fn index_all(&self, state: &mut State) -> Result<bool> {
        let mut stored = Instant::now();
        let mut slice = self.read_slice(state.next.clone()).await?;
        loop {
            let next = slice.next.clone();
            // The next slice is read while this one is written.
            let write = self.write_slice(slice);
            let Some(next) = next else {
                write.await?;
                break;
            };
            let (written, read) = tokio::join!(write, self.read_slice(Some(next.clone())));
            written?;
            slice = read?;
            state.next = Some(next);
            if stored.elapsed() > STORE_EVERY {
                if !self.renew_index_lease().await? {
                    return Ok(false);
                }
                self.store_index_state(state).await?;
                stored = Instant::now();
            }
        }
        (state.complete, state.next) = (true, None);
        self.store_index_state(state).await?;
        Ok(true)
    }

    async fn read_slice(&self, from: Option<Bson>) -> Result<Slice> {
        let in_order = || FindOptions::builder().sort(doc! { "_id": 1 }).hint(Hint::Keys(doc! { "_id": 1 }));
        // A comparison in the filter would find ids of one type only; the bounds of an index scan know all.
        let at = |id: &Option<Bson>| id.clone().map(|id| doc! { "_id": id });
        let options = in_order().min(at(&from)).limit(SLICE as i64 + 1).projection(self.phone_fields()).build();
        let found = self.customers.find(doc! {}).with_options(options).await?;
        let mut customers: Vec<Document> = found.try_collect().await?;
        let next = customers.split_off(customers.len().min(SLICE)).first().and_then(|next| next.get("_id").cloned());
        let options = in_order().min(at(&from)).max(at(&next)).build();
        let indexed = self.numbers.index.find(doc! {}).with_options(options).await?.try_collect().await?;
        Ok(Slice { customers, next, indexed })
    }

    async fn write_slice(&self, slice: Slice) -> Result<()> {
        let mongo = self.clone();
        // Numbers of a thousand customers take 20 ms to parse.
        let differing = tokio::task::spawn_blocking(move || mongo.differing(slice)).await;
        let differing = differing.map_err(|_| StoreError::Closed)?;
        self.write_keys(differing).await
    }

    /// The customers whose keys are not those in the index, with their keys; without keys those who are no longer there.
    fn differing(&self, slice: Slice) -> Vec<(Bson, Vec<String>)> {
        let mut indexed: HashMap<Vec<u8>, (Bson, Vec<String>)> = HashMap::with_capacity(slice.indexed.len());
        for document in slice.indexed {
            let keys = document.get_array("keys").map(Vec::as_slice).unwrap_or_default();
            let keys = keys.iter().filter_map(Bson::as_str).map(str::to_owned).collect();
            indexed.extend(document.get("_id").map(|id| (bytes(id), (id.clone(), keys))));
        }
        let mut differing = Vec::new();
        for customer in &slice.customers {
            let Some(id) = customer.get("_id") else { continue };
            let keys = self.keys_of(customer);
            let before = indexed.remove(&bytes(id)).map(|(_, keys)| keys).unwrap_or_default();
            if before != keys {
                differing.push((id.clone(), keys));
            }
        }
        differing.extend(indexed.into_values().map(|(id, _)| (id, Vec::new())));
        differing
    }
}

/// An `_id` with its type, to be compared.
fn bytes(id: &Bson) -> Vec<u8> {
    doc! { "_id": id }.to_vec().unwrap_or_default()
}
