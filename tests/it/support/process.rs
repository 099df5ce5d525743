//! Child processes: the program under test, and helpers that must not outlive the tests.

use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::PATIENCE;

/// No setting of the program: how many files it may have open.
pub const DESCRIPTORS: &str = "TEST_DESCRIPTORS";
/// No setting of the program either: its disk may be taken away by [`TestApp::fill_disk`](super::TestApp::fill_disk).
pub const NO_ROOM: &str = "TEST_NO_ROOM";

/// The program with these settings and nothing else: no environment of ours, no `.env` of a developer's checkout.
pub fn program(home: &TempDir, settings: &[(String, String)]) -> Command {
    // What is measured is measured on a release build, which `scripts/long` names here.
    let built = std::env::var("CALLER_POPUP");
    let program = built.as_deref().unwrap_or(env!("CARGO_BIN_EXE_caller-popup"));
    let is_set = |wanted| settings.iter().any(|(name, _)| name == wanted);
    let limit = if is_set(DESCRIPTORS) {
        Some(r#"ulimit -n "$TEST_DESCRIPTORS"; exec "$0" "$@""#)
    } else if is_set(NO_ROOM) {
        // A write beyond the limit then fails, as on a full disk, and is no signal.
        Some(r#"trap '' XFSZ; exec "$0" "$@""#)
    } else {
        None
    };
    let mut command = match limit {
        Some(script) => {
            let mut limited = Command::new("/bin/sh");
            limited.args(["-c", script, program]);
            limited
        }
        None => Command::new(program),
    };
    command.env_clear().envs(settings.iter().cloned()).current_dir(home.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Starts the program and waits until it says where it listens.
pub async fn launch(home: &TempDir, settings: &[(String, String)], log: &Log) -> (Child, String) {
    let mut child = program(home, settings).arg("serve").spawn().expect("the program starts");
    let (found, address) = oneshot::channel();
    let out = log.clone().read(child.stdout.take().expect("stdout is piped"), None);
    let err = log.clone().read(child.stderr.take().expect("stderr is piped"), Some(found));
    tokio::spawn(async move { tokio::join!(out, err) });
    match tokio::time::timeout(PATIENCE, address).await {
        Ok(Ok(address)) => (child, address),
        Ok(Err(_)) => panic!("the program ended before it listened:\n{}", log.text()),
        Err(_) => panic!("the program did not say where it listens:\n{}", log.text()),
    }
}

/// What the program wrote, for a failing test to show.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    pub fn text(&self) -> String {
        self.0.lock().expect("no test panics while it holds the log").clone()
    }

    /// Keeps what comes; tells the address in the line that says "listening".
    async fn read(self, pipe: impl AsyncRead + Unpin, mut address: Option<oneshot::Sender<String>>) {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            let fields = if said["fields"].is_object() { &said["fields"] } else { &said };
            if fields["message"] == "listening"
                && let (Some(at), Some(found)) = (fields["address"].as_str(), address.take())
            {
                drop(found.send(at.to_owned()));
            }
            let mut text = self.0.lock().expect("no test panics while it holds the log");
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// Starts a helper (mongod, chromedriver) that lives as long as this test process, however it ends: a shell holds the
/// other end of a pipe from us and, once that closes, kills the helper and removes `folder`. Statics are never
/// dropped, so a destructor could not do it. The pipe's end is to be kept in a static; the reader is the helper's output.
pub fn start_helper(program: &str, arguments: &[&str], folder: PathBuf) -> std::io::Result<(ChildStdin, ChildStdout)> {
    use std::os::unix::process::CommandExt;
    const GUARD: &str =
        r#"folder=$1; shift; "$@" & exec >&-; read -r _; kill -9 $!; wait $!; rm -rf "$folder"; kill -9 0"#;
    let found =
        std::process::Command::new("sh").args(["-c", r#"command -v "$1" >/dev/null"#, "sh", program]).status()?;
    if !found.success() {
        return Err(std::io::ErrorKind::NotFound.into());
    }
    let mut guard = std::process::Command::new("sh")
        .args(["-c", GUARD, "guard"])
        .arg(folder)
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0) // Ctrl-C ends us, and the pipe tells the guard.
        .spawn()?;
    let alive = guard.stdin.take().expect("stdin is piped");
    let output = guard.stdout.take().expect("stdout is piped");
    Ok((alive, output))
}
