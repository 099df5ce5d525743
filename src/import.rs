//! Customers from a CSV file or vCards as programs and people export them, for the embedded store.
//!
//! ```text
//! encoding → rows → columns → customer → batches of records, which the store writes
//!         or vcard          →
//! ```
//!
//! Everything streams: besides one batch only a hash of each id and number is kept, to count what is distinct. Nothing here
//! writes, and a row that cannot be read costs that row only.

mod columns;
mod customer;
mod encoding;
mod rows;
mod spreadsheet;
mod summary;
mod vcard;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, Read};

use anyhow::{Context, Result, bail, ensure};

use crate::phone::Region;
use crate::store::CustomerRecord;
use columns::{Column, Columns};
use customer::{Found, Refused};
use rows::Rows;
pub use summary::{Lines, Summary};
use summary::{listed, shown};
use vcard::Cards;

/// Records that are handed over at once; the store writes as many in one transaction.
pub const BATCH: usize = 500;

/// What the import looks for, for `--help` and for a file that has none of it.
pub const KNOWN_HEADERS: &str = "\
id (also Contact ID, Record ID, Customer Number, Account ID, …), name (Full Name, …) or First Name and Last Name, company \
(Organization, Account Name, …), email (E-mail Address, …), phone, mobile and every other telephone column (Business Phone, \
Phone 1 - Value, …); also in German, French and Spanish";

/// Reads customers and hands them to `store` in batches, in the order of the file. Fails where the file is no table of
/// customers, where it cannot be read, or as soon as `store` fails; rows that cannot be used are in the summary.
pub fn read(
    file: impl Read + Send + 'static,
    region: Region,
    store: impl FnMut(Vec<CustomerRecord>) -> Result<()>,
) -> Result<Summary> {
    let mut text = encoding::open(file)?;
    let import = Import { seen: Seen::default(), summary: Summary::default(), batch: Vec::new(), store };
    if vcard::begins(text.fill_buf()?) { read_cards(text, region, import) } else { read_table(text, region, import) }
}

fn read_table<S: FnMut(Vec<CustomerRecord>) -> Result<()>>(
    text: impl BufRead,
    region: Region,
    mut import: Import<S>,
) -> Result<Summary> {
    let mut rows = Rows::new(text, |header| Columns::of(header).known())?;
    let header = rows.next()?.context("the file is empty")?;
    let header = header.fields.context("the header, row 1, cannot be read")?;
    let columns = Columns::of(&header);
    refuse_unknown(&columns, &header)?;
    import.summary.unknown = columns.unknown(&header).map(str::to_owned).collect();
    import.summary.no_numbers = !columns.has(Column::Number);
    while let Some(row) = rows.next()? {
        let place = || format!("row {}", row.number);
        match &row.fields {
            Ok(fields) => {
                let found = customer::read(&columns, fields, row.odd_quotes, region);
                if matches!(found, Ok(Some(_))) && fields.len() < columns.len() {
                    let width = fields.len();
                    import.summary.short.push(|| format!("{}: {width} of {} fields", place(), columns.len()));
                }
                import.take(place, found.transpose())?;
            }
            Err(broken) => import.take(place, Some(Err((*broken).into())))?,
        }
    }
    ensure!(import.summary.rows > 0, "the file has a header and no rows");
    import.finish()
}

fn read_cards<S: FnMut(Vec<CustomerRecord>) -> Result<()>>(
    text: impl BufRead,
    region: Region,
    mut import: Import<S>,
) -> Result<Summary> {
    import.summary.of_cards = true;
    let mut cards = Cards::new(text);
    while let Some(card) = cards.next()? {
        let found = card.said.map_err(Refused::from).and_then(|said| customer::found(said, region));
        import.take(|| format!("card {}", card.number), Some(found))?;
    }
    import.finish()
}

/// A table without a name and without a number is none of customers, or its header is missing.
fn refuse_unknown(columns: &Columns, header: &[String]) -> Result<()> {
    if !columns.has_names() && !columns.has(Column::Number) {
        bail!(
            "no column for names or telephone numbers was found. The first row has the headers {}. Known are {KNOWN_HEADERS}",
            listed(header)
        );
    }
    Ok(())
}

struct Import<S> {
    seen: Seen,
    summary: Summary,
    batch: Vec<CustomerRecord>,
    store: S,
}

impl<S: FnMut(Vec<CustomerRecord>) -> Result<()>> Import<S> {
    /// Takes the customer at a place of the file, if there is one; what is worth a line goes to the summary.
    fn take(&mut self, place: impl Fn() -> String, found: Option<Result<Found, Refused>>) -> Result<()> {
        let Self { seen, summary, .. } = self;
        let found = match found {
            Some(Ok(found)) => found,
            None => return Ok(()),
            Some(Err(reason)) => {
                summary.rows += 1;
                summary.lost.push(|| format!("{}: {reason}", place()));
                return Ok(());
            }
        };
        summary.rows += 1;
        let Found { mut customer, has_own_id, unusable } = found;
        for it in unusable {
            summary.unusable.push(|| format!("{}: {}: {}", place(), shown(&it.written), it.reason));
        }
        summary.made_ids += u64::from(!has_own_id);
        if seen.is_new(&customer.id) {
            summary.customers += 1;
        } else {
            customer.adds = true;
            summary.repeated.push(|| format!("{}: id {}", place(), shown(&customer.id)));
        }
        let new = customer.numbers.iter().filter(|it| seen.is_new((&*customer.id, &*it.e164)));
        summary.numbers += new.count() as u64;
        self.batch.push(customer);
        if self.batch.len() == BATCH {
            (self.store)(std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH)))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Summary> {
        if !self.batch.is_empty() {
            (self.store)(self.batch)?;
        }
        Ok(self.summary)
    }
}

/// Which ids and numbers there were. Hashes, because a million ids as text would be most of the memory; two of a million
/// are equal once in 30 million files, and then one customer too few is counted.
#[derive(Default)]
struct Seen {
    hashes: HashSet<u64, RandomState>,
}

impl Seen {
    fn is_new(&mut self, what: impl std::hash::Hash) -> bool {
        let hash = self.hashes.hasher().hash_one(what);
        self.hashes.insert(hash)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn import(file: impl Into<Vec<u8>>) -> Result<(Summary, Vec<CustomerRecord>)> {
        let mut all = Vec::new();
        let summary = read(Cursor::new(file.into()), Region::default(), |batch| {
            all.extend(batch);
            Ok(())
        })?;
        Ok((summary, all))
    }

    #[test]
    fn a_customer_in_several_rows_is_one_with_all_numbers() {
        let (summary, all) = import("id,name,phone\n1,Ann,416-555-0301\n1.0,,416-555-0302\n1,,416-555-0301").unwrap();
        assert_eq!((summary.customers, summary.numbers, summary.rows, summary.repeated.count), (1, 2, 3, 2));
        assert_eq!(all.iter().map(|it| it.adds).collect::<Vec<_>>(), [false, true, true]);
        assert!(summary.to_string().contains("row 3: id \"1\""), "{summary}");
    }

    #[test]
    fn a_table_of_something_else_is_refused_with_its_headers_and_those_known() {
        let refused = import("sku,price\n1,2\n").unwrap_err().to_string();
        assert!(refused.contains("\"sku\", \"price\"") && refused.contains("Business Phone"), "{refused}");
        assert!(import("").unwrap_err().to_string().contains("empty"));
        assert!(import("id,name\n\n").unwrap_err().to_string().contains("no rows"));
        assert!(import("id,name\n,\n").unwrap_err().to_string().contains("no rows"));
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let rows: String = (0..70).map(|row| format!("{row},Ann,10{row}\n")).collect();
        let summary = import(format!("id,name,phone\n{rows}")).unwrap().0.to_string();
        assert!(summary.contains("row 51: \"1049\"") && !summary.contains("row 52:"), "{summary}");
        assert!(summary.contains("caller (70):") && summary.contains("and 20 more"), "{summary}");
    }

    #[test]
    fn a_terminal_is_not_steered_by_a_file() {
        let summary = import("id,name,phone\n1,Ann,\x1b[2J12\n").unwrap().0.to_string();
        assert!(!summary.contains('\x1b'), "{summary:?}");
    }
}
