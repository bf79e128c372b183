//! The log: lines that say for which request and for whom they were written, and hold no secret and no personal data.

mod lines;
pub mod mask;
pub mod trail;

use std::io::{self, IsTerminal as _};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;

use mainstay_domain::{Clock, panic_message};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::errors::{ReportsErrors, open_queue};
use crate::config;

pub(crate) use lines::register;

/// Starts the log of this process on standard error, and lets panics be told in it. Where error reports are set up, it fills
/// their queue.
pub fn start(settings: &config::Log, errors: &config::Errors, clock: &Arc<dyn Clock>) {
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let reports = (!errors.dsn.is_empty()).then(|| {
        open_queue();
        ReportsErrors::new(Arc::clone(clock))
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(lines::Lines(settings.format));
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_told)).with(reports);
    let started = match settings.format {
        config::LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
        config::LogFormat::Text => registry.with(lines).try_init(),
    };
    // A log that runs already is a log.
    let _ = started;
    panic::set_hook(Box::new(tell));
}

/// Whether a line may be written, whatever `log.level` says: the most detailed lines of libraries have in them what they work
/// on, such as the hosts that people name.
fn may_be_told(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::DEBUG || line.target().starts_with("mainstay")
}

/// Tells of a panic as a line like any other: what it says may hold what somebody wrote.
fn tell(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(target: "mainstay::panic", place, detail = panic_message(panic.payload()), "a thread panicked");
}
