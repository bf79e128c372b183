//! `mainstay jobs`, beside a server that runs on the same file.

use serde_json::Value;

use crate::support::binary::Installation;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_lists_steers_and_proves() {
    let installation = Installation::new();
    // Without a server nobody works: what is promised waits.
    installation.run(&["jobs", "list"]).await.says(0, &["There are no such jobs."]);
    installation.run(&["jobs", "queues"]).await.says(0, &["There are no queues"]);
    installation.run(&["jobs", "probe", "--key", "early"]).await.says(0, &["1 probes are promised: probe/early/"]);
    let waits = ["jobs", "probe", "--key", "early", "--wait", "--seconds", "0"];
    installation.run(&waits).await.says(1, &["Of 1 probes 0 took effect once", "1 not within 0 s"]);
    installation.run(&["jobs", "list", "--state", "ready"]).await.says(0, &["STATE", "ready", "probes", "0/20", "due"]);

    let server = installation.serve().await;
    let proof = ["jobs", "probe", "--count", "1200", "--failures", "1", "--wait"];
    installation.run(&proof).await.says(0, &["1200 probes took effect exactly once"]);
    installation.run(&["jobs", "queues"]).await.says(0, &["QUEUE", "probes", "0 were given up"]);
    installation.run(&["jobs", "pause", "none"]).await.says(1, &["There is no queue none."]);
    installation.run(&["jobs", "pause", "probes"]).await.says(0, &["probes is paused"]);
    installation.run(&["jobs", "queues"]).await.says(0, &["paused"]);
    installation.run(&["jobs", "probe", "--count", "3"]).await.says(0, &["3 probes are promised"]);
    let list = installation.run(&["jobs", "list", "--state", "ready", "--json"]).await;
    let list: Value = serde_json::from_str(&list.says(0, &[]).text).expect("JSON");
    let ids: Vec<&str> = list.as_array().expect("jobs").iter().filter_map(|job| job["id"].as_str()).collect();
    assert_eq!(ids.len(), 3, "{list}");
    installation.run(&["jobs", "replay", ids[0]]).await.says(1, &["Only a job that has ended"]);
    for id in &ids {
        installation.run(&["jobs", "cancel", id]).await.says(0, &["is cancelled."]);
    }
    installation.run(&["jobs", "cancel", ids[0]]).await.says(1, &["it is cancelled"]);
    installation.run(&["jobs", "show", ids[0]]).await.says(0, &["state          cancelled", "No attempt has failed."]);
    installation.run(&["jobs", "resume", "probes"]).await.says(0, &["probes goes on."]);
    installation.run(&["jobs", "replay", ids[0]]).await.says(0, &["begins anew."]);
    let kind = ["jobs", "replay", "--state", "cancelled", "--kind", "probe"];
    installation.run(&kind).await.says(0, &["2 jobs begin anew."]);
    installation.run(&kind).await.says(0, &["0 jobs begin anew."]);
    installation.run(&["jobs", "replay", "--kind", "probe"]).await.says(2, &["--state"]);
    installation.run(&["jobs", "replay", "--state", "done"]).await.says(1, &["dead or cancelled"]);
    installation.run(&["jobs", "list", "--state", "lost"]).await.says(2, &["scheduled, ready, running"]);
    installation.run(&["jobs", "list", "--limit", "2"]).await.says(0, &["these are the newest 2"]);

    // A job that failed is told attempt by attempt.
    installation.run(&["jobs", "probe", "--key", "told", "--failures", "1", "--wait"]).await.says(0, &["exactly once"]);
    let list = installation.run(&["jobs", "list", "--limit", "1", "--json"]).await;
    let list: Value = serde_json::from_str(&list.says(0, &[]).text).expect("JSON");
    let id = list[0]["id"].as_str().expect("an id");
    let words = ["probe/told/0", "attempt 1 failed", "attempt 1 was told to fail", "2 of 20"];
    installation.run(&["jobs", "show", id]).await.says(0, &words);
    let life = installation.run(&["jobs", "show", id, "--json"]).await;
    let life: Value = serde_json::from_str(&life.says(0, &[]).text).expect("JSON");
    assert_eq!(life["attempts"][0]["outcome"], "failed", "{life}");
    installation.run(&["jobs", "show", "01a1ff20-0000-7000-8000-000000000001"]).await.says(1, &["no such job"]);
    server.stop().await;
}
