//! The command line: the arguments, the settings, the log; a file for each command.

mod audit;
mod backup;
mod doctor;
mod erase;
mod import;
mod log;
mod serve;
mod simulate;
mod subscription;
mod supervisor;

use std::path::PathBuf;

use anyhow::Result;
use caller_popup::config::Config;
use caller_popup::store::StoreError;
use clap::{Parser, Subcommand};
use reqwest::Url;

/// Shows who is calling on every dashboard the moment RingCentral says a phone rings.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service (the default).
    Serve,
    /// Play a call to a running service, as RingCentral would tell it.
    Simulate {
        /// Which call; without it, a list.
        scenario: Option<String>,
        /// The service; by default the one that BIND says.
        #[arg(long)]
        url: Option<Url>,
    },
    /// The webhook subscription at RingCentral.
    #[command(subcommand)]
    Subscription(subscription::Command),
    /// Look at every step from a ringing phone to the popup, and say the cure.
    Doctor,
    /// Remove a person: every call that holds their number.
    Erase {
        /// The number, in any spelling.
        number: String,
        /// In MongoDB, where customers belong to your application, remove those who have it too. In the database file
        /// they always go.
        #[arg(long)]
        with_customers: bool,
    },
    /// Copy the embedded store, also while the service runs, and check the copy.
    Backup {
        /// The copy; it must not exist.
        file: PathBuf,
    },
    /// Customers: those of the embedded store are imported, those of both stores audited.
    #[command(subcommand)]
    Customers(Customers),
}

/// What to do with customers.
#[derive(Subcommand)]
enum Customers {
    Import(import::Arguments),
    /// List texts in fields for telephone numbers that can never match a caller, with the reason and what is probably meant.
    ///
    /// Reads all customers, of MongoDB or of the embedded store, and writes nothing.
    Audit {
        /// One JSON object a line, as `GET /api/customers/unmatchable` has them.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command on the settings of the environment and `.env`.
pub async fn run(arguments: Arguments) -> Result<()> {
    let config = Config::from_environment()?;
    let command = arguments.command.unwrap_or(Command::Serve);
    if !matches!(command, Command::Serve) {
        log::start(&config);
    }
    match command {
        Command::Serve => {
            let traces = log::start_with_traces(&config)?;
            let served = serve::run(config).await;
            traces.close().await;
            served
        }
        Command::Simulate { scenario: None, .. } => simulate::list(),
        Command::Simulate { scenario: Some(name), url } => simulate::run(config, &name, url).await,
        Command::Subscription(command) => subscription::run(config, command).await,
        Command::Doctor => doctor::run(config).await,
        Command::Erase { number, with_customers } => erase::run(config, &number, with_customers).await,
        Command::Backup { file } => backup::run(&config, &file),
        Command::Customers(Customers::Audit { json }) => audit::run(config, json).await,
        Command::Customers(Customers::Import(arguments)) => import::run(config, arguments).await,
    }
}

/// A store that cannot be used, in a sentence with its cause and cure.
fn store_failure(config: &Config, cause: &StoreError) -> anyhow::Error {
    anyhow::anyhow!("{} ({})", store_cure(config), cause.in_words())
}

/// What to do about a store that does not open.
fn store_cure(config: &Config) -> String {
    match &config.mongodb {
        Some(mongodb) => format!(
            "the database {} at MONGODB_URI cannot be opened; is mongod running, and are the address and password right?",
            mongodb.database
        ),
        None => format!(
            "the embedded database in DATA_DIR={} cannot be opened; is the folder writable?",
            config.data_dir.display()
        ),
    }
}
