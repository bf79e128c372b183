//! The process table, as `/proc` shows it: who lives, whose child, since when, where.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// One row of `/proc/PID/stat`, or `None` when the process is gone.
pub(crate) struct Stat {
    /// `Z` for one that has ended and was not waited for, `T` for one that is stopped.
    pub(crate) state: char,
    pub(crate) parent: u32,
    /// Clock ticks after boot; with the process id it names a process for ever.
    pub(crate) started: u64,
}

/// Reads the row of one process.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in brackets and may hold anything, so count from its end (proc_pid_stat(5)).
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { state, parent, started })
}

/// Whether the process runs or is stopped; one that only waits to be reaped does not live.
pub(crate) fn lives(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z' && stat.state != 'X')
}

fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The children of a process, and theirs, whatever process group they moved to.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = all().into_iter().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// Processes whose working directory is in `directory`.
pub(crate) fn working_in(directory: &Path) -> Vec<u32> {
    let works_there = |pid: u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
    all().into_iter().filter(|pid| *pid != std::process::id() && works_there(*pid)).collect()
}

/// Sends a signal to each of the processes that is still there.
pub(crate) fn signal(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
        let _ = kill_process(pid, signal);
    }
}
