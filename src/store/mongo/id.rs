//! The `_id` of a document, of whatever BSON type, and the text a call goes by.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, Bson, Document, Uuid, UuidRepresentation, doc};
use serde_json::{Value, json};

use super::value::{number, uuid};
use crate::call::Call;

/// The `_id` of a call's document.
pub(in crate::store) fn raw_id(call: &Call) -> Bson {
    let kept = call.key.as_ref().and_then(|key| Document::from_reader(&key[..]).ok());
    kept.and_then(|mut kept| kept.remove("_id")).unwrap_or_else(|| bson_id(&call.id))
}

/// What has to be kept beside the text to find the document again; `None` where the text says it.
pub(super) fn key_of(text: &str, raw: &Bson) -> Option<Arc<[u8]>> {
    if bson_id(text) == *raw {
        return None;
    }
    Some(doc! { "_id": raw.clone() }.to_vec().ok()?.into())
}

/// The `_id` that a text stands for where nothing else is known: ours are ObjectIds.
pub(super) fn bson_id(id: &str) -> Bson {
    ObjectId::parse_str(id).map_or_else(|_| Bson::String(id.to_owned()), Bson::ObjectId)
}

/// How an `_id` is written for clients: text as it is, an ObjectId's hex digits, a UUID as UUIDs are written, a number's
/// digits, anything else as canonical extended JSON.
pub(in crate::store) fn id_text(id: Option<&Bson>) -> String {
    match id {
        Some(Bson::ObjectId(id)) => id.to_hex(),
        Some(Bson::String(id) | Bson::Symbol(id)) => id.clone(),
        Some(other) => number(other).or_else(|| uuid(other)).unwrap_or_else(|| extended(other)),
        None => String::new(),
    }
}

/// Every `_id` that [`id_text`] may write like this. MongoDB compares numbers of all types by their values, and a symbol like
/// a text.
pub(super) fn ids_of(text: &str) -> Vec<Bson> {
    let mut ids = vec![Bson::String(text.to_owned())];
    ids.extend(ObjectId::parse_str(text).map(Bson::ObjectId));
    ids.extend(text.parse().map(Bson::Int64));
    ids.extend(text.parse().ok().filter(|number: &f64| number.is_finite()).map(Bson::Double));
    ids.extend(text.parse().map(Bson::Decimal128));
    if let Ok(uuid) = Uuid::parse_str(text) {
        let of = |representation| Bson::Binary(Binary::from_uuid_with_representation(uuid, representation));
        ids.extend([UuidRepresentation::Standard, UuidRepresentation::PythonLegacy].map(of));
    }
    ids.extend(written_as_json(text));
    ids
}

/// The `_id` whose [`extended`] form this is. A regular expression would be searched for, an array is compared by its items, and a
/// field with a dollar is an operator: none of these is an `_id`, and neither is what BSON cannot hold.
fn written_as_json(text: &str) -> Option<Bson> {
    let id = serde_json::from_str::<Bson>(text).ok().filter(|id| extended(id) == text)?;
    match &id {
        Bson::Array(_) | Bson::RegularExpression(_) => None,
        Bson::Document(fields) if fields.keys().any(|name| name.starts_with('$')) => None,
        _ => doc! { "_id": &id }.to_vec().ok().map(|_| id),
    }
}

/// Canonical extended JSON, fields in their order: no two `_id`s are written alike.
pub(in crate::store) fn extended(value: &Bson) -> String {
    let typed = |name: &str, value: Value| json!({ name: value }).to_string();
    match value {
        Bson::Document(fields) => {
            let field = |(name, value): (&String, &Bson)| format!("{}:{}", json!(name), extended(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        Bson::Array(items) => format!("[{}]", items.iter().map(extended).collect::<Vec<_>>().join(",")),
        Bson::String(text) => json!(text).to_string(),
        Bson::Boolean(truth) => truth.to_string(),
        Bson::Null => "null".into(),
        Bson::Int32(number) => typed("$numberInt", number.to_string().into()),
        Bson::Int64(number) => typed("$numberLong", number.to_string().into()),
        Bson::Double(number) => typed("$numberDouble", format!("{number:?}").into()),
        Bson::Decimal128(number) => typed("$numberDecimal", number.to_string().into()),
        Bson::ObjectId(id) => typed("$oid", id.to_hex().into()),
        Bson::DateTime(at) => typed("$date", json!({ "$numberLong": at.timestamp_millis().to_string() })),
        Bson::Timestamp(at) => typed("$timestamp", json!({ "t": at.time, "i": at.increment })),
        Bson::Binary(binary) => {
            let (base64, kind) = (STANDARD.encode(&binary.bytes), u8::from(binary.subtype));
            typed("$binary", json!({ "base64": base64, "subType": format!("{kind:02x}") }))
        }
        Bson::JavaScriptCode(code) => typed("$code", code.as_str().into()),
        Bson::MinKey => typed("$minKey", 1.into()),
        Bson::MaxKey => typed("$maxKey", 1.into()),
        // The rest is out of use, or may not be an `_id`.
        other => other.to_string(),
    }
}

/// Gives a call the name that no other document can have, because another goes by the usual one.
pub(in crate::store) fn rename(call: &mut Call) {
    let raw = raw_id(call);
    call.id = extended(&raw);
    call.key = key_of(&call.id, &raw);
    call.facts.renamed = true;
}

/// Says in the log which document is meant. An `_id` of another program may be a number or a name of a person, so only what
/// cannot be one is written out.
pub(super) fn log_name(id: &Bson) -> String {
    match id {
        Bson::ObjectId(id) => id.to_hex(),
        other => match uuid(other) {
            Some(uuid) => uuid,
            None => format!("with an _id of BSON type {:?}", other.element_type()),
        },
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use mongodb::bson::{DateTime, Uuid};

    use super::*;

    fn call(raw: &Bson) -> Call {
        let mut call = Call::new(id_text(Some(raw)), "s".into(), Utc::now());
        call.key = key_of(&call.id, raw);
        call
    }

    #[test]
    fn every_id_finds_its_own_document_again() {
        let hex = "68f4352898bd3935fcc83293";
        for (raw, text) in [
            (Bson::ObjectId(ObjectId::parse_str(hex).unwrap()), hex),
            (Bson::String(hex.into()), hex),
            (Bson::String("call-1".into()), "call-1"),
            (Bson::Int32(7), "7"),
            (Bson::Int64(14_165_550_101), "14165550101"),
            (Bson::Double(7.0), "7"),
            (Bson::Double(7.5), "7.5"),
            (Bson::Boolean(true), "true"),
            (Bson::DateTime(DateTime::from_millis(5)), r#"{"$date":{"$numberLong":"5"}}"#),
            (
                Bson::Binary(Uuid::parse_str("00112233-4455-6677-8899-aabbccddeeff").unwrap().into()),
                "00112233-4455-6677-8899-aabbccddeeff",
            ),
            (Bson::Document(doc! { "b": 1, "a": "x" }), r#"{"b":{"$numberInt":"1"},"a":"x"}"#),
        ] {
            let call = call(&raw);
            assert_eq!(call.id, text);
            assert_eq!(raw_id(&call), raw);
        }
    }

    #[test]
    fn an_id_that_is_written_as_json_is_read_back_and_nothing_else_is() {
        let nested =
            doc! { "b": 1, "a": { "at": DateTime::from_millis(5), "ids": [1_i64, 2.5, "x"], "no": Bson::Null } };
        for id in [Bson::Document(nested), Bson::Boolean(true), Bson::MaxKey, Bson::DateTime(DateTime::from_millis(-5))]
        {
            assert_eq!(written_as_json(&extended(&id)), Some(id));
        }
        for text in [
            r#"{"$gt":""}"#,
            r#"{"$where":"sleep(1000)"}"#,
            r#"{"$regularExpression":{"pattern":".*","options":""}}"#,
            r#"[{"$numberInt":"1"}]"#,
            r#"{"a": {"$numberInt":"1"}}"#,
            r#"{"a":1}"#,
            r#"{"a\u0000":true}"#,
            "42",
            "nobody",
        ] {
            assert_eq!(written_as_json(text), None, "{text}");
        }
    }

    #[test]
    fn two_documents_of_one_text_get_two_names() {
        let hex = "68f4352898bd3935fcc83293";
        let (oid, text) = (Bson::ObjectId(ObjectId::parse_str(hex).unwrap()), Bson::String(hex.into()));
        let (first, mut second) = (call(&oid), call(&text));
        assert_eq!(first.id, second.id);
        rename(&mut second);
        assert_ne!(first.id, second.id);
        assert_eq!((raw_id(&first), raw_id(&second)), (oid, text));
    }
}
