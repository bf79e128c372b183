//! Preflight: what refuses a deployment, and what does not.

use mainstay_testing::postgres::Cluster;
use serde_json::Value;

use crate::support::binary::Installation;

/// What was found, by its name.
async fn verdicts(installation: &Installation, further: &[&str]) -> (Option<i32>, Value) {
    let done = installation.run(&[&["preflight", "--form", "json"], further].concat()).await;
    let report: Value = serde_json::from_str(&done.text).unwrap_or_else(|error| panic!("{error}: {}", done.text));
    let findings = report["findings"].as_array().expect("findings").iter();
    let verdicts = findings.map(|one| (one["id"].as_str().expect("a name").to_owned(), one["verdict"].clone()));
    (done.code, Value::Object(verdicts.collect()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_laptop_may_deploy_and_nobody_without_a_database() {
    let installation = Installation::new();
    installation.run(&["migrate", "up"]).await.says(0, &[]);
    installation.run(&["preflight"]).await.says(0, &["It may be deployed", "good", "preflight.database"]);
    let (code, seen) = verdicts(&installation, &[]).await;
    assert_eq!((code, &seen["preflight.build"]), (Some(0), &Value::from("not_applicable")));

    // Few files: a server with these settings would refuse people.
    let few = Installation::new().through(&["prlimit", "--nofile=512:512"]);
    few.run(&["migrate", "up"]).await.says(0, &[]);
    few.run(&["preflight"]).await.says(1, &["REFUSED  preflight.open_files", "LimitNOFILE"]);

    let away = Installation::new().on("postgres://nobody@127.0.0.1:9/none");
    let (code, seen) = verdicts(&away, &[]).await;
    assert_eq!((code, &seen["preflight.database"]), (Some(1), &Value::from("fail")));
    assert_eq!(seen["preflight.schema"], "unknown");

    let redis = Installation::new().with("REDIS_URL", "redis://127.0.0.1:9/");
    redis.run(&["migrate", "up"]).await.says(0, &[]);
    let (code, seen) = verdicts(&redis, &[]).await;
    assert_eq!((code, &seen["preflight.redis"]), (Some(1), &Value::from("fail")));

    let provider =
        Installation::new().with("OPENAI_API_KEY", "a-key-of-nobody").with("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    provider.run(&["migrate", "up"]).await.says(0, &[]);
    provider.run(&["preflight"]).await.says(1, &["REFUSED  preflight.providers", "127.0.0.1:9"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_needs_a_backup_a_tested_build_and_a_schema_that_it_knows() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    let backups = tempfile::tempdir().expect("a folder");
    let installation =
        Installation::new().on(&database.url).with("MAINSTAY_BACKUP__TO", &backups.path().display().to_string());
    let (_, seen) = verdicts(&installation, &[]).await;
    assert_eq!(seen["preflight.migrations"], "pass", "all are pending, and none is a risk: {seen}");
    installation.run(&["migrate", "up"]).await.says(0, &[]);
    let (code, seen) = verdicts(&installation, &[]).await;
    assert_eq!(code, Some(1));
    for (id, wanted) in [
        ("preflight.database", "pass"),
        ("preflight.schema", "pass"),
        ("preflight.migrations", "pass"),
        ("preflight.connections", "pass"),
        ("preflight.clock", "pass"),
        ("preflight.backup", "fail"),
        ("preflight.drill", "fail"),
        ("preflight.build", "fail"),
    ] {
        assert_eq!(seen[id], wanted, "{id}: {seen}");
    }
    installation.run(&["backup", "make"]).await.says(0, &[]);
    installation.run(&["restore", "--verify"]).await.says(0, &[]);
    let evidence = ["--evidence", "evidence"];
    let passed = async |stage| installation.run(&["preflight", "--passed", stage, "--evidence", "evidence"]).await;
    passed("tests").await.says(0, &["has passed tests"]);
    passed("lunch").await.says(1, &["no stage"]);
    let (code, seen) = verdicts(&installation, &evidence).await;
    assert_eq!((code, &seen["preflight.build"]), (Some(1), &Value::from("fail")), "staging is missing");
    passed("staging").await.says(0, &[]);
    let (code, seen) = verdicts(&installation, &evidence).await;
    assert_eq!((code, &seen["preflight.drill"]), (Some(0), &Value::from("pass")), "{seen}");

    // More connections than there are.
    let crowd = Installation::new().on(&database.url).with("MAINSTAY_DATABASE__NODES", "100");
    assert_eq!(verdicts(&crowd, &[]).await.1["preflight.connections"], "fail");
    // A migration that only a newer program knows.
    database.psql("UPDATE schema_migration SET version = 9999 WHERE version = 14").expect("changed");
    let (code, seen) = verdicts(&installation, &evidence).await;
    assert_eq!((code, &seen["preflight.schema"]), (Some(1), &Value::from("fail")));
}
