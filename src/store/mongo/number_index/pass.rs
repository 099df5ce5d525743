//! Passes over all customers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{FindOptions, Hint};

use tracing::info;

use super::{State, Use};
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

/// How far a walk has come.
enum Reached {
    /// The first customer that it has not read.
    Before(Bson),
    End,
}

impl Mongo {
    /// Walks all customers from where `state` says, and marks it complete; `false` when the lease went to another instance.
    pub(super) async fn index_all(&self, state: &mut State) -> Result<bool> {
        while let Reached::Before(next) = self.walk(Use::Lookup, state.next.take(), STORE_EVERY).await? {
            state.next = Some(next);
            if !self.renew_index_lease().await? {
                return Ok(false);
            }
            self.store_index_state(state).await?;
        }
        state.complete = true;
        self.store_index_state(state).await?;
        Ok(true)
    }

    /// The next turn of the pass that writes the keys for searches: all that was read is written when it ends, so that a change which
    /// is read later is written later. Whether it was the last.
    pub(super) async fn index_next_for_search(&self, state: &mut State, turn: Duration) -> Result<bool> {
        if let Reached::Before(next) = self.walk(Use::Search, state.search.next.clone(), turn).await? {
            state.search.next = Some(next);
            return Ok(false);
        }
        if !state.search.complete {
            info!("customers are indexed for searches");
        }
        (state.search.complete, state.search.next) = (true, None);
        self.store_index_state(state).await?;
        self.note_searchable(Some(state));
        Ok(true)
    }

    /// Walks customers for about so long.
    async fn walk(&self, keys: Use, from: Option<Bson>, time: Duration) -> Result<Reached> {
        let begun = Instant::now();
        let mut slice = self.read_slice(keys, from).await?;
        loop {
            let next = slice.next.clone();
            // The next slice is read while this one is written.
            let write = self.write_slice(keys, slice);
            match next {
                Some(next) if begun.elapsed() < time => {
                    let (written, read) = tokio::join!(write, self.read_slice(keys, Some(next)));
                    written?;
                    slice = read?;
                }
                next => {
                    write.await?;
                    return Ok(next.map_or(Reached::End, Reached::Before));
                }
            }
        }
    }

    async fn read_slice(&self, keys: Use, from: Option<Bson>) -> Result<Slice> {
        let in_order = || FindOptions::builder().sort(doc! { "_id": 1 }).hint(Hint::Keys(doc! { "_id": 1 }));
        // A comparison in the filter would find ids of one type only; the bounds of an index scan know all.
        let at = |id: &Option<Bson>| id.clone().map(|id| doc! { "_id": id });
        let options = in_order().min(at(&from)).limit(SLICE as i64 + 1).projection(self.fields_for(keys)).build();
        let found = self.customers.find(doc! {}).with_options(options).await?;
        let mut customers: Vec<Document> = found.try_collect().await?;
        let next = customers.split_off(customers.len().min(SLICE)).first().and_then(|next| next.get("_id").cloned());
        let options = in_order().min(at(&from)).max(at(&next)).build();
        let indexed = self.index_for(keys).find(doc! {}).with_options(options).await?.try_collect().await?;
        Ok(Slice { customers, next, indexed })
    }

    async fn write_slice(&self, keys: Use, slice: Slice) -> Result<()> {
        let mongo = self.clone();
        // Numbers of a thousand customers take 20 ms to parse.
        let differing = tokio::task::spawn_blocking(move || mongo.differing(keys, slice)).await;
        let differing = differing.map_err(|_| StoreError::Closed)?;
        self.write_keys(keys, differing).await
    }

    /// The customers whose keys are not those in the index, with their keys; without keys those who are no longer there.
    fn differing(&self, of: Use, slice: Slice) -> Vec<(Bson, Vec<Bson>)> {
        let mut indexed: HashMap<Vec<u8>, (Bson, Vec<Bson>)> = HashMap::with_capacity(slice.indexed.len());
        for mut document in slice.indexed {
            let Some(id) = document.remove("_id") else { continue };
            let keys = document.remove("keys").map(|keys| keys.as_array().cloned().unwrap_or_default());
            indexed.insert(bytes(&id), (id, keys.unwrap_or_default()));
        }
        let mut differing = Vec::new();
        for customer in &slice.customers {
            let Some(id) = customer.get("_id") else { continue };
            let keys = self.keys_for(of, customer);
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
