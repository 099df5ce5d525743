//! `customers audit`: texts in customers' fields for telephone numbers that can never match a caller.

use std::io::{self, Write};

use anyhow::{Context, Result};
use caller_popup::app::{UnmatchableNumber, audit};
use caller_popup::config::Config;
use caller_popup::store::Store;

use super::store_failure;

/// Texts of one page; the next is read while nothing is held in memory.
const PAGE: usize = 500;
/// Columns of the table: customer, field, text, suggestion. The reason is last.
const WIDTHS: [usize; 4] = [26, 14, 26, 16];

/// Prints them as a table, or one JSON object a line.
pub async fn run(config: Config, json: bool) -> Result<()> {
    let store = Store::open(&config).await.map_err(|cause| store_failure(&config, &cause))?;
    let (mut from, mut customers, mut count) = (None, 0, 0);
    let mut out = io::stdout().lock();
    loop {
        let page = audit(&store, config.region, from, PAGE).await.map_err(|cause| store_failure(&config, &cause))?;
        let page = page.context("the store does not read on from where it stopped")?;
        for number in &page.numbers {
            if count == 0 && !json {
                print_row(&mut out, ["CUSTOMER", "FIELD", "WRITTEN", "SUGGESTION", "REASON"])?;
            }
            count += 1;
            match json {
                true => writeln!(out, "{}", serde_json::to_string(number)?)?,
                false => print_number(&mut out, number)?,
            }
        }
        customers += page.customers;
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    if !json {
        let texts = if count == 1 { "text" } else { "texts" };
        writeln!(out, "{count} {texts} of {customers} customers can never match a caller.")?;
    }
    Ok(())
}

fn print_number(out: &mut impl Write, number: &UnmatchableNumber) -> io::Result<()> {
    let suggestion = number.suggestion.as_deref().unwrap_or("-");
    print_row(out, [&number.customer_id, &number.field, &number.written, suggestion, &number.reason])
}

fn print_row(out: &mut impl Write, cells: [&str; 5]) -> io::Result<()> {
    let [rest @ .., reason] = cells;
    for (cell, width) in rest.into_iter().zip(WIDTHS) {
        // A text of the database must not steer the terminal.
        let cell: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        write!(out, "{cell:width$}  ")?;
    }
    writeln!(out, "{reason}")
}
