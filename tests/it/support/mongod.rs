//! A MongoDB for the tests, and a hand to make it fail on purpose.
//!
//! One mongod serves the whole test process: the first test that needs it starts it, each test has a database of its
//! own. That is why `scripts/test` uses `cargo test`, which runs them all in one process; under nextest (a process a
//! test) everything works the same, a second slower each.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ChildStdin;
use std::sync::{Mutex, OnceLock, mpsc};

use mongodb::bson::{Document, doc, oid::ObjectId};
use mongodb::{Client, options::ClientOptions};
use tokio::sync::MutexGuard;

use super::process::start_helper;
use super::{PATIENCE, eventually};

/// A database of one test's own.
pub struct Database {
    pub uri: String,
    pub name: String,
}

impl Database {
    pub fn new() -> Self {
        Self { uri: uri().to_owned(), name: format!("caller_popup_test_{}", ObjectId::new()) }
    }

    /// On a mongod that is no replica set, so that nobody is told of changes.
    pub fn standalone() -> Self {
        static URI: OnceLock<String> = OnceLock::new();
        let uri = URI.get_or_init(|| format!("mongodb://{}/", start(&[])));
        Self { uri: uri.clone(), ..Self::new() }
    }

    /// Opened by another program: a client that shares nothing with the one under test.
    pub async fn open(&self) -> mongodb::Database {
        Client::with_uri_str(&self.uri).await.expect("MongoDB answers").database(&self.name)
    }
}

/// The failure that is switched on; only one can be at a time on a mongod.
pub struct Failure {
    admin: mongodb::Database,
    _alone: MutexGuard<'static, ()>,
}

impl Failure {
    /// Switches mongod's `failCommand` on, with data as its documentation tells.
    pub async fn start(database: &mongodb::Database, data: Document) -> Self {
        static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let alone = ALONE.lock().await;
        let admin = database.client().database("admin");
        let switch = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
        admin.run_command(switch).await.expect("MongoDB was started with --setParameter enableTestCommands=1");
        Self { admin, _alone: alone }
    }

    pub async fn end(self) {
        let switch = doc! { "configureFailPoint": "failCommand", "mode": "off" };
        self.admin.run_command(switch).await.expect("the failure can be switched off");
    }
}

/// A replica set of one node with access control, of a test's own.
pub struct Guarded {
    address: String,
}

/// Its administrator's password.
const ADMIN: &str = "of-the-administrator";

impl Guarded {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made").keep();
        let key = folder.join("key");
        std::fs::write(&key, "ofTheNodesToEachOther").expect("a file can be written");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("its mode can be changed");
        let key = key.display().to_string();
        let address = start(&["--replSet", "tests", "--oplogSize", "64", "--keyFile", &key]);
        make_replica_set(&address).await;
        let guarded = Self { address };
        // Whoever comes first from this machine may create the first user.
        let create = doc! { "createUser": "admin", "pwd": ADMIN, "roles": ["root"] };
        guarded.client("").await.database("admin").run_command(create).await.expect("the administrator is created");
        guarded
    }

    /// A database of its own for a user with this role, with a customer in it.
    pub async fn database(&self, mut role: Document, customer: Document) -> Database {
        let name = format!("caller_popup_test_{}", ObjectId::new());
        for privilege in role.get_array_mut("privileges").expect("a role has privileges") {
            let resource = privilege.as_document_mut().and_then(|it| it.get_document_mut("resource").ok());
            resource.expect("a privilege has a resource").insert("db", &name);
        }
        let database = self.client(&format!("admin:{ADMIN}@")).await.database(&name);
        database.collection("customers").insert_one(customer).await.expect("a customer is inserted");
        let named = role.remove("role").expect("a role has a name");
        let mut create = doc! { "createRole": named.clone() };
        create.extend(role);
        database.run_command(create).await.expect("the role is created");
        let user = doc! { "createUser": "caller-popup", "pwd": ADMIN, "roles": [named] };
        database.run_command(user).await.expect("the user is created");
        Database { uri: format!("mongodb://caller-popup:{ADMIN}@{}/{name}?replicaSet=tests", self.address), name }
    }

    async fn client(&self, user: &str) -> Client {
        let admin = if user.is_empty() { "" } else { "&authSource=admin" };
        let uri = format!("mongodb://{user}{}/?directConnection=true{admin}", self.address);
        Client::with_uri_str(uri).await.expect("a client can be made")
    }
}

fn uri() -> &'static str {
    static URI: OnceLock<String> = OnceLock::new();
    URI.get_or_init(|| match std::env::var("MONGODB_TEST_URI") {
        Ok(uri) if !uri.is_empty() => uri,
        _ => start_replica_set(),
    })
}

/// Which mongod the tests run.
pub fn program() -> String {
    let brought = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mongod-6.0.5/mongod");
    match std::env::var("MONGOD") {
        Ok(program) if !program.is_empty() => program,
        _ if brought.exists() => brought.display().to_string(),
        _ => "mongod".into(),
    }
}

/// A replica set of one node.
fn start_replica_set() -> String {
    let address = start(&["--replSet", "tests", "--oplogSize", "64"]);
    // A thread and a runtime of its own: the tests' runtimes end with their test, and this one blocks.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(make_replica_set(&address));
        format!("mongodb://{address}/?replicaSet=tests")
    })
    .join()
    .expect("mongod becomes a replica set")
}

/// A mongod on a free port, in a temporary folder, gone when this process is; answers its address.
fn start(more: &[&str]) -> String {
    static ALIVE: Mutex<Vec<ChildStdin>> = Mutex::new(Vec::new());
    let program = program();
    let folder = tempfile::tempdir().expect("a temporary folder can be made").keep();
    let dbpath = folder.display().to_string();
    #[rustfmt::skip]
    let common = [
        "--dbpath", &dbpath, "--bind_ip", "127.0.0.1", "--port", "0", "--nounixsocket",
        "--wiredTigerCacheSizeGB", "1",
        "--setParameter", "enableTestCommands=1", "--setParameter", "diagnosticDataCollectionEnabled=false",
    ];
    let (alive, output) = start_helper(&program, &[&common, more].concat(), folder).unwrap_or_else(|e| {
        panic!("{program} cannot be started ({e}): run scripts/test, which brings mongod, or set MONGOD or MONGODB_TEST_URI")
    });
    ALIVE.lock().expect("nothing panics while it holds this").push(alive);

    let (found, port) = mpsc::channel();
    // Reads on to the end, or mongod would stand still when the pipe is full.
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if said["msg"] == "Waiting for connections" {
                let _ = found.send(said["attr"]["port"].as_u64().expect("mongod tells its port"));
            }
        }
    });
    let port = port.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{program} does not run on this machine"));
    format!("127.0.0.1:{port}")
}

async fn make_replica_set(address: &str) {
    let options = ClientOptions::parse(format!("mongodb://{address}/?directConnection=true")).await;
    let client = Client::with_options(options.expect("the address is well formed")).expect("a client can be made");
    let admin = client.database("admin");
    let members = doc! { "_id": "tests", "members": [{ "_id": 0, "host": address }] };
    admin.run_command(doc! { "replSetInitiate": members }).await.expect("the replica set begins");
    eventually("mongod becomes primary", async || {
        let hello = admin.run_command(doc! { "hello": 1 }).await.ok()?;
        hello.get_bool("isWritablePrimary").ok().filter(|primary| *primary)
    })
    .await;
}
