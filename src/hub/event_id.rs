//! A viewer's position, as `id:` and `Last-Event-ID` carry it.

use std::fmt;

/// `{epoch}-{position}`, and in hex the mark where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId<'a> {
    /// The run that told it: positions of another run mean nothing here.
    pub epoch: &'a str,
    /// A place in that run's log.
    pub position: u64,
    /// Everything up to this cluster time was told; it means the same to every instance.
    pub watermark: Option<u64>,
}

impl<'a> EventId<'a> {
    /// Reads what a client sends back; `None` when it is none of ours.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let (epoch, position) = (parts.next()?, parts.next()?.parse().ok()?);
        let watermark = parts.next().map(|watermark| u64::from_str_radix(watermark, 16)).transpose().ok()?;
        Some(Self { epoch, position, watermark })
    }
}

impl fmt::Display for EventId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.position)?;
        self.watermark.map_or(Ok(()), |watermark| write!(f, "-{watermark:x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        for watermark in [None, Some(0), Some(u64::MAX)] {
            let id = EventId { epoch: "5eed", position: 7, watermark };
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
    }

    #[test]
    fn what_is_no_id_is_none() {
        for text in ["", "7", "nonsense", "5eed-", "5eed-x", "5eed-7-", "5eed-7-xyz", "5eed-99999999999999999999"] {
            assert_eq!(EventId::parse(text), None, "{text:?}");
        }
    }
}
