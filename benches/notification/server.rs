//! The release binary, or the one that `CALLER_POPUP` names, and a connection to it.

#[path = "../fanout/process.rs"]
#[allow(dead_code)] // Memory is measured by the other benchmark.
mod process;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;

use process::Family;

/// One connection, on which a request waits for its answer.
pub struct Line(BufReader<TcpStream>);

impl Line {
    pub fn to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket.set_nodelay(true).expect("a socket takes options");
        Self(BufReader::new(socket))
    }

    /// Posts a webhook.
    pub fn post(&mut self, body: &str) {
        let status = self.ask("POST /api/webhooks/ringcentral", "", body);
        assert_eq!(status, 200);
    }

    /// Sends a request, reads the whole answer, and says its status.
    #[allow(dead_code)] // One of the benchmarks asks for nothing else.
    pub fn ask(&mut self, what: &str, headers: &str, body: &str) -> u16 {
        let head = format!(
            "{what} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("the server reads");
        let (mut line, mut length, mut status) = (String::new(), 0, 0);
        while self.0.read_line(&mut line).expect("the server answers") > 2 {
            if let Some(code) = line.strip_prefix("HTTP/1.1 ") {
                status = code[..3].parse().expect("a status is a number");
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
            line.clear();
        }
        self.0.read_exact(&mut vec![0; length]).expect("the answer is whole");
        status
    }
}

/// A server that runs until this is dropped.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Server {
    pub fn start(settings: &[(&str, String)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), settings)
    }

    /// Ends it and starts it again with the same files.
    #[allow(dead_code)] // One of the benchmarks does.
    pub fn restart(mut self, settings: &[(&str, String)]) -> Self {
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a temporary folder"));
        drop(self);
        Self::start_in(folder, settings)
    }

    fn start_in(folder: TempDir, settings: &[(&str, String)]) -> Self {
        let log = folder.path().join("log");
        let program = env::var_os("CALLER_POPUP").unwrap_or(env!("CARGO_BIN_EXE_caller-popup").into());
        let mut child = Command::new(program)
            .current_dir(folder.path())
            .env("DATA_DIR", folder.path())
            .envs([("BIND", "127.0.0.1:0"), ("LOG", "info"), ("LOG_FORMAT", "json")])
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stderr(fs::File::create(&log).expect("a file for the log"))
            .spawn()
            .expect("the binary runs");
        let address = loop {
            let said = fs::read_to_string(&log).expect("the log can be read");
            let line = said.lines().find(|line| line.contains("\"listening\""));
            let address = line.and_then(|line| line.split(r#""address":""#).nth(1)?.split('"').next()?.parse().ok());
            match address {
                Some(address) => break address,
                None => assert!(child.try_wait().is_ok_and(|ended| ended.is_none()), "the server stopped: {said}"),
            }
            thread::sleep(Duration::from_millis(10));
        };
        Self { address, child, folder }
    }

    /// Where it keeps its files.
    #[allow(dead_code)] // One of the benchmarks writes to them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has logged since its start.
    #[allow(dead_code)] // One of the benchmarks reads it.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("the log can be read")
    }

    #[allow(dead_code)] // One of the benchmarks measures this.
    pub fn cpu(&self) -> Duration {
        Family(self.child.id()).cpu()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
