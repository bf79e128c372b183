//! The files of `deploy` are held against the program: settings that they name exist, and what must outlast a drain does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use mainstay_server::config::Config;
use mainstay_server::ops::smoke;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").canonicalize().expect("it is there")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file, by its path.
fn files() -> Vec<(PathBuf, String)> {
    let (mut open, mut found) = (vec![folder()], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                found.push((path, text));
            }
        }
    }
    found
}

/// The words of a text that begin so.
fn words<'a>(text: &'a str, begin: &'a str) -> impl Iterator<Item = &'a str> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
    text.split(move |letter| !plain(letter)).filter(move |word| word.starts_with(begin))
}

#[test]
fn every_setting_and_check_that_is_named_exists() {
    let config = Config::from_overrides(&[]).expect("the defaults");
    let (mut settings, checks) = (BTreeSet::new(), smoke::names().collect::<BTreeSet<_>>());
    for (path, text) in files() {
        for name in words(&text, "MAINSTAY_").filter(|name| name.contains("__")) {
            let key = name.trim_start_matches("MAINSTAY_").replace("__", ".").to_lowercase();
            assert!(config.gives(&key).is_some(), "{}: there is no setting {key}", path.display());
            settings.insert(key);
        }
        let asked = words(&text, "smoke.").map(|word| word.trim_end_matches('.')).filter(|word| *word != "smoke.sh");
        for name in asked.filter(|word| *word != "smoke") {
            assert!(checks.contains(name), "{}: there is no check {name}", path.display());
        }
    }
    assert!(settings.len() > 12, "only {settings:?}: the reader of the files is broken");
}

/// The number behind a word.
fn number(text: &str, word: &str) -> u64 {
    let rest = text.split_once(word).unwrap_or_else(|| panic!("{word} is not there")).1;
    let digits = rest.trim_start_matches([' ', '"', '=', ':', '\n']);
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{word} has no number"))
}

#[test]
fn what_runs_has_longer_to_stop_than_it_drains() {
    let drain = Config::from_overrides(&[]).expect("the defaults").lifecycle.drain_seconds;
    assert!(number(&read("systemd/mainstay.service"), "TimeoutStopSec") > drain);
    assert!(number(&read("compose/compose.yaml"), "stop_grace_period") > drain);
    let (deployment, settings) = (read("kubernetes/deployment.yaml"), read("kubernetes/configmap.yaml"));
    let drain = number(&settings, "MAINSTAY_LIFECYCLE__DRAIN_SECONDS");
    let before = number(&deployment, "              sleep:\n                seconds");
    assert!(number(&deployment, "terminationGracePeriodSeconds") > before + drain);
    assert!(number(&settings, "MAINSTAY_DATABASE__NODES") > number(&read("kubernetes/autoscaler.yaml"), "maxReplicas"));
}

#[test]
fn every_script_can_be_read_and_stops_at_its_first_fault() {
    let scripts: Vec<_> =
        files().into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "sh")).collect();
    assert!(scripts.len() > 8, "only {} scripts", scripts.len());
    for (path, text) in scripts {
        let done = Command::new("bash").arg("-n").arg(&path).output().expect("bash");
        assert!(done.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&done.stderr));
        let is_step = text.starts_with("#!");
        assert!(!is_step || text.contains("\nset -euo pipefail\n"), "{}", path.display());
        assert!(text.lines().count() <= 120, "{} is long", path.display());
    }
}
