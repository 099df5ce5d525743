//! What an import did, for the person who has the file: its rows and texts may be shown to them.

use std::fmt;

/// Lines of one kind that are printed; the rest is counted.
const SHOWN: usize = 50;
/// Characters shown of a text of the file.
const LONGEST_TEXT: usize = 60;

/// What happened.
#[derive(Debug, Default)]
pub struct Summary {
    /// Nothing was stored.
    pub dry_run: bool,
    /// Rows below the header that are not empty, or cards.
    pub rows: u64,
    /// The file has vCards and no rows.
    pub of_cards: bool,
    /// Of the customers those who were not stored before; `None` where that is not known.
    pub new: Option<u64>,
    /// Customers that an import of the same file had stored before it was interrupted.
    pub continued: u64,
    /// Distinct customers.
    pub customers: u64,
    /// Distinct numbers of each customer.
    pub numbers: u64,
    /// Customers without an id in the file.
    pub made_ids: u64,
    /// Rows that had the id of an earlier row.
    pub repeated: Lines,
    /// Rows that are not imported.
    pub lost: Lines,
    /// Texts in columns of numbers that are none.
    pub unusable: Lines,
    /// Rows with fewer fields than the header.
    pub short: Lines,
    /// Headers of columns that are not imported.
    pub unknown: Vec<String>,
    /// No column holds numbers.
    pub no_numbers: bool,
}

/// Lines for a person: the first ones and how many there were.
#[derive(Debug, Default)]
pub struct Lines {
    first: Vec<String>,
    /// How many.
    pub count: u64,
}

impl Lines {
    /// Adds one; the line is made only if it will be shown.
    pub fn push(&mut self, line: impl FnOnce() -> String) {
        if self.first.len() < SHOWN {
            self.first.push(line());
        }
        self.count += 1;
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, title: &str) -> fmt::Result {
        if self.count == 0 {
            return Ok(());
        }
        writeln!(f, "{title} ({}):", self.count)?;
        self.first.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done =
            if self.dry_run { "would be imported; this was a dry run and nothing is stored" } else { "imported" };
        let (customers, numbers, rows) = (self.customers, self.numbers, self.rows);
        let row = if self.of_cards { "card" } else { "row" };
        writeln!(f, "{} with {} from {} {done}.", of(customers, "customer"), of(numbers, "number"), of(rows, row))?;
        if self.continued > 0 {
            let before = of(self.continued, row);
            writeln!(
                f,
                "An import of this file that was interrupted had stored the first {before}; this one went on there."
            )?;
        }
        if let Some(new) = self.new {
            let (known, tense) =
                (customers.saturating_sub(new), if self.dry_run { "would replace" } else { "replaced" });
            writeln!(f, "{new} of them {} new, {known} {tense} what was stored.", if new == 1 { "is" } else { "are" })?;
        }
        if self.made_ids > 0 {
            let rows = of(self.made_ids, row);
            writeln!(f, "{rows} without an id got one made of name and email, or name and number.")?;
        }
        if self.no_numbers {
            writeln!(f, "No column holds telephone numbers, so none of these customers will match a caller.")?;
        }
        if !self.unknown.is_empty() {
            writeln!(f, "Columns not imported: {}.", listed(&self.unknown))?;
        }
        self.repeated.write(
            f,
            &format!(
                "{0}s with the id of an earlier {row}; numbers are added, and name and email replaced where given",
                capital(row)
            ),
        )?;
        self.short.write(f, "Rows with fewer fields than the header; the missing ones are read as empty")?;
        self.unusable.write(f, "Numbers that cannot be used and will never match a caller")?;
        self.lost.write(f, &format!("{}s not imported", capital(row)))
    }
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// "1 row", "2 rows".
pub fn of(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A text of the file as a terminal may show it: no control characters, not too long.
pub fn shown(text: &str) -> String {
    let cut: String = text.chars().take(LONGEST_TEXT).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{:?}", format!("{cut}{more}"))
}

/// Headers in a sentence.
pub fn listed(headers: &[String]) -> String {
    // A table may have a thousand columns.
    let shown: Vec<String> =
        headers.iter().filter(|header| !header.is_empty()).take(SHOWN).map(|it| shown(it)).collect();
    let more = headers.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
