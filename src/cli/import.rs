//! `customers import`: customers of the embedded store from a CSV file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use caller_popup::config::Config;
use caller_popup::import::{self, KNOWN_HEADERS};
use caller_popup::store::Store;
use clap::Args;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use tokio::sync::mpsc;

use super::store_failure;

/// Batches of customers that are read ahead of the store; a fast reader waits instead of filling memory.
const BATCHES_READ_AHEAD: usize = 2;

/// Add or replace customers from a CSV file.
///
/// The first row names the columns, in any order, regardless of case, spaces and punctuation; exports of Google
/// Contacts, Outlook, HubSpot and Salesforce are read as they are. Fields are separated by comma, semicolon or tab;
/// the text is UTF-8, UTF-16 or Windows-1252. A field may hold several numbers.
///
/// A row whose id is known replaces that customer. A row without an id gets one made of its name and email, or of name
/// and number where there is no email, so importing the same file again replaces too; a person whose name or email has
/// changed is a new customer then. Rows with the same id in one file are one customer with the numbers of all of them
/// and the last name and email.
///
/// The exit status is not zero when a row was not imported. A number that cannot be used is listed; its row is imported.
#[derive(Args)]
#[command(after_long_help = format!("Columns that are known: {KNOWN_HEADERS}."))]
pub struct Arguments {
    /// The file; `-` for standard input.
    file: PathBuf,
    /// Read and check everything, store nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Imports the file and prints a summary; an error when a row was not imported.
pub async fn run(config: Config, arguments: Arguments) -> Result<()> {
    let Arguments { file, dry_run } = arguments;
    anyhow::ensure!(
        config.mongodb.is_none(),
        "customers in MongoDB belong to your application; CUSTOMERS_COLLECTION says where they are"
    );
    let (batches, mut read) = mpsc::channel(BATCHES_READ_AHEAD);
    let (region, name) = (config.region, file.display().to_string());
    // Reading blocks, and telephone numbers take time; the writer stores one batch while the next is read.
    let reading = tokio::task::spawn_blocking(move || {
        import::read(open_with_progress(&file)?, region, |batch| {
            if dry_run { Ok(()) } else { batches.blocking_send(batch).context("storing failed") }
        })
    });
    let mut store = None;
    while let Some(batch) = read.recv().await {
        if store.is_none() {
            store = Some(Store::open(&config).await.map_err(|cause| store_failure(&config, &cause))?);
        }
        if let Some(Store::Sqlite(sqlite)) = &store {
            sqlite.import_customers(batch).await.context("storing customers")?;
        }
    }
    let mut summary = reading.await.context("reading ended early")?.with_context(|| format!("importing {name}"))?;
    summary.dry_run = dry_run;
    print!("{summary}");
    anyhow::ensure!(summary.lost.count == 0, "rows of the file were not imported; they are listed above");
    Ok(())
}

/// The file, or standard input for `-`, with a progress bar where standard error is a terminal.
fn open_with_progress(file: &Path) -> Result<impl Read + Send + 'static> {
    if file.as_os_str() == "-" {
        return Ok(ProgressBar::hidden().wrap_read(Box::new(std::io::stdin()) as Box<dyn Read + Send>));
    }
    let read = File::open(file).context("opening it")?;
    let size = read.metadata().context("opening it")?.len();
    let style =
        ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta}").expect("the template is valid");
    let bar = ProgressBar::new(size).with_style(style).with_finish(ProgressFinish::AndClear);
    Ok(bar.wrap_read(Box::new(read) as Box<dyn Read + Send>))
}
