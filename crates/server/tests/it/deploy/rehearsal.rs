//! The way back, rehearsed by the script of the pipeline.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use mainstay_testing::Program;

use crate::support::binary::{Done, MAINSTAY};

/// Three servers after each other, on a machine that does others besides.
const PATIENCE: Duration = Duration::from_secs(240);

async fn rehearse(released: &Path) -> Done {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/pipeline/rehearse.sh");
    let program = Program::new("bash").args([script, released.to_str().expect("a path"), MAINSTAY]);
    let program = program.env("REHEARSE_SECONDS", "2").env("REHEARSE_USERS", "5");
    let process = program.start().expect("it starts");
    let exit = process.wait(PATIENCE).await.expect("it ends");
    Done { code: exit.code(), text: process.lines().join("\n") }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_is_open_or_it_is_said_why_not() {
    let open = rehearse(Path::new(MAINSTAY)).await;
    open.says(0, &["released serves", "new serves", "released-again serves", "the way back is open"]);
    let folder = tempfile::tempdir().expect("a folder");
    let closed = folder.path().join("released");
    std::fs::write(&closed, "#!/bin/sh\necho 'the schema is too new' >&2\nexit 3\n").expect("written");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o755)).expect("made a program");
    rehearse(&closed).await.says(1, &["the schema is too new", "released does not start on this schema"]);
}
