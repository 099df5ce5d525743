//! BSON values of other programs, read for what they say.

use chrono::{DateTime, Utc};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Bson, UuidRepresentation};

use crate::store::foreign::{self, plain_number, presentable, since_1970};

/// The digits of a number of any type.
pub(super) fn number(value: &Bson) -> Option<String> {
    match value {
        Bson::Int32(number) => Some(number.to_string()),
        Bson::Int64(number) => Some(number.to_string()),
        Bson::Double(number) if number.is_finite() => plain_number(&format!("{number:?}")),
        Bson::Decimal128(number) => plain_number(&number.to_string()),
        _ => None,
    }
}

/// A UUID as UUIDs are written.
pub(super) fn uuid(value: &Bson) -> Option<String> {
    let Bson::Binary(binary) = value else { return None };
    let representation = match binary.subtype {
        BinarySubtype::Uuid => UuidRepresentation::Standard,
        // Which driver's order of bytes this is unknown; as they are is one of them.
        BinarySubtype::UuidOld => UuidRepresentation::PythonLegacy,
        _ => return None,
    };
    Some(binary.to_uuid_with_representation(representation).ok()?.to_string())
}

/// A name, an email address, a word.
pub(super) fn text(value: &Bson) -> Option<String> {
    match value {
        Bson::String(text) | Bson::Symbol(text) => foreign::text(text),
        _ => id(value),
    }
}

/// A telephone number. What is no text and no number says none.
pub(super) fn phone(value: &Bson) -> Option<String> {
    match value {
        Bson::String(text) | Bson::Symbol(text) => foreign::text(text),
        _ => number(value),
    }
}

/// An id or a session.
pub(super) fn id(value: &Bson) -> Option<String> {
    match value {
        Bson::String(text) | Bson::Symbol(text) => foreign::id(text),
        Bson::ObjectId(id) => Some(id.to_hex()),
        _ => number(value).or_else(|| uuid(value)),
    }
}

/// A time: a date, a timestamp, a text, or a number since 1970.
pub(super) fn time(value: &Bson) -> Option<DateTime<Utc>> {
    match value {
        Bson::DateTime(at) => DateTime::from_timestamp_millis(at.timestamp_millis()).and_then(presentable),
        Bson::Timestamp(at) => since_1970(f64::from(at.time)),
        Bson::String(text) | Bson::Symbol(text) => foreign::time(text),
        _ => foreign::time(&number(value)?),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{self, Decimal128, Timestamp, doc, oid::ObjectId};

    use super::*;

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse::<Decimal128>().unwrap())
    }

    #[test]
    fn a_telephone_number_of_any_type_is_its_digits() {
        for written in [
            Bson::Int64(14_165_550_101),
            Bson::Double(14_165_550_101.0),
            decimal("14165550101"),
            decimal("1.4165550101E+10"),
            decimal("14165550101.0"),
            Bson::String("14165550101".into()),
        ] {
            assert_eq!(phone(&written).as_deref(), Some("14165550101"), "{written}");
        }
        for nothing in [
            Bson::Null,
            Bson::Double(f64::NAN),
            Bson::Double(f64::INFINITY),
            Bson::Double(1e300),
            decimal("NaN"),
            Bson::Boolean(true),
            Bson::ObjectId(ObjectId::new()),
            Bson::Array(vec!["+1".into()]),
            Bson::Document(doc! { "number": "+1" }),
            Bson::String("  ".into()),
        ] {
            assert_eq!(phone(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_time_of_any_type_is_read() {
        let noon = "2026-11-27T12:00:00Z".parse().ok();
        for written in [
            Bson::DateTime(bson::DateTime::from_millis(1_795_780_800_000)),
            Bson::Timestamp(Timestamp { time: 1_795_780_800, increment: 3 }),
            Bson::Int32(1_795_780_800),
            Bson::Int64(1_795_780_800_000),
            Bson::Double(1_795_780_800.0),
            decimal("1795780800"),
            Bson::String("2026-11-27 12:00:00".into()),
        ] {
            assert_eq!(time(&written), noon, "{written}");
        }
        for nothing in [
            Bson::DateTime(bson::DateTime::MAX),
            Bson::DateTime(bson::DateTime::MIN),
            Bson::Timestamp(Timestamp { time: 0, increment: 0 }),
            Bson::Int64(i64::MIN),
            Bson::Double(f64::NAN),
            Bson::Boolean(true),
        ] {
            assert_eq!(time(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_and_an_id_is_none() {
        let long = Bson::String("ü".repeat(2_000_000));
        assert_eq!(text(&long).map(|text| text.chars().count()), Some(foreign::LONGEST_TEXT));
        assert_eq!(id(&long), None);
    }
}
