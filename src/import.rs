//! Customers from a CSV file as programs and people export it, for the embedded store.
//!
//! ```text
//! encoding → rows → columns → customer → batches of records, which the store writes
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

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};

use crate::phone::Region;
use crate::store::CustomerRecord;
use columns::{Column, Columns};
use customer::Found;
use rows::{Row, Rows};
pub use summary::{Lines, Summary};
use summary::{listed, shown};

/// Records that are handed over at once; the store writes as many in one transaction.
const BATCH: usize = 500;

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
    mut store: impl FnMut(Vec<CustomerRecord>) -> Result<()>,
) -> Result<Summary> {
    let mut rows = Rows::new(encoding::open(file)?, |header| Columns::of(header).known())?;
    let header = rows.next()?.context("the file is empty")?;
    let header = header.fields.context("the header, row 1, cannot be read")?;
    let columns = Columns::of(&header);
    refuse_unknown(&columns, &header)?;
    let mut import = Import { region, columns, seen: Seen::default(), summary: Summary::default() };
    import.summary.unknown = import.columns.unknown(&header).map(str::to_owned).collect();
    import.summary.no_numbers = !import.columns.has(Column::Number);
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(row) = rows.next()? {
        batch.extend(import.take(row));
        if batch.len() == BATCH {
            store(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))?;
        }
    }
    ensure!(import.summary.rows > 0, "the file has a header and no rows");
    if !batch.is_empty() {
        store(batch)?;
    }
    Ok(import.summary)
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

struct Import {
    region: Region,
    columns: Columns,
    seen: Seen,
    summary: Summary,
}

impl Import {
    /// The customer in a row; what is worth a line goes to the summary.
    fn take(&mut self, row: Row) -> Option<CustomerRecord> {
        let Self { region, columns, seen, summary } = self;
        let number = row.number;
        let fields = match row.fields {
            Ok(fields) => customer::read(columns, &fields, row.odd_quotes, *region).map(|found| (found, fields.len())),
            Err(broken) => Err(broken.into()),
        };
        let (found, width) = match fields {
            Ok((Some(found), width)) => (found, width),
            Ok((None, _)) => return None,
            Err(reason) => {
                summary.rows += 1;
                summary.lost.push(|| format!("row {number}: {reason}"));
                return None;
            }
        };
        summary.rows += 1;
        let Found { mut customer, has_own_id, unusable } = found;
        for it in unusable {
            summary.unusable.push(|| format!("row {number}: {}: {}", shown(&it.text), it.reason));
        }
        if width < columns.len() {
            summary.short.push(|| format!("row {number}: {width} of {} fields", columns.len()));
        }
        summary.made_ids += u64::from(!has_own_id);
        if seen.is_new(&customer.id) {
            summary.customers += 1;
        } else {
            customer.adds = true;
            summary.repeated.push(|| format!("row {number}: id {}", shown(&customer.id)));
        }
        let new = customer.numbers.iter().filter(|it| seen.is_new((&*customer.id, &*it.e164)));
        summary.numbers += new.count() as u64;
        Some(customer)
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
