//! The process: allocator, file permissions, threads. What it does then is a command of [`cli`].

mod cli;

use std::process::ExitCode;

use anyhow::Context;
use caller_popup::config::Problems;
use clap::Parser;
use rustix::fs::Mode;
use rustix::process::umask;

/// `EX_CONFIG` of sysexits.h.
const WRONG_SETTINGS: u8 = 78;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything can make a file: databases hold telephone numbers, names and keys.
    umask(Mode::RWXG | Mode::RWXO);
    let arguments = cli::Arguments::parse();
    // Half of the cores: writing to viewers has threads of its own, and the less often a call is handed from thread to
    // thread on its way through the database driver, the sooner its popup shows.
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads((cores / 2).max(1)).enable_all().build();
    let done = runtime.context("starting threads").and_then(|runtime| runtime.block_on(cli::run(arguments)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("caller-popup: {error:#}");
            // A supervisor need not try again what only a change of the settings cures; the unit names this status.
            if error.is::<Problems>() { ExitCode::from(WRONG_SETTINGS) } else { ExitCode::FAILURE }
        }
    }
}
