//! Backups, restores and drills, as an operator makes them: with the real binary, on both engines.

mod bucket;
mod jobs;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mainstay_testing::postgres::{Cluster, Database};
use serde_json::{Value, json};

use crate::support::Engine;
use crate::support::binary::{Installation, Instance};
use crate::support::both;

both! {
    what_was_acknowledged_before_a_backup_is_restored,
    a_damaged_backup_is_refused_and_nothing_is_left_of_it,
}

/// An installation on an engine, with a folder for backups.
struct Place {
    installation: Installation,
    backups: tempfile::TempDir,
    _database: Option<Database>,
}

fn place(engine: Engine) -> Option<Place> {
    let backups = tempfile::tempdir().expect("a folder");
    let installation = Installation::new().with("MAINSTAY_BACKUP__TO", &backups.path().display().to_string());
    let database = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(Cluster::shared()?.database().expect("a database")),
    };
    let installation = match &database {
        None => installation,
        Some(database) => installation.on(&database.url).with("MAINSTAY_DATABASE__MIGRATE_ON_START", "true"),
    };
    Some(Place { installation, backups, _database: database })
}

/// Says something and gives the id of the conversation.
async fn say(server: &Instance, token: &str, text: &str) -> String {
    let sent = server.send("POST", "/v1/messages", token, Some(json!({"content": text}))).await.expect("an answer");
    let body = sent.expect(201);
    body["conversation_id"].as_str().expect("an id").to_owned()
}

/// The newest backup, as `mainstay backup list` tells.
async fn newest(installation: &Installation) -> Value {
    let done = installation.run(&["backup", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(&done.says(0, &[]).text).expect("JSON");
    listed[0].clone()
}

/// Where a copy is restored to.
struct Copy {
    url: String,
    folder: tempfile::TempDir,
    _database: Option<Database>,
}

fn copy(engine: Engine) -> Copy {
    let folder = tempfile::tempdir().expect("a folder");
    match engine {
        Engine::Sqlite => {
            let url = format!("sqlite:{}", folder.path().join("copy.db").display());
            Copy { url, folder, _database: None }
        }
        Engine::Postgres => {
            let database = Cluster::shared().expect("it is there").database().expect("a database");
            Copy { url: database.url.clone(), folder, _database: Some(database) }
        }
    }
}

async fn what_was_acknowledged_before_a_backup_is_restored(engine: Engine) {
    let Some(place) = place(engine) else { return };
    let installation = &place.installation;
    installation.run(&["backup", "list"]).await.says(0, &["There is no backup", "mainstay backup make"]);
    installation.run(&["migrate", "up"]).await.says(0, &[]);
    let people = installation.people(2).await;
    let server = installation.serve().await;
    let first = say(&server, &people[0], "Said before the backup").await;

    // Somebody goes on writing while it is made.
    let (stop, server_of_writer, token) = (AtomicBool::new(false), &server, &people[1]);
    let writing = async {
        let mut written = 0;
        while !stop.load(Ordering::SeqCst) {
            say(server_of_writer, token, &format!("number {written}")).await;
            written += 1;
        }
        written
    };
    let making = async {
        let done = installation.run(&["backup", "make"]).await;
        stop.store(true, Ordering::SeqCst);
        done
    };
    let (written, done) = tokio::join!(writing, making);
    done.says(0, &["rows", "keep a copy of key 1"]);
    assert!(written > 0, "nobody wrote meanwhile");
    let later = say(&server, &people[0], "Said after the backup").await;
    let manifest = newest(installation).await;
    let id = manifest["id"].as_str().expect("a name");
    installation.run(&["backup", "check"]).await.says(0, &[id, "is whole"]);
    installation
        .run(&["restore", "--verify"])
        .await
        .says(0, &[id, "the canary is there", "/readyz answered 200", "Recovery point", "Recovery time"]);
    installation.run(&["restore"]).await.says(1, &[]);
    let before = server.get(&format!("/v1/conversations/{first}/messages"), &people[0]).await;
    assert_eq!(server.stop().await, Some(0));

    let copy = copy(engine);
    let done = installation.run(&["restore", id, "--to", &copy.url]).await;
    done.says(0, &["is restored", "All queues are paused", "key 1"]);
    let again = installation.run(&["restore", id, "--to", &copy.url]).await;
    let why = if engine == Engine::Sqlite { "There is a database" } else { "there are people in it" };
    again.says(1, &[why]);
    // The same keys, and another database.
    let keys = std::path::absolute(installation.folder().join("data/keys")).expect("a path");
    let restored = Installation::new()
        .on(&copy.url)
        .with("MAINSTAY_DATABASE__MIGRATE_ON_START", "true")
        .with("MAINSTAY_KEYS__DIRECTORY", &keys.display().to_string());
    let server = restored.serve().await;
    // Tokens of before are good, and what was said before is there; what was said later is not.
    assert_eq!(server.get(&format!("/v1/conversations/{first}/messages"), &people[0]).await, before);
    let gone = server.send("GET", &format!("/v1/conversations/{later}"), &people[0], None).await.expect("an answer");
    gone.refused(404, "not_found");
    let kept = server.list("/v1/conversations", &people[1], 100).await.len();
    assert!(kept <= written, "{kept} of {written}");
    say(&server, &people[0], "It goes on").await;
    restored.run(&["jobs", "queues"]).await.says(0, &["paused"]);
    assert_eq!(server.stop().await, Some(0));
    if engine == Engine::Sqlite {
        let running = restored.serve().await;
        installation.run(&["restore", id, "--to", &copy.url, "--replace"]).await.says(1, &["serves from"]);
        assert_eq!(running.stop().await, Some(0));
        let done = installation.run(&["restore", id, "--to", &copy.url, "--replace", "--resume-jobs"]).await;
        done.says(0, &["is restored", "What was there before is in"]);
        let aside = files(copy.folder.path()).into_iter().filter(|path| path.to_string_lossy().contains(".before-"));
        assert!(aside.count() >= 1);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

async fn a_damaged_backup_is_refused_and_nothing_is_left_of_it(engine: Engine) {
    let Some(place) = place(engine) else { return };
    let installation = place.installation.with("MAINSTAY_BACKUP__ENCRYPTION_KEY", &"ab".repeat(32));
    installation.run(&["migrate", "up"]).await.says(0, &[]);
    installation.people(3).await;
    installation.run(&["backup", "make"]).await.says(0, &["rows"]);
    let manifest = newest(&installation).await;
    let id = manifest["id"].as_str().expect("a name");
    let folder = place.backups.path().join(id);
    let piece = files(&folder).into_iter().rfind(|path| !path.ends_with("manifest.json")).expect("a piece");
    let whole = std::fs::read(&piece).expect("read");
    assert!(!String::from_utf8_lossy(&whole).contains("writer0"), "it is encrypted");
    let copy = copy(engine);
    let refused = async |words: &[&str]| {
        installation.run(&["backup", "check", id]).await.says(1, words);
        installation.run(&["restore", id, "--to", &copy.url]).await.says(1, words);
        installation.run(&["restore", id, "--verify"]).await.says(1, words);
    };

    std::fs::write(&piece, &whole[..whole.len() - 1]).expect("written");
    refused(&["bytes and not", "the backup is damaged"]).await;
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    std::fs::write(&piece, &flipped).expect("written");
    refused(&["has been changed", "the backup is damaged"]).await;
    std::fs::remove_file(&piece).expect("removed");
    refused(&["is missing", "the backup is damaged"]).await;
    std::fs::write(&piece, &whole).expect("written");
    let manifest = folder.join("manifest.json");
    let description = std::fs::read_to_string(&manifest).expect("read");
    std::fs::write(&manifest, description.replacen("\"rows\":", "\"rows\":1", 1)).expect("written");
    installation.run(&["restore", id, "--to", &copy.url]).await.says(1, &["has been changed"]);
    std::fs::write(&manifest, description).expect("written");

    let other = "MAINSTAY_BACKUP__ENCRYPTION_KEY";
    let with_another_key = installation.with(other, &"cd".repeat(32));
    with_another_key.run(&["restore", id, "--to", &copy.url]).await.says(1, &["is encrypted", "another"]);
    let installation = with_another_key.with(other, &"ab".repeat(32));
    installation.run(&["restore", id, "--to", &copy.url]).await.says(0, &["is restored"]);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let from = elsewhere.path().display().to_string();
    installation.run(&["restore", "--from", &from]).await.says(1, &["There is no backup"]);
    // Somebody else's installation does not take this place for its own, or the one would delete the other's.
    let others = Installation::new().with("MAINSTAY_BACKUP__TO", &place.backups.path().display().to_string());
    others.run(&["backup", "make"]).await.says(1, &["another installation"]);
}
