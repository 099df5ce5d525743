//! One row as a customer: id, name, email and the numbers in it, with what cannot be used.

use sha2::{Digest, Sha256};

use super::columns::{Column, Columns};
use super::rows::Broken;
use super::spreadsheet::{Cell, cell};
use super::vcard;
use crate::phone::{PhoneNumber, Reason, Region, Unmatchable, unmatchable};
use crate::store::{CustomerRecord, WrittenNumber};

/// Before an id that was made here, so that it is no host application's.
const MADE: &str = "csv-";

/// What a row holds.
#[derive(Debug)]
pub struct Found {
    pub customer: CustomerRecord,
    /// The id is the file's, not made here.
    pub has_own_id: bool,
    /// Texts in columns of numbers that can never match a caller.
    pub unusable: Vec<Unmatchable>,
}

/// What a row or a card says of a customer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub id: Option<String>,
    pub name: Option<String>,
    pub company: Option<String>,
    pub email: Option<String>,
    /// Texts that hold numbers.
    pub phones: Vec<String>,
}

/// Why a row is no customer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error(transparent)]
    BrokenCard(#[from] vcard::Broken),
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
    let written = columns.id.and_then(|at| row.get(at)).map_or("", String::as_str);
    let id = match cell(written) {
        Cell::Shortened => return Err(Refused::ShortenedId(written.trim().to_owned())),
        Cell::Text(id) => Some(id).filter(|id| !id.is_empty()),
    };
    let company = columns.texts(Column::Company, row).next().map(one_line);
    let phones = columns.texts(Column::Number, row).map(str::to_owned).collect();
    found(Said { id, name: name(columns, row), company, email: email(columns, row), phones }, region).map(Some)
}

/// The customer that a row or a card describes, or why it is refused.
pub fn found(said: Said, region: Region) -> Result<Found, Refused> {
    let Said { id, name, company, email, phones } = said;
    let name = name.or_else(|| company.clone());
    let company = company.filter(|company| Some(company) != name.as_ref());
    let Numbers { numbers, unreadable, unusable } = numbers(&phones, region);
    if id.is_none() && name.is_none() && email.is_none() && numbers.is_empty() {
        return Err(Refused::Nothing);
    }
    let has_own_id = id.is_some();
    let id = id.unwrap_or_else(|| made_id(name.as_deref(), email.as_deref(), &numbers));
    let customer = CustomerRecord { id, name, email, company, numbers, unreadable, adds: false };
    Ok(Found { customer, has_own_id, unusable })
}

/// The full name; else first and last. With a column of first names and none of last names (German
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
    Some(person).filter(|name| !name.is_empty())
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

/// The numbers of a customer.
#[derive(Default)]
struct Numbers {
    numbers: Vec<WrittenNumber>,
    /// Whole texts without a number in them.
    unreadable: Vec<String>,
    unusable: Vec<Unmatchable>,
}

fn numbers(phones: &[String], region: Region) -> Numbers {
    let mut all = Numbers::default();
    for field in phones {
        let text = match cell(field) {
            Cell::Shortened => {
                let written = field.to_owned();
                all.unusable.push(Unmatchable { written, reason: Reason::Shortened, suggestion: None });
                all.unreadable.push(field.to_owned());
                continue;
            }
            Cell::Text(text) => text,
        };
        let found = PhoneNumber::parse_all(&text, region);
        all.unusable.extend(unmatchable(&text, region));
        if found.is_empty() && !all.unreadable.contains(&text) && !text.is_empty() {
            all.unreadable.push(text.clone());
        }
        for e164 in found.iter().map(PhoneNumber::e164) {
            if all.numbers.iter().all(|known| known.e164 != e164) {
                all.numbers.push(WrittenNumber { e164, written: text.clone() });
            }
        }
    }
    all
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
        assert_eq!(found.unusable.iter().map(|it| &*it.written).collect::<Vec<_>>(), ["555-0301x", "4.16555E+09"]);
        let of_an_extension = reading("id,phone", "1,101").unwrap().unwrap();
        assert_eq!(of_an_extension.unusable[0].reason, Reason::Extension);
        assert_eq!(of_an_extension.customer.unreadable, ["101"], "it is kept, and audited");
    }
}
