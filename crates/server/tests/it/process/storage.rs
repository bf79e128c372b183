//! SQLite where the file or its disk is not as it should be.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::Secret;
use mainstay_server::outside::SystemEntropy;
use mainstay_store::{Call, FindFaults, Options, Store};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::binary::{Installation, Instance, PATIENCE};
use crate::support::mounted::{SMALL_DISK, mounted};

/// As somebody whom permissions bind. Root is not bound, so it gives up that right.
fn bound(installation: Installation) -> Installation {
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        let rights = "-dac_override,-dac_read_search";
        installation.through(&["setpriv", "--bounding-set", rights, "--inh-caps", rights, "--"])
    } else {
        installation
    }
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions are set");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used_is_said() {
    let installation = bound(Installation::new()).on("sqlite:locked/mainstay.db");
    let locked = installation.folder().join("locked");
    fs::create_dir(&locked).expect("a folder");
    permit(&locked, 0o000);
    let refused = installation.run(&["serve"]).await;
    permit(&locked, 0o700);
    refused.says(1, &["locked/mainstay.db cannot be written", "ermission denied", "the right to write"]);
    let installation = Installation::new().on("sqlite:plain/mainstay.db");
    installation.write("plain", "a file");
    installation.run(&["serve"]).await.says(1, &["The folder plain cannot be made", "DATABASE_URL=sqlite:PATH"]);
    // A folder that may be read only: also for the commands that take no lock.
    let installation = bound(Installation::new()).on("sqlite:fixed/mainstay.db");
    let fixed = installation.folder().join("fixed");
    fs::create_dir(&fixed).expect("a folder");
    permit(&fixed, 0o500);
    let refused = [installation.run(&["serve"]).await, installation.run(&["migrate", "up"]).await];
    permit(&fixed, 0o700);
    for refused in refused {
        refused.says(1, &["fixed/mainstay.db cannot be written", "the folder fixed"]);
        assert!(!refused.text.contains("Try again"), "{}", refused.text);
    }
    // A folder where a file is meant.
    let installation = Installation::new().on("sqlite:fixed");
    fs::create_dir(installation.folder().join("fixed")).expect("a folder");
    for command in [["migrate", "up"].as_slice(), &["serve"]] {
        let refused = installation.run(command).await;
        refused.says(1, &["fixed is a folder", "DATABASE_URL=sqlite:fixed/mainstay.db"]);
    }
    assert_eq!(fs::read_dir(installation.folder()).expect("a folder").count(), 1, "nothing is left beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_is_said() {
    let installation = bound(Installation::new());
    let server = installation.serve().await;
    assert_eq!(server.stop().await, Some(0));
    let file = installation.folder().join("data/mainstay.db");
    permit(&file, 0o400);
    for command in [["serve"].as_slice(), &["migrate", "up"]] {
        let refused = installation.run(command).await;
        refused.says(1, &["data/mainstay.db cannot be written", "the right to write"]);
        assert!(!refused.text.contains("a task failed"), "{}", refused.text);
        assert!(!refused.text.contains("Try again"), "{}", refused.text);
    }
    // SQLite gives the files that it makes beside it the same permissions.
    let beside =
        fs::read_dir(installation.folder().join("data")).expect("a folder").flatten().map(|entry| entry.path());
    for path in beside.filter(|path| path.is_file()) {
        permit(&path, 0o600);
    }
    installation.serve().await;

    let installation = Installation::new().on("sqlite:notes.txt");
    installation.write("notes.txt", &"These are notes and no database. ".repeat(200));
    let refused = installation.run(&["serve"]).await;
    refused.says(1, &["notes.txt is not a database", "DATABASE_URL=sqlite:PATH"]);
    assert!(fs::read_to_string(installation.folder().join("notes.txt")).expect("it is there").starts_with("These are"));
}

async fn post(server: &Instance, token: &str, content: &str) -> (u16, Value) {
    let body = json!({"content": content});
    let answer = server.send("POST", "/v1/messages", token, Some(body)).await.expect("an answer");
    assert!(answer.status != 503 || answer.headers.contains_key("retry-after"), "{}", answer.text);
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_nothing_else() {
    let Some(wrapper) = mounted(SMALL_DISK) else {
        mainstay_testing::skip("a full disk", "this machine permits no mount");
        return;
    };
    let installation = Installation::new().through(&wrapper);
    let server = installation.serve().await;
    let body = json!({"email": "ada@example.com", "password": "password of ada"});
    let ada = server.send("POST", "/v1/auth/sign-up", "", Some(body)).await.expect("an answer").expect(201);
    let token = ada["access_token"].as_str().expect("a token");
    assert_eq!(post(&server, token, "Before").await.0, 201);
    // The mount is the process's own: it is seen through the process.
    let filler = format!("/proc/{}/root{}/data/filler", server.process.id(), installation.folder().display());
    let mut file = fs::File::create(&filler).expect("the disk is reached");
    for block in [65_536, 4096, 1] {
        while file.write_all(&vec![7; block]).is_ok() {}
    }
    // The log may have room that it took before.
    let long = "x".repeat(9000);
    let mut kept = 1;
    let refused = loop {
        let (status, body) = post(&server, token, &long).await;
        if status != 201 {
            break (status, body);
        }
        kept += 1;
        assert!(kept < 1000, "a full disk refuses nothing");
    };
    assert_eq!((refused.0, refused.1["code"].as_str()), (503, Some("storage_full")), "{}", refused.1);
    assert_eq!(server.list("/v1/conversations", token, 100).await.len(), kept);
    server.get("/healthz", "").await;
    database_is(&server, "degraded", "its disk is full").await;
    fs::remove_file(&filler).expect("the filler is removed");
    drop(file);
    let begun = Instant::now();
    loop {
        let (status, body) = post(&server, token, "After").await;
        if status == 201 {
            break;
        }
        assert_eq!(status, 503, "{body}");
        assert!(begun.elapsed() < Duration::from_secs(20), "writing does not recover: {body}");
        sleep(Duration::from_millis(100)).await;
    }
    database_is(&server, "ok", "answers").await;
    assert_eq!(server.list("/v1/conversations", token, 100).await.len(), kept + 1);
    assert_eq!(faults_of_a_copy(&installation, &server).await, [""; 0]);
    assert_eq!(server.stop().await, Some(0));
}

/// What SQLite finds wrong with the file, as it is at this moment. The file is the process's own, so a copy is looked at.
async fn faults_of_a_copy(installation: &Installation, server: &Instance) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let data = format!("/proc/{}/root{}/data", server.process.id(), installation.folder().display());
    // While it stands still, file and log belong together.
    server.process.pause();
    for name in ["mainstay.db", "mainstay.db-wal"] {
        let from = Path::new(&data).join(name);
        if from.exists() {
            fs::copy(&from, folder.path().join(name)).expect("copied");
        }
    }
    server.process.resume();
    let url = format!("sqlite:{}", folder.path().join("mainstay.db").display());
    let (copy, _tasks) =
        Store::open(Options::new(Secret::new(url)), Arc::new(SystemEntropy)).await.expect("the copy opens");
    copy.run(&Call::within(PATIENCE), FindFaults).await.expect("it was looked at")
}

/// Waits until readiness says this of the database; what it knows of it is a second old at most.
async fn database_is(server: &Instance, status: &str, words: &str) {
    let begun = Instant::now();
    loop {
        let ready = server.send("GET", "/readyz", "", None).await.expect("an answer");
        assert_eq!(ready.status, 200, "a full disk is no reason to send reading elsewhere: {}", ready.text);
        let database = ready.json()["checks"]["database"].clone();
        if database["status"] == status {
            assert!(database["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{database}");
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", ready.text);
        sleep(Duration::from_millis(100)).await;
    }
}
