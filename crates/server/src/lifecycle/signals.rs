//! Stopping when the operating system says so.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::Lifecycle;

/// Stops softly on the first SIGTERM or SIGINT and hard on the second.
///
/// # Errors
/// When the handlers cannot be installed.
#[expect(clippy::disallowed_methods, reason = "it must hear the second signal while all named tasks are drained")]
pub fn stop_on_signals(lifecycle: &Lifecycle) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let lifecycle = lifecycle.clone();
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                () = lifecycle.stopped_hard() => return,
            };
            if lifecycle.stopping() {
                tracing::warn!(signal = name, "stopping at once");
                return lifecycle.stop_hard();
            }
            tracing::info!(signal = name, "stopping; a second signal stops at once");
            lifecycle.stop();
        }
    });
    Ok(())
}
