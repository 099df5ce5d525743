//! `serve`: open the store, bind, run the background tasks, serve until a signal.

use std::time::Duration;

use anyhow::{Context, Result};
use caller_popup::app::App;
use caller_popup::config::Config;
use caller_popup::fatal_panic;
use caller_popup::http;
use caller_popup::store::{ServiceLock, Store};
use chrono::Utc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use super::{store_cure, store_failure, supervisor};

/// How often calls are looked over for those that are over; the grace of a call is three seconds.
const SWEEP: Duration = Duration::from_secs(1);

/// How often history that is older than RETENTION_DAYS is forgotten.
const PRUNE: Duration = Duration::from_secs(3_600);

/// How long after a poll that found the store away the next begins.
const POLL_AGAIN: Duration = Duration::from_millis(500);

/// How long a round of sharing sign-outs may take.
const SHARING: Duration = Duration::from_secs(10);
/// How often the files in DATA_DIR are compared with those that are open, which costs one system call.
const DATA_DIR_CHECK: Duration = Duration::from_secs(2);

/// How long it says that it is not ready before it takes no more connections: a load balancer that asks meanwhile
/// chooses another instance. Short, because the end must come within two seconds.
const NOTICE: Duration = Duration::from_millis(200);

/// Runs the service.
pub async fn run(config: Config) -> Result<()> {
    let (bind, poll_interval) = (config.bind, config.poll_interval);
    let _lock = ServiceLock::take(&config.data_dir)
        .with_context(|| format!("DATA_DIR={} cannot be used", config.data_dir.display()))?;
    let store = Store::open(&config).await.map_err(|cause| store_failure(&config, &cause))?;
    let cure = store_cure(&config);
    let app = App::start(config, store).await.context(cure)?;
    let capacity = http::ConnectionCapacity::make();
    app.hub().take_at_most(capacity.viewers);
    let listener = http::listen(bind)
        .with_context(|| format!("BIND={bind} cannot be used; is another program listening there?"))?;
    let address = listener.local_addr().context("reading the bound address")?;
    info!(%address, store = app.store().name(), local_mode = app.config().is_local_mode(), "listening");
    if app.accepts_unverified() {
        warn!("every webhook is believed, from any sender; set RINGCENTRAL_VERIFICATION_TOKEN");
    }
    if app.config().is_unreachable() {
        warn!(
            "PUBLIC_URL is set and nothing says who may read, so dashboards that come through a proxy or tunnel are refused; \
             set API_TOKENS, a JWT key or sign-in with RingCentral"
        );
    }
    for network in app.config().access.careless_proxies() {
        warn!(%network, "TRUSTED_PROXIES trusts so many that anybody can claim any address; name your proxies only");
    }
    let authenticator = http::Authenticator::open(&app)?;
    let sharing = authenticator.clone();
    let tasks = [
        background(poll(poll_interval, app.clone())),
        background(every(SWEEP, app.clone(), async |app| app.sweep(Utc::now()).await)),
        background(every(DATA_DIR_CHECK, app.clone(), async |app| app.check_data_dir())),
        background(every(PRUNE, app.clone(), async |app| app.prune(Utc::now()).await)),
        background(every(poll_interval, app.clone(), async move |_| {
            // A database that hangs must not keep this from the next round.
            let _ = timeout(SHARING, sharing.share_sign_outs()).await;
        })),
    ];
    let writers = http::SseWriters::start(app.hub().clone(), poll_interval, http::LIFETIME);
    let writers = writers.context("starting the threads that write to viewers")?;
    let stop = retire(app.clone(), stop_signal()?);
    supervisor::ready();
    let limiter = http::ConnectionLimiter::new(capacity, &app.config().access.trusted_proxies);
    let serving = http::serve(listener, limiter, http::router(app.clone(), authenticator), writers, stop);
    tokio::select! {
        () = serving => {}
        () = app.run_integration() => {}
        () = app.follow_changes() => {}
        () = app.follow_customers() => {}
        () = app.keep_number_index() => {}
        () = supervisor::keep_watchdog(address) => {}
    }
    tasks.iter().for_each(|task| task.abort());
    info!("stopped");
    Ok(())
}

fn background(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(fatal_panic::task("background task", task))
}

/// Polls the store: more often while it is away, so that it is used as soon as it is back.
async fn poll(pace: Duration, app: App) {
    loop {
        app.poll().await;
        sleep(if app.status().store_lost { pace.min(POLL_AGAIN) } else { pace }).await;
    }
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
    supervisor::stopping();
    sleep(NOTICE).await;
}

fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                Some(()) = hangup.recv() => info!("SIGHUP changes nothing; settings are read when the program starts"),
            }
        }
    })
}
