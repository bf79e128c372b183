//! Services that may be missing on a developer's machine, and ports for those that are there.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
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

/// A TCP port of the loopback address that nobody listens on now. Another process may take it before it is used, so
/// whoever starts a server on it tries again with another one.
///
/// # Errors
/// When the loopback address has no free port.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(while_doing("finding a free port"))?;
    Ok(listener.local_addr().map_err(while_doing("reading the port that was found"))?.port())
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
