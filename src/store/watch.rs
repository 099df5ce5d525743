//! What others do to `active_calls`, as MongoDB tells it.

use futures_util::StreamExt;
use mongodb::Client;
use mongodb::bson::Document;
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::{ChangeStreamEvent, OperationType};
use mongodb::options::{ClientOptions, FullDocumentType};

use super::mongo::{from_document, id_text};
use super::{Result, StoreError};
use crate::call::Call;

/// A server that is no replica set says so by this code.
const NO_REPLICA_SET: i32 = 40573;

/// Changes of `active_calls`, on a connection of their own: the stream holds one for as long as it lives, and writes
/// must not wait for it.
pub struct Watch {
    changes: ChangeStream<ChangeStreamEvent<Document>>,
    _client: Client,
}

/// Something that happened to an active call.
#[derive(Debug)]
pub enum Seen {
    /// It is so now.
    Call(Box<Call>),
    /// It is no longer in `active_calls`.
    Left(String),
}

impl Watch {
    /// Begins to watch; `None` where the server is no replica set and only polling helps.
    pub(super) async fn open(options: ClientOptions, database: &str) -> Result<Option<Self>> {
        let client = Client::with_options(options)?;
        let calls = client.database(database).collection::<Document>("active_calls");
        match calls.watch().full_document(FullDocumentType::UpdateLookup).await {
            Ok(changes) => Ok(Some(Self { changes, _client: client })),
            Err(error) if code(&error) == Some(NO_REPLICA_SET) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the next change. An error ends the stream: a new one starts at now, because retrying a lost position
    /// would fail for ever, and what lies between is read from the collection.
    pub async fn next(&mut self) -> Result<Seen> {
        loop {
            let change = self.changes.next().await.ok_or(StoreError::Closed)??;
            let id = change.document_key.as_ref().map(|key| id_text(key.get("_id"))).unwrap_or_default();
            match change.operation_type {
                OperationType::Insert | OperationType::Replace | OperationType::Update => {
                    match change.full_document.and_then(from_document) {
                        Some(call) => return Ok(Seen::Call(Box::new(call))),
                        // Changed and deleted before the lookup, or no call at all.
                        None => continue,
                    }
                }
                OperationType::Delete => return Ok(Seen::Left(id)),
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

fn code(error: &mongodb::error::Error) -> Option<i32> {
    match &*error.kind {
        mongodb::error::ErrorKind::Command(error) => Some(error.code),
        _ => None,
    }
}
