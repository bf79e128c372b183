//! What the operating system says of this process: open files, memory, age. Linux only; elsewhere the figures are left out.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tokio::time::Instant;

use super::metrics::gauge;

/// Open files of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// How many there are; sockets are among them.
    pub now: usize,
    /// How many there may be.
    pub most: usize,
}

/// Counts the open files; nothing where the system does not tell.
#[must_use]
pub fn open_files() -> Option<OpenFiles> {
    let now = fs::read_dir("/proc/self/fd").ok()?.count();
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    // "unlimited" is no number: then nothing bounds it.
    let most = line.split_whitespace().next()?.parse().unwrap_or(usize::MAX);
    Some(OpenFiles { now, most })
}

/// The memory that is resident, in bytes.
#[must_use]
pub fn resident_bytes() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<usize>().ok()? * 1024)
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What the machine can still give.
    pub free: u64,
    /// What the machine has.
    pub all: u64,
    /// What this process's control group uses and may use at most, where it is bounded.
    pub group: Option<(u64, u64)>,
}

/// The memory of this machine; nothing where the system does not tell.
#[must_use]
pub fn memory() -> Option<Memory> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    };
    let read = |name: &str| fs::read_to_string(name).ok()?.trim().parse::<u64>().ok();
    let group = read("/sys/fs/cgroup/memory.current").zip(read("/sys/fs/cgroup/memory.max"));
    Some(Memory { free: of("MemAvailable")?, all: of("MemTotal")?, group })
}

/// How far memory is used, from 0 to 1: that of the machine or that of this process's control group, whichever is nearer to
/// its end.
#[must_use]
pub fn memory_use() -> Option<f64> {
    let Memory { free, all, group } = memory()?;
    let machine = share(all.saturating_sub(free), all);
    Some(group.map_or(machine, |(now, most)| machine.max(share(now, most))))
}

/// What is free on the disk of a folder, and all of it, in bytes. What only the administrator may use does not count as free.
///
/// # Errors
/// What the system says when it cannot be looked at.
pub fn disk(folder: &Path) -> std::io::Result<(u64, u64)> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok((facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize))
}

/// How far the disk of a folder is used, from 0 to 1.
#[must_use]
pub fn disk_use(folder: &Path) -> Option<f64> {
    let (free, all) = disk(folder).ok()?;
    Some(1.0 - share(free, all))
}

/// A part of a whole, from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 15 digits")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The figures of the process.
#[derive(Debug)]
pub struct ProcessFigures {
    started: Instant,
}

impl ProcessFigures {
    /// Of a process that has just started.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }

    /// For how long it has run.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Default for ProcessFigures {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for ProcessFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let encoder = &mut encoder;
        if let Some(OpenFiles { now, most }) = open_files() {
            gauge(encoder, "process_open_files", "Open files, sockets among them", now)?;
            gauge(encoder, "process_open_files_most", "Open files that the system allows", most)?;
        }
        if let Some(bytes) = resident_bytes() {
            gauge(encoder, "process_resident_bytes", "Memory that is resident", bytes)?;
        }
        let seconds = usize::try_from(self.uptime().as_secs()).unwrap_or(usize::MAX);
        gauge(encoder, "process_uptime_seconds", "For how long the process has run", seconds)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_is_counted() {
        let before = open_files().expect("known");
        let files: Vec<_> = (0..20).map(|_| fs::File::open("/proc/self/status").expect("open")).collect();
        let after = open_files().expect("known");
        // Other tests open and close files of their own.
        assert!(after.now + 10 > before.now + files.len(), "{before:?} {after:?}");
        assert!(after.most >= after.now);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1_000_000));
        let within = |share: Option<f64>| share.is_some_and(|share| (0.0..=1.0).contains(&share));
        assert!(within(memory_use()) && within(disk_use(Path::new("."))), "{:?}", memory_use());
        assert_eq!(disk_use(Path::new("/there/is/no/such/folder")), None);
    }
}
