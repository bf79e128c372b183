//! Services that may be missing on a developer's machine, and ports for those that are there.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{Result, while_doing};

/// Whether a missing service is a failure: `MAINSTAY_TEST_REQUIRE=all`, as CI sets it.
#[must_use]
pub fn required() -> bool {
    std::env::var_os("MAINSTAY_TEST_REQUIRE").is_some_and(|value| value == "all")
}

/// Says that tests of `service` are skipped and why: once for each service and test process, on the real standard
/// error, where `cargo test` shows it even when the test passes.
///
/// # Panics
/// When [`required`].
pub fn skip(service: &str, why: &str) {
    #[expect(clippy::panic, reason = "a required service that is missing must fail the test that asked for it")]
    if required() {
        panic!("{service} is required by MAINSTAY_TEST_REQUIRE=all, but {why}");
    }
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(service.to_owned()) {
        // Not `eprintln!`, which the test harness captures. A closed standard error is no reason to fail.
        let line = format!("\nSKIPPED: every test of {service} in this process, because {why}\n");
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// Ports below those from which systems take one for an outgoing connection: a server that is started anew finds its own free.
const PORTS: std::ops::Range<u16> = 12_000..32_000;
/// How many ports this process has looked at.
static LOOKED_AT: AtomicU16 = AtomicU16::new(0);

/// A TCP port of the loopback address that nobody listens on now, and that this process has not been given before. Another
/// process may take it before it is used, so whoever starts a server on it tries again with another one.
///
/// # Errors
/// When the loopback address has no free port.
pub fn free_port() -> Result<u16> {
    let count = PORTS.end - PORTS.start;
    // Processes that run at the same time begin far from each other.
    let first = u16::try_from(u64::from(std::process::id()) * 7_919 % u64::from(count)).unwrap_or_default();
    let mut last = None;
    for _ in 0..count {
        let place = first.wrapping_add(LOOKED_AT.fetch_add(1, Ordering::Relaxed)) % count;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, PORTS.start + place)) {
            Ok(_) => return Ok(PORTS.start + place),
            Err(error) => last = Some(error),
        }
    }
    Err(while_doing("finding a free port")(last.unwrap_or_else(|| ErrorKind::AddrInUse.into())))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs the ignored test `name` of this binary in a process of its own.
    fn run_alone(name: &str, require: &str) -> std::process::Output {
        Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--ignored"])
            .env("MAINSTAY_TEST_REQUIRE", require)
            .output()
            .unwrap()
    }

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free_port().unwrap();
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    #[ignore = "run in a process of its own by the two tests below"]
    fn skips_twice() {
        skip("Teapot", "no kettle was found");
        skip("Teapot", "no kettle was found");
    }

    #[test]
    fn a_skip_is_seen_once_although_the_test_passes() {
        let output = run_alone("service::tests::skips_twice", "");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        assert_eq!(errors.matches("SKIPPED: every test of Teapot").count(), 1, "{errors}");
    }

    #[test]
    fn a_required_service_that_is_missing_fails_the_test() {
        let output = run_alone("service::tests::skips_twice", "all");
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("Teapot is required by MAINSTAY_TEST_REQUIRE=all, but no kettle was found"), "{said}");
    }
}
