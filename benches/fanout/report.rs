//! Figures of several runs as one table: medians, and the ratios that matter.

use std::fmt;
use std::time::Duration;

use crate::crowd::LogThrottle;
use crate::server::Kind;

/// One server in one run.
pub struct Row {
    /// The server's, from the first event to the last delivery.
    pub cpu: Duration,
    /// KiB a viewer.
    pub memory: f64,
    pub tally: LogThrottle,
}

impl Row {
    /// Microseconds.
    pub fn cpu_per_delivery(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.tally.received.max(1) as f64
    }
}

/// All servers at one number of viewers.
#[derive(Default)]
pub struct Table(Vec<(Kind, Vec<Row>)>);

impl Table {
    pub fn add(&mut self, kind: Kind, row: Row) {
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, rows)) => rows.push(row),
            None => self.0.push((kind, vec![row])),
        }
    }

    /// Ratios are taken within a run, and their median afterwards.
    fn ratio(
        f: &mut fmt::Formatter<'_>,
        (kind, ours): &(Kind, Vec<Row>),
        (other, theirs): &(Kind, Vec<Row>),
    ) -> fmt::Result {
        let ratio = |figure: &dyn Fn(&Row) -> f64| {
            median(ours.iter().zip(theirs).map(|(ours, theirs)| figure(ours) / figure(theirs)).collect())
        };
        let names = format!("{}/{}", kind.name(), other.name());
        write!(f, "{names:<15} p50 {:.2}", ratio(&|row| row.tally.p50))?;
        write!(f, "  p99 {:.2}", ratio(&|row| row.tally.p99))?;
        write!(f, "  last {:.2}", ratio(&|row| row.tally.last))?;
        write!(f, "  CPU {:.2}", ratio(&Row::cpu_per_delivery))?;
        writeln!(f, "  memory {:.2}", ratio(&|row| row.memory))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "                  milliseconds to a viewer                to the last        µs CPU     KiB memory"
        )?;
        writeln!(
            f,
            "server          p50       p99     p99.9       max      viewer  a delivery  a viewer    lost  doubled"
        )?;
        for (kind, rows) in &self.0 {
            let figure = |of: &dyn Fn(&Row) -> f64| median(rows.iter().map(of).collect());
            write!(f, "{:<9}", kind.name())?;
            write!(f, " {:>9.1} {:>9.1}", figure(&|row| row.tally.p50), figure(&|row| row.tally.p99))?;
            write!(f, " {:>9.1} {:>9.1}", figure(&|row| row.tally.p999), figure(&|row| row.tally.max))?;
            write!(f, " {:>11.1} {:>11.2}", figure(&|row| row.tally.last), figure(&Row::cpu_per_delivery))?;
            write!(f, " {:>9.2}", figure(&|row| row.memory))?;
            // One loss in any run is a loss.
            let lost: u64 = rows.iter().map(|row| row.tally.lost).sum();
            let doubled: u64 = rows.iter().map(|row| row.tally.doubled).sum();
            writeln!(f, " {lost:>7} {doubled:>8}")?;
        }
        let (ours, peers): (Vec<_>, Vec<_>) = self.0.iter().partition(|(kind, _)| kind.is_ours());
        ours.iter().try_for_each(|ours| peers.iter().try_for_each(|peer| Self::ratio(f, ours, peer)))
    }
}

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
