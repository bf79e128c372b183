//! A Python for tests that want another's word: programs in its libraries know nothing of ours.

use std::path::PathBuf;
use std::process::Command;

use crate::skip;

/// A Python that can import these modules, which `packages` of Debian bring: the system's own first, since packages of the
/// system are for it. `None` where there is none.
///
/// # Panics
/// When there is none and [`crate::required`].
#[must_use]
pub fn python(modules: &[&str], packages: &str) -> Option<PathBuf> {
    let import = format!("import {}", modules.join(", "));
    let found = ["/usr/bin/python3", "python3"].into_iter().find(|python| {
        // `-I`: what lies about in the folder of the tests or in a home is not taken for a module.
        let tried = Command::new(python).args(["-I", "-c", &import]).output();
        tried.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        skip("Python", &format!("no python3 can import {} (packages {packages})", modules.join(", ")));
    }
    found.map(PathBuf::from)
}
