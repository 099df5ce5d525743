//! `customers import`: customers of the embedded store from a CSV file or vCards.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use caller_popup::config::Config;
use caller_popup::import::{self, BATCH, KNOWN_HEADERS, Summary};
use caller_popup::phone::{READER, Region};
use caller_popup::secret;
use caller_popup::store::{CustomerRecord, ImportProgress, KnownCustomers, Store};
use clap::Args;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::store_failure;

/// Batches of customers that are read ahead of the store; a fast reader waits instead of filling memory.
const BATCHES_READ_AHEAD: usize = 2;

/// Add or replace customers of the embedded store from a CSV file or vCards.
///
/// In a CSV file the first row names the columns, in any order, regardless of case, spaces and punctuation; exports of Google
/// Contacts, Outlook, HubSpot and Salesforce are read as they are. Fields are separated by comma, semicolon or tab;
/// the text is UTF-8, UTF-16 or Windows-1252. A field may hold several numbers. A file that begins with BEGIN:VCARD has
/// vCards 2.1, 3.0 or 4.0: names, organizations, email addresses and telephone numbers that are not of a fax alone.
///
/// A row whose id is known (of a vCard, its UID) replaces that customer. A row without an id gets one made of its name and
/// email, or of name and number where there is no email, so importing the same file again replaces too; a person whose name
/// or email has changed is a new customer then. Rows with the same id in one file are one customer with the numbers of all of
/// them and the last name and email.
///
/// An import that is interrupted goes on where it was when the same file is imported again, unless another file was in between.
///
/// The exit status is not zero when a row was not imported. A number that cannot be used is listed; its row is imported.
#[derive(Args)]
#[command(after_long_help = format!("Columns that are known: {KNOWN_HEADERS}."))]
pub struct Arguments {
    /// The file; `-` for standard input.
    file: PathBuf,
    /// Read and check everything, say what would be done, store nothing.
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
    let (region, path) = (config.region, file.clone());
    // Reading blocks, and telephone numbers take time; the writer stores one batch while the next is read.
    let reading = spawn_blocking(move || {
        let digest = digest(&path, region)?;
        import::read(open_with_progress(&path)?, region, |batch| {
            batches.blocking_send((digest.clone(), batch)).context("storing failed")
        })
    });
    let mut target = Target::new(&config, dry_run);
    while let Some((digest, batch)) = read.recv().await {
        target.take(digest, batch).await?;
    }
    let read = reading.await.context("reading ended early")?;
    let mut summary = read.with_context(|| format!("importing {}", file.display()))?;
    target.finish(&mut summary).await?;
    print!("{summary}");
    anyhow::ensure!(summary.lost.count == 0, "some of the file was not imported; it is listed above");
    Ok(())
}

/// Where batches go.
struct Target<'a> {
    config: &'a Config,
    dry_run: bool,
    /// Opened with the first batch: a file that cannot be read makes no database.
    store: Option<Store>,
    known: Option<KnownCustomers>,
    /// Batches that were taken, and how many of them an interrupted import had stored.
    taken: u64,
    stored_before: u64,
    new: u64,
}

impl<'a> Target<'a> {
    fn new(config: &'a Config, dry_run: bool) -> Self {
        Self { config, dry_run, store: None, known: None, taken: 0, stored_before: 0, new: 0 }
    }

    /// Stores a batch, or counts what it would be.
    async fn take(&mut self, digest: Option<String>, batch: Vec<CustomerRecord>) -> Result<()> {
        let failed = |cause| store_failure(self.config, &cause);
        if self.known.is_none() {
            if !self.dry_run {
                self.store = Some(Store::open(self.config).await.map_err(failed)?);
            }
            if let (Some(Store::Sqlite(sqlite)), Some(file)) = (&self.store, &digest) {
                self.stored_before = sqlite.imported_batches(file).await.map_err(failed)?;
            }
            self.known = Some(KnownCustomers::open(&self.config.data_dir).map_err(failed)?);
        }
        self.taken += 1;
        if self.taken <= self.stored_before {
            return Ok(());
        }
        let ids: Vec<&str> = batch.iter().filter(|it| !it.adds).map(|it| it.id.as_str()).collect();
        let total = ids.len() as u64;
        let known = self.known.as_ref().map(|known| known.count(ids)).transpose().map_err(failed)?;
        self.new += total - known.unwrap_or_default();
        if let Some(Store::Sqlite(sqlite)) = &self.store {
            let progress = digest.map(|file| ImportProgress { file, batches: self.taken });
            sqlite.import_customers(batch, progress).await.context("storing customers")?;
        }
        Ok(())
    }

    async fn finish(self, summary: &mut Summary) -> Result<()> {
        if let Some(Store::Sqlite(sqlite)) = &self.store {
            sqlite.end_import().await.context("storing customers")?;
        }
        summary.dry_run = self.dry_run;
        summary.continued = self.stored_before * BATCH as u64;
        // What the interrupted import replaced is not known any more.
        summary.new = (self.stored_before == 0).then_some(self.new);
        Ok(())
    }
}

/// Tells one file from another, with what reads it; `None` for standard input, which cannot be read twice.
fn digest(file: &Path, region: Region) -> Result<Option<String>> {
    if file.as_os_str() == "-" {
        return Ok(None);
    }
    let mut digest = Sha256::new();
    io::copy(&mut File::open(file).context("opening it")?, &mut Hashing(&mut digest)).context("reading it")?;
    digest.update(format!("{region} {READER} {}", env!("CARGO_PKG_VERSION")));
    Ok(Some(secret::hex(&digest.finalize())))
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, some: &[u8]) -> io::Result<usize> {
        self.0.update(some);
        Ok(some.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file, or standard input for `-`, with a progress bar where standard error is a terminal.
fn open_with_progress(file: &Path) -> Result<impl Read + Send + 'static> {
    if file.as_os_str() == "-" {
        return Ok(ProgressBar::hidden().wrap_read(Box::new(io::stdin()) as Box<dyn Read + Send>));
    }
    let read = File::open(file).context("opening it")?;
    let size = read.metadata().context("opening it")?.len();
    let style =
        ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta}").expect("the template is valid");
    let bar = ProgressBar::new(size).with_style(style).with_finish(ProgressFinish::AndClear);
    Ok(bar.wrap_read(Box::new(read) as Box<dyn Read + Send>))
}
