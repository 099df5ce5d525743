//! A panic in a thread or task that the service depends on ends the process, and its supervisor starts it again. Otherwise the rest
//! would run on and look well while nothing is written. What was acknowledged is on disk.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;
use tracing::error;

/// Runs a task's future. Only a panic of its own ends the process, not that of a thread which drops it.
pub async fn task<T>(part: &'static str, future: impl Future<Output = T>) -> T {
    AssertUnwindSafe(future).catch_unwind().await.unwrap_or_else(|_| end(part))
}

/// Runs a thread's work.
pub fn thread<T>(part: &'static str, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| end(part))
}

fn end(part: &'static str) -> ! {
    error!(part, "a part of the service panicked; the process ends");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    const CHILD: &str = "FATAL_PANIC_CHILD";

    /// Runs this test again in a process of its own; the signal that ended it.
    fn signal_of(test: &str, what: &str) -> Option<i32> {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", &format!("fatal_panic::tests::{test}")]).env(CHILD, what);
        child.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().signal()
    }

    #[test]
    fn a_panic_in_a_thread_or_task_ends_the_process() {
        let bug = || panic!("as in a bug");
        match std::env::var(CHILD).as_deref() {
            Ok("thread") => drop(std::thread::spawn(move || thread("writer", bug)).join()),
            Ok(_) => {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                drop(runtime.block_on(runtime.spawn(task("poll", async move { bug() }))));
            }
            Err(_) => {
                for what in ["thread", "task"] {
                    let signal = signal_of("a_panic_in_a_thread_or_task_ends_the_process", what);
                    assert_eq!(signal, Some(6), "SIGABRT of the {what}");
                }
            }
        }
    }

    #[test]
    fn a_task_that_another_threads_panic_drops_ends_nothing() {
        let dropped = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.spawn(task("poll", std::future::pending::<()>()));
            runtime.block_on(tokio::task::yield_now());
            panic!("as in a failed test");
        });
        assert!(dropped.join().is_err());
    }
}
