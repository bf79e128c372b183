//! `mainstay keys`, beside a server that runs on the same database.

use std::path::Path;
use std::time::Duration;

use mainstay_domain::Clock as _;
use mainstay_server::outside::SystemClock;
use mainstay_store::{RegisterKeyUse, ReleaseKeyUse};
use mainstay_testing::postgres::Cluster;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::call;
use super::crowd::open;
use crate::support::binary::{Installation, Instance, PATIENCE};

/// Short, so that a key can be retired soon after it was replaced.
pub(super) fn installation() -> Installation {
    Installation::new()
        .with("MAINSTAY_KEYS__POLL_MS", "100")
        .with("MAINSTAY_HTTP__REQUEST_TIMEOUT_MS", "2500")
        .with("MAINSTAY_DATABASE__STATEMENT_TIMEOUT_MS", "2000")
        .with("MAINSTAY_DATABASE__ACQUIRE_TIMEOUT_MS", "2000")
        .with("MAINSTAY_JOBS__POLL_MS", "100")
        .with("MAINSTAY_JOBS__RESCUE_AFTER_SECONDS", "2")
}

pub(super) async fn status(installation: &Installation) -> Value {
    let done = installation.run(&["keys", "status", "--json"]).await;
    serde_json::from_str(&done.says(0, &[]).text).expect("JSON")
}

/// Retires a key as soon as nobody can be writing with it any more.
pub(super) async fn retire(installation: &Installation, key: &str) {
    let begun = Instant::now();
    loop {
        let done = installation.run(&["keys", "retire", key]).await;
        if done.code == Some(0) {
            done.says(0, &["is retired"]);
            return;
        }
        done.says(1, &["Try it again"]);
        assert!(begun.elapsed() < PATIENCE, "{}", done.text);
        sleep(Duration::from_millis(200)).await;
    }
}

async fn a_life_of_keys(installation: Installation, url: &str) {
    // Before the first start there is none.
    installation.run(&["keys", "status"]).await.says(0, &["There is no key yet"]);
    installation.run(&["keys", "rotate"]).await.says(1, &["There is no key", "mainstay keys add"]);
    installation.run(&["keys", "retire", "1"]).await.says(1, &["no such key"]);
    let people = installation.people(1).await;
    let installation = installation.with("MAINSTAY_LOG__LEVEL", "debug");
    let server = installation.serve().await;
    let body = json!({"url": "https://example.com/hook"});
    let made =
        server.send("POST", "/v1/webhook-endpoints", &people[0], Some(body)).await.expect("an answer").expect(201);
    let body = json!({"name": "Shop", "provider": "generic"});
    let sender = server.send("POST", "/v1/inbox-sources", &people[0], Some(body)).await.expect("an answer").expect(201);
    let first = status(&installation).await;
    assert_eq!(
        (&first["keys"][0]["state"], &first["keys"][0]["here"], &first["left"]),
        (&json!("active"), &json!(true), &json!(0))
    );
    let rows = json!({"inbox_source.scheme": 1, "webhook_endpoint.secrets": 1, "calendar_connection.token": 0, "sending_account.secret": 0, "sending_account.dkim_key": 0, "mailbox.secret": 0,
        "signing_key.secret": 2});
    assert_eq!(first["keys"][0]["rows"], rows);
    installation.run(&["keys", "retire", "1"]).await.says(1, &["Key 1 seals", "mainstay keys rotate"]);

    // The server takes a new key without a restart, and everything is sealed anew.
    installation.run(&["keys", "add"]).await.says(0, &["Key 2 is in", "mainstay keys rotate"]);
    let backup = RegisterKeyUse { holder: "backup one".to_owned(), now: SystemClock.now() };
    let opened = open(url).await;
    opened.store.run(&call(), backup).await.expect("registered");
    installation.run(&["keys", "rotate", "--to", "9"]).await.says(1, &["Key 9 is not here"]);
    let begun = Instant::now();
    installation.run(&["keys", "rotate", "--wait", "60"]).await.says(0, &["Everything is sealed under key 2"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());
    let second = status(&installation).await;
    assert_eq!((&second["keys"][0]["state"], &second["keys"][1]["state"]), (&json!("retiring"), &json!("active")));
    assert_eq!((&second["keys"][1]["rows"], &second["keys"][0]["backups"]), (&rows, &json!(["backup one"])));
    let ready = server.get("/readyz", "").await;
    assert_eq!(ready["checks"]["keys"]["detail"], "key 2 seals; 2 keys are here");

    // The backup holds the old key; without it, it can go.
    let begun = Instant::now();
    loop {
        let done = installation.run(&["keys", "retire", "1"]).await;
        if done.says(1, &[]).text.contains("backup one") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", done.text);
        sleep(Duration::from_millis(200)).await;
    }
    assert!(opened.store.run(&call(), ReleaseKeyUse("backup one".to_owned())).await.expect("released"));
    drop(opened);
    retire(&installation, "1").await;
    installation.run(&["keys", "status"]).await.says(0, &["retired", "active", "4 rows"]);
    let folder = installation.folder().join("data/keys");
    std::fs::remove_file(folder.join("key-1")).expect("its file can be deleted");
    let path = format!("/v1/inbox-sources/{}", sender["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path, &people[0]).await["scheme"], json!({"mode": "hmac"}));

    // One that is taken away while it is needed is said, and ends nothing.
    std::fs::rename(folder.join("key-2"), installation.folder().join("away")).expect("moved");
    let taken = "key 2 was taken away: put it back before this node is started again";
    until_health_says(&server, taken).await;
    assert_eq!(server.get(&path, &people[0]).await["scheme"], json!({"mode": "hmac"}));
    std::fs::rename(installation.folder().join("away"), folder.join("key-2")).expect("moved back");
    until_health_says(&server, "key 2 seals; 1 keys are here").await;

    // Nothing that is secret is in the log, however much that says.
    let log = server.process.lines().join("\n");
    let key = std::fs::read_to_string(folder.join("key-2")).expect("a key");
    let plain = |value: &Value| value["secret"].as_str().expect("a secret").to_owned();
    for secret in [plain(&made), plain(&sender), key.trim().to_owned()] {
        assert!(log.len() > 500 && !log.contains(&secret), "the log has {secret}");
    }
    assert_eq!(server.stop().await, Some(0));

    Box::pin(wrong_missing_and_lost(&installation, &folder, key.trim(), (&people[0], &path))).await;
}

/// What happens to an installation whose key is another, is missing, and is lost for good.
async fn wrong_missing_and_lost(installation: &Installation, folder: &Path, key: &str, (old, path): (&str, &str)) {
    // Another key under its number, and none at all: it does not start, and says what to do.
    std::fs::write(folder.join("key-2"), key.chars().rev().collect::<String>()).expect("written");
    installation.run(&["serve"]).await.says(1, &["Key 2 in", "is another than the one that the database knows"]);
    std::fs::rename(folder.join("key-2"), installation.folder().join("away")).expect("moved");
    installation
        .run(&["serve"])
        .await
        .says(1, &["secrets under key 2", "has not got it", "data/keys/key-2", "docs/operations/keys.md"]);
    // It is lost: a new one is made, everybody signs in again, and what was sealed has to be set anew.
    installation.run(&["keys", "retire", "2", "--lost"]).await.says(0, &["Key 2 counts as lost"]);
    installation.run(&["keys", "add"]).await.says(0, &["Key 3 is in"]);
    let server = installation.serve().await;
    let refused = server.send("GET", path, old, None).await.expect("an answer");
    refused.refused(401, "unauthenticated");
    let body = json!({"email": "writer0@example.com", "password": "password of writer 0"});
    let token = server.send("POST", "/v1/auth/sign-in", "", Some(body)).await.expect("an answer").expect(200);
    let token = token["access_token"].as_str().expect("a token");
    assert_eq!(server.get(path, token).await["scheme"], Value::Null);
    let body = json!({"secrets": ["a new secret of the sender"], "scheme": {"mode": "hmac"}});
    server.send("PATCH", path, token, Some(body)).await.expect("an answer").expect(200);
    assert_eq!(server.get(path, token).await["scheme"], json!({"mode": "hmac"}));
    assert_eq!(server.stop().await, Some(0));
}

async fn until_health_says(server: &Instance, words: &str) {
    let begun = Instant::now();
    while server.get("/readyz", "").await["checks"]["keys"]["detail"] != words {
        assert!(begun.elapsed() < PATIENCE, "it does not say {words:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_made_rotated_retired_and_lost_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("keys.db").display());
    let installation = installation().on(&url).with("MAINSTAY_KEYS__DIRECTORY", "data/keys");
    Box::pin(a_life_of_keys(installation, &url)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_made_rotated_retired_and_lost_on_postgres() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    let installation = installation().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0011 keys"]);
    Box::pin(a_life_of_keys(installation, &database.url)).await;
}

/// Where no folder can be mounted, the keys are a setting; a node that has not got the new one is not passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_the_new_key_stops_a_rotation() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    let installation = installation().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0011 keys"]);
    let one = installation.run(&["keys", "add", "--print"]).await.says(0, &["1:"]).text.trim().to_owned();
    let of = |ring: &str| commands_installation(&database.url, ring);
    let behind = of(&one).serve().await;
    let two = of(&one).run(&["keys", "add", "--print"]).await.says(0, &["2:"]).text.trim().to_owned();
    of(&one).run(&["keys", "add"]).await.says(1, &["keys.ring", "--print"]);
    let both = of(&format!("{one} {two}"));
    let ahead = both.serve().await;
    let refused = both.run(&["keys", "rotate"]).await;
    refused.says(1, &["Not every server has key 2", "process"]);
    assert_eq!(status(&both).await["keys"][0]["state"], "active", "nothing was changed");
    assert_eq!(behind.stop().await, Some(0));
    both.run(&["keys", "rotate", "--wait", "60"]).await.says(0, &["Everything is sealed under key 2"]);
    assert_eq!(ahead.stop().await, Some(0));
    // A secret of the setting does not show.
    let shown = both.run(&["config", "show"]).await;
    assert!(!shown.says(0, &["ring"]).text.contains(&two[2..]), "{}", shown.text);
}

fn commands_installation(url: &str, ring: &str) -> Installation {
    installation().on(url).with("MAINSTAY_KEYS__RING", ring)
}
