//! Backups that are not made, lie beside the data, are not encrypted, are damaged, or were never restored.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use mainstay_server::ops::backup::{Backups, Installation, take};

use super::{Colours, GOOD, see};
use crate::support::binary::MAINSTAY;
use crate::support::{Engine, TestApp};

const ALL: &[&str] = &[
    "data.backup",
    "data.backup_there",
    "data.backup_apart",
    "data.restore",
    "data.restore_drill",
    "data.damage",
    "security.backup_encrypted",
];

/// Breaks each.
pub(super) async fn damage(engine: Engine, colours: &mut Colours) {
    let Some(server) = TestApp::start(engine, GOOD).await else { return };
    for id in ALL.iter().filter(|id| !id.starts_with("security")) {
        colours.red(&see(&server, &server.address, id).await);
    }
    server.app.lifecycle.stop_hard();

    // Beside the data, and plain.
    let beside = tempfile::tempdir().expect("a folder");
    let Some(server) = with(engine, beside.path(), None).await else { return };
    colours.red(&see(&server, &server.address, "data.backup").await);
    colours.red(&see(&server, &server.address, "security.backup_encrypted").await);
    if engine == Engine::Sqlite {
        colours.red(&see(&server, &server.address, "data.backup_apart").await);
    }
    server.app.lifecycle.stop_hard();

    // On another file system, with a key.
    let apart = tempfile::tempdir_in(another_file_system()).expect("a folder");
    let Some(server) = with(engine, apart.path(), Some(&"ab".repeat(32))).await else { return };
    server.app.backups.program.set(MAINSTAY.into()).expect("set once");
    let backups = Backups::open(&server.app.config.backup).expect("a place");
    let taken = take(&Installation::of(&server.app), &backups).await.expect("made");
    for id in ALL {
        colours.green(&see(&server, &server.address, id).await);
    }
    let piece = first_piece(&apart.path().join(&taken.manifest.id));
    let mut bytes = std::fs::read(&piece).expect("read");
    bytes[0] ^= 1;
    std::fs::write(&piece, bytes).expect("written");
    for id in ["data.backup_there", "data.restore", "data.damage"] {
        colours.red(&see(&server, &server.address, id).await);
    }
    server.app.lifecycle.stop_hard();
}

/// A folder that is not on the file system where tests keep their databases: in memory, or else where the build is.
fn another_file_system() -> &'static str {
    let device = |folder: &Path| std::fs::metadata(folder).map(|known| known.dev()).ok();
    let ours = device(&std::env::temp_dir());
    let others = ["/dev/shm", env!("CARGO_TARGET_TMPDIR")];
    let apart = others.into_iter().find(|folder| device(Path::new(folder)).is_some_and(|other| Some(other) != ours));
    apart.expect("one of them is on another file system than the temporary folder")
}

async fn with(engine: Engine, folder: &Path, key: Option<&str>) -> Option<TestApp> {
    let (to, key) = (serde_json::json!(folder).to_string(), serde_json::json!(key.unwrap_or_default()).to_string());
    let own = [("backup.to", to.as_str()), ("backup.encryption_key", key.as_str())];
    TestApp::start(engine, &[GOOD, &own].concat()).await
}

/// The one that is read first, which is also the smallest where all are empty tables.
fn first_piece(folder: &Path) -> PathBuf {
    let description = std::fs::read_to_string(folder.join("manifest.json")).expect("read");
    let description: serde_json::Value = serde_json::from_str(&description).expect("JSON");
    let pieces = description["manifest"]["parts"].as_array().expect("parts").iter();
    let pieces = pieces.flat_map(|part| part["pieces"].as_array().expect("pieces"));
    // Damage is tried on the smallest, and presence on the first.
    let mut all: Vec<_> = pieces.collect();
    assert!(!all.is_empty(), "{description}");
    let first = all[0]["name"].as_str().expect("a name").to_owned();
    all.sort_by_key(|piece| piece["bytes"].as_u64());
    let smallest = folder.join(all[0]["name"].as_str().expect("a name"));
    let mut bytes = std::fs::read(&smallest).expect("read");
    bytes[0] ^= 1;
    if all[0]["name"].as_str() != Some(first.as_str()) {
        std::fs::write(&smallest, bytes).expect("written");
    }
    folder.join(first)
}
