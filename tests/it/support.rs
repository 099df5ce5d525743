//! What the tests speak: a running program ([`TestApp`]), its callers, its viewers ([`Viewer`]), its database, a browser.

pub mod caller;
pub mod chromium;
pub mod cluster;
pub mod event_stream;
mod fixture;
pub mod mongod;
pub mod nginx;
pub mod privacy;
pub mod process;
mod setup;
pub mod token;
mod viewer;

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::str::FromStr;
use std::time::Duration;

use caller_popup::config::Config;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub use caller::ADMIN_TOKEN;
pub use fixture::{fixture, flat};
use process::{Log, launch};
pub use setup::Setup;
pub use viewer::{Frame, Viewer};

/// How long a test waits for what must happen. Only a failing test ever waits that long; it measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// What the contract promises for changes by other programs: one 2-second tick and some room.
pub const ONE_TICK: Duration = Duration::from_millis(2500);

/// How many of something a test plays: `usual`, or what `scripts/long` sets this variable to.
pub fn from_environment<T: FromStr>(name: &str, usual: T) -> T {
    let Ok(set) = std::env::var(name) else { return usual };
    set.parse().unwrap_or_else(|_| panic!("{name}={set} is no number"))
}

/// Runs each of these tests once on SQLite and once on MongoDB. A test left out of the list is dead code, which clippy tells.
macro_rules! on_both_stores {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            #[tokio::test]
            async fn on_sqlite() {
                super::$test(crate::support::Store::Sqlite).await;
            }

            #[tokio::test]
            async fn on_mongodb() {
                super::$test(crate::support::Store::Mongo).await;
            }
        }
    )+};
}

/// Where the program under test keeps its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Sqlite,
    Mongo,
}

/// The settings of an empty store of a test's own, and what holds it.
pub fn own_store(kind: Store) -> (Config, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().display().to_string();
    let database = (kind == Store::Mongo).then(mongod::Database::new);
    let config = Config::from_vars(|name| match (name, &database) {
        ("DATA_DIR", _) => Some(data_dir.clone()),
        ("MONGODB_URI", Some(database)) => Some(database.uri.clone()),
        ("MONGODB_DATABASE", Some(database)) => Some(database.name.clone()),
        _ => None,
    });
    (config.unwrap(), folder)
}

/// The running program.
pub struct TestApp {
    /// `127.0.0.1:PORT`.
    pub address: String,
    pub client: reqwest::Client,
    setup: Setup,
    child: Child,
    log: Log,
}

impl TestApp {
    pub async fn start(store: Store) -> Self {
        Setup::on(store).start().await
    }

    // The life of a call, in the guide's flat bodies.

    pub async fn ring(&self, session: &str, from: &str) {
        self.ring_as(session, from, "Test Caller").await;
    }

    pub async fn ring_as(&self, session: &str, from: &str, name: &str) {
        let body = flat(session, "Ringing", json!({ "phoneNumber": from, "name": name }));
        self.deliver(&body).await;
    }

    /// What the phone of one extension does.
    pub async fn tell_of(&self, extension: &str, session: &str, status: &str) {
        let mut body = flat(session, status, json!({ "phoneNumber": "+14165551234" }));
        body["event"] = format!("/restapi/v1.0/account/~/extension/{extension}/presence").into();
        self.deliver(&body).await;
    }

    pub async fn ring_at(&self, extension: &str, session: &str) {
        self.tell_of(extension, session, "Ringing").await;
    }

    pub async fn answer(&self, session: &str) {
        self.tell(session, "CallConnected").await;
    }

    pub async fn hang_up(&self, session: &str) {
        self.tell(session, "Disconnected").await;
    }

    /// A flat body of this `telephonyStatus`, about a call that rang before.
    pub async fn tell(&self, session: &str, status: &str) {
        self.deliver(&flat(session, status, json!({ "phoneNumber": "+14165551234" }))).await;
    }

    /// Posts a notification as RingCentral does and insists on success.
    pub async fn deliver(&self, notification: &Value) {
        let response = self.post_webhook(notification).await;
        let status = response.status();
        let body = response.text().await.expect("the answer can be read");
        assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"status":"success"}"#), "for {notification}");
    }

    /// Posts what happened in a fixture, in its order.
    pub async fn deliver_fixture(&self, name: &str) {
        for notification in fixture(name) {
            self.deliver(&notification).await;
        }
    }

    pub async fn post_webhook(&self, notification: &Value) -> Response {
        privacy::hide_people(notification);
        self.request(Method::POST, "/api/webhooks/ringcentral")
            .json(notification)
            .send()
            .await
            .expect("an answer comes")
    }

    // Readers.

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path)).timeout(PATIENCE)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.expect("an answer comes")
    }

    pub async fn get_json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "GET {path}");
        response.json().await.expect("the answer is JSON")
    }

    pub async fn active_calls(&self) -> Vec<Value> {
        list(self.get_json("/api/ringcentral/active-calls").await)
    }

    pub async fn history(&self) -> Vec<Value> {
        list(self.get_json("/api/ringcentral/calls").await)
    }

    /// The active call of this session, if it is one.
    pub async fn active_call(&self, session: &str) -> Option<Value> {
        self.active_calls().await.into_iter().find(|call| call["session_id"] == session)
    }

    /// Waits until this call is no longer active, and returns it as the history has it.
    pub async fn ended_call(&self, session: &str) -> Value {
        eventually(format!("the end of {session}"), async || {
            if self.active_call(session).await.is_some() {
                return None;
            }
            self.history().await.into_iter().find(|call| call["session_id"] == session)
        })
        .await
    }

    pub async fn stream(&self) -> Viewer {
        self.stream_at("").await
    }

    /// The stream with a query such as `?events=message`.
    pub async fn stream_at(&self, query: &str) -> Viewer {
        Viewer::open(self.client.get(self.url(&format!("/api/ringcentral/call-stream{query}")))).await
    }

    /// A stream that has said `connected`.
    pub async fn viewer(&self) -> Viewer {
        let mut viewer = self.stream().await;
        viewer.expect("connected").await;
        viewer
    }

    /// Customers who come while the program runs, by the same ways as those of [`Setup::with_customers`].
    pub async fn add_customers(&self, customers: &[(&str, &str, &str)]) {
        self.setup.put_customers("later", customers).await;
    }

    // The program itself.

    /// The database as another program sees it.
    pub async fn database(&self) -> mongodb::Database {
        self.setup.database().await
    }

    /// The program's store, opened beside it.
    pub async fn open_store(&self) -> caller_popup::store::Store {
        let of =
            |name: &str| self.setup.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let config = Config::from_vars(of).expect("the settings are right");
        caller_popup::store::Store::open(&config).await.expect("the store opens")
    }

    pub fn database_name(&self) -> &str {
        &self.setup.database.as_ref().expect("this test runs on MongoDB").name
    }

    /// Where the program keeps its files.
    pub fn data_dir(&self) -> PathBuf {
        self.setup.data_dir()
    }

    /// The process id, while the program runs.
    pub fn process_id(&self) -> u32 {
        self.child.id().expect("the program runs")
    }

    /// From now on nothing that the program writes into files gets there: the kernel refuses every byte (`RLIMIT_FSIZE`), for
    /// which a test need not be root.
    pub fn fill_disk(&self) {
        self.limit_files(Some(0));
    }

    /// There is room again.
    pub fn free_disk(&self) {
        self.limit_files(None);
    }

    fn limit_files(&self, bytes: Option<u64>) {
        let process = Pid::from_raw(self.process_id() as i32);
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(process, Resource::Fsize, limit).expect("the limit of a child can be set");
    }

    /// Runs a command of the program beside it, with the same settings.
    pub async fn run(&self, arguments: &[&str]) -> (ExitStatus, String) {
        self.setup.run(arguments).await
    }

    pub fn log(&self) -> String {
        self.log.text()
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the program can be killed");
    }

    /// Starts the program again on the same store, on another port.
    pub async fn restart(&mut self) {
        (self.child, self.address) = launch(&self.setup.home, &self.setup.settings, &self.log).await;
    }

    /// The same, where browsers look for it.
    pub async fn restart_at_the_same_address(&mut self) {
        self.setup.settings.retain(|(name, _)| name != "BIND");
        self.setup.settings.push(("BIND".into(), self.address.clone()));
        self.restart().await;
    }

    /// Sends a signal such as `TERM`.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("the program runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for the program to end by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the program ends").expect("its status is known")
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        privacy::hide_setting(name, value);
        self.setup.settings.retain(|(known, _)| known != name);
        self.setup.settings.push((name.into(), value.into()));
    }

    /// Starts the program again with one setting changed.
    pub async fn restart_with(&mut self, name: &str, value: &str) {
        self.kill().await;
        self.set(name, value);
        self.restart().await;
    }

    /// A second program on the same database, as a second instance of the service.
    pub async fn second_instance(&self) -> TestApp {
        self.second_instance_with(&[]).await
    }

    pub async fn second_instance_with(&self, settings: &[(&str, &str)]) -> TestApp {
        let mut setup = Setup::on(Store::Sqlite);
        setup.store = self.setup.store;
        for (name, value) in self.setup.settings.iter().filter(|(name, _)| name.starts_with("MONGODB_")) {
            setup = setup.with(name, value);
        }
        settings.iter().fold(setup, |setup, (name, value)| setup.with(name, value)).start().await
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the program on {:?} wrote:\n{}", self.setup.store, self.log());
        } else {
            let leaks = privacy::leaks(&self.log());
            assert!(leaks.is_empty(), "people or secrets stand in the log: {leaks:#?}");
        }
    }
}

/// How long an outage may go unnoticed, or its end: the bar of five seconds where the machine is the test's alone (with `SPOOLED`, as
/// in scripts/long), and beside other tests only that it is noticed.
pub fn bar() -> Duration {
    Duration::from_secs(if std::env::var_os("SPOOLED").is_some() { 5 } else { 60 })
}

/// Waits until `look` finds something.
pub async fn eventually<T>(what: impl Display, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look).await
}

/// Waits until `look` finds something, at most this long.
pub async fn within<T>(limit: Duration, what: impl Display, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(limit, looking).await.unwrap_or_else(|_| panic!("{what}: not within {limit:?}"))
}

fn list(answer: Value) -> Vec<Value> {
    answer["calls"].as_array().unwrap_or_else(|| panic!("no list of calls in {answer}")).clone()
}

/// A header of an answer; empty where there is none.
pub fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().expect("headers are text"))
}
