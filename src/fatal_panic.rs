//! A panic in a thread or task that the service depends on ends the process.

use std::thread;

use tracing::error;

/// Held by a part that must not stop: if the part panics, the process aborts, and is started again by its supervisor. Without
/// this the rest would run on and look well while nothing is written. What was acknowledged is on disk.
pub struct FatalPanic(pub &'static str);

impl Drop for FatalPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            error!(part = self.0, "a part of the service panicked; the process ends");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    const CHILD: &str = "FATAL_PANIC_CHILD";

    #[test]
    fn a_panic_in_a_thread_that_holds_it_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            let panicked = thread::spawn(|| {
                let _guard = FatalPanic("writer");
                panic!("as in a bug");
            });
            // Not reached beyond this: the process ends first.
            let _ = panicked.join();
            return;
        }
        drop(FatalPanic("what ends well"));
        let test = "fatal_panic::tests::a_panic_in_a_thread_that_holds_it_ends_the_process";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let ended = child.args(["--exact", test]).env(CHILD, "1").stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert_eq!(ended.unwrap().signal(), Some(6), "SIGABRT");
    }
}
