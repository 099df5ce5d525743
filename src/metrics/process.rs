//! What the program takes of the machine, under the names every Prometheus client uses. Linux tells it in `/proc`;
//! elsewhere the numbers stay 0.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The process as the kernel sees it.
#[derive(Default)]
pub struct Process {
    memory: Gauge,
    files: Gauge,
    most_files: Gauge,
    started: Gauge,
}

impl Process {
    pub fn register(&self, registry: &mut Registry) {
        let bytes = Unit::Bytes;
        registry.register_with_unit("process_resident_memory", "Memory in use", bytes, self.memory.clone());
        registry.register("process_open_fds", "Open files and sockets", self.files.clone());
        registry.register("process_max_fds", "Files and sockets that may be open", self.most_files.clone());
        let help = "Unix time of the start";
        registry.register_with_unit("process_start_time", help, Unit::Seconds, self.started.clone());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.started.set(now as i64);
    }

    /// Reads the numbers again.
    pub fn look(&self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        self.memory.set(number_after(&status, "VmRSS:").unwrap_or(0) * 1024);
        self.files.set(open_files().unwrap_or(0) as i64);
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        self.most_files.set(number_after(&limits, "Max open files").unwrap_or(0));
    }
}

/// Since Linux 6.2 the folder's size is the count; before, thousands of entries have to be read.
fn open_files() -> std::io::Result<u64> {
    let counted = std::fs::metadata("/proc/self/fd")?.len();
    if counted > 0 { Ok(counted) } else { Ok(std::fs::read_dir("/proc/self/fd")?.count() as u64) }
}

/// The number behind `name` at the start of a line.
fn number_after(text: &str, name: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_the_process_takes() {
        let process = Process::default();
        process.look();
        assert!(process.memory.get() > 1_000_000 && process.files.get() > 2 && process.most_files.get() > 2);
    }
}
