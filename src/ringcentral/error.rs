//! What can go wrong when RingCentral is asked.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// Messages come from outside and end up in logs and on status pages.
const LONGEST_MESSAGE: usize = 300;

/// Why a request brought no answer. Cheap to clone, because everyone who waited for one token shares its fate.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The settings hold no credentials for this.
    #[error("no RingCentral credentials are set")]
    NoCredentials,
    /// No answer arrived: no connection, or not in time.
    #[error("RingCentral cannot be reached")]
    Unreachable(#[source] Arc<reqwest::Error>),
    /// Sending now would prolong a penalty, and waiting would take longer than anyone wants.
    #[error("RingCentral wants no request for another {} s", .0.as_secs())]
    Busy(Duration),
    /// The token endpoint refused the credentials, the refresh token or the code.
    #[error("RingCentral refused the sign-in: {0}")]
    SignIn(Refusal),
    /// Someone of another company signed in.
    #[error("this person belongs to another RingCentral account")]
    OtherAccount,
    /// An answer with an error in it.
    #[error("RingCentral refused: {0}")]
    Refused(Refusal),
    /// The verification token could not be stored, so RingCentral must not hear of it.
    #[error("the verification token could not be stored")]
    NotKept,
    /// An answer that is not of the documented shape.
    #[error("RingCentral's answer could not be read: {0}")]
    Unreadable(&'static str),
}

/// An error as RingCentral words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Such as `CMN-401`; a word for OAuth errors; empty where the body told nothing.
    pub code: String,
    /// A sentence, possibly empty.
    pub message: String,
    /// The permission the app lacks, when told.
    pub permission: Option<String>,
}

impl Error {
    /// The thing asked for does not exist (any more).
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }

    /// The app or the user may not do this.
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_permission())
    }

    /// RingCentral's code, where it told one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) | Self::SignIn(refusal) => Some(&refusal.code).filter(|code| !code.is_empty()),
            _ => None,
        }
        .map(String::as_str)
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        // An address may hold the id of a call; who reads the log learns nothing from it.
        Self::Unreachable(Arc::new(error.without_url()))
    }
}

impl Refusal {
    /// Reads any of the shapes: `errors[0]` first, because the code beside it at the top may be a mere word; then the
    /// top level; then OAuth's. The body may as well be empty or a proxy's HTML.
    pub fn read(status: u16, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let places = [&json["errors"][0], &json];
        let first = |names: &[&str]| {
            let found = |place: &&Value| names.iter().find_map(|name| place[name].as_str()).map(short);
            places.iter().find_map(found)
        };
        Self {
            status,
            code: first(&["errorCode", "error"]).unwrap_or_default(),
            message: first(&["message", "error_description"]).unwrap_or_default(),
            permission: first(&["permissionName"]),
        }
    }

    fn is_permission(&self) -> bool {
        let known = ["CMN-401", "CMN-408", "InsufficientPermissions"].contains(&self.code.as_str())
            // Presence of another extension, monitoring not allowed, and their kin.
            || self.code.starts_with("SUB-40");
        self.status == 403 && (known || self.permission.is_some())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        [&self.code, &self.message]
            .into_iter()
            .filter(|text| !text.is_empty())
            .try_for_each(|text| write!(f, " {text}"))
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_in_errors_wins_over_the_word_at_the_top() {
        let body = br#"{"errorCode":"InsufficientPermissions","message":"no",
            "errors":[{"errorCode":"CMN-401","message":"needs [CallControl]","permissionName":"CallControl"}]}"#;
        let refusal = Refusal::read(403, body);
        assert_eq!((refusal.code.as_str(), refusal.permission.as_deref()), ("CMN-401", Some("CallControl")));
        assert!(Error::Refused(refusal).is_permission());
    }

    #[test]
    fn the_top_level_serves_where_there_is_no_list() {
        let refusal = Refusal::read(400, br#"{"errorCode":"SUB-521","message":"WebHook is not reachable"}"#);
        assert_eq!(refusal.to_string(), "400 SUB-521 WebHook is not reachable");
    }

    #[test]
    fn oauth_errors_are_read_with_and_without_a_list() {
        let bare = Refusal::read(400, br#"{"error":"invalid_grant","error_description":"Token not found"}"#);
        assert_eq!((bare.code.as_str(), bare.message.as_str()), ("invalid_grant", "Token not found"));
        let listed =
            Refusal::read(400, br#"{"error":"invalid_grant","errors":[{"errorCode":"OAU-140","message":"no"}]}"#);
        assert_eq!(listed.code, "OAU-140");
    }

    #[test]
    fn an_empty_or_foreign_body_is_still_an_error_with_a_status() {
        assert_eq!(Refusal::read(503, b"").to_string(), "503");
        assert_eq!(Refusal::read(502, b"<html>Bad gateway</html>").to_string(), "502");
    }
}
