//! vCards 2.1, 3.0 and 4.0, as address books and phones export them, one card at a time.
//!
//! The file is cut into cards by their `BEGIN` and `END` lines, so that a card that cannot be read costs that card only, and whatever
//! the size of the file one card is in memory. A library reads a card: folded lines, quoted-printable, character sets.

use std::io::{self, BufRead};

use calcard::vcard::{
    VCard, VCardEntry, VCardParameterName, VCardParameterValue, VCardProperty, VCardType, VCardValue,
};
use calcard::{Entry, Parser};

use super::customer::Said;
use super::encoding::decode;

/// A card with a large photo; a longer one is none.
const LONGEST_CARD: usize = 8 * 1024 * 1024;
/// In front of an id that is a UUID; address books write it or leave it away.
const UUID: &str = "urn:uuid:";

/// Whether a text begins like a file of vCards.
pub fn begins(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    text.get(..b"BEGIN:VCARD".len()).is_some_and(|start| start.eq_ignore_ascii_case(b"BEGIN:VCARD"))
}

/// Why a card is not imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The file, or the next card, begins before it ends.
    #[error("it has no END:VCARD")]
    NoEnd,
    /// More than [`LONGEST_CARD`].
    #[error("it is larger than 8 MiB")]
    TooLong,
    /// A text file has none; a database may not take it.
    #[error("it holds a NUL byte")]
    Nul,
    /// The library takes it for something else.
    #[error("it cannot be read as a vCard")]
    Unreadable,
}

/// One card.
#[derive(Debug)]
pub struct Card {
    /// The first is 1.
    pub number: u64,
    /// What it says, or why it cannot be read.
    pub said: Result<Said, Broken>,
}

/// Reads cards.
pub struct Cards<R> {
    text: R,
    number: u64,
    /// The `BEGIN` that ended a card without an `END`.
    begun: bool,
}

impl<R: BufRead> Cards<R> {
    pub fn new(text: R) -> Self {
        Self { text, number: 0, begun: false }
    }

    /// The next card; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Card>> {
        while !std::mem::take(&mut self.begun) {
            match self.next_line()? {
                Some(line) if is(&line, "BEGIN:VCARD") => break,
                Some(_) => {}
                None => return Ok(None),
            }
        }
        self.number += 1;
        let said = self.read_card()?.and_then(|text| read(&text));
        Ok(Some(Card { number: self.number, said }))
    }

    /// The text of a card that has begun.
    fn read_card(&mut self) -> io::Result<Result<String, Broken>> {
        let (mut text, mut depth, mut too_long, mut nul) = (String::from("BEGIN:VCARD\n"), 1, false, false);
        // vCard 2.1 may hold the card of an assistant, behind a line that says so.
        let mut is_inner = false;
        while let Some(line) = self.next_line()? {
            if is(&line, "BEGIN:VCARD") {
                if !is_inner {
                    self.begun = true;
                    return Ok(Err(Broken::NoEnd));
                }
                depth += 1;
            }
            is_inner =
                line.trim_ascii().to_ascii_uppercase().starts_with(b"AGENT") && line.trim_ascii().ends_with(b":");
            depth -= usize::from(is(&line, "END:VCARD"));
            nul |= line.contains(&0);
            too_long |= text.len() + line.len() > LONGEST_CARD;
            let is_own = depth < 2 && !is_inner && !(depth == 1 && is(&line, "END:VCARD"));
            if !too_long && is_own {
                text.push_str(&decode(&line));
                text.push('\n');
            }
            if depth == 0 {
                return Ok(match () {
                    () if too_long => Err(Broken::TooLong),
                    () if nul => Err(Broken::Nul),
                    () => Ok(text),
                });
            }
        }
        Ok(Err(Broken::NoEnd))
    }

    /// A line without its end, up to a little more than the longest card.
    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (mut line, mut began) = (Vec::new(), false);
        loop {
            let buffer = self.text.fill_buf()?;
            if buffer.is_empty() {
                return Ok(began.then_some(line));
            }
            began = true;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            line.extend_from_slice(&part[..part.len().min((LONGEST_CARD + 1).saturating_sub(line.len()))]);
            let read = end.map_or(buffer.len(), |end| end + 1);
            self.text.consume(read);
            if end.is_some() {
                line.pop_if(|last| *last == b'\r');
                return Ok(Some(line));
            }
        }
    }
}

fn is(line: &[u8], what: &str) -> bool {
    line.trim_ascii().eq_ignore_ascii_case(what.as_bytes())
}

fn read(text: &str) -> Result<Said, Broken> {
    match Parser::new(text).entry() {
        Entry::VCard(card) => Ok(said(&card)),
        _ => Err(Broken::Unreadable),
    }
}

fn said(card: &VCard) -> Said {
    let of = |name: VCardProperty| card.entries.iter().filter(move |entry| entry.name == name);
    let first = |name| of(name).flat_map(texts).map(|text| one_line(&text)).find(|text| !text.is_empty());
    let name = first(VCardProperty::Fn).or_else(|| of(VCardProperty::N).find_map(person));
    let company = first(VCardProperty::Org);
    let id = first(VCardProperty::Uid);
    let id = id.map(|id| {
        id.get(..UUID.len())
            .filter(|it| it.eq_ignore_ascii_case(UUID))
            .map_or(id.clone(), |_| id[UUID.len()..].to_owned())
    });
    let phones = of(VCardProperty::Tel).filter(|entry| !is_fax(entry)).flat_map(texts);
    let phones = phones.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect();
    let email = of(VCardProperty::Email).flat_map(texts).find(|text| text.contains('@'));
    let email = email.map(|text| text.trim().trim_start_matches("mailto:").to_owned());
    Said { id, name, company, email, phones }
}

/// The parts of a name in the order of speech; they stand as family, given, further, title, suffix.
fn person(entry: &VCardEntry) -> Option<String> {
    let part = |at: usize| entry.values.get(at).map(|value| all(value).join(" ")).unwrap_or_default();
    let name = one_line(&[part(3), part(1), part(2), part(0), part(4)].join(" "));
    Some(name).filter(|name| !name.is_empty())
}

fn is_fax(entry: &VCardEntry) -> bool {
    let types: Vec<_> = entry
        .params
        .iter()
        .filter(|parameter| parameter.name == VCardParameterName::Type)
        .filter_map(|parameter| match &parameter.value {
            VCardParameterValue::Type(kind) => Some(kind.clone()),
            _ => None,
        })
        .collect();
    types.contains(&VCardType::Fax) && !types.contains(&VCardType::Voice) && !types.contains(&VCardType::Cell)
}

fn texts(entry: &VCardEntry) -> Vec<String> {
    entry.values.iter().flat_map(all).collect()
}

fn all(value: &VCardValue) -> Vec<String> {
    match value {
        VCardValue::Text(text) => vec![mended(text)],
        VCardValue::Component(texts) => texts.iter().map(|text| mended(text)).collect(),
        VCardValue::Integer(number) => vec![number.to_string()],
        _ => Vec::new(),
    }
}

/// Quoted-printable without a character set is Latin-1 for the library, and UTF-8 for the phones that write it.
fn mended(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    latin.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards(file: &[u8]) -> Vec<Card> {
        let mut cards = Cards::new(file);
        std::iter::from_fn(|| cards.next().unwrap()).collect()
    }

    fn one(file: &str) -> Said {
        let mut cards = cards(file.as_bytes());
        assert_eq!(cards.len(), 1);
        cards.remove(0).said.unwrap()
    }

    #[test]
    fn each_version_is_read() {
        for (file, name, company, email, phones) in [
            (
                "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;Ren=C3=A9;;;\r\n\
                 TEL;CELL;PREF:416-555-0301\r\nTEL;WORK;FAX:416-555-0399\r\nTEL;HOME;VOICE:416-555-0302\r\n\
                 ORG;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:Stra=DFe;Nord\r\nEMAIL;INTERNET:r@x.test\r\nEND:VCARD\r\n",
                "René Müller",
                "Straße",
                "r@x.test",
                &["416-555-0301", "416-555-0302"][..],
            ),
            (
                "BEGIN:VCARD\nVERSION:3.0\nFN:Ann\\, Lee\nN:Lee;Ann;;Dr.;\nitem1.TEL;TYPE=CELL,VOICE;TYPE=pref:+1 (416)\n  555-0301\n\
                 TEL;type=WORK:416-555-0302\nORG:Acme\\; Sons;Sales\nEMAIL;TYPE=INTERNET,HOME:ann@\n x.test\n\
                 PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQ\n SkZJRg==\nEND:VCARD\n",
                "Ann, Lee",
                "Acme; Sons",
                "ann@x.test",
                &["+1 (416) 555-0301", "416-555-0302"],
            ),
            (
                "begin:vcard\nversion:4.0\nfn:Ann Lee\ntel;VALUE=uri;TYPE=\"voice,home\":tel:+1-416-555-0301;ext=12\n\
                 TEL;TYPE=cell:tel:+14165550302\nORG:Acme\nEMAIL;PREF=1:ann@x.test\nend:vcard\n",
                "Ann Lee",
                "Acme",
                "ann@x.test",
                &["tel:+1-416-555-0301;ext=12", "tel:+14165550302"],
            ),
        ] {
            let said = one(file);
            let text = |text: &str| Some(text.to_owned());
            assert_eq!((said.name, said.company, said.email), (text(name), text(company), text(email)));
            assert_eq!(said.phones, phones);
        }
    }

    #[test]
    fn long_lines_of_quoted_printable_and_missing_character_sets_are_read() {
        let said = one(
            "BEGIN:VCARD\nVERSION:2.1\nFN;ENCODING=QUOTED-PRINTABLE:Ren=C3=\n=A9 M=C3=BCller=\n-Lee\nTEL:416-555-0301\nEND:VCARD",
        );
        assert_eq!(said.name.as_deref(), Some("René Müller-Lee"));
        let latin = b"BEGIN:VCARD\nVERSION:3.0\nFN:Ren\xe9 Roy\nEND:VCARD\n";
        assert_eq!(cards(latin).remove(0).said.unwrap().name.as_deref(), Some("René Roy"));
    }

    #[test]
    fn a_card_that_is_broken_costs_itself_only() {
        let read = cards(
            b"BEGIN:VCARD\nFN:A\nBEGIN:VCARD\nFN:B\nEND:VCARD\nnoise\nBEGIN:VCARD\nFN:C\0\nEND:VCARD\n\
              BEGIN:VCARD\nFN:D\nAGENT:\nBEGIN:VCARD\nFN:Helper\nTEL:1\nEND:VCARD\nTEL:416-555-0301\nEND:VCARD\nBEGIN:VCARD\nFN:E",
        );
        let said: Vec<_> =
            read.into_iter().map(|card| (card.number, card.said.map(|said| (said.name, said.phones)))).collect();
        let named = |name: &str, phones: &[&str]| {
            Ok((Some(name.to_owned()), phones.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()))
        };
        assert_eq!(
            said,
            [
                (1, Err(Broken::NoEnd)),
                (2, named("B", &[])),
                (3, Err(Broken::Nul)),
                (4, named("D", &["416-555-0301"])),
                (5, Err(Broken::NoEnd)),
            ]
        );
    }

    #[test]
    fn an_id_is_the_address_book_s() {
        assert_eq!(
            one("BEGIN:VCARD\nVERSION:4.0\nUID:urn:uuid:4fbe8971\nFN:A\nEND:VCARD").id.as_deref(),
            Some("4fbe8971")
        );
        assert_eq!(one("BEGIN:VCARD\nVERSION:3.0\nUID:4fbe8971\nFN:A\nEND:VCARD").id.as_deref(), Some("4fbe8971"));
    }
}
