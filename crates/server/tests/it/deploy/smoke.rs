//! The smoke check by itself.

use mainstay_testing::Program;
use serde_json::{Value, json};

use crate::support::binary::{Installation, MAINSTAY};

/// An address at which nobody listens.
const DEAF: &str = "http://127.0.0.1:9";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_looked_at_from_outside_and_must_be_what_was_deployed() {
    let installation = Installation::new();
    installation.people(1).await;
    installation.write("password", "password of writer 0\n");
    installation.write("wrong", "not the password\n");
    let server = installation.serve().await;
    let told = installation.run(&["deploy", "build"]).await;
    let part =
        |name: &str| told.text.lines().find_map(|line| line.strip_prefix(name)).expect("a line").trim().to_owned();
    let (version, bare) = (part("version"), part("digest"));
    let digest = format!("sha256:{bare}");
    let smoke = async |further: &[&str]| {
        let words = [&["smoke", "--url", server.address.as_str(), "--timeout-seconds", "5"], further].concat();
        installation.run(&words).await
    };
    let person = ["--email", "writer0@example.com", "--password-file"];
    let all = [&["--expect-digest", &digest, "--expect-version", &version], &person[..], &["password"]].concat();
    let done = smoke(&all).await;
    done.says(0, &["good     smoke.build", "good     smoke.turn", "good     smoke.headers", "It serves."]);
    let list = installation.run(&["token", "--email", "writer0@example.com"]).await;
    let conversations = server.get("/v1/conversations", list.text.trim()).await;
    assert_eq!(conversations["data"], json!([]), "what was said is taken away again");

    smoke(&["--expect-version", "0.0.1"]).await.says(1, &["FAILED   smoke.build", "version 0.0.1 was expected"]);
    let other = "0".repeat(64);
    smoke(&["--expect-digest", &other]).await.says(1, &["FAILED   smoke.build", "It must not stay."]);
    smoke(&[&person[..], &["wrong"]].concat()).await.says(1, &["FAILED   smoke.turn"]);
    let ready = smoke(&["--only", "smoke.ready"]).await;
    assert!(!ready.says(0, &["good     smoke.ready"]).text.contains("smoke.page"), "{}", ready.text);
    smoke(&["--only", "smoke.rabbit"]).await.says(2, &["is none of smoke.alive"]);
    smoke(&["--expect-digest", "abc"]).await.says(2, &["64 hexadecimal digits"]);

    let report = smoke(&["--form", "json"]).await;
    let report: Value = serde_json::from_str(&report.says(0, &[]).text).expect("JSON");
    assert_eq!((&report["passed"], &report["digest"]), (&json!(true), &json!(bare)));
    let verdict =
        |id: &str| report["checks"].as_array()?.iter().find(|one| one["id"] == id).map(|one| one["verdict"].clone());
    assert_eq!(verdict("smoke.closed"), Some(json!("pass")));
    assert_eq!(verdict("smoke.turn"), Some(json!("not_applicable")));
    assert_eq!(server.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_not_asked_further() {
    // It needs no settings: those that are wrong do not matter.
    let program = Program::new(MAINSTAY).args(["smoke", "--url", DEAF, "--timeout-seconds", "0"]);
    let process = program.env("MAINSTAY_HTTP__NONSENSE", "1").start().expect("it starts");
    let code = process.wait(crate::support::binary::PATIENCE).await.expect("it ends").code();
    let said = process.lines().join("\n");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAILED   smoke.alive") && !said.contains("smoke.ready"), "{said}");
}
