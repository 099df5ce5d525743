//! A call as a document with the guide's field names, and back.

use chrono::{DateTime, Utc};
use mongodb::bson::{self, Bson, DateTime as BsonDateTime, Document};

use crate::call::{Call, millis};
use crate::store::Result;

/// Ours are ObjectIds; another program's may be anything, of which text is the likeliest.
pub(super) fn bson_id(id: &str) -> Bson {
    bson::oid::ObjectId::parse_str(id).map_or_else(|_| Bson::String(id.to_owned()), Bson::ObjectId)
}

pub(in crate::store) fn id_text(id: Option<&Bson>) -> String {
    match id {
        Some(Bson::ObjectId(id)) => id.to_hex(),
        Some(Bson::String(id)) => id.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

pub(super) fn to_document(call: &Call) -> Result<Document> {
    let mut document = bson::serialize_to_document(call).map_err(mongodb::error::Error::from)?;
    document.remove("id");
    document.insert("_id", bson_id(&call.id));
    let date = |at: DateTime<Utc>| Bson::DateTime(BsonDateTime::from_millis(at.timestamp_millis()));
    document.insert("timestamp", date(call.timestamp));
    document.insert("answered_at", call.answered_at.map_or(Bson::Null, date));
    document.insert("ended_at", call.ended_at.map_or(Bson::Null, date));
    let ledger = bson::serialize_to_document(&call.ledger).map_err(mongodb::error::Error::from)?;
    document.insert("ledger", ledger);
    Ok(document)
}

/// Reads a call whoever wrote it. What cannot be one (no session, no time) is left alone and said in the log.
pub(in crate::store) fn from_document(mut document: Document) -> Option<Call> {
    let id = id_text(document.get("_id"));
    let ledger = document.remove("ledger");
    document.insert("id", id.as_str());
    let plain: Document = document
        .into_iter()
        .filter(|(_, value)| !matches!(value, Bson::Null))
        .map(|(field, value)| (field, plain(value)))
        .collect();
    let mut call: Call = bson::deserialize_from_document(plain)
        .inspect_err(|_| tracing::warn!(call.id = %id, "a document in active_calls or call_history is no call"))
        .ok()?;
    if let Some(Bson::Document(ledger)) = ledger {
        call.ledger = bson::deserialize_from_document(ledger).unwrap_or_default();
    }
    Some(call)
}

/// Dates and ids as the text our types read.
fn plain(value: Bson) -> Bson {
    match value {
        Bson::DateTime(at) => {
            let at = DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or_default();
            Bson::String(millis::format(&at))
        }
        Bson::ObjectId(id) => Bson::String(id.to_hex()),
        other => other,
    }
}
