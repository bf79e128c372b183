//! A copy of a SQLite file.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Damage;
use super::restoration::Mark;
use crate::engine::sqlite::{close, options};
use crate::error::{Error, Result};
use crate::tables::TABLES;
use crate::value::{At, signed, unsigned};

/// The one part of a copy.
pub(super) const PART: &str = "database";
/// Bytes that are read at a time.
const READ: usize = 64 * 1024;

/// A file that is deleted with its companions when nobody needs it any more.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A file that may be there from an attempt that was killed.
    fn fresh(path: PathBuf) -> Self {
        let scratch = Self(path);
        scratch.remove();
        scratch
    }

    fn remove(&self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.0.as_os_str().to_owned();
            name.push(suffix);
            // It is there or it is not; both are fine.
            let _ = std::fs::remove_file(name);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let what = format!("{}: {error}", path.display());
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Full(what),
        _ => Error::Unavailable(what),
    }
}

/// A copy of a file.
pub(super) struct Copy {
    scratch: Scratch,
}

impl Copy {
    /// Lets the engine write the file anew, as it is at this moment.
    pub(super) async fn of(path: &Path, scratch: PathBuf) -> Result<Self> {
        let scratch = Scratch::fresh(scratch);
        private(&scratch.0)?;
        let mut connection = options(path).create_if_missing(false).connect().await?;
        let target = scratch.0.to_string_lossy().into_owned();
        let written = sqlx::query("VACUUM INTO $1").bind(target).execute(&mut connection).await;
        close(connection).await;
        written?;
        Ok(Self { scratch })
    }

    pub(super) async fn read(&self) -> Result<BoxStream<'static, Result<Bytes>>> {
        let path = self.scratch.0.clone();
        let file = File::open(&path).await.map_err(|error| unreadable(&path, &error))?;
        Ok(stream::unfold(Some((file, path)), next).boxed())
    }

    pub(super) async fn rows(&self) -> Result<u64> {
        let mut connection = options(&self.scratch.0).connect().await?;
        let rows = count(&mut connection).await;
        close(connection).await;
        rows
    }
}

type Open = Option<(File, PathBuf)>;

async fn next(open: Open) -> Option<(Result<Bytes>, Open)> {
    let (mut file, path) = open?;
    let mut buffer = BytesMut::with_capacity(READ);
    match file.read_buf(&mut buffer).await {
        Ok(0) => None,
        Ok(_) => Some((Ok(buffer.freeze()), Some((file, path)))),
        Err(error) => Some((Err(unreadable(&path, &error)), None)),
    }
}

/// Makes a new file for its owner alone.
fn private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| unreadable(path, &error))
}

/// All rows of the tables that are there.
async fn count(connection: &mut SqliteConnection) -> Result<u64> {
    let mut rows = 0;
    for table in TABLES {
        let there = sqlx::query("SELECT 1 AS there FROM sqlite_schema WHERE type = 'table' AND name = $1");
        if there.bind(table.name).fetch_optional(&mut *connection).await?.is_none() {
            continue;
        }
        let counting = format!("SELECT count(*) AS rows FROM \"{}\"", table.name);
        let row = sqlx::query(AssertSqlSafe(counting)).fetch_one(&mut *connection).await?;
        rows += unsigned(row.try_get("rows")?);
    }
    Ok(rows)
}

/// A file that a copy is written into.
pub(super) struct Writing {
    scratch: Option<Scratch>,
    file: File,
    target: PathBuf,
}

impl Writing {
    /// Begins beside the target, so that the whole is put in its place by one step.
    pub(super) async fn begin(target: PathBuf) -> Result<Self> {
        if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| unreadable(folder, &error))?;
        }
        let mut name = target.clone().into_os_string();
        name.push(".restoring");
        let scratch = Scratch::fresh(name.into());
        private(&scratch.0)?;
        let file = File::options().write(true).open(&scratch.0).await;
        let file = file.map_err(|error| unreadable(&scratch.0, &error))?;
        Ok(Self { scratch: Some(scratch), file, target })
    }

    fn path(&self) -> &Path {
        self.scratch.as_ref().map_or(&self.target, |scratch| &scratch.0)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).await.map_err(|error| unreadable(self.path(), &error))
    }

    /// Looks at the whole, marks it as restored, and puts it in its place.
    pub(super) async fn finish(mut self, mark: &Mark) -> Result<()> {
        let path = self.path().to_owned();
        self.file.sync_all().await.map_err(|error| unreadable(&path, &error))?;
        let mut connection = options(&path)
            .create_if_missing(false)
            .connect()
            .await
            .map_err(|error| Error::from(Damage::Integrity(format!("it does not open ({error})"))))?;
        let looked = look(&mut connection, mark).await;
        let marked = match looked {
            Ok(()) => marked(&mut connection, mark).await,
            refused => refused,
        };
        // Everything is moved from its log into the file.
        let settled = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await;
        close(connection).await;
        marked?;
        settled?;
        self.put_in_place(&path)
    }

    /// The files of the log belong to what was there before, if anything was.
    fn put_in_place(&mut self, path: &Path) -> Result<()> {
        for suffix in ["-wal", "-shm"] {
            let mut name = self.target.as_os_str().to_owned();
            name.push(suffix);
            let _ = std::fs::remove_file(name);
        }
        std::fs::rename(path, &self.target).map_err(|error| unreadable(&self.target, &error))?;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| unreadable(folder, &error))?;
        if let Some(scratch) = self.scratch.take() {
            scratch.remove();
        }
        Ok(())
    }
}

async fn look(connection: &mut SqliteConnection, mark: &Mark) -> Result<()> {
    let damaged = |error: sqlx::Error| Error::from(Damage::Integrity(error.to_string()));
    let faults = sqlx::query(
        "SELECT integrity_check AS fault FROM pragma_integrity_check WHERE integrity_check <> 'ok' LIMIT 5",
    );
    let faults = faults.fetch_all(&mut *connection).await.map_err(damaged)?;
    if let Some(fault) = faults.first() {
        return Err(Damage::Integrity(fault.try_get("fault")?).into());
    }
    let orphans = sqlx::query("SELECT count(*) AS orphans FROM pragma_foreign_key_check");
    let orphans: i64 = orphans.fetch_one(&mut *connection).await.map_err(damaged)?.try_get("orphans")?;
    if orphans > 0 {
        return Err(Damage::Integrity(format!("{orphans} rows point to rows that are not there")).into());
    }
    let found = count(connection).await?;
    if found != mark.rows {
        return Err(Damage::Rows { part: PART.to_owned(), found, wanted: mark.rows }.into());
    }
    let canary = sqlx::query("SELECT canary FROM backup WHERE id = $1").bind(mark.backup.clone());
    let canary: Option<String> = match canary.fetch_optional(connection).await.map_err(damaged)? {
        Some(row) => Some(row.try_get("canary")?),
        None => None,
    };
    if mark.knows(canary.as_deref()) { Ok(()) } else { Err(Damage::Canary.into()) }
}

async fn marked(connection: &mut SqliteConnection, mark: &Mark) -> Result<()> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(super::restoration::NEW_EPOCHS).bind(mark.now.as_millis()).execute(&mut *tx).await?;
    sqlx::query(super::restoration::WHOLE)
        .bind(mark.backup.clone())
        .bind(At(mark.now))
        .bind(signed(mark.bytes))
        .bind(signed(mark.rows))
        .execute(&mut *tx)
        .await?;
    if mark.hold {
        sqlx::query(super::restoration::HOLD).bind(At(mark.now)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Looks whether a file that a copy was restored into still has its canary.
pub(super) async fn has_canary(path: &Path, mark: &Mark) -> Result<bool> {
    let mut connection = options(path).create_if_missing(false).connect().await?;
    let canary = sqlx::query("SELECT canary FROM backup WHERE id = $1").bind(mark.backup.clone());
    let row = canary.fetch_optional(&mut connection).await;
    close(connection).await;
    let canary: Option<String> = row?.map(|row| row.try_get("canary")).transpose()?;
    Ok(mark.knows(canary.as_deref()))
}
