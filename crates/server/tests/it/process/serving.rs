//! Starting and stopping `serve`.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::binary::{Events, Installation, Instance, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn it_greets_and_is_ready_at_once() {
    let installation = Installation::new();
    let first = installation.serve().await;
    let said = first.process.lines().join("\n");
    let address = format!("Mainstay serves on {}", first.address);
    for words in [
        address.as_str(),
        "SQLite, data/mainstay.db",
        "replies    offline",
        "Open the address in a browser and sign up.",
        "ANTHROPIC_API_KEY",
        "Stop it with Ctrl-C.",
    ] {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    assert_eq!(first.stop().await, Some(0));
    // The quickest of three: other tests run beside this one. In a release build it is a second.
    let bound = Duration::from_secs(if cfg!(debug_assertions) { 3 } else { 1 });
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let again = installation.serve().await;
        quickest = quickest.min(again.ready_after);
        again.process.kill();
        again.process.wait(PATIENCE).await.expect("SIGKILL ends it");
    }
    assert!(quickest < bound, "ready after {quickest:?} at best");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_file_is_refused() {
    let installation = Installation::new();
    let first = installation.serve().await;
    let refused = installation.run(&["serve"]).await;
    refused.says(1, &["Another mainstay serves from data/mainstay.db already. Stop it first", "DATABASE_URL=sqlite:"]);
    first.get("/readyz", "").await;
    // Whoever is killed leaves no lock behind.
    first.process.kill();
    first.process.wait(PATIENCE).await.expect("SIGKILL ends it");
    installation.serve().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let refused = Installation::new().with("PORT", &port).run(&[]).await;
    refused.says(1, &[&format!("The address 127.0.0.1:{port} cannot be listened on"), "Something else listens there"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_wrong_with_the_settings_is_said_at_once() {
    let installation = Installation::new()
        .with("PORT", "ninety")
        .with("DATABASE_URL", "mysql://host/name")
        .with("MAINSTAY_HTTP__ALLOWED_ORIGINS", "[\"example.com\"]")
        .with("MAINSTAY_HTPP__PORT", "1");
    let refused = installation.run(&[]).await;
    refused.says(1, &["PORT", "ninety", "database.url", "http.allowed_origins", "MAINSTAY_HTPP__PORT"]);
    assert!(!refused.text.contains("panicked"), "{}", refused.text);
    installation.run(&["config", "check"]).await.says(1, &["PORT", "database.url", "http.allowed_origins"]);
    let file = Installation::new();
    file.write("bad.toml", "[http]\nport = 70000\nhots = \"0.0.0.0\"\n[auth]\nsign_ups = \"many\"\n");
    let refused = file.run(&["--config", "bad.toml"]).await;
    refused.says(1, &["bad.toml, line", "hots", "host", "sign_ups"]);
}

/// Waits until nobody can connect any more.
async fn until_closed(server: &Instance) {
    let address = server.address.trim_start_matches("http://").to_owned();
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "the server still takes connections");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The rest of a reply: its text, and what its last event said.
async fn rest(events: &mut Events) -> (String, String, serde_json::Value) {
    let mut text = String::new();
    while let Some((event, data)) = events.next().await.expect("the stream goes on") {
        if event != "token" {
            return (text, event, data);
        }
        text.push_str(data["text"].as_str().expect("a text"));
    }
    panic!("the stream ended without a last event, after {text:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_a_reply_finish() {
    // About six seconds in all: long enough to see the door closed before the end.
    let installation = Installation::new().with("MAINSTAY_PROVIDERS__OFFLINE__WORD_MS", "80");
    let token = installation.people(1).await.remove(0);
    let server = installation.serve().await;
    // A connection that is kept open and does nothing holds nobody up.
    server.get("/v1/me", &token).await;
    let mut events = server.stream(&token, "Are you there?").await;
    let start = events.until("start").await;
    events.until("token").await;
    server.process.terminate();
    until_closed(&server).await;
    assert!(server.process.is_running(), "the reply is still in the making");
    let (_, event, data) = rest(&mut events).await;
    assert_eq!((event.as_str(), data["reply"]["status"].as_str()), ("done", Some("final")), "{data}");
    let exit = server.process.wait(PATIENCE).await.expect("it ends");
    assert_eq!(exit.code(), Some(0), "{:?}", server.process.lines());
    let again = installation.serve().await;
    let path = format!("/v1/generations/{}", start["generation_id"].as_str().expect("an id"));
    let kept = again.get(&path, &token).await;
    assert_eq!(kept["reply"]["content"], data["reply"]["content"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_takes_too_long_is_kept_as_far_as_it_came() {
    let installation = Installation::new()
        .with("MAINSTAY_PROVIDERS__OFFLINE__WORD_MS", "500")
        .with("MAINSTAY_LIFECYCLE__DRAIN_SECONDS", "5");
    let token = installation.people(1).await.remove(0);
    let server = installation.serve().await;
    let mut events = server.stream(&token, "Take your time").await;
    let start = events.until("start").await;
    let first = events.until("token").await["text"].as_str().expect("a text").to_owned();
    let begun = Instant::now();
    server.process.terminate();
    let (more, _, data) = rest(&mut events).await;
    assert_eq!(data["reply"]["status"], "interrupted", "{data}");
    let exit = server.process.wait(PATIENCE).await.expect("it ends");
    assert_eq!(exit.code(), Some(0), "{:?}", server.process.lines());
    // The whole reply would have taken half a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "draining took {:?}", begun.elapsed());
    let again = installation.serve().await;
    let path = format!("/v1/generations/{}", start["generation_id"].as_str().expect("an id"));
    let kept = again.get(&path, &token).await;
    assert_eq!(kept["reply"]["status"], "interrupted");
    assert_eq!(kept["reply"]["error"]["code"], "server_stopped");
    assert_eq!(kept["reply"]["content"], format!("{first}{more}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_was_killed_is_kept_as_far_as_it_was_saved() {
    let installation = Installation::new()
        .with("MAINSTAY_PROVIDERS__OFFLINE__WORD_MS", "50")
        .with("MAINSTAY_ASSISTANT__CHECKPOINT_INTERVAL_MS", "100");
    let token = installation.people(1).await.remove(0);
    let server = installation.serve().await;
    let mut events = server.stream(&token, "Are you there?").await;
    let start = events.until("start").await;
    let mut seen = String::new();
    // Many checkpoints after the first word.
    for _ in 0..30 {
        seen.push_str(events.until("token").await["text"].as_str().expect("a text"));
    }
    server.process.kill();
    server.process.wait(PATIENCE).await.expect("SIGKILL ends it");
    let again = installation.serve().await;
    let path = format!("/v1/generations/{}", start["generation_id"].as_str().expect("an id"));
    let begun = Instant::now();
    let kept = loop {
        let kept = again.get(&path, &token).await;
        if kept["reply"]["status"] != "streaming" {
            break kept;
        }
        assert!(begun.elapsed() < PATIENCE, "{kept}");
        sleep(Duration::from_millis(50)).await;
    };
    let content = kept["reply"]["content"].as_str().expect("a text");
    assert_eq!(kept["reply"]["status"], "interrupted");
    assert!(!content.is_empty() && (seen.starts_with(content) || content.starts_with(&seen)), "{content:?}\n{seen:?}");
    // The conversation goes on.
    let body = json!({"content": "And now?", "conversation_id": start["conversation_id"]});
    let sent = again.send("POST", "/v1/messages", &token, Some(body)).await.expect("an answer").expect(201);
    assert_eq!(sent["reply"]["status"], "final");
}
