//! Directories for what a test starts, removed on drop, or by the next test process when this one was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;

use crate::{Result, table, while_doing};

const PREFIX: &str = "mainstay-test-";

/// A fresh directory under the system's temporary one, named after this process.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the directory. The first call in a process also removes what dead processes left, and ends whatever
    /// still works there.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new() -> Result<Self> {
        static SWEPT: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        SWEPT.call_once(|| sweep(&std::env::temp_dir()));
        let pid = std::process::id();
        let started = table::stat(pid).map_or(0, |stat| stat.started);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("{PREFIX}{pid}-{started}-{number}"));
        fs::create_dir(&path).map_err(while_doing(format_args!("making {}", path.display())))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_stale) {
            remove(&entry.path());
        }
    }
}

/// Whether the name is one of ours and the process it names is gone, or is another one that got its number.
fn is_stale(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let mut numbers = rest.split('-').map(str::parse::<u64>);
    let (Some(Ok(pid)), Some(Ok(started)), Some(Ok(_)), None) =
        (numbers.next(), numbers.next(), numbers.next(), numbers.next())
    else {
        return false;
    };
    let Ok(pid) = u32::try_from(pid) else { return false };
    !table::lives(pid) || table::stat(pid).is_none_or(|stat| stat.started != started)
}

fn remove(directory: &Path) {
    table::signal(&table::working_in(directory), Signal::KILL);
    // A process that is being killed may still make a file while the directory is emptied.
    for _ in 0..10 {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_its_handle() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_owned();
        fs::write(path.join("file"), "x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn only_directories_of_dead_processes_are_swept() {
        let pid = std::process::id();
        let started = table::stat(pid).unwrap().started;
        let parent = Scratch::new().unwrap();
        let dead = format!("{PREFIX}{pid}-{}-0", started + 1);
        let alive = format!("{PREFIX}{pid}-{started}-0");
        let names = [&dead, &alive, "mainstay-test-notes", "mainstay-test-1-2", "other"];
        for name in names {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        sweep(parent.path());
        let left: Vec<&str> = names.into_iter().filter(|name| parent.path().join(name).exists()).collect();
        assert_eq!(left, [alive.as_str(), "mainstay-test-notes", "mainstay-test-1-2", "other"]);
    }
}
