//! One row as a customer: id, name, email and the numbers in it, with what cannot be used.

use sha2::{Digest, Sha256};

use super::columns::{Column, Columns};
use super::rows::Broken;
use super::spreadsheet::{Cell, cell};
use crate::phone::{PhoneNumber, Region, is_withheld};
use crate::store::{CustomerRecord, WrittenNumber};

/// Fewer digits are an extension or half a number.
const FEWEST_DIGITS: usize = 6;
/// The most that E.164 has.
const MOST_DIGITS: usize = 15;
/// Between two numbers of one field, whatever is in them.
const SEPARATORS: [&str; 3] = [":::", ";", "\n"];
/// Before an id that was made here, so that it is no host application's.
const MADE: &str = "csv-";

/// What a row holds.
#[derive(Debug)]
pub struct Found {
    pub customer: CustomerRecord,
    /// The id is the file's, not made here.
    pub has_own_id: bool,
    /// Texts in columns of numbers that can never match a caller.
    pub unusable: Vec<Unusable>,
}

/// A text in a column of numbers that is none.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable {
    pub text: String,
    pub reason: &'static str,
}

/// Why a row is no customer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Its values are under other headers than they belong to.
    #[error(
        "it has {found} fields and the header has {expected}; is a delimiter inside a field without quotes around it?"
    )]
    TooManyFields { found: usize, expected: usize },
    #[error("quotes are missing or not doubled, and its fields cannot be told apart")]
    OddQuotes,
    #[error("its id {0:?} was shortened by a spreadsheet; format the column as text and export it again")]
    ShortenedId(String),
    #[error("it has neither a name nor an email nor a usable number")]
    Nothing,
}

/// Reads a row under these columns; `None` where every field is empty.
pub fn read(columns: &Columns, row: &[String], odd_quotes: bool, region: Region) -> Result<Option<Found>, Refused> {
    let is_empty = |field: &String| field.trim().is_empty();
    if row.iter().all(is_empty) {
        return Ok(None);
    }
    if odd_quotes && row.len() != columns.len() {
        return Err(Refused::OddQuotes);
    }
    // Some programs end every row with a delimiter.
    if !row.iter().skip(columns.len()).all(is_empty) {
        return Err(Refused::TooManyFields { found: row.len(), expected: columns.len() });
    }
    let (name, email) = (name(columns, row), email(columns, row));
    let (numbers, unusable) = numbers(columns, row, region);
    let written = columns.id.and_then(|at| row.get(at)).map_or("", String::as_str);
    let own = match cell(written) {
        Cell::Shortened => return Err(Refused::ShortenedId(written.trim().to_owned())),
        Cell::Text(id) => Some(id).filter(|id| !id.is_empty()),
    };
    if own.is_none() && name.is_none() && email.is_none() && numbers.is_empty() {
        return Err(Refused::Nothing);
    }
    let has_own_id = own.is_some();
    let id = own.unwrap_or_else(|| made_id(name.as_deref(), email.as_deref(), &numbers));
    let company =
        columns.texts(Column::Company, row).next().map(one_line).filter(|company| Some(company) != name.as_ref());
    let customer = CustomerRecord { id, name, email, company, numbers, adds: false };
    Ok(Some(Found { customer, has_own_id, unusable }))
}

/// The full name; else first and last; else the company. With a column of first names and none of last names (German
/// `Name;Vorname`), or the other way round (Spanish `Nombre;Apellidos`), the name is the other half.
fn name(columns: &Columns, row: &[String]) -> Option<String> {
    let one = |column| columns.texts(column, row).next().map(one_line);
    let (full, first, last) = (one(Column::Name), one(Column::FirstName), one(Column::LastName));
    let halves = columns.has(Column::FirstName) != columns.has(Column::LastName);
    let missing = |half: &Option<String>, full: &str| {
        half.clone().filter(|half| halves && !full.to_lowercase().contains(&half.to_lowercase())).unwrap_or_default()
    };
    let person = match &full {
        Some(full) => [missing(&first, full), full.clone(), missing(&last, full)],
        None => [first.unwrap_or_default(), String::new(), last.unwrap_or_default()],
    };
    let person = one_line(&person.join(" "));
    Some(person).filter(|name| !name.is_empty()).or_else(|| one(Column::Company))
}

/// The first address; Google writes several into one field.
fn email(columns: &Columns, row: &[String]) -> Option<String> {
    let parts = columns.texts(Column::Email, row).flat_map(|field| field.split([';', ',', ' ', '\n', ':']));
    let mut parts = parts.map(|part| part.trim_matches(['<', '>', '\'', '"']));
    parts.find(|part| part.contains('@')).map(str::to_owned)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn numbers(columns: &Columns, row: &[String], region: Region) -> (Vec<WrittenNumber>, Vec<Unusable>) {
    let (mut numbers, mut unusable): (Vec<WrittenNumber>, Vec<Unusable>) = Default::default();
    for field in columns.texts(Column::Number, row) {
        let text = match cell(field) {
            Cell::Shortened => {
                let reason = "a spreadsheet shortened it; format the column as text and export it again";
                unusable.push(Unusable { text: field.to_owned(), reason });
                continue;
            }
            Cell::Text(text) => text,
        };
        let found = PhoneNumber::parse_all(&text, region);
        let bad = if found.is_empty() { vec![&*text] } else { parts_without_number(&text, region) };
        unusable.extend(bad.into_iter().map(|part| Unusable { text: part.to_owned(), reason: reason(part) }));
        for e164 in found.iter().map(PhoneNumber::e164) {
            if numbers.iter().all(|known| known.e164 != e164) {
                numbers.push(WrittenNumber { e164, written: text.clone() });
            }
        }
    }
    (numbers, unusable)
}

/// Of a field with several numbers the parts that are meant to be one and are none.
fn parts_without_number(text: &str, region: Region) -> Vec<&str> {
    let mut parts = vec![text];
    for separator in SEPARATORS {
        parts = parts.into_iter().flat_map(|part| part.split(separator)).map(str::trim).collect();
    }
    // `tel:+1416…;ext=12` has parameters, which are no numbers.
    let is_meant = |part: &&str| !part.contains('=') && digits(part) >= FEWEST_DIGITS;
    let is_none = |part: &&str| PhoneNumber::parse_all(part, region).is_empty();
    parts.into_iter().filter(|part| part.len() < text.len()).filter(is_meant).filter(is_none).collect()
}

fn reason(text: &str) -> &'static str {
    match digits(text) {
        _ if is_withheld(text) => "it says that there is no number",
        0 => "it has no digits",
        few if few <= FEWEST_DIGITS => "it is too short; is it an extension?",
        many if many > MOST_DIGITS => "it has too many digits",
        _ if text.contains(['X', 'x', '*', '•']) => "digits are masked",
        _ => "it is no valid number; is an area or country code missing?",
    }
}

fn digits(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

/// An id from what identifies a person in a list: name and email, or name and number where there is no email. It is the
/// same each time the file is imported, also when other fields have changed.
fn made_id(name: Option<&str>, email: Option<&str>, numbers: &[WrittenNumber]) -> String {
    let number = numbers.first().map(|number| &*number.e164);
    let (kind, second) = if email.is_some() { ("email", email) } else { ("number", number) };
    let identity = [kind, name.unwrap_or_default(), second.unwrap_or_default()].join("\0").to_lowercase();
    let digest = Sha256::digest(identity.as_bytes());
    digest.iter().take(12).fold(MADE.to_owned(), |id, byte| format!("{id}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(header: &str, row: &str) -> Result<Option<Found>, Refused> {
        let cut = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        read(&Columns::of(&cut(header)), &cut(row), false, Region::default())
    }

    fn customer(header: &str, row: &str) -> CustomerRecord {
        reading(header, row).unwrap().unwrap().customer
    }

    #[test]
    fn a_name_is_made_of_what_there_is() {
        for (header, row, name) in [
            ("First Name,Last Name,Company", "Ann,Lee,Acme", "Ann Lee"),
            ("Name,First Name,Last Name", "Dr. Bob,Robert,May", "Dr. Bob"),
            ("First Name,Last Name,Company", ",,Acme", "Acme"),
            ("First Name,Last Name", ",Lee", "Lee"),
            ("Name,Vorname", "Lee,Ann", "Ann Lee"),
            ("Name,Given Name", "Ann Lee,Ann", "Ann Lee"),
            ("Nombre,Apellidos", "Ana,Ruiz Gil", "Ana Ruiz Gil"),
            ("Name", " Ann   Lee ", "Ann Lee"),
        ] {
            assert_eq!(customer(&format!("id,{header}"), &format!("1,{row}")).name.as_deref(), Some(name), "{header}");
        }
    }

    #[test]
    fn a_made_id_is_the_same_whatever_else_changes() {
        let id = |row: &str| customer("Name,Email,Phone,Notes", row).id;
        let first = id("Ann Lee,a@x.test,416-555-0301,x");
        assert!(first.starts_with(MADE));
        assert_eq!(first, id("ann lee,A@x.test,416-555-0999,y"));
        assert_ne!(first, id("Bob Lee,a@x.test,416-555-0301,x"));
        let without_email = id("Ann Lee,,416-555-0301,");
        assert_eq!(without_email, id("Ann Lee,,(416) 555 0301,"));
        assert_ne!(without_email, id("Ann Lee,,416-555-0302,"));
    }

    #[test]
    fn a_row_that_cannot_be_read_says_why() {
        let refused = |row: &str| reading("id,name,phone", row).map(|found| found.is_some());
        assert_eq!(refused(",,"), Ok(false));
        assert_eq!(refused("1,Doe,Jane,416-555-0301"), Err(Refused::TooManyFields { found: 4, expected: 3 }));
        assert_eq!(refused("1,Jane,416-555-0301,,"), Ok(true));
        assert_eq!(refused("1,Jane"), Ok(true));
        assert_eq!(refused("1.23457E+11,Jane,"), Err(Refused::ShortenedId("1.23457E+11".into())));
        assert_eq!(refused(",,101"), Err(Refused::Nothing));
    }

    #[test]
    fn what_is_no_number_is_listed_and_the_others_are_kept() {
        let found = reading("id,name,phone,mobile", "1,Ann,416-555-0301; 555-0301x,4.16555E+09").unwrap().unwrap();
        assert_eq!(found.customer.numbers.len(), 1);
        assert_eq!(found.unusable.iter().map(|it| &*it.text).collect::<Vec<_>>(), ["555-0301x", "4.16555E+09"]);
        assert_eq!(reading("id,phone", "1,101").unwrap().unwrap().unusable[0].reason, reason("101"));
    }
}
