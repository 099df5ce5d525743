//! Which viewer dismissed which active call: a collection of its own, `caller_popup_dismissals`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::DateTime;
use futures_util::TryStreamExt;
use mongodb::bson::{DateTime as BsonDateTime, Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};

use super::Mongo;
use super::id::id_text;
use crate::store::call_merge::StoredCall;
use crate::store::{Dismissal, Result, StoreError};

pub(in crate::store) const DISMISSALS: &str = "caller_popup_dismissals";
/// MongoDB removes what no instance was there to remove; no call lasts that long.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

impl Mongo {
    pub async fn dismiss(&self, dismissal: Dismissal) -> Result<()> {
        // `false` when it is there already.
        self.allowed(self.calls.dismiss(to_document(&dismissal)).await.map(drop))
    }

    pub async fn dismissals(&self) -> Result<Vec<Dismissal>> {
        self.find_dismissals(doc! {}).await
    }

    pub async fn forget_dismissals(&self, calls: Vec<String>) -> Result<()> {
        let removed = self.dismissed().delete_many(doc! { "call": { "$in": calls } }).await;
        self.allowed(removed.map(drop).map_err(StoreError::from))
    }

    /// Adds to a call who dismissed others, which are about to become part of it.
    pub(super) async fn inherit_dismissals(&self, from: &[StoredCall], to: &str) -> Result<()> {
        let ids: Vec<&String> = from.iter().map(|held| &held.call.id).collect();
        for dismissal in self.find_dismissals(doc! { "call": { "$in": ids } }).await? {
            self.dismiss(Dismissal { call_id: to.to_owned(), ..dismissal }).await?;
        }
        Ok(())
    }

    /// Removes the dismissals of the calls that `filter` finds.
    pub(super) async fn forget_dismissals_of(&self, calls: &Collection<Document>, filter: Document) -> Result<()> {
        let found: Vec<Document> = calls.find(filter).projection(doc! { "_id": 1 }).await?.try_collect().await?;
        if found.is_empty() {
            return Ok(());
        }
        self.forget_dismissals(found.iter().map(|call| id_text(call.get("_id"))).collect()).await
    }

    pub(super) async fn index_dismissals(&self) -> Result<()> {
        let expires = IndexOptions::builder().expire_after(LONGEST).build();
        let by_time = IndexModel::builder().keys(doc! { "at": 1 }).options(expires).build();
        let by_call = IndexModel::builder().keys(doc! { "call": 1 }).build();
        let indexed = self.dismissed().create_indexes([by_time, by_call]).await;
        self.allowed(indexed.map(drop).map_err(StoreError::from))
    }

    async fn find_dismissals(&self, filter: Document) -> Result<Vec<Dismissal>> {
        let found = async {
            let all: Vec<Document> = self.dismissed().find(filter).await?.try_collect().await?;
            Ok(all.iter().filter_map(dismissal).collect())
        };
        self.allowed(found.await)
    }

    /// A role made for an earlier version does not know this collection. Calls must be shown all the same: dismissals are
    /// then kept in memory, by the instance where they were made.
    fn allowed<T: Default>(&self, done: Result<T>) -> Result<T> {
        match done {
            Err(StoreError::Mongo(error)) if is_unauthorized(&error) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        collection = DISMISSALS,
                        "the database role does not allow this collection; dismissals are not kept over a restart"
                    );
                }
                Ok(T::default())
            }
            done => done,
        }
    }

    fn dismissed(&self) -> Collection<Document> {
        self.database.collection(DISMISSALS)
    }
}

/// A role does not allow this.
pub(in crate::store) fn is_unauthorized(error: &Error) -> bool {
    const UNAUTHORIZED: i32 = 13;
    match &*error.kind {
        ErrorKind::Command(error) => error.code == UNAUTHORIZED,
        ErrorKind::InsertMany(error) => error.write_errors.iter().flatten().any(|error| error.code == UNAUTHORIZED),
        _ => false,
    }
}

fn to_document(Dismissal { call_id, viewer, at }: &Dismissal) -> Document {
    let at = BsonDateTime::from_millis(at.timestamp_millis());
    doc! { "_id": { "call": call_id, "viewer": viewer }, "call": call_id, "viewer": viewer, "at": at }
}

pub(in crate::store) fn dismissal(document: &Document) -> Option<Dismissal> {
    let at = document.get_datetime("at").ok().and_then(|at| DateTime::from_timestamp_millis(at.timestamp_millis()));
    Some(Dismissal {
        call_id: document.get_str("call").ok()?.to_owned(),
        viewer: document.get_str("viewer").ok()?.to_owned(),
        at: at?,
    })
}
