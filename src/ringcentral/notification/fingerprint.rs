//! What a body looks like, without what it says.

use serde_json::Value;

/// A shape is for people to read; a longer one is cut.
const LONGEST_SHAPE: usize = 2_000;

/// Field names and types of a body, so that a new kind can be understood later without keeping anyone's data.
pub(super) fn of(json: &Value) -> String {
    let mut shape = String::new();
    describe(json, &mut shape, 0);
    shape
}

fn describe(json: &Value, out: &mut String, depth: usize) {
    if out.len() > LONGEST_SHAPE || depth > 12 {
        return;
    }
    match json {
        Value::Object(fields) => {
            out.push('{');
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                // A field name can be data too, such as a map keyed by number.
                let digits = name.bytes().filter(u8::is_ascii_digit).count();
                out.push_str(if name.len() <= 40 && name.is_ascii() && digits < 4 { name } else { "?" });
                out.push(':');
                describe(value, out, depth + 1);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            if let Some(first) = items.first() {
                describe(first, out, depth + 1);
            }
            out.push(']');
        }
        Value::String(_) => out.push_str("string"),
        Value::Number(_) => out.push_str("number"),
        Value::Bool(_) => out.push_str("bool"),
        Value::Null => out.push_str("null"),
    }
}
