//! The causes of an error, for log lines. tracing's text format writes them; its JSON format writes the error alone, so that a
//! wrong password, a certificate and a timeout would read the same.

use std::error::Error;
use std::fmt::Write;

use super::mongo::describe;

/// The causes of `error`, from the outermost in, joined by colons; empty where it has none.
pub fn sources(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let separator = if text.is_empty() { "" } else { ": " };
        source = cause.source();
        match cause.downcast_ref::<mongodb::error::Error>() {
            Some(cause) => write!(text, "{separator}{}", describe(cause)),
            None => write!(text, "{separator}{cause}"),
        }
        .expect("a string takes every text");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Outer(&'static str, #[source] Box<dyn Error>);

    #[test]
    fn causes_are_listed_from_the_outermost_in() {
        assert_eq!(sources(&io::Error::other("alone")), "");
        let timeout = Outer("no answer", io::Error::from(io::ErrorKind::TimedOut).into());
        assert_eq!(sources(&Outer("the store does not answer", timeout.into())), "no answer: timed out");
    }
}
