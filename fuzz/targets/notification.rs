//! Any bytes are a notification or no JSON, and never a panic; JSON is read the same in another encoding.
#![no_main]

use caller_popup::phone::Region;
use caller_popup::ringcentral::notification::{Notification, is_notification};
use chrono::DateTime;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let parse = |body: &[u8]| Notification::parse(body, DateTime::UNIX_EPOCH, Region::default());
    let told = parse(body);
    assert!(told.is_ok() || !is_notification(body), "a notification that cannot be read");
    if serde_json::from_slice::<Value>(body).is_ok() {
        let told = told.expect("JSON is read");
        let marked = [b"\xEF\xBB\xBF", body].concat();
        assert_eq!(parse(&marked).expect("a mark makes no difference"), told);
        let text = str::from_utf8(body).expect("JSON is UTF-8");
        let utf16: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&utf16).expect("UTF-16 makes no difference"), told);
    }
});
