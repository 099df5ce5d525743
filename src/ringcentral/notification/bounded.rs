//! JSON of a webhook as a [`Value`], with bounds: a value takes some fifty times the room and the time of the two bytes it
//! may be written in. What is beyond is checked and skipped.

use std::cell::Cell;
use std::fmt;
use std::thread;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::call::MOST_PARTIES;

/// Items that are kept of a list: one more than are used, so that it shows that there were too many.
const MOST_ITEMS: usize = MOST_PARTIES + 1;
/// Items of a list after which other threads go first. Only a large body has so many, and it is read on a thread of its own.
pub(super) const GIVES_WAY_AFTER: usize = 16;
/// Fields that are kept of an object; RingCentral's largest has some forty.
const MOST_FIELDS: usize = 512;
/// Values that are kept in all: as many parties as are used, each with a hundred fields.
const MOST_VALUES: usize = 51_200;

/// Reads JSON whole, and keeps what is within the bounds.
pub(super) fn from_slice(json: &[u8]) -> serde_json::Result<Value> {
    let room = Cell::new(MOST_VALUES);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Bounded(&room).deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// A value, with the room that is left for others.
#[derive(Clone, Copy)]
struct Bounded<'a>(&'a Cell<usize>);

impl Bounded<'_> {
    /// Whether there is room for one more.
    fn takes(self) -> bool {
        let room = self.0.get();
        self.0.set(room.saturating_sub(1));
        room > 0
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < MOST_ITEMS && self.takes() {
            if items.len() % GIVES_WAY_AFTER == GIVES_WAY_AFTER - 1 {
                thread::yield_now();
            }
            match list.next_element_seed(self)? {
                Some(item) => items.push(item),
                None => return Ok(items.into()),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while fields.len() < MOST_FIELDS && self.takes() {
            match object.next_key::<String>()? {
                Some(name) => fields.insert(name, object.next_value_seed(self)?),
                None => return Ok(fields.into()),
            };
        }
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_the_bounds_everything_is_read() {
        let text = r#"{"a":[1,-2,2.5,true,null,"\u00e9\ud83d\ude00",{}],"b":{"c":[[]]},"a":18446744073709551615}"#;
        assert_eq!(from_slice(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        for wrong in ["", "{", "[1,]", r#"{"a":1}x"#, "[1 2]", "\"\\ud83d\"", "nul"] {
            assert!(from_slice(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn beyond_the_bounds_it_is_checked_and_skipped() {
        let list = |end: &str| format!("[{}{end}", "0,".repeat(10_000));
        assert_eq!(from_slice(list("0]").as_bytes()).unwrap().as_array().unwrap().len(), MOST_ITEMS);
        assert!(from_slice(list("nonsense]").as_bytes()).is_err());
        let fields: Vec<String> = (0..10_000).map(|index| format!("\"{index}\":{index}")).collect();
        let object = from_slice(format!("{{{}}}", fields.join(",")).as_bytes()).unwrap();
        assert_eq!(object.as_object().unwrap().len(), MOST_FIELDS);
        let nested = format!("[{}0]", format!("[{}0],", "0,".repeat(500)).repeat(500));
        let nested = from_slice(nested.as_bytes()).unwrap();
        let kept: usize = nested.as_array().unwrap().iter().map(|list| 1 + list.as_array().map_or(0, Vec::len)).sum();
        assert!(kept <= MOST_VALUES);
    }
}
