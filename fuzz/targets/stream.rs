//! A call goes through the stream as it is, whatever stands in it and wherever the stream is cut.
#![no_main]

use std::sync::Arc;

use caller_popup::call::{Call, Status};
use caller_popup::hub::{Hub, Naming, Sees, Told, Viewer};
use caller_popup::metrics::Metrics;
use chrono::DateTime;
use event_stream::EventStream;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[path = "../../tests/it/support/event_stream.rs"]
mod event_stream;

fuzz_target!(|input: (u8, &str)| {
    let (cut, text) = input;
    let hub = Hub::new(Arc::new(Metrics::default()));
    let viewer = Viewer { id: "one".into(), sees: Sees::All, until: None };
    let (mut cursor, first) = hub.open(viewer, Naming::Named, None).expect("there is a place");
    let mut call = Call::new(text.to_owned(), text.to_owned(), DateTime::UNIX_EPOCH);
    (call.status, call.rev, call.from_name) = (Status::Ringing, 1, Some(text.to_owned()));
    let told = serde_json::to_value(&call).expect("a call is JSON");
    hub.publish(call, None);
    let mut written = first.concat();
    hub.news(std::iter::once(&mut cursor), &mut Told::default(), |_, frames| written.extend_from_slice(&frames));
    let (mut whole, mut pieces) = (EventStream::default(), EventStream::default());
    whole.feed(&written);
    written.chunks(usize::from(cut).max(1)).for_each(|piece| pieces.feed(piece));
    let events = whole.events();
    assert_eq!(events, pieces.events());
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["connected", "call"]);
    let data: Value = serde_json::from_str(&events[1].data).expect("data is JSON");
    assert_eq!(data["call"], told);
});
