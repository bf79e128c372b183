//! Figures: each one that is exported is described, and what the dashboard and the rules ask for is exported.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use mainstay_server::jobs::service::{self, Probes};
use mainstay_server::ops::alerts::api;
use mainstay_server::ops::backup::{Backups, DrillRestore, Installation, promise, take};
use mainstay_store::{Call, Enqueue};
use serde_json::json;
use tokio::time::Instant;

use crate::support::binary::MAINSTAY;
use crate::support::{Engine, TestApp};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A word that names a figure, as far as it goes.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let words = text.match_indices("mainstay_").map(|(at, _)| &text[at..]);
    let words = words.map(|rest| rest.split(|letter: char| !is_part(letter)).next().unwrap_or_default());
    words.map(|word| word.trim_end_matches('_').to_owned()).collect()
}

/// The families of `/metrics`, with what kind each is.
fn families(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|rest| rest.split_once(' ')).map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// The names under which samples of a family can be asked for.
fn samples(name: &str, kind: &str) -> Vec<String> {
    let ends: &[&str] = match kind {
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        _ => &[""],
    };
    ends.iter().map(|end| format!("{name}{end}")).collect()
}

/// Families that the sources make known, with what they count: one that has counted nothing yet is not exported.
fn registered() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for source in ["crates/server/src", "crates/jobs/src"] {
        let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(source)];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("a folder of sources").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).expect("a source is text");
                    for (call, end) in [("register(", ""), ("register_with_unit(", "_seconds")] {
                        for (at, _) in text.match_indices(call) {
                            let rest = text[at + call.len()..].trim_start();
                            let Some(name) = rest.strip_prefix("\"mainstay_") else { continue };
                            let (name, rest) = name.split_once('"').expect("an end");
                            // What it counts follows, or stands in a line before as `help`.
                            let before = text[..at].rsplit("let help = \"").next().unwrap_or_default();
                            let follows = rest.trim_start_matches([',', ' ', '\n']).strip_prefix('"');
                            let help = follows.unwrap_or(before).split('"').next().unwrap_or_default();
                            found.insert(format!("mainstay_{name}{end}"), help.to_owned());
                        }
                    }
                }
            }
        }
    }
    assert!(found.len() > 30, "the sources were not read: {}", found.len());
    found
}

/// A server on which every part that has figures is set up.
async fn everything(backups: &std::path::Path) -> Option<TestApp> {
    let to = json!(backups).to_string();
    let port = mainstay_testing::free_port().expect("a port");
    let redis = json!(format!("redis://127.0.0.1:{port}/")).to_string();
    let settings = [
        ("redis.url", redis.as_str()),
        ("backup.to", to.as_str()),
        ("providers.order", r#"["anthropic", "openai", "offline"]"#),
        ("providers.anthropic.api_key", "\"a-key\""),
        ("providers.openai.api_key", "\"a-key\""),
        ("alerts.slack_url", "\"http://127.0.0.1:9/x\""),
        // Whoever asks twice without a token is refused.
        ("limits.public", "1"),
    ];
    TestApp::start(Engine::Sqlite, &settings).await
}

/// The figures of a provider are those of each.
fn without_provider(name: &str) -> String {
    let replace = |name: String, provider: &str| name.replace(&format!("_provider_{provider}_"), "_provider_NAME_");
    ["anthropic", "openai", "offline"].into_iter().fold(name.to_owned(), replace)
}

/// Has a backup made, and one restored for trial: what tells how old both are is there from then on.
async fn make_and_try_a_backup(server: &TestApp) {
    server.app.backups.program.set(MAINSTAY.into()).expect("set once");
    let of = Installation::of(&server.app);
    let backups = Backups::open(&server.app.config.backup).expect("a place");
    take(&of, &backups).await.expect("made");
    let now = server.now();
    let jobs = vec![promise::<DrillRestore>(server.app.ids.make(), now).expect("a promise").job()];
    server.app.store.run(&Call::within(Duration::from_secs(20)), Enqueue { jobs, now }).await.expect("promised");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_figure_is_described_and_every_one_that_is_asked_for_is_there() {
    let backups = tempfile::tempdir().expect("a folder");
    let Some(server) = everything(backups.path()).await else { return };
    // What is exported only once it has counted something: a job that ran, a refusal, a message that was not taken.
    for _ in 0..2 {
        server.send("GET", "/health/redis", None, None).await;
    }
    api::test_all(&server.app).await;
    let probes = Probes { key: None, first: 1, count: 1, work_ms: 0, failures: 0 };
    service::promise_probes(&server.app, &Call::within(Duration::from_secs(20)), &probes).await.expect("promised");
    make_and_try_a_backup(&server).await;
    // The figures of queues are read in the background, and so are jobs done.
    let (mut text, begun) = (String::new(), Instant::now());
    let late = ["mainstay_job_dead ", "mainstay_job_attempts_total{", "mainstay_backup_recovery_seconds "];
    while !late.iter().all(|part| text.contains(part)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the figures of jobs are not there");
        text = server.send("GET", "/metrics", None, None).await.text;
    }
    let families = families(&text);
    assert!(families.len() > 80, "the figures were not read: {}", families.len());
    let asked: BTreeSet<String> = families.iter().flat_map(|(name, kind)| samples(name, kind)).collect();
    for page in ["deploy/grafana/mainstay.json", "deploy/prometheus/alerts.yml"] {
        let text = read(page);
        // In the words of a step families stand by their own name.
        let of_expressions: String =
            text.lines().filter(|line| line.contains("expr") || line.contains("query")).collect();
        let missing: Vec<_> = names(&of_expressions).into_iter().filter(|name| !asked.contains(name)).collect();
        assert_eq!(missing, [""; 0], "{page} asks for what is not exported");
        let said: Vec<_> =
            names(&text).into_iter().filter(|name| !asked.contains(name) && !families.contains_key(name)).collect();
        assert_eq!(said, [""; 0], "{page} speaks of what is not exported");
    }
    let page = read("docs/operations/observe.md");
    let table = page.split_once("## Figures").map(|(_, rest)| rest).expect("the list of figures");
    let listed: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split('`').next())
        .map(str::to_owned)
        .collect();
    let registered = registered();
    let exported: BTreeSet<String> =
        families.keys().map(|name| without_provider(name)).chain(registered.keys().cloned()).collect();
    let undescribed: Vec<String> = exported
        .difference(&listed)
        .map(|name| {
            let help = text.lines().find_map(|line| {
                let (family, help) = line.strip_prefix("# HELP ")?.split_once(' ')?;
                (without_provider(family) == *name).then(|| help.trim_end_matches('.'))
            });
            let help = help.or(registered.get(name).map(String::as_str));
            let kind =
                families.iter().find(|(family, _)| without_provider(family) == *name).map(|(_, kind)| kind.as_str());
            format!("| `{name}` | {} | {} |", kind.unwrap_or_default(), help.unwrap_or_default())
        })
        .collect();
    assert!(undescribed.is_empty(), "add to docs/operations/observe.md:\n{}", undescribed.join("\n"));
    let gone: Vec<_> = listed.difference(&exported).collect();
    assert_eq!(gone, Vec::<&String>::new(), "docs/operations/observe.md describes what is not exported");
}
