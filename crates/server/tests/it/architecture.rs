//! The rules of the house that no compiler checks. Each rule is a function from a file (or a manifest) to what is
//! wrong with it, and each has a test that a bad sample is caught.

#![expect(clippy::expect_used, reason = "a rule that cannot read the tree must fail")]

mod source;

use std::process::Command;

use source::{File, Kind, files, pieces, root};

/// What each crate may depend on, among ours. A new crate gets a row, or the test fails.
const ARROWS: [(&str, &[&str]); 9] = [
    (
        "mainstay-server",
        &[
            "mainstay-load",
            "mainstay-client",
            "mainstay-import",
            "mainstay-jobs",
            "mainstay-mail",
            "mainstay-store",
            "mainstay-domain",
        ],
    ),
    ("mainstay-jobs", &["mainstay-store", "mainstay-domain"]),
    ("mainstay-load", &["mainstay-client", "mainstay-domain"]),
    ("mainstay-client", &["mainstay-domain"]),
    ("mainstay-mail", &["mainstay-domain"]),
    ("mainstay-import", &["mainstay-domain"]),
    ("mainstay-store", &["mainstay-domain"]),
    ("mainstay-domain", &[]),
    ("mainstay-testing", &[]),
];
/// Only tests may use this one.
const FOR_TESTS: &str = "mainstay-testing";
/// What is true whatever the wire and the disk needs neither.
const NOT_IN_DOMAIN: [&str; 6] = ["axum", "hyper", "reqwest", "sqlx", "tokio", "tower"];
/// The longest source file, in lines. One subject fits; what does not is two.
const LONGEST: usize = 500;

/// One line of a manifest: who depends on whom, and whether for tests only.
struct Dependency {
    from: String,
    to: String,
    for_tests: bool,
}

#[test]
fn arrows_point_down() {
    assert_none(dependencies().iter().filter_map(wrong_arrow));
}

#[test]
fn every_crate_of_ours_has_its_place() {
    let unknown = dependencies().into_iter().map(|dependency| dependency.from).find(|from| allowed(from).is_none());
    assert_eq!(unknown, None, "say in ARROWS what this crate may depend on");
}

#[test]
fn a_wrong_arrow_is_caught() {
    let wrong = |from: &str, to: &str, for_tests| {
        wrong_arrow(&Dependency { from: from.to_owned(), to: to.to_owned(), for_tests }).is_some()
    };
    assert!(wrong("mainstay-store", "mainstay-server", false));
    assert!(wrong("mainstay-domain", "mainstay-store", true));
    assert!(wrong("mainstay-server", "mainstay-testing", false));
    assert!(wrong("mainstay-domain", "tokio", false));
    assert!(wrong("mainstay-server", "sqlx", true));
    assert!(!wrong("mainstay-server", "mainstay-testing", true));
    assert!(!wrong("mainstay-server", "mainstay-store", false));
    assert!(!wrong("mainstay-store", "sqlx", false));
}

fn wrong_arrow(dependency: &Dependency) -> Option<String> {
    let Dependency { from, to, for_tests } = dependency;
    let fine = if to == FOR_TESTS {
        *for_tests
    } else if to.starts_with("mainstay-") {
        allowed(from).is_none_or(|allowed| allowed.contains(&to.as_str()))
    } else if from == "mainstay-domain" {
        !NOT_IN_DOMAIN.contains(&to.as_str())
    } else {
        to != "sqlx" || from == "mainstay-store"
    };
    (!fine).then(|| format!("{from} may not depend on {to}"))
}

fn allowed(from: &str) -> Option<&'static [&'static str]> {
    ARROWS.iter().find(|(name, _)| *name == from).map(|(_, allowed)| *allowed)
}

/// The dependencies of our crates as cargo reads the manifests.
fn dependencies() -> Vec<Dependency> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let found: Vec<Dependency> = packages
        .iter()
        .flat_map(|package| package["dependencies"].as_array().into_iter().flatten().map(move |to| (package, to)))
        .map(|(package, to)| Dependency {
            from: package["name"].as_str().expect("a name").to_owned(),
            to: to["name"].as_str().expect("a name").to_owned(),
            for_tests: to["kind"] == "dev",
        })
        .collect();
    assert!(found.len() > 20, "the manifests were not read");
    found
}

#[test]
fn only_the_store_speaks_sql() {
    let outside = rust_files().into_iter().filter(|file| !file.path.starts_with("crates/store/"));
    // This file has bad samples.
    let outside = outside.filter(|file| file.path != "crates/server/tests/it/architecture.rs");
    // The tests of processes look at the database as its administrator would, through psql.
    let through_psql = [
        "crates/server/tests/it/process/",
        "crates/server/tests/it/job_crash.rs",
        "crates/server/tests/it/audit.rs",
        "crates/server/tests/it/inbox/batches.rs",
        "crates/server/tests/it/preflight.rs",
        "crates/server/tests/it/trail.rs",
        "crates/server/tests/it/people",
    ];
    let outside = outside.filter(|file| !through_psql.iter().any(|path| file.path.starts_with(path)));
    assert_none(outside.flat_map(|file| sql_in(&file)));
}

#[test]
fn sql_is_caught() {
    let found = |text: &str| sql_in(&sample("crates/server/src/x.rs", text));
    let bad = [
        r#"query("SELECT id, name FROM person WHERE id = $1")"#,
        r#"query("select id from person")"#,
        "query(r\"\n  insert into person\n values (1)\")",
        r#"query("WITH x AS (SELECT 1) UPDATE person SET name = x.name")"#,
        r#"query("delete from person")"#,
        r#"query("create table person (id uuid)")"#,
        r#"query("DROP INDEX person_by_name")"#,
        r#"query("pragma data_version")"#,
        "use sqlx::Row;",
    ];
    for text in bad {
        assert_eq!(found(text).len(), 1, "{text}");
    }
    let good = [
        "// SELECT a FROM b",
        r#""Select a plan from the list""#,
        r#""<select id=from>""#,
        r#""the update was set aside""#,
        "let sqlx_free = true;",
    ];
    for text in good {
        assert_eq!(found(text), [""; 0], "{text}");
    }
    assert_eq!(found("\n\n\"delete from x\""), ["crates/server/src/x.rs:3: SQL outside the store: delete from x"]);
}

fn sql_in(file: &File) -> Vec<String> {
    let told = |line: usize, text: &str| {
        let start: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(60).collect();
        format!("{}:{line}: SQL outside the store: {start}", file.path)
    };
    let pieces = pieces(&file.text);
    let wrong = pieces.iter().filter(|piece| match piece.kind {
        Kind::Text => is_sql(piece.text),
        Kind::Code => piece.text.contains("sqlx::"),
        Kind::Comment => false,
    });
    wrong.map(|piece| told(piece.line, piece.text)).collect()
}

/// Whether a text reads as a statement: keywords in capitals anywhere, or in small letters at its start. A capital
/// and small letters are a sentence.
fn is_sql(text: &str) -> bool {
    let statements = [
        ("select ", " from "),
        ("insert into ", ""),
        ("update ", " set "),
        ("delete from ", ""),
        ("create table ", ""),
        ("create index ", ""),
        ("create unique index ", ""),
        ("alter table ", ""),
        ("drop table ", ""),
        ("drop index ", ""),
        ("pragma ", ""),
        ("begin immediate", ""),
    ];
    let text = format!("{} ", text.split_whitespace().collect::<Vec<_>>().join(" "));
    let capitals = |(first, then): &(&str, &str)| {
        text.split_once(&first.to_uppercase())
            .is_some_and(|(_, rest)| format!(" {rest}").contains(&then.to_uppercase()))
    };
    let small = |(first, then): &(&str, &str)| text.strip_prefix(first).is_some_and(|rest| rest.contains(then));
    statements.iter().any(|statement| capitals(statement) || small(statement))
}

#[test]
fn files_are_short() {
    assert_none(files().iter().filter_map(too_long));
}

#[test]
fn a_long_file_is_caught() {
    let long = "x\n".repeat(LONGEST + 1);
    assert!(too_long(&sample("crates/server/src/x.rs", &long)).is_some());
    assert!(too_long(&sample("crates/server/src/console/x.js", &long)).is_some());
    assert!(too_long(&sample("crates/server/src/x.rs", &long[2..])).is_none());
    assert!(too_long(&sample("crates/server/src/x.rs", &format!("// Generated by x.\n{long}"))).is_none());
    assert!(too_long(&sample("Cargo.lock", &long)).is_none());
}

fn too_long(file: &File) -> Option<String> {
    let source = ["rs", "js", "css", "html", "lua", "sh"].contains(&file.extension()) || file.path == ".ci/run";
    let generated = file.text.lines().next().is_some_and(|first| first.to_lowercase().contains("generated"));
    let lines = file.text.lines().count();
    (source && !generated && lines > LONGEST).then(|| format!("{} has {lines} lines", file.path))
}

#[test]
fn background_work_clocks_and_chance_have_one_place() {
    assert_none(rust_files().iter().flat_map(unnamed_work));
}

#[test]
fn unnamed_work_is_caught() {
    let found = |path: &str, text: &str| unnamed_work(&sample(path, text)).len();
    let spawn = "fn f() { tokio::task::spawn(async {}); }";
    let waived = "#[expect(clippy::disallowed_methods, reason = \"hurry\")]";
    assert_eq!(found("crates/server/src/http/x.rs", spawn), 1);
    assert_eq!(found("crates/server/src/http/x.rs", waived), 1);
    assert_eq!(found("crates/server/src/lifecycle.rs", spawn), 0);
    assert_eq!(found("crates/server/src/lifecycle/signals.rs", waived), 0);
    assert_eq!(found("crates/server/src/outside.rs", waived), 0);
    assert_eq!(found("crates/server/src/http/tests.rs", spawn), 0);
    assert_eq!(found("crates/server/src/http/x.rs", &format!("#[cfg(test)]\nmod tests {{\n{spawn}\n}}")), 0);
    assert_eq!(found("crates/server/src/http/x.rs", &format!("// {spawn}")), 0);
}

/// Tasks and threads that are started without a name, and waivers of the lint that bans clocks and chance.
fn unnamed_work(file: &File) -> Vec<String> {
    let places = ["crates/server/src/lifecycle", "crates/server/src/outside.rs"];
    if file.is_test() || places.iter().any(|place| file.path.starts_with(place)) {
        return Vec::new();
    }
    let text = file.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = pieces(text).into_iter().filter(|piece| piece.kind == Kind::Code);
    let wrong = ["tokio::spawn(", "task::spawn(", "spawn_local(", "thread::spawn(", "clippy::disallowed_methods"];
    code.flat_map(|piece| wrong.into_iter().filter(move |part| piece.text.contains(part)))
        .map(|part| format!("{}: {part} belongs in lifecycle or outside", file.path))
        .collect()
}

#[test]
fn the_tree_speaks_of_the_product_alone() {
    assert_none(files().iter().flat_map(out_of_place));
}

#[test]
fn a_word_out_of_place_is_caught() {
    for word in forbidden() {
        assert_eq!(out_of_place(&sample("README.md", &format!("one\nsee {word}x"))).len(), 1, "{word}");
    }
    assert!(out_of_place(&sample("README.md", "This work is done in workers; the agent works.")).is_empty());
}

/// Paths of one machine and notes of how the tree came about, put together here so that this file has none.
fn forbidden() -> Vec<String> {
    let parts = [
        ["/", "work/"],
        ["/", "farm/"],
        ["/tmp/", "wt"],
        ["/tmp/", "target"],
        ["sub", "agent"],
        ["sub-", "agent"],
        ["before", "-stop"],
        ["co-", "authored-by"],
        ["house", ".md"],
        ["as an ", "ai language"],
    ];
    parts.iter().map(|parts| parts.concat()).collect()
}

fn out_of_place(file: &File) -> Vec<String> {
    let words = forbidden();
    let lines = file.text.lines().enumerate();
    lines
        .filter_map(|(number, line)| {
            let small = line.to_lowercase();
            let word = words.iter().find(|word| small.contains(word.as_str()))?;
            Some(format!("{}:{}: {word}", file.path, number + 1))
        })
        .collect()
}

fn rust_files() -> Vec<File> {
    files().into_iter().filter(|file| file.extension() == "rs").collect()
}

fn sample(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

/// Fails with every finding, one on each line.
fn assert_none(found: impl IntoIterator<Item = String>) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Two types with one name are one schema of the OpenAPI document, which then describes only one of them.
#[test]
fn no_two_schemas_of_the_document_have_one_name() {
    let mut seen = std::collections::BTreeMap::new();
    let sources: Vec<_> = rust_files().into_iter().filter(|file| file.path.starts_with("crates/server/src/")).collect();
    for (name, path) in sources.iter().flat_map(|file| schemas_in(file).map(|name| (name, &file.path))) {
        let other = seen.insert(name, path);
        assert_eq!(other, None, "{name} of {path} is a schema already");
    }
    assert!(seen.len() > 50, "the schemas were not found");
}

/// The names under which the types of a file stand in the document.
fn schemas_in(file: &File) -> impl Iterator<Item = &str> {
    let types = file
        .text
        .split("#[derive(")
        .filter(|rest| rest.split(')').next().is_some_and(|list| list.contains("ToSchema")));
    types.filter_map(|rest| {
        let head = rest.split_once("\npub struct ").or_else(|| rest.split_once("\npub enum "))?;
        let name = head.1.split(|letter: char| !letter.is_alphanumeric()).next()?;
        let renamed = head.0.split_once("schema(as = ").and_then(|(_, rest)| rest.split(')').next());
        Some(renamed.unwrap_or(name))
    })
}

#[test]
fn schemas_are_found_under_their_names() {
    let text = "#[derive(Serialize, ToSchema)]\npub struct OneBody {}\n#[derive(ToSchema)]\n#[schema(as = Two)]\npub enum Body {}\n#[derive(Debug)]\npub struct Other;";
    assert_eq!(schemas_in(&sample("x.rs", text)).collect::<Vec<_>>(), ["OneBody", "Two"]);
}
