//! `mainstay deliveries`, beside a server that runs on the same file.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::PATIENCE;
use crate::support::binary::{Installation, Instance};
use crate::support::receiver::{Answering, Receiver};
use crate::support::text;

/// Waits until there are so many deliveries in a state.
async fn until(server: &Instance, token: &str, state: &str, count: usize) {
    let end = Instant::now() + PATIENCE;
    while server.list("/v1/webhook-deliveries", token, 100).await.iter().filter(|one| one["state"] == state).count()
        != count
    {
        assert!(Instant::now() < end, "there are never {count} {state}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_lists_shows_steers() {
    let installation = Installation::new()
        .with("MAINSTAY_DELIVERIES__ALLOW_HTTP", "true")
        .with("MAINSTAY_DELIVERIES__ALLOW_PRIVATE", r#"["127.0.0.2/32"]"#)
        .with("MAINSTAY_DELIVERIES__RETRY_SECONDS", r#"["3600"]"#);
    let token = installation.people(1).await.remove(0);
    let (server, receiver) = (installation.serve().await, Receiver::start().await);
    let organisation = text(&server.get("/v1/me", &token).await["organisation"]["id"]);
    let of = ["--organisation", organisation.as_str()];
    let run = async |arguments: &[&str]| installation.run(&[&["deliveries"], arguments, &of].concat()).await;
    let read = async |arguments: &[&str]| -> Value {
        serde_json::from_str(&run(arguments).await.says(0, &[]).text).expect("JSON")
    };
    let post = async |path: &str, body: Value| server.send("POST", path, &token, Some(body)).await.expect("an answer");
    run(&["list"]).await.says(0, &["There are no such deliveries."]);
    run(&["endpoints"]).await.says(0, &["There are no endpoints."]);
    let made = post("/v1/webhook-endpoints", json!({"url": receiver.url()})).await.expect(201);
    let endpoint = text(&made["id"]);
    receiver.script([Answering::status(500)]);
    for number in 0..2 {
        post("/v1/webhook-events", json!({"type": "a.b", "data": {"n": number}})).await.expect(201);
        receiver.until(number + 1).await;
    }
    until(&server, &token, "delivered", 1).await;
    run(&["list"]).await.says(0, &["STATE", "pending", "delivered", "a.b", "500", "200", "due in"]);
    run(&["list", "--limit", "1"]).await.says(0, &["these are the newest 1"]);
    run(&["endpoints"]).await.says(0, &["PENDING", &receiver.url(), "well"]);
    assert!(!run(&["endpoints", "--json"]).await.text.contains("secret\""), "a secret is shown once");

    // What waits is given up, and delivered again.
    let waits = read(&["list", "--state", "pending", "--type", "a.b", "--endpoint", &endpoint, "--json"]).await;
    assert_eq!(waits.as_array().map(Vec::len), Some(1), "{waits}");
    let id = text(&waits[0]["id"]);
    run(&["show", &id])
        .await
        .says(0, &["state          pending", "attempt 1", "answered 500", "understood", r#""n":0"#]);
    run(&["cancel", &id]).await.says(0, &["is cancelled."]);
    run(&["cancel", &id]).await.says(1, &["this one is cancelled"]);
    let whole = read(&["show", &id, "--json"]).await;
    assert_eq!((&whole["state"], &whole["log"][0]["status"]), (&json!("cancelled"), &json!(500)));
    run(&["replay", &id]).await.says(0, &["is delivered again, as "]);
    assert_eq!(receiver.until(3).await[2].json()["data"]["n"], 0);
    // And a range: all of it, or what was missed, which is nothing.
    let since = ["replay", "--endpoint", &endpoint, "--since", "2020-01-01T00:00:00Z"];
    run(&[&since[..], &["--all"]].concat()).await.says(0, &["soon in the list"]);
    receiver.until(5).await;
    until(&server, &token, "delivered", 4).await;
    run(&[&since[..], &["--until", "2019-01-01T00:00:00Z"]].concat()).await.says(1, &["since"]);
    run(&["replay", "--endpoint", &endpoint]).await.says(2, &["--since"]);
    run(&["replay"]).await.says(2, &["--endpoint"]);
    run(&["replay", &id, "--since", "yesterday"]).await.says(2, &["--since"]);
    // Only a delivery of the organisation is shown, and steered.
    let nobody = ["--organisation", "01a1ff20-0000-7000-8000-000000000001"];
    installation
        .run(&[&["deliveries", "show", id.as_str()], &nobody[..]].concat())
        .await
        .says(1, &["no such delivery"]);
    installation.run(&["deliveries", "list"]).await.says(2, &["--organisation"]);
    server.stop().await;
}
