//! The bytes of a CSV file as text: which encoding it has, and a reader that decodes it while it streams.
//!
//! UTF-16 is decoded here. UTF-8 and Windows-1252 agree on every byte that structures a CSV file, so such a file stays
//! bytes and each field is decoded on its own ([`decode`]): one file may mix both, as exports that were edited do, and no
//! first pass over the file has to decide.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Bytes looked at to recognise an encoding.
const PREFIX: u64 = 4_096;
/// Bytes buffered of the file or of its text.
const BUFFER: usize = 64 * 1024;
/// Bytes decoded at once.
const DECODED_AT_ONCE: usize = 8 * 1024;
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Files that people take for CSV, by their first bytes, with the cure.
const FOREIGN: [(&[u8], &str); 6] = [
    (
        b"PK\x03\x04",
        "this is a spreadsheet (.xlsx, .ods) or a ZIP archive; save the table as CSV UTF-8 and import that",
    ),
    (b"\xd0\xcf\x11\xe0", "this is an Excel workbook (.xls); save it as CSV UTF-8 and import that"),
    (b"\x1f\x8b", "this is a gzip archive; unpack it first"),
    (b"%PDF", "this is a PDF; export the table as CSV"),
    (b"\xff\xfe\0\0", "this file is UTF-32; save it as CSV UTF-8"),
    (b"\0\0\xfe\xff", "this file is UTF-32; save it as CSV UTF-8"),
];

/// The file's text, or its bytes where they are UTF-8 or Windows-1252. Fails with [`io::ErrorKind::InvalidData`] and a
/// sentence for a person where the file is no CSV at all.
pub fn open(mut file: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut prefix = Vec::new();
    file.by_ref().take(PREFIX).read_to_end(&mut prefix)?;
    if let Some((_, cure)) = FOREIGN.iter().find(|(start, _)| prefix.starts_with(start)) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, *cure));
    }
    let wide = wide(&prefix);
    if wide.is_none() && prefix.starts_with(UTF8_MARK) {
        prefix.drain(..UTF8_MARK.len());
    }
    let bytes = Cursor::new(prefix).chain(file);
    Ok(match wide {
        Some(encoding) => Box::new(BufReader::with_capacity(BUFFER, Decoding::new(encoding, bytes))),
        None => Box::new(BufReader::with_capacity(BUFFER, bytes)),
    })
}

/// One field's text. What is not UTF-8 is Windows-1252, in which every byte is a character.
pub fn decode(field: &[u8]) -> String {
    match std::str::from_utf8(field) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(field).0.into_owned(),
    }
}

/// UTF-16, by its mark, or by the zero in every other byte of the Latin text that a header is.
fn wide(prefix: &[u8]) -> Option<&'static Encoding> {
    match prefix {
        [0xff, 0xfe, ..] => return Some(UTF_16LE),
        [0xfe, 0xff, ..] => return Some(UTF_16BE),
        _ => {}
    }
    let pairs = prefix.len().min(64) / 2;
    let zeros = |offset: usize| prefix[..pairs * 2].iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    let mostly = |count: usize| pairs > 1 && count * 4 >= pairs * 3;
    if mostly(second) && first == 0 {
        Some(UTF_16LE)
    } else if mostly(first) && second == 0 {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Decodes while reading. What is no character becomes U+FFFD.
struct Decoding<R> {
    decoder: Decoder,
    bytes: R,
    /// Text that was decoded, and how much of it was read.
    text: String,
    read: usize,
    ended: bool,
}

impl<R: Read> Decoding<R> {
    fn new(encoding: &'static Encoding, bytes: R) -> Self {
        let decoder = encoding.new_decoder_with_bom_removal();
        Self { decoder, bytes, text: String::new(), read: 0, ended: false }
    }

    fn decode_more(&mut self) -> io::Result<()> {
        let mut some = [0; DECODED_AT_ONCE];
        let count = self.bytes.read(&mut some)?;
        self.ended = count == 0;
        self.text.clear();
        self.read = 0;
        let room = self.decoder.max_utf8_buffer_length(count).expect("a small buffer's length does not overflow");
        self.text.reserve(room);
        let (result, ..) = self.decoder.decode_to_string(&some[..count], &mut self.text, self.ended);
        debug_assert_eq!(result, CoderResult::InputEmpty, "there is room for all of it");
        Ok(())
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.text.len() && !self.ended {
            self.decode_more()?;
        }
        let rest = &self.text.as_bytes()[self.read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut read = Vec::new();
        open(Cursor::new(bytes.to_vec())).unwrap().read_to_end(&mut read).unwrap();
        decode(&read)
    }

    #[test]
    fn every_encoding_of_the_same_table_reads_the_same() {
        let table = "id;name\r\n1;René Žižek\r\n".repeat(5_000);
        let wide = |order: fn(u16) -> [u8; 2]| table.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let (little, big) = (wide(u16::to_le_bytes), wide(u16::to_be_bytes));
        let latin = WINDOWS_1252.encode(&table).0.into_owned();
        for bytes in [
            table.as_bytes().to_vec(),
            [UTF8_MARK, table.as_bytes()].concat(),
            [b"\xff\xfe", &little[..]].concat(),
            [b"\xfe\xff", &big[..]].concat(),
            little,
            big,
            latin,
        ] {
            assert_eq!(text(&bytes), table, "{:?}", &bytes[..8]);
        }
    }

    #[test]
    fn half_a_character_at_the_end_does_not_stop_the_reading() {
        assert_eq!(text(b"\xff\xfea\0b\0c"), "ab\u{fffd}");
        assert_eq!(text(b""), "");
    }

    #[test]
    fn a_workbook_is_refused_with_the_cure() {
        let refused = open(Cursor::new(b"PK\x03\x04rest".to_vec())).err().unwrap();
        assert!(refused.to_string().contains("save the table as CSV"));
    }
}
