//! What can go wrong in the store, each kind apart, so that a caller never has to read a message to decide.

use std::time::Duration;

use mainstay_domain as domain;

/// The answer of every intent.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure or refusal of the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A row with this key exists already. The name of the constraint, or the columns on SQLite.
    #[error("a row with this key exists already ({0})")]
    Unique(String),
    /// A row that the intent is about is not there (or not within its scope).
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// Another rule of the schema was broken: a bug of ours, or a rule that raced with a change.
    #[error("a rule of the database was broken: {0}")]
    Constraint(String),
    /// Every connection was in use, or a lock was held, for as long as the call may wait.
    #[error("the database is busy: {0}")]
    Busy(&'static str),
    /// The queue in front of the database is full.
    #[error("too much is waiting for the database")]
    QueueFull,
    /// The database cannot be reached, is starting, or is shutting down.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The disk, or the quota, is full. Reading works.
    #[error("the database's disk is full: {0}")]
    Full(String),
    /// The database's file may be read but not written. Reading works.
    #[error("the database's file cannot be written: {0}")]
    ReadOnly(String),
    /// The file that the address names cannot be used: what is wrong with it, and how to mend that, in whole sentences.
    #[error("{0}")]
    File(String),
    /// The deadline passed and the work was stopped; nothing was changed.
    #[error("the database did not finish in time")]
    Timeout,
    /// The deadline or the connection ended when the commit was under way: it may have happened.
    #[error("the outcome is unknown: the commit was not confirmed")]
    OutcomeUnknown,
    /// A deadlock or a serialisation failure: the whole intent is repeated.
    #[error("another transaction came in between")]
    Conflict,
    /// A lease was lost: somebody else owns the work now.
    #[error("the lease is lost")]
    Fenced,
    /// The scope of the call did not cover a row: row-level security stopped it. A bug of ours.
    #[error("row-level security refused the statement: {0}")]
    Isolation(String),
    /// What is stored is damaged.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// Anything else: a bug of ours.
    #[error("the store failed: {0}")]
    Bug(String),
}

impl Error {
    /// True when repeating the whole intent can help.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        matches!(self, Self::Conflict | Self::Unavailable(_))
    }

    /// True when the fault lies in the members of a batch rather than in the database, so that parts of it may pass.
    pub(crate) fn is_of_a_member(&self) -> bool {
        matches!(
            self,
            Self::Unique(_)
                | Self::Constraint(_)
                | Self::Missing(_)
                | Self::Isolation(_)
                | Self::Bug(_)
                | Self::Timeout
        )
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(cause) => of_database(cause.as_ref()),
            sqlx::Error::RowNotFound => Self::Missing("row"),
            sqlx::Error::PoolTimedOut => Self::Busy("every connection is in use"),
            sqlx::Error::Io(cause) => Self::Unavailable(cause.to_string()),
            sqlx::Error::Tls(cause) => Self::Unavailable(cause.to_string()),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable("the connection is closed".to_owned())
            }
            sqlx::Error::BeginFailed => Self::Unavailable("the transaction could not begin".to_owned()),
            other => Self::Bug(other.to_string()),
        }
    }
}

fn of_database(cause: &dyn sqlx::error::DatabaseError) -> Error {
    let code = cause.code().unwrap_or_default();
    if cause.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        of_sqlite(code.parse().unwrap_or(0), cause)
    } else {
        of_postgres(&code, cause)
    }
}

/// Result codes: <https://sqlite.org/rescode.html>. The low byte is the primary code.
fn of_sqlite(code: i32, cause: &dyn sqlx::error::DatabaseError) -> Error {
    let message = cause.message().to_owned();
    match (code, code & 0xFF) {
        (2067 | 1555, _) => Error::Unique(message.rsplit(": ").next().unwrap_or_default().to_owned()),
        (_, 19) => Error::Constraint(message),
        (_, 5 | 6) => Error::Busy("another process holds the lock of the file"),
        (_, 9) => Error::Timeout,
        (_, 13) => Error::Full(message),
        (_, 11 | 26) => Error::Corrupt(message),
        (_, 8) => Error::ReadOnly(message),
        (_, 10 | 14 | 23) => Error::Unavailable(message),
        _ => Error::Bug(message),
    }
}

/// SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn of_postgres(code: &str, cause: &dyn sqlx::error::DatabaseError) -> Error {
    let message = cause.message().to_owned();
    match code {
        "23505" => Error::Unique(cause.constraint().unwrap_or_default().to_owned()),
        "40001" | "40P01" => Error::Conflict,
        "57014" => Error::Timeout,
        "55P03" => Error::Busy("a lock was held for too long"),
        "42501" if message.contains("row-level security") => Error::Isolation(message),
        "53100" => Error::Full(message),
        "57P01" | "57P02" | "57P03" | "53300" | "53400" | "25006" => Error::Unavailable(message),
        _ if code.starts_with("08") => Error::Unavailable(message),
        _ if code.starts_with("XX") => Error::Corrupt(message),
        _ if code.starts_with("23") => Error::Constraint(message),
        _ => Error::Bug(format!("{code}: {message}")),
    }
}

impl From<Error> for domain::Error {
    fn from(error: Error) -> Self {
        use domain::Kind::{Conflict, Internal, NotFound, Timeout, Unavailable};
        let soon = Duration::from_secs(1);
        match &error {
            Error::Missing(what) => return Self::new(NotFound, "not_found", format!("There is no such {what}.")),
            Error::Unique(_) => Self::new(Conflict, "already_exists", "There is one like it already."),
            Error::Busy(_) | Error::Conflict => {
                Self::new(Unavailable, "database_busy", "The database is busy. Try again in a moment.")
                    .retry_after(soon)
            }
            Error::QueueFull => {
                Self::new(Unavailable, "overloaded", "There is more work than can be taken. Try again in a moment.")
                    .retry_after(soon)
            }
            Error::Unavailable(_) => {
                Self::new(Unavailable, "database_unavailable", "The database cannot be reached. Try again in a moment.")
                    .retry_after(Duration::from_secs(2))
            }
            Error::Full(_) => Self::new(
                Unavailable,
                "storage_full",
                "There is no room left to store this. The operator must make some.",
            )
            .retry_after(Duration::from_secs(30)),
            Error::ReadOnly(_) => Self::new(
                Unavailable,
                "storage_read_only",
                "Nothing can be stored: the file of the database cannot be written. The operator must make it writable.",
            )
            .retry_after(Duration::from_secs(30)),
            Error::File(detail) => Self::new(Unavailable, "database_unusable", detail.clone()),
            Error::Timeout => {
                Self::new(Timeout, "deadline_exceeded", "This took too long and was stopped. Nothing was changed.")
            }
            Error::OutcomeUnknown => Self::new(
                Timeout,
                "outcome_unknown",
                "This took too long, and whether it was done is not known. Repeat it with the same Idempotency-Key.",
            ),
            Error::Fenced => Self::new(Conflict, "lease_lost", "Another node has taken over this work."),
            Error::Constraint(_) | Error::Isolation(_) | Error::Corrupt(_) | Error::Bug(_) => {
                Self::new(Internal, "internal", "Something went wrong here. It has been recorded under the request id.")
            }
        }
        .because(error)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_said_apart_from_one_that_cannot_be_reached() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("test.db");
        let options = crate::engine::sqlite::options(&path);
        let made = options.clone().connect().await.expect("made");
        made.close().await.expect("closed");
        let mut connection = options.read_only(true).create_if_missing(false).connect().await.expect("opened");
        let refused = sqlx::query("CREATE TABLE t (n INTEGER)").execute(&mut connection).await.expect_err("refused");
        let error = Error::from(refused);
        assert!(matches!(error, Error::ReadOnly(_)), "{error:?}");
        assert!(!error.is_repeatable(), "trying again at once cannot help");
        let outside = domain::Error::from(error);
        assert_eq!((outside.kind, outside.code), (domain::Kind::Unavailable, "storage_read_only"));
        assert!(outside.detail.contains("cannot be written"), "{}", outside.detail);
    }
}
