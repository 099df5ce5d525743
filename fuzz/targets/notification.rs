//! Any bytes are a notification or no JSON, and never a panic.
#![no_main]

use caller_popup::phone::Region;
use caller_popup::ringcentral::notification::{Notification, is_notification};
use chrono::DateTime;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let told = Notification::parse(body, DateTime::UNIX_EPOCH, Region::default());
    assert!(told.is_ok() || !is_notification(body), "a notification that cannot be read");
});
