//! A program about to be started: its store, its folder, its settings.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Once;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use super::process::{DESCRIPTORS, Log, NO_ROOM, launch, program};
use super::{PATIENCE, Store, TestApp, mongod, privacy};

/// A program about to be started.
pub struct Setup {
    pub(super) store: Store,
    pub(super) home: TempDir,
    pub(super) settings: Vec<(String, String)>,
    pub(super) database: Option<mongod::Database>,
}

impl Setup {
    /// A program with an empty store of its own and default settings.
    pub fn on(store: Store) -> Self {
        Self::with_database(store, (store == Store::Mongo).then(mongod::Database::new))
    }

    /// The same on a MongoDB that tells nobody of changes.
    pub fn on_standalone_mongod() -> Self {
        Self::with_database(Store::Mongo, Some(mongod::Database::standalone()))
    }

    /// The same on a MongoDB with access control, as a user with this role, and with a customer.
    pub async fn on_guarded_mongod(mongod: &mongod::Guarded, role: serde_json::Value, customer: Document) -> Self {
        let role = mongodb::bson::serialize_to_document(&role).expect("a role is a document");
        Self::with_database(Store::Mongo, Some(mongod.database(role, customer).await))
    }

    fn with_database(store: Store, database: Option<mongod::Database>) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let data_dir = home.path().join("data").display().to_string();
        let mut setup = Self { store, home, settings: Vec::new(), database };
        for (name, value) in [("BIND", "127.0.0.1:0"), ("DATA_DIR", &data_dir), ("LOG_FORMAT", "json")] {
            setup = setup.with(name, value);
        }
        if let Some(database) = &setup.database {
            let (uri, name) = (database.uri.clone(), database.name.clone());
            setup = setup.with("MONGODB_URI", &uri).with("MONGODB_DATABASE", &name);
        }
        setup
    }

    /// Changes one setting.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        privacy::hide_setting(name, value);
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Lets the program have so many files open and no more.
    pub fn with_descriptors(self, most: u32) -> Self {
        self.with(DESCRIPTORS, &most.to_string())
    }

    /// Lets a test take all room on the disk away from the program, by [`TestApp::fill_disk`].
    pub fn with_a_disk_to_fill(self) -> Self {
        self.with(NO_ROOM, "yes")
    }

    /// Tells mongod the database's name as this program's, so that a [`mongod::Failure`] can be for it alone.
    pub fn known_to_mongod(self) -> Self {
        let database = self.database.as_ref().expect("this test runs on MongoDB");
        let separator = if database.uri.contains('?') { '&' } else { '?' };
        let uri = format!("{}{separator}appName={}", database.uri, database.name);
        self.with("MONGODB_URI", &uri)
    }

    /// Customers, put where this store's host application would put them: raw documents, or a CSV file for the import.
    pub async fn with_customers(self, customers: &[(&str, &str, &str)]) -> Self {
        self.put_customers("c", customers).await;
        self
    }

    /// Those of an import have ids that begin with `ids`; a further one of the same ids replaces them.
    pub(super) async fn put_customers(&self, ids: &str, customers: &[(&str, &str, &str)]) {
        for (name, email, phone) in customers {
            privacy::hide([email.to_string(), phone.to_string()]);
            privacy::hide(Some(name.to_string()).filter(|name| name.contains(' ')));
        }
        match &self.database {
            Some(database) => {
                let customers = customers
                    .iter()
                    .map(|(name, email, phone)| doc! { "name": *name, "email": *email, "phone": *phone });
                let collection = database.open().await.collection::<Document>("customers");
                collection.insert_many(customers).await.expect("customers can be inserted");
            }
            None => {
                let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
                let mut csv = String::from("id,name,email,phone,mobile\n");
                for (row, (name, email, phone)) in customers.iter().enumerate() {
                    csv += &format!("{ids}{row},{},{},{},\n", quoted(name), quoted(email), quoted(phone));
                }
                let file = self.write_file("customers.csv", &csv);
                let (status, output) = self.run(&["customers", "import", &file.display().to_string()]).await;
                assert!(status.success(), "the import failed:\n{output}");
            }
        }
    }

    /// Puts a file into the folder the program is started in.
    pub fn write_file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// Where the program will keep its files.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The program with these settings, to be started by the test itself.
    pub fn command(&self) -> Command {
        program(&self.home, &self.settings)
    }

    /// Runs a command of the program to its end; what it printed, both streams together.
    pub async fn run(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let run = program(&self.home, &self.settings).args(arguments).output();
        let output = tokio::time::timeout(PATIENCE, run).await.expect("the command ends").expect("the program runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8_lossy(&text).into_owned())
    }

    /// The database as another program sees it.
    pub async fn database(&self) -> mongodb::Database {
        self.database.as_ref().expect("this test runs on MongoDB").open().await
    }

    /// Starts the program, and kills it so long after.
    pub async fn kill_after(&self, time: Duration) {
        let mut child = program(&self.home, &self.settings).arg("serve").spawn().expect("the program starts");
        sleep(time).await;
        child.kill().await.expect("the program can be killed");
    }

    /// Starts the program, if it does not end instead.
    pub async fn try_start(self) -> Option<TestApp> {
        tokio::spawn(self.start()).await.ok()
    }

    /// Starts the program and waits until it listens.
    pub async fn start(self) -> TestApp {
        static CRYPTO: Once = Once::new();
        // reqwest is built without a default provider, as the program itself installs ring.
        CRYPTO.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let log = Log::default();
        let (child, address) = launch(&self.home, &self.settings, &log).await;
        TestApp { setup: self, address, client: reqwest::Client::new(), child, log }
    }
}
