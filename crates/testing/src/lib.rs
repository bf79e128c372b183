//! Private servers for tests: PostgreSQL, Redis, Chromium, a mail server, a mailbox and a name server on free ports, any
//! program of ours as a process, and a Python whose libraries read what we write.
//!
//! Whatever is started here belongs to the test process. It is killed when its handle is dropped, and also when the
//! test process dies, `kill -9` included. Files live in one [`Scratch`] directory each; those that a killed test left
//! behind are removed by the next one.
//!
//! A service that is not installed skips the test, loudly, unless `MAINSTAY_TEST_REQUIRE=all` says that everything
//! must be there. Linux only: it relies on `/proc` and on `setpriv` from util-linux.

pub mod browser;
mod certificate;
pub mod imap_server;
pub mod name_server;
pub mod postgres;
pub mod process;
mod python;
pub mod redis;
mod scratch;
mod service;
pub mod smtp_sink;
mod spawn;
mod table;

pub use browser::Browser;
pub use certificate::SelfSigned;
pub use imap_server::{ImapAct, ImapFault, ImapOptions, ImapServer, ImapStage};
pub use name_server::{Asked, NameFault, NameServer, RecordType};
pub use postgres::{Cluster, Database};
pub use process::{Process, Program};
pub use python::python;
pub use redis::RedisServer;
pub use scratch::Scratch;
pub use service::{free_port, required, skip};
pub use smtp_sink::{Kept, SinkAct, SinkFault, SinkOptions, SinkStage, SinkTls, SmtpSink, When};

/// Why a service or a process did not do what the test waited for: one sentence, and the end of its output.
///
/// `Debug` prints the sentence too, so that `unwrap` in a test reads well.
#[derive(thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub(crate) String);

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a step with a service gives.
pub type Result<T> = std::result::Result<T, Failure>;

/// A [`Failure`] that says what was being done when `error` came.
pub(crate) fn while_doing<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| Failure(format!("{what}: {error}"))
}
