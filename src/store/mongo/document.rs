//! A call as a document with the guide's field names, and back.

use chrono::{DateTime, Utc};
use mongodb::bson::{self, Bson, DateTime as BsonDateTime, Document, doc};

use super::id::{extended, id_text, key_of, raw_id};
use super::value::{id, phone, text, time};
use crate::call::{Call, CallFacts, millis};
use crate::store::Result;
use crate::store::foreign::{LONGEST_ID, LONGEST_TEXT, MOST_REV};

/// Reads a value as a text of some kind.
type Reader = fn(&Bson) -> Option<String>;

/// The guide's texts, which another program may write as other types.
const GUIDES_TEXTS: [(&str, Reader); 8] = [
    ("from_number", phone),
    ("to_number", phone),
    ("from_name", text),
    ("direction", text),
    ("status", text),
    ("customer_id", id),
    ("customer_name", text),
    ("customer_email", text),
];

pub(super) fn to_document(call: &Call) -> Result<Document> {
    let mut document = bson::serialize_to_document(call).map_err(mongodb::error::Error::from)?;
    document.remove("id");
    document.insert("_id", raw_id(call));
    let date = |at: DateTime<Utc>| Bson::DateTime(BsonDateTime::from_millis(at.timestamp_millis()));
    document.insert("timestamp", date(call.timestamp));
    document.insert("answered_at", call.answered_at.map_or(Bson::Null, date));
    document.insert("ended_at", call.ended_at.map_or(Bson::Null, date));
    let ledger = bson::serialize_to_document(&call.facts).map_err(mongodb::error::Error::from)?;
    document.insert("ledger", ledger);
    Ok(document)
}

/// The fields that are read as a call. Another program's document may hold as much else as MongoDB allows.
pub(in crate::store) fn fields() -> Result<Vec<String>> {
    let any = Call::new(String::new(), String::new(), DateTime::UNIX_EPOCH);
    Ok(to_document(&any)?.keys().cloned().collect())
}

/// What has to be set in a document that was read as `before` to make it `after`. Where another program wrote it, only what
/// changed is: the rest stays in the form it has.
pub(super) fn changes(before: &Call, after: &Call) -> Result<Document> {
    let mut document = to_document(after)?;
    document.remove("_id");
    if is_foreign(before) {
        let known = to_document(before)?;
        let always = |field: &str| field == "rev" || field == "ledger";
        document =
            document.into_iter().filter(|(field, value)| always(field) || known.get(field) != Some(value)).collect();
    }
    Ok(document)
}

/// Whether another program began this document.
fn is_foreign(call: &Call) -> bool {
    call.rev == 0 || call.facts.adopted_at.is_some()
}

/// Whether this service has written to a document: else its `rev`, if it has one, is not ours.
pub(super) fn is_ours(document: &Document) -> bool {
    rev(document) > 0
}

/// The `rev` of a document: 0 before this service has written to it, whatever is in the field.
fn rev(document: &Document) -> i64 {
    let heard = document.get_document("ledger").is_ok_and(|ledger| ledger.get_str("heard_at").is_ok());
    let rev = match document.get("rev") {
        Some(Bson::Int32(rev)) => i64::from(*rev),
        Some(Bson::Int64(rev)) => *rev,
        Some(Bson::Double(rev)) if *rev >= 1.0 && *rev < MOST_REV as f64 => *rev as i64,
        _ => 0,
    };
    if heard && (1..MOST_REV).contains(&rev) { rev } else { 0 }
}

/// The document of this call, while its `rev` is what was read.
pub(super) fn by_rev(call: &Call) -> Document {
    let mut filter = doc! { "_id": raw_id(call) };
    match call.rev {
        0 => {
            let ours = doc! {
                "rev": { "$type": ["int", "long", "double"], "$gte": 1, "$lt": MOST_REV },
                "ledger.heard_at": { "$type": "string" },
            };
            // A comparison looks into arrays, and an array is no `rev`.
            let lists = ["rev", "ledger", "ledger.heard_at"].map(|field| doc! { field: { "$type": "array" } });
            filter.insert("$or", lists.into_iter().chain([doc! { "$nor": [ours] }]).collect::<Vec<_>>());
        }
        rev => {
            filter.insert("rev", doc! { "$gte": rev, "$lt": rev + 1 });
        }
    }
    filter
}

/// Reads a call, each field for what it says: another program may have written it. What cannot be read is as if absent; `Err`
/// says why a document cannot be a call.
pub(in crate::store) fn from_document(mut document: Document) -> std::result::Result<Call, &'static str> {
    let now = Utc::now();
    let rev = rev(&document);
    let raw = document.remove("_id").unwrap_or(Bson::Null);
    let facts = document.remove("ledger").and_then(|ledger| bson::deserialize_from_bson::<CallFacts>(ledger).ok());
    let mut facts = facts.filter(|_| rev > 0).unwrap_or_else(|| CallFacts { heard_at: now, ..CallFacts::default() });
    let written = document.remove("session_id").unwrap_or(Bson::Null);
    let session = id(&written).ok_or("it has no session_id that says one")?;
    let name = if facts.renamed { extended(&raw) } else { id_text(Some(&raw)) };
    if name.is_empty() || name.len() > LONGEST_ID {
        return Err("its _id is empty or too long");
    }
    let began = document.remove("timestamp").and_then(|written| time(&written));
    let began = began.or(facts.adopted_at).unwrap_or(now);
    let mut fields = plain(document);
    fields.extend([
        ("id".into(), name.as_str().into()),
        ("session_id".into(), session.as_str().into()),
        ("timestamp".into(), millis::format(&began).into()),
        ("rev".into(), rev.into()),
    ] as [(String, Bson); 4]);
    let mut call = whole(fields).ok_or("its fields cannot be read")?;
    // A session that is no text is not found by the index on texts, so it is among the other names too.
    if !matches!(written, Bson::String(_)) && !facts.linked.contains(&session) {
        facts.linked.push(session);
        facts.linked.sort();
    }
    call.key = key_of(&name, &raw);
    call.facts = facts;
    Ok(call)
}

/// The fields without what says nothing, in the types a call is read from.
fn plain(document: Document) -> Document {
    let text_of = |field: &str| GUIDES_TEXTS.iter().find(|(name, _)| *name == field).map(|(_, text)| text);
    let plain = |(field, value): (String, Bson)| {
        let value = match (text_of(&field), value) {
            (Some(text), value) => text(&value).map(Bson::String),
            (None, Bson::Null | Bson::Undefined) => None,
            (None, at @ Bson::DateTime(_)) => time(&at).map(|at| Bson::String(millis::format(&at))),
            (None, Bson::ObjectId(id)) => Some(Bson::String(id.to_hex())),
            (None, Bson::String(text)) if text.len() > LONGEST_TEXT => {
                Some(Bson::String(text.chars().take(LONGEST_TEXT).collect()))
            }
            (None, other) => Some(other),
        };
        Some((field, value?))
    };
    document.into_iter().filter_map(plain).collect()
}

/// A call of these fields. Those of ours that another program wrote in a form of its own are left out.
fn whole(mut fields: Document) -> Option<Call> {
    if let Ok(call) = bson::deserialize_from_document(fields.clone()) {
        return Some(call);
    }
    let needed = ["id", "session_id", "timestamp"].map(|field| (field.to_owned(), fields[field].clone()));
    let reads = |(field, value): (&String, &Bson)| {
        let mut alone: Document = needed.iter().cloned().collect();
        alone.insert(field, value.clone());
        bson::deserialize_from_document::<Call>(alone).is_err().then(|| field.clone())
    };
    let unreadable: Vec<_> = fields.iter().filter_map(reads).collect();
    for field in unreadable {
        fields.remove(&field);
    }
    bson::deserialize_from_document(fields).ok()
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;

    use super::*;
    use crate::call::{Direction, Status};

    #[test]
    fn every_field_is_read_for_what_it_says() {
        let call = from_document(doc! {
            "_id": 5, "session_id": 77, "from_number": 14_165_550_101_i64, "from_name": 12, "to_number": 1.5879876543e10,
            "direction": "OUTBOUND", "status": "On Hold", "customer_id": 7, "customer_name": ["x"], "customer_email": null,
            "timestamp": "2026-11-27 22:00:00.123456", "extension_ids": [101, 102], "ledger": "none", "rev": "x",
            "customers": { "a": 1 }, "match": 3, "answered_by": "Ann", "queue": 5, "answered_at": 12, "result": "bad",
            "deeper": { "status": 1 },
        })
        .unwrap();
        assert_eq!((call.id.as_str(), call.session_id.as_str(), call.rev), ("5", "77", 0));
        assert_eq!(call.from_number.as_deref(), Some("14165550101"));
        assert_eq!(call.from_name.as_deref(), Some("12"));
        assert_eq!(call.to_number.as_deref(), Some("15879876543"));
        assert_eq!((call.direction, call.status), (Direction::Outbound, Status::OnHold));
        assert_eq!((call.customer_id.as_deref(), call.customer_name, call.customer_email), (Some("7"), None, None));
        assert_eq!(millis::format(&call.timestamp), "2026-11-27T22:00:00.123Z");
        assert!(call.extension_ids.is_empty() && call.customers.is_empty() && call.matched.is_none());
        assert_eq!(call.facts.linked, ["77"]);
    }

    #[test]
    fn a_document_without_a_session_is_no_call() {
        for session in [
            Bson::Null,
            "".into(),
            " ".into(),
            true.into(),
            doc! { "a": 1 }.into(),
            Bson::Array(vec![]),
            f64::NAN.into(),
        ] {
            assert!(from_document(doc! { "_id": 1, "session_id": session }).is_err());
        }
        assert!(from_document(doc! { "_id": 1 }).is_err());
        assert!(from_document(doc! { "_id": 1, "session_id": "x".repeat(2_000) }).is_err());
        assert!(from_document(doc! { "_id": "x".repeat(2_000), "session_id": "s" }).is_err());
    }

    #[test]
    fn a_call_of_ours_is_read_as_it_was_written() {
        let mut call = Call::new(ObjectId::new().to_hex(), "s".into(), "2026-11-27T22:00:00Z".parse().unwrap());
        (call.rev, call.extension_ids) = (3, vec!["101".into()]);
        assert_eq!(from_document(to_document(&call).unwrap()).unwrap(), call);
    }

    #[test]
    fn only_what_changed_is_set_in_another_programs_document() {
        let before = from_document(doc! { "_id": 5, "session_id": "s", "from_number": 14_165_550_101_i64 }).unwrap();
        let after = Call { rev: 1, status: Status::Connected, ..before.clone() };
        let changes = changes(&before, &after).unwrap();
        assert_eq!(changes.keys().collect::<Vec<_>>(), ["status", "rev", "ledger"]);
    }

    #[test]
    fn a_rev_counts_only_beside_a_ledger_of_ours() {
        let facts = doc! { "heard_at": "2026-11-27T22:00:00Z" };
        let rev_of = |written: Bson, facts: Bson| rev(&doc! { "rev": written, "ledger": facts });
        assert_eq!(rev_of(5.into(), facts.clone().into()), 5);
        for (written, other) in [
            (5.into(), Bson::Null),
            (i64::MAX.into(), facts.clone().into()),
            ((-1).into(), facts.clone().into()),
            ("5".into(), facts.clone().into()),
            (f64::NAN.into(), facts.into()),
        ] {
            assert_eq!(rev_of(written, other), 0);
        }
    }
}
