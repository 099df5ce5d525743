//! What others do to `active_calls`, as MongoDB tells it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::raw::{RawDocument, RawDocumentBuf};
use mongodb::bson::{Bson, Document, Timestamp, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::{ChangeStreamEvent, OperationType};
use mongodb::options::{ClientOptions, FullDocumentType};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::warn;

use super::{DISMISSALS, dismissal, extended, fields, from_document, id_text, is_unauthorized, raw_id};
use crate::call::Call;
use crate::store::{Result, StoreError};

/// A server that is no replica set says so by this code.
pub(super) const NO_REPLICA_SET: i32 = 40573;

const CALLS: &str = "active_calls";

/// A stream without an answer for so long is given up.
const SILENCE: Duration = Duration::from_secs(3);

/// Changes of `active_calls`, and dismissals, on a connection of their own: the stream holds one for as long as it lives, and writes
/// must not wait for it.
pub struct CallChangeStream {
    changes: ChangeStream<ChangeStreamEvent<RawDocumentBuf>>,
    since: Option<Timestamp>,
    _client: Client,
}

/// Something that happened to an active call.
#[derive(Debug)]
pub struct ChangeEvent {
    /// Which, in the forms that its id may have as a text.
    pub names: [String; 2],
    id: Bson,
    /// Its document now, which may be after later changes too; `None` when it is no longer in `active_calls`.
    document: Option<RawDocumentBuf>,
    /// The viewer who dismissed the call, if that is what happened to it.
    pub dismissed_by: Option<String>,
    /// The `rev` that this very change gave it, 0 for a change by another program; `None` when it left.
    pub rev: Option<i64>,
    /// When, by the database's own clock: the same to every instance, and growing with each change.
    pub at: Option<u64>,
    /// The same by the clock on its wall, for measuring; MongoDB tells it since 6.0.
    pub lag: Option<Duration>,
}

/// Once: it is tried again for ever, because a role may be changed while the program runs.
fn warn_of_role(warned: &AtomicBool) {
    if !warned.swap(true, Ordering::Relaxed) {
        warn!(
            "the user of MONGODB_URI may not watch active_calls (changeStream), so changes by other programs and instances arrive \
             with the next poll; docs/operations.md has the role"
        );
    }
}

impl ChangeEvent {
    /// Whether this happened to the document of `call`.
    pub fn is_of(&self, call: &Call) -> bool {
        raw_id(call) == self.id
    }

    /// Whether the call is no longer in `active_calls`.
    pub fn left(&self) -> bool {
        self.document.is_none() && self.rev.is_none()
    }

    /// How the call stands now, which may be after later changes too; `None` where the document can be no call: the poll sets it
    /// aside.
    pub fn call(&self) -> Option<Call> {
        from_document(Document::try_from(self.document.as_ref()?).ok()?).ok()
    }
}

impl CallChangeStream {
    /// Begins to watch; `None` where the server is no replica set and only polling helps.
    pub(super) async fn open(options: ClientOptions, database: &str, warned: &AtomicBool) -> Result<Option<Self>> {
        let client = Client::with_options(options)?;
        let database = client.database(database);
        // What time it is at the database, so that it is known since when this stream tells everything.
        let since = database.run_command(doc! { "ping": 1 }).await?.get_timestamp("operationTime").ok();
        let calls = database.collection::<Document>(CALLS);
        let asked = doc! { "$project": asked_for()? };
        // One stream of both collections tells their changes in one order.
        let both = database.watch().pipeline([doc! { "$match": changes_of_both() }, asked.clone()]);
        let both = both.full_document(FullDocumentType::UpdateLookup);
        let mut watch = since.into_iter().fold(both, |watch, since| watch.start_at_operation_time(since)).await;
        if watch.as_ref().is_err_and(is_unauthorized) {
            // A role may be for single collections; then the poll finds the dismissals.
            let calls = calls.watch().pipeline([asked]).full_document(FullDocumentType::UpdateLookup);
            watch = since.into_iter().fold(calls, |watch, since| watch.start_at_operation_time(since)).await;
        }
        match watch {
            Ok(changes) => Ok(Some(Self { changes: changes.with_type(), since, _client: client })),
            Err(error) if code(&error) == Some(NO_REPLICA_SET) => Ok(None),
            Err(error) if is_unauthorized(&error) => {
                warn_of_role(warned);
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The cluster time since which this stream tells every change.
    pub fn since(&self) -> Option<u64> {
        self.since.map(cluster_time)
    }

    /// Waits for the next change. An error ends the stream: a new one starts at now, because retrying a lost position
    /// would fail for ever, and what lies between is read from the collection.
    pub async fn next(&mut self) -> Result<ChangeEvent> {
        loop {
            let change = next_event(&mut self.changes).await?;
            let id = change.document_key.as_ref().and_then(|key| key.get("_id")).cloned().unwrap_or(Bson::Null);
            let names = [id_text(Some(&id)), extended(&id)];
            let at = change.cluster_time.map(cluster_time);
            let lag = change.wall_time.map(|at| at.to_system_time()).and_then(|at| at.elapsed().ok());
            let updated = change.update_description.map(|update| rev(&update.updated_fields));
            // This service replaces no document, so that is another program's change, whatever `rev` it carries.
            let inserted = change.full_document.as_deref().filter(|_| change.operation_type == OperationType::Insert);
            let rev = updated.or_else(|| inserted.map(raw_rev)).unwrap_or(0);
            if change.ns.as_ref().and_then(|ns| ns.coll.as_deref()) == Some(DISMISSALS) {
                let document = change.full_document.and_then(|document| Document::try_from(document).ok());
                let Some(dismissal) = document.as_ref().and_then(dismissal) else { continue };
                let (names, dismissed_by) = ([dismissal.call_id, String::new()], Some(dismissal.viewer));
                return Ok(ChangeEvent { names, id, document: None, dismissed_by, rev: None, at, lag });
            }
            match change.operation_type {
                OperationType::Insert | OperationType::Replace | OperationType::Update => {
                    // Else it was changed and deleted before the lookup.
                    if change.full_document.is_some() {
                        let (document, rev) = (change.full_document, Some(rev));
                        return Ok(ChangeEvent { names, id, document, dismissed_by: None, rev, at, lag });
                    }
                }
                OperationType::Delete => {
                    return Ok(ChangeEvent { names, id, document: None, dismissed_by: None, rev: None, at, lag });
                }
                // The collection was dropped or renamed: this stream tells no more.
                OperationType::Invalidate
                | OperationType::Drop
                | OperationType::Rename
                | OperationType::DropDatabase => {
                    return Err(StoreError::Closed);
                }
                _ => continue,
            }
        }
    }
}

/// Waits for the next event. While nothing changes the server answers each second that there is none; one that does not answer at
/// all hangs, and others may have elected a primary that this stream does not come from.
pub(in crate::store) async fn next_event<T: DeserializeOwned>(
    changes: &mut ChangeStream<ChangeStreamEvent<T>>,
) -> Result<ChangeStreamEvent<T>> {
    loop {
        match timeout(SILENCE, changes.next_if_any()).await {
            Ok(Ok(Some(change))) => return Ok(change),
            Ok(Ok(None)) if changes.is_alive() => {}
            Ok(Ok(None)) => return Err(StoreError::Closed),
            Ok(Err(cause)) => return Err(cause.into()),
            Err(_) => return Err(StoreError::Slow),
        }
    }
}

/// Changes of the calls, new dismissals, and what ends the stream.
fn changes_of_both() -> Document {
    let ends = ["dropDatabase", "invalidate"].as_slice();
    doc! { "$or": [
        { "ns.coll": CALLS },
        { "to.coll": CALLS },
        { "ns.coll": DISMISSALS, "operationType": "insert" },
        { "operationType": { "$in": ends } },
    ] }
}

/// What of an event is asked for: of its document the fields that are read as a call. Another program's may hold so much else
/// that the event is too large to be sent, and the stream would end.
fn asked_for() -> Result<Document> {
    let of_the_event = ["_id", "operationType", "clusterTime", "wallTime", "documentKey", "ns", "to"];
    let of_the_update = ["updateDescription.updatedFields.rev", "updateDescription.removedFields"];
    let fields = fields()?.into_iter().map(|field| format!("fullDocument.{field}"));
    let of_a_dismissal = ["fullDocument.call", "fullDocument.viewer", "fullDocument.at"];
    let asked = of_the_event.into_iter().chain(of_a_dismissal).chain(of_the_update).map(str::to_owned).chain(fields);
    Ok(asked.map(|field| (field, Bson::Int32(1))).collect())
}

/// MongoDB's time as one number: seconds, then a count.
fn cluster_time(at: Timestamp) -> u64 {
    u64::from(at.time) << 32 | u64::from(at.increment)
}

/// The `rev` in a document or among the fields of an update. Another program writes none, or anything.
fn rev(fields: &Document) -> i64 {
    fields.get_i64("rev").or_else(|_| fields.get_i32("rev").map(i64::from)).unwrap_or(0)
}

/// The same in a document that is not decoded.
fn raw_rev(document: &RawDocument) -> i64 {
    document.get_i64("rev").or_else(|_| document.get_i32("rev").map(i64::from)).unwrap_or(0)
}

fn code(error: &mongodb::error::Error) -> Option<i32> {
    match &*error.kind {
        mongodb::error::ErrorKind::Command(error) => Some(error.code),
        _ => None,
    }
}
