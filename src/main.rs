//! The command line: read the settings, open the store, bind, run the background tasks, serve until a signal.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use caller_popup::app::{App, known_verification};
use caller_popup::call::millis;
use caller_popup::config::Config;
use caller_popup::doctor::{Findings, examine, is_healthy};
use caller_popup::http;
use caller_popup::import::{self, KNOWN_HEADERS};
use caller_popup::phone::PhoneNumber;
use caller_popup::ringcentral::subscription::{Keeper, State, Verification, webhook_address};
use caller_popup::ringcentral::{self, Client};
use caller_popup::simulator::{Scenario, scenarios};
use caller_popup::store::person::Person;
use caller_popup::store::{HistoryQuery, LONGEST_WRITE, Spool, Store};
use chrono::Utc;
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use reqwest::Url;
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often calls are looked over for those that are over; the grace of a call is three seconds.
const SWEEP: Duration = Duration::from_secs(1);

/// How often history that is older than RETENTION_DAYS is forgotten.
const PRUNE: Duration = Duration::from_secs(3_600);

/// How long it says that it is not ready before it takes no more connections: a load balancer that asks meanwhile sends
/// nobody here any more. Short, because the end must come within two seconds.
const NOTICE: Duration = Duration::from_millis(200);

/// Batches of customers that are read ahead of the store; a fast reader waits instead of filling memory.
const BATCHES_READ_AHEAD: usize = 2;

/// Shows who is calling on every dashboard the moment RingCentral says a phone rings.
#[derive(Parser)]
#[command(version)]
struct Arguments {
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
    Subscription(Subscription),
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
    /// Customers of the embedded store.
    #[command(subcommand)]
    Customers(Customers),
}

#[derive(Subcommand)]
enum Customers {
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
    #[command(after_long_help = format!("Columns that are known: {KNOWN_HEADERS}."))]
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// Read and check everything, store nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Subcommand)]
enum Subscription {
    /// Show every subscription of the app.
    List,
    /// See to it that exactly one delivers here.
    Ensure,
    /// Delete those that deliver here.
    Delete,
}

fn main() -> ExitCode {
    // Before anything can make a file: databases hold telephone numbers, names and keys.
    umask(Mode::RWXG | Mode::RWXO);
    let arguments = Arguments::parse();
    // Half of the cores: writing to viewers has threads of its own, and the less often a call is handed from thread to
    // thread on its way through the database driver, the sooner its popup shows.
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads((cores / 2).max(1)).enable_all().build();
    let done = runtime.context("starting threads").and_then(|runtime| runtime.block_on(run(arguments)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("caller-popup: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    match dotenvy::dotenv() {
        Err(error) if !error.not_found() => return Err(error).context(".env could not be read"),
        _ => {}
    }
    let config = Config::from_vars(|name| std::env::var(name).ok())?;
    start_log(&config);
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(config).await,
        Command::Simulate { scenario: None, .. } => list_scenarios(),
        Command::Simulate { scenario: Some(name), url } => simulate(config, &name, url).await,
        Command::Subscription(command) => subscription(config, command).await,
        Command::Doctor => doctor(config).await,
        Command::Erase { number, with_customers } => erase(config, &number, with_customers).await,
        Command::Customers(Customers::Import { file, dry_run }) => import(config, file, dry_run).await,
    }
}

fn start_log(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.log))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    if config.log_json { log.json().flatten_event(true).with_span_list(false).init() } else { log.init() }
}

async fn serve(config: Config) -> Result<()> {
    let (bind, poll_interval) = (config.bind, config.poll_interval);
    let store = Store::open(&config).await.context(store_cure(&config))?;
    let app = App::start(config, store).await?;
    let room = http::Room::make();
    app.hub().take_at_most(room.viewers);
    let listener = http::listen(bind)
        .with_context(|| format!("BIND={bind} cannot be used; is another program listening there?"))?;
    let address = listener.local_addr().context("reading the bound address")?;
    info!(%address, store = app.store().name(), local_mode = app.config().is_local_mode(), "listening");
    if app.believes_strangers() {
        warn!("every webhook is believed, whoever sends it; set RINGCENTRAL_VERIFICATION_TOKEN");
    }
    for network in app.config().access.careless_proxies() {
        warn!(%network, "TRUSTED_PROXIES trusts so many that anybody can claim any address; name your proxies only");
    }
    let gate = http::Gate::open(&app)?;
    let sharing = gate.clone();
    let tasks = [
        tokio::spawn(every(poll_interval, app.clone(), async |app| app.poll().await)),
        tokio::spawn(every(SWEEP, app.clone(), async |app| app.sweep(Utc::now()).await)),
        tokio::spawn(every(PRUNE, app.clone(), async |app| app.prune(Utc::now()).await)),
        tokio::spawn(every(poll_interval, app.clone(), async move |_| sharing.share_sign_outs().await)),
    ];
    let writers = http::Writers::start(app.hub().clone(), poll_interval, http::LIFETIME);
    let writers = writers.context("starting the threads that write to viewers")?;
    let stop = retire(app.clone(), stop_signal()?);
    let door = http::Door::new(room, &app.config().access.trusted_proxies);
    let serving = http::serve(listener, door, http::router(app.clone(), gate), writers, stop);
    tokio::select! {
        () = serving => {}
        () = app.keep_link() => {}
        () = app.follow() => {}
        () = app.follow_customers() => {}
    }
    tasks.iter().for_each(|task| task.abort());
    info!("stopped");
    Ok(())
}

/// A background task: a step that does one thing, and this loop that only waits.
async fn every(pace: Duration, app: App, step: impl AsyncFn(&App)) {
    let mut tick = interval(pace);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        step(&app).await;
    }
}

/// From the signal on the service is not ready, and a little later it takes no more connections.
async fn retire(app: App, stop: impl Future<Output = ()>) {
    stop.await;
    app.retire();
    sleep(NOTICE).await;
}

fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

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

fn list_scenarios() -> Result<()> {
    for choice in scenarios() {
        println!("{:<18} {}", choice.name, choice.title);
    }
    Ok(())
}

async fn simulate(config: Config, name: &str, url: Option<Url>) -> Result<()> {
    let scenario = Scenario::named(name)
        .with_context(|| format!("there is no scenario {name:?}; `caller-popup simulate` lists them"))?;
    let service = url.map_or_else(|| Url::parse(&format!("http://{}", config.bind)), Ok)?;
    let webhook = service.join("/api/webhooks/ringcentral")?;
    let client = ringcentral::http_client().build()?;
    let token = expected_token(&config).await;
    let start = Instant::now();
    println!("{}", scenario.title);
    for (due, notification) in scenario.notifications(Utc::now(), rand::random()) {
        sleep_until(start + due).await;
        let mut request = client.post(webhook.clone()).json(&notification);
        if let Some(token) = &token {
            request = request.header("Verification-Token", token);
        }
        let status = request.send().await.with_context(|| format!("{service} does not answer"))?.status();
        println!("{:>6.1} s  {status}", due.as_secs_f64());
        anyhow::ensure!(status.is_success(), "the service refused the notification");
    }
    Ok(())
}

/// What the service wants deliveries to carry: the token of the settings, or the one it made, where its store is at hand.
async fn expected_token(config: &Config) -> Option<String> {
    let configured = config.ringcentral.verification_token.clone();
    if configured.is_some() || (config.mongodb.is_none() && !config.data_dir.exists()) {
        return configured;
    }
    let store = Store::open(config).await.ok()?;
    known_verification(config, &store).await.ok()?.map(|known| known.token)
}

async fn subscription(config: Config, command: Subscription) -> Result<()> {
    let client = Client::new(&config.ringcentral)?;
    let public_url =
        config.public_url.clone().context("PUBLIC_URL is not set; RingCentral needs an address to deliver to");
    match command {
        Subscription::List => {
            for one in client.subscriptions().await? {
                let expires = one.expires_at.map_or("never".into(), |at| millis::format(&at));
                let address = one.address.map_or("another transport".into(), |address| address.to_string());
                println!("{}  {:?}  ends {expires}  {address}", one.id, one.status);
                one.filters.iter().for_each(|filter| println!("    {filter}"));
            }
        }
        Subscription::Ensure => {
            public_url?;
            let store = Store::open(&config).await.context(store_cure(&config))?;
            let app = App::start(config, store).await?;
            app.tend_subscription().await;
            let state = app.link().and_then(|link| link.subscription()).context("another instance looks after it")?;
            println!("{}", serde_json::to_string_pretty(&state)?);
            anyhow::ensure!(state.state == State::Active, "RingCentral does not deliver");
        }
        Subscription::Delete => {
            let address = webhook_address(&public_url?);
            let keeper = Keeper::new(client, address, &config.ringcentral.account_id, Verification::of(None, None));
            println!("{} deleted", keeper.delete().await?);
        }
    }
    Ok(())
}

async fn doctor(config: Config) -> Result<()> {
    let store = Store::open(&config).await;
    let newest = HistoryQuery { limit: 1, ..HistoryQuery::default() };
    let (mut last_event, mut opened) = (None, Err(store_cure(&config)));
    let mut verifies = config.ringcentral.verification_token.is_some();
    if let Ok(store) = &store {
        verifies |= known_verification(&config, store).await.is_ok_and(|known| known.is_some());
        let active = store.active().await.unwrap_or_default();
        let ended = store.history(newest).await.unwrap_or_default();
        last_event = active.iter().chain(&ended.calls).map(|call| call.ledger.heard_at).max();
        opened = Ok(store.name().to_owned());
    }
    let client = Client::new(&config.ringcentral).ok().filter(|_| config.ringcentral.credentials.is_some());
    let mut state = None;
    if let (Some(client), Some(url)) = (&client, &config.public_url) {
        let verification = Verification::of(config.ringcentral.verification_token.as_deref(), None);
        let keeper = Keeper::new(client.clone(), webhook_address(url), &config.ringcentral.account_id, verification);
        state = Some(keeper.look(Utc::now()).await);
    }
    let findings = Findings { store: opened, verifies, last_event, subscription: state };
    let checks = examine(&config, client.as_ref(), &findings, Utc::now()).await;
    checks.iter().for_each(|check| println!("{check}"));
    anyhow::ensure!(is_healthy(&checks), "something is wrong; the cure stands beside it");
    Ok(())
}

async fn erase(config: Config, number: &str, with_customers: bool) -> Result<()> {
    let number = PhoneNumber::parse(number, config.region).context("this is no public telephone number")?;
    let store = Store::open(&config).await.context(store_cure(&config))?;
    let embedded = config.mongodb.is_none();
    let person = Person::new(&number, config.region);
    let settled = async {
        sleep(config.poll_interval + LONGEST_WRITE).await;
        Ok(())
    };
    let erased = store.erase(&person, with_customers || embedded, settled);
    let erased = erased.await.context(store_cure(&config))?;
    println!(
        "active_calls         {} removed\ncall_history         {} removed",
        erased.active_calls, erased.call_history
    );
    println!("notification_shapes  {} removed", erased.notification_shapes);
    println!("customers            {} removed of {} who have this number", erased.customers, erased.customers_found);
    if embedded { Ok(()) } else { erase_in_spool(&config, &person).await }
}

/// What waits for MongoDB belongs to the service that spooled it, so it is only looked at here.
async fn erase_in_spool(config: &Config, person: &Person) -> Result<()> {
    let spool = Spool::open(&config.data_dir).await.context("opening the spool in DATA_DIR")?;
    spool.erase(person).await.context("erasing in the spool in DATA_DIR")?;
    let waiting = spool.depth();
    anyhow::ensure!(
        waiting == 0,
        "{waiting} facts in DATA_DIR={} still wait for MongoDB and may bring this person back; a running service tells \
         them as soon as the database answers: erase again then",
        config.data_dir.display()
    );
    Ok(())
}

async fn import(config: Config, file: PathBuf, dry_run: bool) -> Result<()> {
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
            store = Some(Store::open(&config).await.context(store_cure(&config))?);
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
