//! The bytes of a delivery as JSON, however they are spelled.
//!
//! RingCentral gives up a subscription whose address answers anything but 200, so an authentic notification must not fail
//! for its spelling. Well-formed UTF-8 JSON, which nearly every delivery is, is parsed once and as it stands. Only when
//! that fails the bytes are decoded and rewritten, in one pass, and parsed again:
//!
//! * a byte-order mark is skipped; UTF-16 is decoded, with or without a mark;
//! * bytes that are no UTF-8 (Latin-1, Windows-1252, half a character) become U+FFFD;
//! * so do half a surrogate pair (`\ud83d` alone) and escapes that JSON does not have;
//! * control characters inside a text are escaped;
//! * a number beyond the range of a double, and whatever is nested deeper than [`DEEPEST`], becomes `null`.
//!
//! The grammar stays strict: a missing bracket, a trailing comma or a second document is not JSON.

use super::bounded;
use std::borrow::Cow;

use serde_json::Value;

/// The body is no JSON.
#[derive(Debug, thiserror::Error)]
#[error("the body is not JSON")]
pub struct NotJson;

/// Levels that are kept: what serde_json takes, whose parser recurses. RingCentral's bodies have six.
const DEEPEST: usize = 127;
/// Fields that only bodies about calls have.
const OF_CALLS: [&str; 3] = ["parties", "activeCalls", "telephonyStatus"];

/// A parsed delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Body(Value);

impl Body {
    /// Parses a delivery. JSON inside a JSON text, for the whole or for its `body`, is taken out of the text.
    pub fn read(bytes: &[u8]) -> Result<Self, NotJson> {
        let mut json = parse(bytes)?;
        take_out_of_text(&mut json);
        if let Some(inner) = json.get_mut("body") {
            take_out_of_text(inner);
        }
        Ok(Self(json))
    }

    /// Whether this is a notification; the body of a handshake is not.
    pub fn is_notification(&self) -> bool {
        let named = self.0["event"].is_string() && self.0.get("body").is_some();
        named || OF_CALLS.iter().any(|field| self.content().get(field).is_some())
    }

    /// The subscription that it is a delivery of, as it says itself.
    pub fn subscription_id(&self) -> Option<&str> {
        self.0["subscriptionId"].as_str()
    }

    /// The whole delivery.
    pub(super) fn json(&self) -> &Value {
        &self.0
    }

    /// What it says. A sender that leaves out the envelope means the whole.
    pub(super) fn content(&self) -> &Value {
        self.0.get("body").unwrap_or(&self.0)
    }
}

fn parse(bytes: &[u8]) -> Result<Value, NotJson> {
    bounded::from_slice(bytes).or_else(|_| bounded::from_slice(mend(&decode(bytes)).as_bytes())).map_err(|_| NotJson)
}

fn take_out_of_text(value: &mut Value) {
    if let Value::String(text) = value
        && text.trim_start().starts_with('{')
        && let Ok(inner) = parse(text.as_bytes())
    {
        *value = inner;
    }
}

fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.as_chunks().0.iter().map(|pair| unit(*pair));
        Cow::Owned(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        // JSON begins with an ASCII character, so a zero beside it can only be the other half of a UTF-16 unit.
        [first, 0, ..] if *first != 0 => utf16(bytes, u16::from_le_bytes),
        [0, second, ..] if *second != 0 => utf16(bytes, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes),
    }
}

/// The same JSON in a spelling that serde_json takes. What is not JSON stays so.
fn mend(text: &str) -> String {
    let text = text.trim_matches(['\u{feff}', '\0']);
    let mut out = String::with_capacity(text.len());
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let kept = open.len() <= DEEPEST;
        let length = match first {
            '"' => length_of_text(rest),
            '-' | '0'..='9' => {
                rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len())
            }
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match first {
            '{' | '[' => {
                open.push(first);
                match open.len() {
                    depth if depth <= DEEPEST => out.push(first),
                    depth if depth == DEEPEST + 1 => out.push_str("null"),
                    _ => {}
                }
            }
            '}' | ']' => {
                let opened = open.pop();
                // A bracket that closes another kind is no JSON, also where it would not be kept.
                if open.len() < DEEPEST || opened != Some(if first == '}' { '{' } else { '[' }) {
                    out.push(first);
                }
            }
            _ if !kept => {}
            '"' => mend_text(token, &mut out),
            '-' | '0'..='9' if token.parse().is_ok_and(f64::is_infinite) => out.push_str("null"),
            _ => out.push_str(token),
        }
    }
    out
}

/// Up to and with the closing quote, or all there is.
fn length_of_text(text: &str) -> usize {
    let mut escaped = true; // The opening quote closes nothing.
    let closes = |byte: u8| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    };
    text.bytes().position(closes).map_or(text.len(), |quote| quote + 1)
}

fn mend_text(token: &str, out: &mut String) {
    let mut rest = token;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\\' => mend_escape(rest, out),
            '\0'..=' ' if first != ' ' => {
                out.push_str(&format!("\\u{:04x}", u32::from(first)));
                1
            }
            _ => {
                let plain = rest.find(|c: char| c == '\\' || c < ' ').unwrap_or(rest.len());
                out.push_str(&rest[..plain]);
                plain
            }
        };
        rest = &rest[length..];
    }
}

/// Writes the escape that `text` begins with; how much of `text` it was.
fn mend_escape(text: &str, out: &mut String) -> usize {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| hex)
    };
    let keep = match unit(text) {
        Some(0xD800..=0xDBFF) if matches!(text.get(6..).and_then(unit), Some(0xDC00..=0xDFFF)) => 12,
        Some(0xD800..=0xDFFF) => {
            out.push(char::REPLACEMENT_CHARACTER);
            return 6;
        }
        Some(_) => 6,
        None if matches!(text.as_bytes().get(1), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => 2,
        None => {
            out.push(char::REPLACEMENT_CHARACTER);
            return 1 + text[1..].chars().next().map_or(0, char::len_utf8);
        }
    };
    out.push_str(&text[..keep]);
    keep
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(bytes: impl AsRef<[u8]>) -> Option<Value> {
        Body::read(bytes.as_ref()).ok().map(|body| body.0)
    }

    #[test]
    fn halves_of_surrogate_pairs_become_the_replacement_character() {
        for (text, name) in [
            (r#"{"name":"Ann \ud83d"}"#, "Ann \u{fffd}"),
            (r#"{"name":"\uDE00\uD83D Ann"}"#, "\u{fffd}\u{fffd} Ann"),
            (r#"{"name":"\ud83d\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
            (r#"{"name":"\ud83d\u0041\\ud83d\""}"#, "\u{fffd}A\\ud83d\""),
            (r#"{"name":"\ud83d\\\ude00"}"#, "\u{fffd}\\\u{fffd}"),
        ] {
            assert_eq!(read(text), Some(json!({ "name": name })), "{text}");
        }
        assert_eq!(read(r#"{"a\ud83d":1,"b":2}"#), Some(json!({ "a\u{fffd}": 1, "b": 2 })));
    }

    #[test]
    fn other_encodings_are_decoded() {
        let text = r#"{"name":"Zoë"}"#;
        let units = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        let (little, big) = (units(u16::to_le_bytes), units(u16::to_be_bytes));
        let marked = |mark: &[u8], text: &[u8]| [mark, text].concat();
        for bytes in [
            marked(b"\xEF\xBB\xBF", text.as_bytes()),
            marked(b"\xFF\xFE", &little),
            marked(b"\xFE\xFF", &big),
            marked(text.as_bytes(), b"\0\0"),
            little,
            big,
        ] {
            assert_eq!(read(&bytes), Some(json!({ "name": "Zoë" })), "{bytes:?}");
        }
        assert_eq!(read(b"{\"name\":\"Zo\xEB\"}"), Some(json!({ "name": "Zo\u{fffd}" })), "Latin-1");
        assert_eq!(read(b"{\"name\":\"\xED\xA0\xBD\"}"), Some(json!({ "name": "\u{fffd}\u{fffd}\u{fffd}" })), "CESU-8");
    }

    #[test]
    fn what_serde_json_refuses_inside_values_is_read_around() {
        let read = |text: &str| read(text).unwrap();
        assert_eq!(
            read("{\"a\":\"x\ty\nz\\q\\u12\",\"b\":-1e999,\"c\":1}"),
            json!({
                "a": "x\ty\nz\u{fffd}\u{fffd}12", "b": null, "c": 1,
            })
        );
        let at_the_limit = format!("{}{}", "[".repeat(DEEPEST), "]".repeat(DEEPEST));
        assert_eq!(serde_json::from_str::<Value>(&mend(&at_the_limit)).ok(), serde_json::from_str(&at_the_limit).ok());
        let deep = format!("{{\"x\":{}1 2{},\"c\":1}}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(read(&deep)["c"], 1);
    }

    #[test]
    fn json_in_a_text_is_taken_out_of_it() {
        let inner = json!({ "event": "e", "body": json!({ "a": 1 }).to_string() });
        let whole = Value::String(inner.to_string()).to_string();
        assert_eq!(read(whole), Some(json!({ "event": "e", "body": { "a": 1 } })));
        assert_eq!(read("\"{not JSON\""), Some(json!("{not JSON")));
    }

    #[test]
    fn the_grammar_stays_strict() {
        for text in [
            "",
            "\u{feff}",
            "\0",
            "{",
            "Ringing",
            "{\"event\": }",
            "{\"a\":1,}",
            "{} {}",
            "{\"a\":\"b",
            "[}",
            "\"\\",
            "{\"a\" 1}",
            "\\",
            "{\"a\":\"\\ud83d\"",
            "1 2",
            "]",
            "{'a':1}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        for (open, close) in [("[", "}"), ("[", ""), ("", "]")] {
            assert_eq!(read(format!("{}{}", open.repeat(5_000), close.repeat(5_000))), None);
        }
    }
}
