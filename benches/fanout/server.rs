//! The servers, each a process of its own on a port of its own.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Family;

/// Where ours takes notifications.
pub const WEBHOOK: &str = "/api/webhooks/ringcentral";
const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Kind {
    /// On SQLite.
    Ours,
    /// On MongoDB, where `MONGODB_TEST_URI` names a replica set.
    Mongodb,
    /// The same: the webhooks are posted to one instance, and the viewers are at another.
    Elsewhere,
    Floor,
    Axum,
    Nchan,
    Poll,
}

impl Kind {
    /// Whether it can be measured here; says so where not.
    pub fn is_there(&self) -> bool {
        let (there, cure) = match self {
            Self::Nchan => (Path::new(NCHAN).exists(), "apt install libnginx-mod-nchan"),
            Self::Mongodb | Self::Elsewhere => (replica_set().is_some(), "set MONGODB_TEST_URI to a replica set"),
            _ => (true, ""),
        };
        if !there {
            println!("{} is not measured: {cure}", self.name());
        }
        there
    }

    /// Whether it is this project's.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::Mongodb | Self::Elsewhere)
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Mongodb => "mongodb",
            Self::Elsewhere => "elsewhere",
            Self::Floor => "floor",
            Self::Axum => "axum",
            Self::Nchan => "nchan",
            Self::Poll => "poll",
        }
    }
}

/// A server that runs until this is dropped.
pub struct Server {
    pub kind: Kind,
    /// Whom viewers ask.
    pub address: SocketAddr,
    /// Where they listen.
    pub stream: &'static str,
    /// Whom events are posted to.
    pub publish_at: SocketAddr,
    /// Where.
    pub publish: &'static str,
    children: Vec<Child>,
    _folder: TempDir,
}

impl Server {
    pub fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let started = match kind {
            Kind::Ours => vec![ours(folder.path(), &[])],
            Kind::Mongodb => vec![ours(folder.path(), &mongodb())],
            Kind::Elsewhere => {
                let settings = mongodb();
                ["one", "other"].map(|name| ours(&folder.path().join(name), &settings)).into()
            }
            Kind::Nchan => vec![nchan(folder.path())],
            Kind::Floor | Kind::Axum | Kind::Poll => vec![peer(kind)],
        };
        let (stream, publish) = match kind.is_ours() {
            true => ("/api/ringcentral/call-stream", WEBHOOK),
            false => ("/stream", "/publish"),
        };
        let (children, addresses): (Vec<_>, Vec<_>) = started.into_iter().unzip();
        let (address, publish_at) = (addresses[0], addresses[addresses.len() - 1]);
        Self { kind, address, stream, publish_at, publish, children, _folder: folder }
    }

    /// Time on a processor so far.
    pub fn cpu(&self) -> Duration {
        self.families().map(Family::cpu).sum()
    }

    /// Resident memory in KiB.
    pub fn memory(&self) -> u64 {
        self.families().map(Family::memory).sum()
    }

    fn families(&self) -> impl Iterator<Item = Family> {
        self.children.iter().map(|child| Family(child.id()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.children {
            if self.kind == Kind::Nchan {
                // Killed outright, the master would leave its workers behind.
                let _ = Command::new("kill").arg(child.id().to_string()).status();
            } else {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }
}

/// The MongoDB there is to measure on.
pub fn replica_set() -> Option<String> {
    std::env::var("MONGODB_TEST_URI").ok()
}

/// Settings of ours for an empty database there.
fn mongodb() -> [(&'static str, String); 2] {
    let uri = replica_set().expect("it was asked whether there is one");
    let database = format!("caller_popup_bench_{}", std::process::id());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let client = mongodb::Client::with_uri_str(&uri).await.expect("MONGODB_TEST_URI is a connection string");
        client.database(&database).drop().await.expect("MongoDB answers");
        client.shutdown().await;
    });
    [("MONGODB_URI", uri), ("MONGODB_DATABASE", database)]
}

fn ours(folder: &Path, settings: &[(&str, String)]) -> (Child, SocketAddr) {
    fs::create_dir_all(folder).expect("the temporary folder can be written");
    let log = folder.join("log");
    let mut child = Command::new(env::var_os("CALLER_POPUP").unwrap_or(env!("CARGO_BIN_EXE_caller-popup").into()))
        .current_dir(folder)
        .env("DATA_DIR", folder)
        .envs([("BIND", "127.0.0.1:0"), ("LOG", "info"), ("LOG_FORMAT", "json")])
        .envs(settings.iter().map(|(name, value)| (name, value)))
        // A file takes a line for what it costs; whoever reads a pipe would be measured with us.
        .stderr(fs::File::create(&log).expect("a file for the log"))
        .spawn()
        .expect("the binary runs");
    let line = loop {
        let said = fs::read_to_string(&log).expect("the log can be read");
        if let Some(line) = said.lines().find(|line| line.contains("\"listening\"")) {
            break line.to_owned();
        }
        assert!(child.try_wait().is_ok_and(|ended| ended.is_none()), "the server stopped: {said}");
        thread::sleep(Duration::from_millis(10));
    };
    let address = line.split(r#""address":""#).nth(1).and_then(|rest| rest.split('"').next());
    (child, parsed(address.expect("the log says where it listens")))
}

fn peer(kind: Kind) -> (Child, SocketAddr) {
    let program = std::env::current_exe().expect("the benchmark knows itself");
    let mut child = Command::new(program).arg(kind.name()).stdout(Stdio::piped()).spawn().expect("the benchmark runs");
    let output = child.stdout.take().expect("stdout is piped");
    let line = line_with(output, "127.0.0.1");
    (child, parsed(line.trim()))
}

fn nchan(folder: &Path) -> (Child, SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("there is a free port");
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {folder}/{name};\n"))
        .concat();
    // The buffer is long so that a viewer who is behind loses nothing; everything else is as the manual shows it.
    let config = format!(
        "load_module {NCHAN};
daemon off;
user root;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 2;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    nchan_shared_memory_size 256M;
{temporary}    server {{
        listen {address};
        location = /stream {{ nchan_subscriber eventsource; nchan_channel_id calls; }}
        location = /publish {{ nchan_publisher; nchan_channel_id calls; nchan_message_buffer_length 1000; }}
    }}
}}
"
    );
    let file = format!("{folder}/nginx.conf");
    fs::write(&file, config).expect("the temporary folder can be written");
    let child = Command::new("nginx")
        .args(["-c", &file, "-e", &format!("{folder}/error.log")])
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx runs");
    while TcpStream::connect(address).is_err() {
        thread::sleep(Duration::from_millis(20));
    }
    (child, address)
}

/// The first line with `word`. Somebody must read on, or the process waits for room in the pipe.
fn line_with(output: impl Read + Send + 'static, word: &str) -> String {
    let mut output = BufReader::new(output);
    let mut line = String::new();
    while !line.contains(word) {
        line.clear();
        assert!(output.read_line(&mut line).expect("the log can be read") > 0, "the server stopped");
    }
    thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    line
}

fn parsed(address: &str) -> SocketAddr {
    address.parse().expect("servers say where they listen")
}
