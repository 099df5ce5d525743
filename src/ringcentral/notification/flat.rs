//! The setup guide's body: one call, told flat.

use super::Envelope;
use super::codes::{extension_id, presence_state, session_id, text};
use crate::call::{CallEvent, Direction, Extension, PartyUpdate, Source};

impl Envelope<'_> {
    /// The guide's body has no sequence, so its own time or the time of arrival orders it.
    pub(super) fn flat(&self) -> Option<CallEvent> {
        let body = self.body;
        let at = self.at();
        let extension = extension_id(body).or_else(|| self.path_extension());
        let leg = PartyUpdate {
            telephony_session_id: text(&body["telephonySessionId"]),
            source: Source::Guide,
            uuid: self.uuid.clone(),
            sequence: at.timestamp_micros(),
            at,
            party_id: extension.clone().unwrap_or_default(),
            direction: Direction::from_word(body["direction"].as_str().unwrap_or_default()),
            extension: extension.map(|extension_id| Extension { extension_id, name: None }),
            state: presence_state(body["telephonyStatus"].as_str()?),
            from: self.end_of(body, "from", "fromName"),
            to: self.end_of(body, "to", "toName"),
            queue: None,
            ours: false,
            peers: Vec::new(),
        };
        self.event(session_id(body), leg)
    }
}
