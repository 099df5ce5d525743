//! Rows of a CSV file, one at a time, with recovery: a broken row is reported under its number and the next one is read.
//!
//! A library reads what follows an unclosed quote as one field, up to the next quote or the end of the file. Here lines of
//! a row that turns out to be broken are read again, so that one missing quote costs one row.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use super::encoding::decode;

/// A longer line is no row of customers.
const LONGEST_LINE: usize = 1024 * 1024;
/// A quoted field with more line breaks than this was never closed; notes in contacts have dozens.
const MOST_LINES: usize = 500;
/// The same for its size.
const LONGEST_ROW: usize = 256 * 1024;
/// Delimiters in use, the most usual first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// As a spreadsheet numbers it: the header is 1.
    pub number: u64,
    /// Its fields, or why there are none.
    pub fields: Result<Vec<String>, Broken>,
    /// A quote stands inside a quoted field without being doubled. Right by its sense, if the number of fields is right.
    pub odd_quotes: bool,
}

/// Why a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A field begins with a quote and does not end with one.
    #[error("a quote is opened and never closed")]
    OpenQuote,
    /// A text file has none; a database may not take it.
    #[error("it holds a NUL byte")]
    Nul,
    /// More than [`LONGEST_LINE`].
    #[error("it is longer than 1 MiB")]
    TooLong,
}

/// Reads rows.
pub struct Rows<R> {
    text: R,
    delimiter: u8,
    number: u64,
    /// Lines that are to be read again.
    again: VecDeque<Line>,
}

struct Line {
    bytes: Vec<u8>,
    too_long: bool,
}

impl<R: BufRead> Rows<R> {
    /// Reads rows with the delimiter whose header has the highest `score`; of equals the one with most fields. Excel's
    /// own first line, `sep=;`, decides where there is one.
    pub fn new(text: R, score: impl Fn(&[String]) -> usize) -> io::Result<Self> {
        let mut rows = Self { text, delimiter: DELIMITERS[0], number: 0, again: VecDeque::new() };
        let Some(first) = rows.next_line()? else { return Ok(rows) };
        match first.bytes[..] {
            [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => {
                rows.delimiter = delimiter;
                return Ok(rows);
            }
            _ => rows.again.push_front(first),
        }
        let mut best = None;
        for delimiter in DELIMITERS {
            rows.delimiter = delimiter;
            let (header, lines) = rows.read()?;
            lines.into_iter().rev().for_each(|line| rows.again.push_front(line));
            let Some(Row { fields: Ok(fields), .. }) = header else { continue };
            let found = (score(&fields), fields.len());
            if best.is_none_or(|(before, _)| found > before) {
                best = Some((found, delimiter));
            }
        }
        rows.delimiter = best.map_or(DELIMITERS[0], |(_, delimiter)| delimiter);
        rows.number = 0;
        Ok(rows)
    }

    /// The next row that is not blank; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Row>> {
        Ok(self.read()?.0)
    }

    /// The same with the lines it is made of.
    fn read(&mut self) -> io::Result<(Option<Row>, Vec<Line>)> {
        let mut lines = Vec::new();
        let first = loop {
            let Some(line) = self.next_line()? else { return Ok((None, lines)) };
            self.number += 1;
            if line.too_long || !line.bytes.trim_ascii().is_empty() {
                break line;
            }
            lines.push(line);
        };
        let (row, more) = self.read_from(&first)?;
        lines.push(first);
        lines.extend(more);
        Ok((Some(row), lines))
    }

    fn read_from(&mut self, first: &Line) -> io::Result<(Row, Vec<Line>)> {
        let row = |number, fields, odd_quotes| Row { number, fields, odd_quotes };
        if first.too_long {
            return Ok((row(self.number, Err(Broken::TooLong), false), Vec::new()));
        }
        let mut fields = Fields::default();
        let (mut state, mut more, mut size) = (fields.feed(&first.bytes, self.delimiter), Vec::new(), 0);
        while state == State::Open && more.len() < MOST_LINES && size < LONGEST_ROW {
            let Some(line) = self.next_line()? else { break };
            state = if line.too_long { State::Broken } else { fields.feed(&line.bytes, self.delimiter) };
            size += line.bytes.len();
            more.push(line);
        }
        if state != State::Complete {
            more.into_iter().rev().for_each(|line| self.again.push_front(line));
            return Ok((row(self.number, Err(Broken::OpenQuote), false), Vec::new()));
        }
        let read = if fields.done.iter().any(|field| field.contains(&0)) {
            Err(Broken::Nul)
        } else {
            Ok(fields.done.iter().map(|field| decode(field)).collect())
        };
        Ok((row(self.number, read, fields.odd_quotes), more))
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.again.pop_front() {
            return Ok(Some(line));
        }
        let mut line = Line { bytes: Vec::new(), too_long: false };
        let mut began = false;
        loop {
            let buffer = self.text.fill_buf()?;
            if buffer.is_empty() {
                return Ok(began.then_some(line));
            }
            began = true;
            let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = &buffer[..end.unwrap_or(buffer.len())];
            line.too_long |= line.bytes.len() + part.len() > LONGEST_LINE;
            if !line.too_long {
                line.bytes.extend_from_slice(part);
            }
            let carriage_return = end.is_some_and(|end| buffer[end] == b'\r');
            let read = end.map_or(buffer.len(), |end| end + 1);
            self.text.consume(read);
            if carriage_return && self.text.fill_buf()?.first() == Some(&b'\n') {
                self.text.consume(1);
            }
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The row ends with this line.
    Complete,
    /// A quoted field goes on in the next line.
    Open,
    /// A quoted field of an earlier line ends where no field can end: its quote was never closed.
    Broken,
}

/// The fields of one row as its lines come.
#[derive(Default)]
struct Fields {
    done: Vec<Vec<u8>>,
    field: Vec<u8>,
    quoted: bool,
    odd_quotes: bool,
}

impl Fields {
    fn feed(&mut self, line: &[u8], delimiter: u8) -> State {
        // Whether the quoted field at hand began in an earlier line.
        let mut continued = self.quoted;
        if continued {
            self.field.push(b'\n');
        }
        let mut rest = line.iter().copied().enumerate().peekable();
        while let Some((at, byte)) = rest.next() {
            if !self.quoted && byte == delimiter {
                self.done.push(std::mem::take(&mut self.field));
            } else if byte != b'"' {
                self.field.push(byte);
            } else if !self.quoted && self.field.trim_ascii().is_empty() {
                self.field.clear();
                (self.quoted, continued) = (true, false);
            } else if self.quoted && rest.next_if(|(_, next)| *next == b'"').is_some() {
                self.field.push(b'"');
            } else if self.quoted && ends_field(&line[at + 1..], delimiter) {
                self.quoted = false;
            } else if self.quoted && continued {
                return State::Broken;
            } else {
                self.odd_quotes |= self.quoted;
                self.field.push(b'"');
            }
        }
        if self.quoted {
            return State::Open;
        }
        self.done.push(std::mem::take(&mut self.field));
        State::Complete
    }
}

/// Whether only blanks stand before the next delimiter or the end of the line.
fn ends_field(rest: &[u8], delimiter: u8) -> bool {
    let next = rest.iter().find(|byte| **byte == delimiter || **byte != b' ');
    next.is_none_or(|byte| *byte == delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (u64, std::result::Result<Vec<String>, Broken>);

    fn rows(text: &str) -> Vec<Read> {
        let score = |header: &[String]| header.iter().filter(|name| matches!(&***name, "id" | "name")).count();
        let mut rows = Rows::new(text.as_bytes(), score).unwrap();
        std::iter::from_fn(|| rows.next().unwrap()).map(|row| (row.number, row.fields)).collect()
    }

    fn fields(of: &[&str]) -> Result<Vec<String>, Broken> {
        Ok(of.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn delimiters_line_ends_and_quotes_of_every_kind_are_read() {
        let expected = vec![(1, fields(&["id", "name"])), (2, fields(&["1", "Lee, A; \"B\"\tC\nD"]))];
        for delimiter in [",", ";", "\t", "|"] {
            for end in ["\n", "\r\n", "\r"] {
                let text = format!("id{delimiter}name{end}1{delimiter}\"Lee, A; \"\"B\"\"\tC{end}D\"{end}");
                assert_eq!(rows(&text), expected, "{text:?}");
            }
        }
        assert_eq!(rows("SEP=;\r\nid;name\r\n"), [(1, fields(&["id", "name"]))]);
        assert_eq!(rows(""), []);
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_row_only() {
        for next in ["3,Cat", "3,\"Cat\"", "\"3\",\"Cat\"", "\"3\",Cat"] {
            let read = rows(&format!("id,name\n1,Ann\n2,\"Bob\n{next}\n4,Dan"));
            let expected = [
                (1, fields(&["id", "name"])),
                (2, fields(&["1", "Ann"])),
                (3, Err(Broken::OpenQuote)),
                (4, fields(&["3", "Cat"])),
                (5, fields(&["4", "Dan"])),
            ];
            assert_eq!(read, expected, "{next}");
        }
    }

    #[test]
    fn quotes_inside_a_field_are_kept() {
        assert_eq!(rows("id,name\n1,\"Bob \"B\" May\"")[1], (2, fields(&["1", "Bob \"B\" May"])));
        assert_eq!(rows("id,name\n1,Bar 5\" x\n2, \"Cat\" ")[1], (2, fields(&["1", "Bar 5\" x"])));
    }

    #[test]
    fn a_row_with_a_nul_and_one_too_long_are_reported() {
        let long = "x".repeat(LONGEST_LINE + 1);
        let read = rows(&format!("id,name\n1,A\0n\n{long}\n\n4,Dan"));
        assert_eq!(read[1], (2, Err(Broken::Nul)));
        assert_eq!(read[2], (3, Err(Broken::TooLong)));
        assert_eq!(read[3], (5, fields(&["4", "Dan"])));
    }
}
