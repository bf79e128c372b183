//! `mainstay ops`, beside a server that runs on the same file.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::binary::Installation;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_sets_lists_and_clears() {
    let installation = Installation::new();
    installation.run(&["ops", "list"]).await.says(0, &["Nothing is set."]);
    installation.run(&["ops", "changes"]).await.says(0, &["Nothing was ever set."]);
    let words = ["limits.messages.percent", "1 to 1000 per cent", "sign_up", "jobs.probes", "Nobody makes an account"];
    installation.run(&["ops", "names"]).await.says(0, &words);
    installation.run(&["ops", "set", "sign_up", "off"]).await.says(2, &["--reason"]);
    let reason = ["--reason", "bots sign up"];
    let set = |more: &[&'static str]| [&["ops", "set"], more, &reason].concat();
    installation.run(&set(&["sign_up", "on"])).await.says(1, &["value: ", "clear it"]);
    installation.run(&set(&["nothing", "off"])).await.says(1, &["name: ", "limits.percent, "]);
    installation.run(&set(&["sign_up", "off", "--for", "8d"])).await.says(2, &["seven days"]);
    installation.run(&set(&["sign_up", "off", "--for", "soon"])).await.says(2, &["90s, 30m, 2h or 7d"]);

    // What is set before the start holds from the first request on.
    installation.run(&set(&["sign_up", "off", "--by", "ada"])).await.says(0, &["sign_up is off until", "(in 59 min)"]);
    let server = installation.serve().await;
    let body =
        |name: &str| json!({"email": format!("{name}@example.com"), "password": "a long password", "name": name});
    let sign_up =
        async |name: &str| server.send("POST", "/v1/auth/sign-up", "", Some(body(name))).await.expect("an answer");
    sign_up("bob").await.refused(503, "switched_off");
    let set_beside = [&set(&["sync.interval", "120", "--for", "30m"])[..], &["--by", "eve"]].concat();
    installation.run(&set_beside).await.says(0, &["sync.interval is 120"]);
    let heard = Duration::from_secs(5);
    server.process.wait_for_line("sync.interval = 120", heard).await.expect("it is heard within five seconds");
    let list =
        ["NAME", "sign_up", "off", "command line (ada)", "sync.interval", "120", "command line (eve)", "bots sign up"];
    installation.run(&["ops", "list"]).await.says(0, &list);
    let all = installation.run(&["ops", "list", "--json"]).await;
    let all: Value = serde_json::from_str(&all.says(0, &[]).text).expect("JSON");
    assert_eq!((&all[0]["name"], &all[0]["author_id"]), (&json!("sign_up"), &Value::Null), "{all}");

    installation.run(&["ops", "clear", "sign_up", "--reason", "they are gone"]).await.says(0, &["sign_up is cleared."]);
    installation.run(&["ops", "clear", "sign_up", "--reason", "once more"]).await.says(1, &["sign_up is not set"]);
    server.process.wait_for_line("set=\"sync.interval = 120\"", heard).await.expect("it is heard within five seconds");
    sign_up("bob").await.expect(201);
    let changes = installation.run(&["ops", "changes"]).await;
    changes.says(0, &["not set", "cleared", "they are gone", "command line (ada)"]);
    installation.run(&["ops", "changes", "--limit", "1"]).await.says(0, &["these are the newest 1"]);
    server.stop().await;
}
