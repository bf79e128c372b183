//! Backups and drills by themselves, and what operators see of them.

use std::time::Duration;

use mainstay_domain::{EmailAddress, KeyVersion};
use mainstay_server::ops::backup::{Backups, Installation, take};
use mainstay_store::{BackupDeleted, Call, ListBackups, ListKeyUses};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::binary::MAINSTAY;
use crate::support::{Engine, Person, TestApp, both};

both! {
    operators_have_backups_made_and_tried,
    old_backups_make_room_and_release_their_keys,
}

fn call() -> Call {
    Call::within(Duration::from_secs(20))
}

async fn server(engine: Engine, folder: &tempfile::TempDir) -> Option<TestApp> {
    let to = serde_json::json!(folder.path()).to_string();
    let settings = [
        ("backup.to", to.as_str()),
        ("backup.keep_all_hours", "1"),
        ("backup.keep_daily_days", "0"),
        ("backup.keep_weekly_weeks", "0"),
        ("jobs.poll_ms", "100"),
    ];
    let server = TestApp::start(engine, &settings).await?;
    server.app.backups.program.set(MAINSTAY.into()).expect("set once");
    Some(server)
}

/// Asks until it is so.
async fn until(server: &TestApp, operator: &Person, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let told = server.send("GET", "/v1/backups", Some(&operator.access_token), None).await.expect(200);
        if is_so(&told) {
            return told;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "not so: {what}: {told}");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn operators_have_backups_made_and_tried(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(server) = server(engine, &folder).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let email = EmailAddress::parse(&ada.email).expect("an address");
    server.app.accounts.set_operator(&call(), &email, true).await.expect("marked");
    for (method, path) in [("GET", "/v1/backups"), ("POST", "/v1/backups"), ("POST", "/v1/backup-drills")] {
        server.send(method, path, Some(&bob.access_token), None).await.refused(403, "forbidden");
    }
    let promised = server.send("POST", "/v1/backups", Some(&ada.access_token), None).await.expect(202);
    assert!(promised["job_id"].is_string(), "{promised}");
    let made = until(&server, &ada, "a backup was made", |told| told["backups"][0]["state"] == "complete").await;
    assert!(made["backups"][0]["rows"].as_u64().expect("a number") > 5, "{made}");
    assert_eq!(made["overdue"], false);
    server.send("POST", "/v1/backup-drills", Some(&ada.access_token), None).await.expect(202);
    let tried = until(&server, &ada, "it was restored", |told| told["drills"][0].is_object()).await;
    assert_eq!(tried["drills"][0]["passed"], true, "{tried}");
    assert_eq!(tried["drills"][0]["backup"], made["backups"][0]["id"]);
    assert!(tried["drills"][0]["recovery_time_ms"].as_u64().expect("a number") > 0);
    let metrics = server.send("GET", "/metrics", None, None).await;
    for line in ["mainstay_backup_runs_total{what=\"backup\",outcome=\"done\"} 1", "mainstay_backup_overdue 0"] {
        assert!(metrics.text.contains(line), "{line} is missing in {}", metrics.text);
    }
    let schedules = server.app.store.run(&call(), mainstay_store::ListSchedules).await.expect("listed");
    let names: Vec<_> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
    assert_eq!(names, ["backup", "backup drill"]);
}

async fn old_backups_make_room_and_release_their_keys(engine: Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(server) = server(engine, &folder).await else { return };
    let backups = Backups::open(&server.app.config.backup).expect("a place");
    let of = Installation::of(&server.app);
    let first = take(&of, &backups).await.expect("made");
    assert_eq!(first.manifest.keys, [KeyVersion::FIRST]);
    let uses = async || {
        let uses = server.app.store.run(&call(), ListKeyUses).await.expect("listed");
        uses.into_iter().map(|one| one.holder).collect::<Vec<_>>()
    };
    assert_eq!(uses().await, [format!("backup {}", first.manifest.id)]);
    // Two hours ago, as its name tells; and one that whoever made it did not finish, two days ago.
    let now = server.now();
    let at = |hours: u64| {
        let moment = now.minus(Duration::from_secs(hours * 3_600)).to_string();
        let digits: String = moment.chars().filter(|letter| letter.is_ascii_digit()).take(14).collect();
        format!("{}T{}Z-0123abcd", &digits[..8], &digits[8..])
    };
    let rename =
        |from: &str, to: &str| std::fs::rename(folder.path().join(from), folder.path().join(to)).expect("renamed");
    rename(&first.manifest.id, &at(2));
    std::fs::create_dir(folder.path().join(at(48))).expect("made");
    std::fs::create_dir(folder.path().join("of somebody else")).expect("made");
    // Scratch copies of whoever was killed, one of them just now.
    let scratch = of.config.backup.scratch_folder(&of.config.database);
    let (old, new) = (format!("mainstay-{}.copy", at(48)), format!("mainstay-{}.copy", at(1)));
    for name in [&old, &new] {
        std::fs::write(scratch.join(name), "x").expect("written");
    }
    let second = take(&of, &backups).await.expect("made");
    assert_eq!((scratch.join(&old).exists(), scratch.join(&new).exists()), (false, true));
    std::fs::remove_file(scratch.join(&new)).expect("removed");
    assert_eq!(second.deleted, [at(2), at(48)]);
    let left: Vec<_> = backups.list().await.expect("listed").into_iter().map(|backup| backup.id).collect();
    assert_eq!(left, [second.manifest.id.as_str()], "what is not named like a backup is not touched");
    assert!(folder.path().join("of somebody else").exists());
    let listed = server.app.store.run(&call(), ListBackups(9)).await.expect("listed");
    assert_eq!(listed.len(), 2);
    assert!(server.app.store.run(&call(), BackupDeleted(first.manifest.id.clone())).await.expect("told"));
    assert!(uses().await.contains(&format!("backup {}", second.manifest.id)));
}
