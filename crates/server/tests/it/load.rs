//! `mainstay load` against the real server, both as processes.

use serde_json::Value;

use crate::support::binary::Installation;

fn installation() -> Installation {
    Installation::new().with("MAINSTAY_PROVIDERS__ORDER", "offline")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_made_and_chat_and_all_of_it_is_reported() {
    let installation = installation();
    let server = installation.serve().await;
    let short = ["--per-minute", "120", "--ramp-up", "1", "--steady", "3", "--ramp-down", "1"];
    let mut arguments = vec!["load", "--profile", "chat", "--users", "5", "--url", &server.address];
    arguments.extend(short.iter().chain(&["--errors", "0", "--p99-ms", "30000", "--report", "report"]));
    // A second run takes the same people.
    for _ in 0..2 {
        installation.run(&arguments).await.says(0, &["5 users, profile chat", "| message", "good: errors: 0 wanted"]);
    }
    let read = |name: &str| std::fs::read_to_string(installation.folder().join("report").join(name)).expect("a report");
    let report: Value = serde_json::from_str(&read("report.json")).expect("JSON");
    assert!(report["operations"][0]["count"].as_u64() > Some(0), "{report}");
    assert!(report["server"]["memory_most"].as_u64() > Some(1_000_000), "the server was found: {report}");
    assert!(read("report.html").contains("<svg") && read("report.txt").contains("profile chat"));
    // A threshold that no server keeps.
    let fails = arguments.iter().map(|word| if *word == "30000" { "0" } else { word }).collect::<Vec<_>>();
    installation.run(&fails).await.says(1, &["NOT GOOD: p99 of requests"]);
    assert_eq!(server.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_run_is_said_at_once() {
    let installation = installation();
    let elsewhere = ["load", "--url", "http://192.0.2.1", "--users", "3"];
    installation.run(&elsewhere).await.says(1, &["192.0.2.1", "--i-own-this-server"]);
    assert!(!installation.folder().join("data").exists(), "nobody was made");
    installation.run(&["load", "--tokens", "nothing.txt"]).await.says(1, &["nothing.txt"]);
    installation.write("tokens.txt", "abc,gold\n");
    installation.run(&["load", "--tokens", "tokens.txt"]).await.says(1, &["line 1 of the tokens", "gold"]);
}
