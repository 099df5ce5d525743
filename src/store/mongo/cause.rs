//! What went wrong with MongoDB, for the log: enough to tell a wrong password, TLS, a timeout and a missing role apart. A server's
//! own message stays out, because it may quote values of documents.

use mongodb::error::{Error, ErrorKind};

/// A short description without values.
pub fn describe(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Authentication { .. } => {
            "authentication failed; see the user and the password of MONGODB_URI".into()
        }
        ErrorKind::ServerSelection { message, .. } => {
            let reasons = unreachable(message);
            if reasons.is_empty() {
                "no server to write to".into()
            } else {
                format!("no server: {}", reasons.join("; "))
            }
        }
        ErrorKind::Io(cause) => format!("I/O error: {}", cause.kind()),
        ErrorKind::Command(refused) => format!("a command failed with code {} ({})", refused.code, refused.code_name),
        ErrorKind::ConnectionPoolCleared { .. } => "a connection was closed because its server failed".into(),
        ErrorKind::DnsResolve { .. } => "the name of the server could not be resolved".into(),
        ErrorKind::InvalidTlsConfig { .. } => "the TLS settings of MONGODB_URI cannot be used".into(),
        ErrorKind::IncompatibleServer { .. } => "the server's version is not supported".into(),
        other => {
            // The name of the variant.
            let text = format!("{other:?}");
            text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
        }
    }
}

/// Why each server could not be reached, once.
fn unreachable(message: &str) -> Vec<&str> {
    let mut reasons = Vec::new();
    for part in message.split("Error: Kind: ").skip(1) {
        let reason = part.split(", labels").next().unwrap_or_default();
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_cannot_be_reached_are_described_by_their_reasons() {
        let server = |port| {
            format!(
                "{{ Address: 127.0.0.1:{port}, Type: Unknown, Error: Kind: I/O error: Connection refused (os error 111), labels: {{}} }}"
            )
        };
        let message = format!("No available servers. Topology: {{ Servers: [ {}, {} ] }}", server(1), server(2));
        assert_eq!(unreachable(&message), ["I/O error: Connection refused (os error 111)"]);
        assert!(unreachable("No available servers.").is_empty());
    }

    #[test]
    fn an_error_is_described_without_its_message() {
        let error = Error::custom("Jane Doe");
        assert_eq!(describe(&error), "Custom");
    }
}
