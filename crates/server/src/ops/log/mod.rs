//! The log: lines that say for which request and for whom they were written, and hold no secret and no personal data.

mod lines;
pub mod mask;
pub mod trail;

use std::io::{self, IsTerminal as _};
use std::panic::{self, PanicHookInfo};

use mainstay_domain::panic_message;
use tracing_subscriber::EnvFilter;

use crate::config;

pub(crate) use lines::register;

/// Starts the log of this process on standard error, and lets panics be told in it.
pub fn start(settings: &config::Log) {
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(lines::Lines(settings.format));
    let started = match settings.format {
        config::LogFormat::Json => builder.json().flatten_event(true).try_init(),
        config::LogFormat::Text => builder.try_init(),
    };
    // A log that runs already is a log.
    let _ = started;
    panic::set_hook(Box::new(tell));
}

/// Tells of a panic as a line like any other: what it says may hold what somebody wrote.
fn tell(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(target: "mainstay::panic", place, detail = panic_message(panic.payload()), "a thread panicked");
}
