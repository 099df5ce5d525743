//! A reader of event streams, written from the WHATWG text (HTML, 9.2.6 "Interpreting an event stream") and from nothing
//! of ours.

/// What a page is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: String,
    pub data: String,
    pub last_event_id: String,
}

/// Reads a stream in whatever pieces it comes.
#[derive(Default)]
pub struct EventStream {
    events: Vec<Event>,
    line: Vec<u8>,
    has_begun: bool,
    after_cr: bool,
    kind: String,
    data: String,
    id: String,
}

impl EventStream {
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => self.end_of_line(),
                byte => self.line.push(*byte),
            }
        }
    }

    /// Everything dispatched; a block that was not ended by an empty line is none.
    pub fn events(self) -> Vec<Event> {
        self.events
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let line = line.strip_prefix('\u{FEFF}').filter(|_| is_first).unwrap_or(&line);
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.kind = value.to_owned(),
            "data" => self.data.extend([value, "\n"]),
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            // A comment, `retry`, which no page sees, or nothing that is known.
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let (kind, mut data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
        if data.is_empty() {
            return;
        }
        data.pop();
        let kind = if kind.is_empty() { "message".to_owned() } else { kind };
        self.events.push(Event { kind, data, last_event_id: self.id.clone() });
    }
}
