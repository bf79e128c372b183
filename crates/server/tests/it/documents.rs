//! The pages to read are held against the tree: paths, tests, links, requirements and commands that they name exist.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;
use mainstay_server::cli::Arguments;

/// The pages.
const PAGES: [&str; 38] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/billing.md",
    "docs/calendars.md",
    "docs/console.md",
    "docs/deliveries.md",
    "docs/flags.md",
    "docs/images.md",
    "docs/inbox.md",
    "docs/jobs.md",
    "docs/knowledge.md",
    "docs/load.md",
    "docs/operations/audit.md",
    "docs/operations/backup.md",
    "docs/operations/configure.md",
    "docs/operations/controls.md",
    "docs/operations/deploy.md",
    "docs/operations/faults.md",
    "docs/operations/incidents.md",
    "docs/operations/install.md",
    "docs/operations/keys.md",
    "docs/operations/observe.md",
    "docs/operations/people.md",
    "docs/operations/preflight.md",
    "docs/operations/rollback.md",
    "docs/operations/secrets.md",
    "docs/operations/tls.md",
    "docs/operations/trail.md",
    "docs/operations/upgrade.md",
    "docs/outreach.md",
    "docs/reception.md",
    "docs/requirements.md",
    "docs/security/asvs.md",
    "docs/security/threat-model.md",
    "docs/texts.md",
    "docs/voice.md",
];
/// Where the sources of each crate are, by the first part of a test's name.
const SOURCES: [(&str, &str); 11] = [
    ("client", "crates/client/src"),
    ("import", "crates/import/src"),
    ("jobs", "crates/jobs/tests/it"),
    ("load", "crates/load/src"),
    ("domain", "crates/domain/src"),
    ("mail", "crates/mail/src"),
    ("mail_it", "crates/mail/tests/it"),
    ("store", "crates/store/src"),
    ("server", "crates/server/src"),
    ("testing", "crates/testing/src"),
    ("it", "crates/server/tests/it"),
];
/// Integration tests that the requirements name and that are still on their way. Take a name out when its file is there.
const TO_COME: [&str; 0] = [];
/// What a path of the repository begins with, beside the files of its root.
const FOLDERS: [&str; 6] = [".ci/", ".github/", "bench/", "crates/", "deploy/", "docs/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the crate is in crates/server")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every page: those at fixed places, and the decisions.
fn pages() -> Vec<(String, String)> {
    let decisions = fs::read_dir(root().join("docs/decisions")).expect("there are decisions").flatten();
    let decisions = decisions.map(|entry| format!("docs/decisions/{}", entry.file_name().to_string_lossy()));
    let mut names: Vec<String> = PAGES.map(str::to_owned).into_iter().chain(decisions).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

/// What stands between single backticks, outside code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.lines()).flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// Whether a quotation is meant as a path of the repository.
fn is_path(quotation: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./_-".contains(&byte);
    let file_of_root = ["Cargo.toml", "Cargo.lock", "justfile", "LICENSE"].contains(&quotation)
        || !quotation.contains('/')
            && [".md", ".toml", ".default.toml"].iter().any(|end| quotation.ends_with(end))
            && !["mainstay.toml"].contains(&quotation);
    quotation.bytes().all(plain) && (file_of_root || FOLDERS.iter().any(|folder| quotation.starts_with(folder)))
}

#[test]
fn every_path_that_is_named_exists() {
    let root = root();
    let mut paths = 0;
    for (page, text) in pages() {
        for path in quoted(&text).into_iter().filter(|quotation| is_path(quotation)) {
            paths += 1;
            assert!(root.join(path).exists(), "{page} names {path}, which is not there");
        }
    }
    assert!(paths > 50, "only {paths} paths were found: the reader of pages is broken");
}

#[test]
fn every_link_leads_somewhere() {
    let root = root();
    for (page, text) in pages() {
        let folder = root.join(&page).parent().expect("a page is in a folder").to_owned();
        for (at, _) in text.match_indices("](") {
            let rest = &text[at..];
            let target = rest.trim_start_matches("](").split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "{page} links to {target}, which is not there");
        }
    }
}

/// The sources by the module that they are, as tests are named: `providers/tests/chain.rs` is `server::providers::chain`.
fn modules() -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (crate_name, place) in SOURCES {
        let base = root().join(place);
        let mut open = vec![base.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let inner = path.strip_prefix(&base).expect("it is below").with_extension("");
                    let parts = inner.iter().map(|part| part.to_string_lossy().into_owned());
                    let parts = parts.filter(|part| !["tests", "mod", "lib", "main"].contains(&part.as_str()));
                    let name = [crate_name.to_owned()].into_iter().chain(parts).collect::<Vec<_>>().join("::");
                    let text = fs::read_to_string(&path).expect("a source is text");
                    found.entry(name).or_default().push_str(&text);
                }
            }
        }
    }
    found
}

/// Whether a quotation is meant as a test or as a module of tests.
fn is_test(quotation: &str) -> bool {
    let name =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b));
    let mut parts = quotation.split("::");
    let known = parts.next().is_some_and(|first| SOURCES.iter().any(|(crate_name, _)| *crate_name == first));
    known && quotation.contains("::") && parts.all(name)
}

fn wrong_test(modules: &BTreeMap<String, String>, test: &str) -> bool {
    let (module, name) = test.rsplit_once("::").expect("it has two parts");
    if module == "it" || test == "store::conformance" {
        return !modules.contains_key(test) && !TO_COME.contains(&name);
    }
    !modules.get(module).is_some_and(|text| text.contains(&format!("fn {name}(")))
}

#[test]
fn every_test_that_is_named_exists() {
    let modules = modules();
    let mut tests = 0;
    for (page, text) in pages() {
        for test in quoted(&text).into_iter().filter(|quotation| is_test(quotation)) {
            tests += 1;
            assert!(!wrong_test(&modules, test), "{page} names the test {test}, which is not there");
        }
    }
    assert!(tests > 80, "only {tests} tests were found: the reader of pages is broken");
    for wrong in ["it::nothing", "store::conformance::streams::nothing", "server::nothing::sqlite"] {
        assert!(is_test(wrong) && wrong_test(&modules, wrong), "{wrong}");
    }
}

#[test]
fn every_requirement_has_one_row() {
    let page = read("docs/requirements.md");
    let rows: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    let rows: Vec<&str> = rows.into_iter().filter(|id| !["id", "---"].contains(id)).collect();
    let all = [("A", 13), ("R", 9), ("O", 9), ("P", 25)];
    let all: Vec<String> = all
        .into_iter()
        .flat_map(|(letter, count)| (1..=count).map(move |number| format!("{letter}{number}")))
        .collect();
    assert_eq!(rows, all);
    let columns = page.lines().filter(|line| line.starts_with("| ")).map(|line| line.split(" | ").count());
    assert!(columns.into_iter().all(|count| count == 5), "a row does not have its five columns");
}

/// The commands of a page: lines of code blocks, and quotations in the prose.
fn commands(text: &str) -> Vec<Vec<String>> {
    let lines = text.split("```").skip(1).step_by(2).flat_map(str::lines);
    lines
        .chain(quoted(text))
        .filter(|line| *line == "mainstay" || line.starts_with("mainstay "))
        .map(|line| line.split(" #").next().unwrap_or_default().split_whitespace().map(str::to_owned).collect())
        .collect()
}

#[test]
fn every_command_is_accepted() {
    let mut found = 0;
    for (page, text) in pages() {
        for words in commands(&text) {
            found += 1;
            let asked = words.iter().map(String::as_str).chain(["--help"]);
            let told = Arguments::command().try_get_matches_from(asked).expect_err("help is never a match").kind();
            assert_eq!(told, ErrorKind::DisplayHelp, "{page}: {}", words.join(" "));
        }
    }
    assert!(found > 10, "only {found} commands were found: the reader of pages is broken");
    let wrong = Arguments::command().try_get_matches_from(["mainstay", "migrate", "sideways", "--help"]);
    assert_ne!(wrong.expect_err("no such command").kind(), ErrorKind::DisplayHelp);
}
