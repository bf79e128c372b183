//! Starting a program so that it cannot outlive the test process.
//!
//! The kernel kills a child with `PR_SET_PDEATHSIG` when the *thread* that started it ends, and a test's thread ends
//! with its test. So one thread that lives as long as the process starts them all.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command};
use std::sync::{LazyLock, mpsc};

type Request = (Command, mpsc::SyncSender<io::Result<Child>>);

static SPAWNER: LazyLock<io::Result<mpsc::SyncSender<Request>>> = LazyLock::new(|| {
    let (requests, inbox) = mpsc::sync_channel::<Request>(16);
    std::thread::Builder::new().name("spawner".to_owned()).spawn(move || {
        for (mut command, reply) in inbox {
            let _ = reply.send(command.spawn());
        }
    })?;
    Ok(requests)
});

/// A command that runs `program`, gets the signal when this process dies, and runs as `user` when one is named.
pub(crate) fn bound_command(program: &OsStr, death_signal: &str, user: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", death_signal]);
    if let Some(user) = user {
        command.args([format!("--reuid={user}"), format!("--regid={user}"), "--init-groups".to_owned()]);
    }
    command.arg("--").arg(program);
    command
}

/// Starts the command on the thread that lives as long as the process.
///
/// # Errors
/// Those of [`Command::spawn`].
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    let spawner = SPAWNER.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    let gone = || io::Error::other("the spawner thread has ended");
    let (reply, answer) = mpsc::sync_channel(1);
    spawner.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}
