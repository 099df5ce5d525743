//! Which errors are about one document, and which are about the database.

use mongodb::error::{Error, ErrorKind, WriteFailure};

/// What MongoDB calls a second document of the same id or session.
pub(super) const DUPLICATE: i32 = 11000;
/// A document beyond 16 MiB.
const TOO_LARGE: i32 = 10334;
/// A whole command fails with these when it is a document in it that does not work: a wrong value, path or type, a field that
/// cannot be changed, a validator, a size.
const OF_A_DOCUMENT: [i32; 20] =
    [2, 9, 14, 16, 28, 40, 52, 54, 55, 56, 57, 59, 61, 66, 121, TOO_LARGE, 17280, 17419, 17420, DUPLICATE];
/// A single write fails with these when it is the database that does not work: no primary, stopping, no time, no space, no
/// right, busy. Everything else is about the document.
const OF_THE_DATABASE: [i32; 36] = [
    1, 6, 7, 11, 13, 18, 24, 46, 50, 63, 64, 79, 89, 91, 96, 100, 112, 133, 134, 150, 189, 211, 234, 246, 262, 290,
    317, 9001, 10107, 11600, 11601, 11602, 13388, 13435, 13436, 14031,
];

/// The code of a refusal that is about the document alone; `None` when the database does not work.
pub(super) fn refusal(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => write_refusal(error.code),
        ErrorKind::Command(error) => OF_A_DOCUMENT.contains(&error.code).then_some(error.code),
        // The driver itself refuses to send a document that is too large.
        ErrorKind::InvalidArgument { .. } => Some(TOO_LARGE),
        _ => None,
    }
}

/// The same for the code of one write among many.
pub(super) fn write_refusal(code: i32) -> Option<i32> {
    (!OF_THE_DATABASE.contains(&code)).then_some(code)
}
