//! [`Scope::can_read`](crate::viewer::Scope::can_read) in the languages of the stores.

use mongodb::bson::{Document, doc};

/// The fields of a MongoDB document that hold the extensions a call rang and the queues that distributed it.
pub(super) const MONGODB_FIELDS: [&str; 2] = ["extension_ids", "ledger.queue_ids"];

/// Alternatives, each with an index of its own.
pub(super) fn mongodb(extension_ids: &[String]) -> [Document; 2] {
    MONGODB_FIELDS.map(|field| doc! { field: { "$in": extension_ids } })
}

/// A condition on a row of `call_history`, with a JSON array of extension ids as its parameter. `call_extensions` holds what the
/// view `extensions_of_calls` finds in the same two lists.
pub(super) const SQLITE: &str =
    "EXISTS (SELECT 1 FROM call_extensions JOIN json_each(?) AS mine ON mine.value = extension_id
                 WHERE call_id = call_history.id)";
