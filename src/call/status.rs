//! Where a call stands, and what came of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a call stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The words say it; `setup` is explained at `visible`.
pub enum Status {
    Setup,
    #[default]
    Ringing,
    Connected,
    OnHold,
    Parked,
    Voicemail,
    Ended,
}

impl Status {
    /// The word clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Ringing => "ringing",
            Self::Connected => "connected",
            Self::OnHold => "on_hold",
            Self::Parked => "parked",
            Self::Voicemail => "voicemail",
            Self::Ended => "ended",
        }
    }

    /// Shown by active-calls and the stream: somebody's phone rings or somebody talks, and it is not over.
    pub fn visible(self) -> bool {
        !matches!(self, Self::Setup | Self::Ended)
    }

    /// Reads our word, and the guide's and RingCentral's, for calls that another program stored. Unknown words mean a
    /// phone rings, because that is what other programs insert calls for.
    pub fn from_word(word: &str) -> Self {
        let word: String = word.chars().filter(char::is_ascii_alphabetic).collect();
        match word.to_ascii_lowercase().as_str() {
            "setup" => Self::Setup,
            "connected" | "callconnected" | "answered" | "active" | "inprogress" | "talking" => Self::Connected,
            "onhold" | "hold" | "held" => Self::OnHold,
            "parked" | "parkedcall" => Self::Parked,
            "voicemail" | "voicemailscreening" => Self::Voicemail,
            "ended" | "disconnected" | "nocall" | "completed" | "finished" | "hangup" | "hungup" | "gone" => {
                Self::Ended
            }
            _ => Self::Ringing,
        }
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_word(&String::deserialize(deserializer)?))
    }
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    /// A person talked to the other side.
    Answered,
    /// Phones rang, nobody took it.
    Missed,
    /// The caller got a mailbox.
    Voicemail,
    /// Everyone who was rung turned it away.
    Rejected,
    /// The caller left before any phone rang; for our own calls, nobody there answered.
    Abandoned,
}

impl CallResult {
    /// The word clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Missed => "missed",
            Self::Voicemail => "voicemail",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
        }
    }
}
