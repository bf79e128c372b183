//! Migrating a SQLite file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_domain::Timestamp;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use tokio::time::Instant;

use super::files::Migration;
use super::{Record, record, split, statistics};
use crate::engine::sqlite::{close, options};
use crate::error::{Error, Result};

const CREATE: &str = record::create!("INTEGER", "TEXT", "INTEGER", ") STRICT");

const OTHER_FILE: &str = "Name another file with DATABASE_URL=sqlite:PATH.";

/// Says why a file cannot be the database, and how to mend it. `cause` is what the system said.
#[must_use]
pub fn file_fault(path: &Path, cause: &dyn std::fmt::Display) -> Error {
    let shown = path.display();
    // What ends in a slash names a folder, whether or not it is there.
    if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        let inside = path.join("mainstay.db");
        return Error::File(format!(
            "{shown} is a folder, and the database is a file. Name one in it: DATABASE_URL=sqlite:{}",
            inside.display()
        ));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Error::File(format!(
        "The file {shown} cannot be written ({cause}). Mainstay writes it and files beside it: give the user that it runs \
         as the right to write in the folder {} and to all files that begin with {shown}, and see that the disk is not \
         mounted read-only. {OTHER_FILE}",
        folder.display()
    ))
}

/// Says that the folder of the database cannot be made.
#[must_use]
pub fn folder_fault(folder: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::File(format!(
        "The folder {} cannot be made ({cause}). Make it for the user that mainstay runs as. {OTHER_FILE}",
        folder.display()
    ))
}

/// A connection to the file.
pub(super) struct Engine {
    connection: SqliteConnection,
    path: PathBuf,
}

impl Engine {
    pub(super) async fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(folder).await.map_err(|error| folder_fault(folder, &error))?;
        }
        let connection = Self::connect(path).await.map_err(|error| match error {
            Error::Corrupt(cause) if cause.contains("not a database") => Error::File(format!(
                "The file {} is not a database of SQLite, and was left as it is. {OTHER_FILE}",
                path.display()
            )),
            Error::ReadOnly(cause) | Error::Unavailable(cause) => file_fault(path, &cause),
            error => error,
        })?;
        Ok(Self { connection, path: path.to_owned() })
    }

    async fn connect(path: &Path) -> Result<SqliteConnection> {
        make_private(path);
        let mut connection = options(path).busy_timeout(Duration::from_secs(10)).connect().await?;
        sqlx::query(CREATE).execute(&mut connection).await?;
        // A table that is there already is not written, and a file that cannot be written is to be said now. `BEGIN
        // IMMEDIATE` would not tell: on such a file it only reads.
        sqlx::query("DELETE FROM schema_migration WHERE version < 0").execute(&mut connection).await?;
        Ok(connection)
    }

    pub(super) async fn records(&mut self) -> Result<Vec<Record>> {
        Ok(sqlx::query_as(record::ALL).fetch_all(&mut self.connection).await?)
    }

    /// Applies a file; nothing when another process has just done so. SQLite can do everything in a transaction.
    pub(super) async fn apply(&mut self, file: &Migration, now: Timestamp) -> Result<Option<Duration>> {
        let begun = Instant::now();
        let mut tx = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let there = sqlx::query("SELECT version FROM schema_migration WHERE version = $1").bind(file.version);
        if there.fetch_optional(&mut *tx).await?.is_some() {
            return Ok(None);
        }
        sqlx::raw_sql(AssertSqlSafe(file.up.to_string())).execute(&mut *tx).await?;
        let took = begun.elapsed();
        record::done!(tx, file, now, took)?;
        tx.commit().await?;
        Ok(Some(took))
    }

    /// Sees to it that statements are planned for tables that are large.
    pub(super) async fn presume(&mut self) -> Result<()> {
        statistics::presume(&mut self.connection).await
    }

    pub(super) async fn undo(&mut self, file: &Migration) -> Result<Duration> {
        let begun = Instant::now();
        let mut tx = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        record::undo!(tx, file)?;
        tx.commit().await?;
        Ok(begun.elapsed())
    }

    /// Runs the files on a copy and times them.
    pub(super) async fn rehearse(&mut self, files: &[Migration]) -> Result<Vec<Option<Duration>>> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let mut copy = self.path.clone().into_os_string();
        copy.push(".rehearsal");
        let copy = PathBuf::from(copy);
        remove(&copy).await;
        let target = copy.to_string_lossy().into_owned();
        sqlx::query("VACUUM INTO $1").bind(target).execute(&mut self.connection).await?;
        let outcome = rehearse_on(&copy, files).await;
        remove(&copy).await;
        outcome
    }

    pub(super) async fn schema(&mut self) -> Result<String> {
        let text = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS line FROM sqlite_schema
                    WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name";
        let rows = sqlx::query(text).fetch_all(&mut self.connection).await?;
        let lines: std::result::Result<Vec<String>, _> = rows.iter().map(|row| row.try_get("line")).collect();
        Ok(lines?.join("\n"))
    }
}

async fn rehearse_on(copy: &Path, files: &[Migration]) -> Result<Vec<Option<Duration>>> {
    let mut connection = options(copy).connect().await?;
    let mut times = Vec::with_capacity(files.len());
    for file in files {
        let begun = Instant::now();
        for statement in split::statements(&file.up) {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        times.push(Some(begun.elapsed()));
    }
    close(connection).await;
    Ok(times)
}

async fn remove(copy: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = copy.as_os_str().to_owned();
        name.push(suffix);
        // It is there or it is not; both are fine.
        let _ = tokio::fs::remove_file(name).await;
    }
}

/// Makes a new file for its owner alone; SQLite gives its log the same permissions. Whatever is wrong with the path is said when
/// it is opened.
fn make_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
}
