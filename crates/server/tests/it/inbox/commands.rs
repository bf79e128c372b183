//! `mainstay inbox`, beside a server that runs on the same file.

use serde_json::{Value, json};

use super::{tag, text};
use crate::support::binary::{Installation, Instance};

const SECRET: &str = "a-secret";

async fn arrive(server: &Instance, path: &str, body: Value) {
    let body = body.to_string();
    let signature = tag(ring::hmac::HMAC_SHA256, SECRET, &[&body]);
    let request = server.request("POST", path, "").header("x-fs-signature", signature).body(body);
    assert_eq!(request.send().await.expect("an answer").status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_lists_shows_steers() {
    let installation = Installation::new();
    let token = installation.people(1).await.remove(0);
    installation.run(&["inbox", "list"]).await.says(0, &["There are no such events."]);
    let server = installation.serve().await;
    let organisation = text(&server.get("/v1/me", &token).await["organisation"]["id"]);
    let of = ["--organisation", organisation.as_str()];
    let run = async |arguments: &[&str]| installation.run(&[&["inbox"], arguments, &of].concat()).await;
    let read = async |arguments: &[&str]| -> Value {
        serde_json::from_str(&run(arguments).await.says(0, &[]).text).expect("JSON")
    };
    let body = json!({"name": "Calls", "provider": "fastspring", "secrets": [SECRET]});
    let made = server.send("POST", "/v1/inbox-sources", &token, Some(body)).await.expect("an answer").expect(201);
    let path = super::path_of(&made);

    // What waits is cancelled, and what was cancelled is begun anew.
    installation.run(&["jobs", "pause", "inbox"]).await.says(0, &[]);
    for kind in ["order.completed", "return.created"] {
        let event = json!({"id": kind, "type": kind, "created": 1_764_300_000_000_i64, "data": {"note": "\u{1b}[2J"}});
        arrive(&server, &path, json!({"events": [event]})).await;
    }
    run(&["list"]).await.says(0, &["STATE", "pending", "fastspring", "order.completed", "return.created"]);
    run(&["list", "--limit", "1"]).await.says(0, &["these are the newest 1"]);
    let pending = read(&["list", "--state", "pending", "--kind", "order.completed", "--json"]).await;
    assert_eq!(pending.as_array().map(Vec::len), Some(1), "{pending}");
    let id = text(&pending[0]["id"]);
    run(&["replay", &id]).await.says(1, &["has not been processed a first time"]);
    run(&["cancel", &id]).await.says(0, &["is cancelled."]);
    run(&["cancel", &id]).await.says(1, &["this one is cancelled"]);
    let shown = run(&["show", &id]).await;
    shown
        .says(0, &["state          cancelled", "kind           order.completed", "No attempt has failed.", "It says:"]);
    assert!(!shown.text.contains('\u{1b}'), "what was sent moves no cursor");
    let whole = read(&["show", &id, "--json"]).await;
    assert_eq!((&whole["job"]["state"], &whole["payload"]["type"]), (&json!("cancelled"), &json!("order.completed")));
    run(&["replay", &id]).await.says(0, &["is processed again."]);
    installation.run(&["jobs", "resume", "inbox"]).await.says(0, &[]);
    // Only an event of the organisation is shown, and steered.
    installation.run(&["inbox", "show", &id]).await.says(1, &["no such event"]);
    installation.run(&["inbox", "cancel", &id]).await.says(1, &["no such event"]);
    run(&["replay", "--state", "dead"]).await.says(0, &["0 events are processed again."]);
    run(&["replay", &id, "--state", "dead"]).await.says(2, &["--state"]);
    server.stop().await;
}
