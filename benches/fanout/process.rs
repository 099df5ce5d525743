//! What a server uses, as `/proc` shows it.

use std::fs;
use std::time::Duration;

/// Ticks a second of the times in `/proc`, the same on every Linux that runs this.
const TICKS: u64 = 100;

/// A process and its children.
#[derive(Clone, Copy)]
pub struct Family(pub u32);

impl Family {
    /// Time on a processor so far, the kernel's work for it included.
    pub fn cpu(self) -> Duration {
        let ticks: u64 = self.members().iter().filter_map(|&pid| Some(Stat::of(pid)?.ticks)).sum();
        Duration::from_millis(ticks * 1_000 / TICKS)
    }

    /// Resident memory in KiB. What several processes share is counted once.
    pub fn memory(self) -> u64 {
        let resident = |&pid: &u32| {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        self.members().iter().filter_map(resident).sum()
    }

    fn members(self) -> Vec<u32> {
        let Ok(folders) = fs::read_dir("/proc") else { return vec![self.0] };
        let names = folders.flatten().filter_map(|folder| folder.file_name().to_str()?.parse().ok());
        names.filter(|&pid| pid == self.0 || Stat::of(pid).is_some_and(|stat| stat.parent == self.0)).collect()
    }
}

struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, spaces too.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self { parent: number(1)? as u32, ticks: number(11)? + number(12)? })
    }
}
