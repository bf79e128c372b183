//! SQLite inside the process: one writer, many readers, deadlines that stop the work.
//!
//! - WAL with `synchronous=FULL`: a commit is on the disk when it is acknowledged.
//! - One connection writes. It is lent under a fair lock, so writers queue here, where the wait is measured and bounded,
//!   and never inside SQLite.
//! - A dropped future cancels nothing inside a database. Each connection therefore has a progress handler that stops its
//!   statement when the deadline of its present borrower has passed; a borrower that goes away in the middle moves the
//!   deadline to now, and the connection is thrown away.
//! - After any failure that is not a constraint the connection is thrown away: SQLite may have rolled back the whole
//!   transaction by itself (full disk, I/O error, interrupt), and later statements would commit alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _, SqliteConnection};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::call::Call;
use crate::error::{Error, Result};

/// Virtual machine steps between two looks at the clock: some tens of microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 2000;
/// Prepared statements that each connection keeps: more than there are.
const PREPARED: usize = 300;
/// Page cache of the writer and of each reader, in KiB.
///
/// The writer's is not larger, because SQLite walks all of it at the end of a transaction that has split a page (the page
/// that stands for the locks makes it believe that the file was cut); what is not in it is in the system's cache.
const WRITER_CACHE_KIB: u32 = 16 * 1024;
const READER_CACHE_KIB: u32 = 8 * 1024;

/// How SQLite is opened.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) path: PathBuf,
    pub(crate) readers: usize,
    pub(crate) acquire_timeout: Duration,
    pub(crate) statement_timeout: Duration,
}

/// A database file.
pub(crate) struct Sqlite {
    settings: Settings,
    started: Instant,
    writer: Mutex<Option<Connection>>,
    reader_permits: Arc<Semaphore>,
    idle_readers: std::sync::Mutex<Vec<Connection>>,
    file: OnceLock<&'static File>,
}

/// A connection and the moment at which its present statement is stopped.
pub(crate) struct Connection {
    pub(crate) raw: SqliteConnection,
    until: Arc<AtomicU64>,
}

impl Sqlite {
    pub(crate) async fn open(settings: Settings) -> Result<Self> {
        let readers = settings.readers;
        let engine = Self {
            settings,
            started: Instant::now(),
            writer: Mutex::new(None),
            reader_permits: Arc::new(Semaphore::new(readers)),
            idle_readers: std::sync::Mutex::new(Vec::with_capacity(readers)),
            file: OnceLock::new(),
        };
        let writer = engine.connect(WRITER_CACHE_KIB).await?;
        *engine.writer.lock().await = Some(writer);
        Ok(engine)
    }

    /// The file itself, to sync it. It stays open for good: whoever closes a file gives up all locks that his process has on
    /// it (POSIX, `fcntl`), and with them those of SQLite.
    fn file(&self) -> Result<&'static File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = File::open(&self.settings.path)
            .map_err(|error| Error::Unavailable(format!("the database's file could not be opened: {error}")))?;
        let file: &'static File = Box::leak(Box::new(file));
        Ok(self.file.get_or_init(|| file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.settings.path
    }

    async fn connect(&self, cache_kib: u32) -> Result<Connection> {
        let mut raw = options(&self.settings.path)
            .pragma("cache_size", format!("-{cache_kib}"))
            // What is replaced in a page is overwritten: a secret that was plain once does not stay in the file.
            .pragma("secure_delete", "FAST")
            // The checkpointer does this, so that no commit has to pay for it.
            .pragma("wal_autocheckpoint", "0")
            .statement_cache_capacity(PREPARED)
            .connect()
            .await?;
        let until = Arc::new(AtomicU64::new(u64::MAX));
        let (seen, started) = (Arc::clone(&until), self.started);
        raw.lock_handle().await?.set_progress_handler(STEPS_BETWEEN_LOOKS, move || {
            millis_since(started, Instant::now()) < seen.load(Ordering::Relaxed)
        });
        Ok(Connection { raw, until })
    }

    /// Lends the writer. The lock is fair: first come, first served.
    pub(crate) async fn writer(&self, call: &Call) -> Result<Writer<'_>> {
        let due = self.due(call, self.settings.acquire_timeout);
        let mut slot = timeout_at(due, self.writer.lock()).await.map_err(|_| Error::Busy("the writer is in use"))?;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => self.connect(WRITER_CACHE_KIB).await?,
        };
        self.limit(&connection, call);
        Ok(Writer { slot, connection: Some(connection) })
    }

    /// Lends a reader.
    pub(crate) async fn reader(&self, call: &Call) -> Result<Reader<'_>> {
        let due = self.due(call, self.settings.acquire_timeout);
        let permit = timeout_at(due, Arc::clone(&self.reader_permits).acquire_owned())
            .await
            .map_err(|_| Error::Busy("every reader is in use"))?
            .map_err(|_| Error::Unavailable("the store is closed".to_owned()))?;
        let idle = self.idle_readers.lock().map(|mut idle| idle.pop()).unwrap_or(None);
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect(READER_CACHE_KIB).await?,
        };
        self.limit(&connection, call);
        Ok(Reader { engine: self, connection: Some(connection), _permit: permit })
    }

    /// Readers that are lent out now, and all there are.
    pub(crate) fn readers_in_use(&self) -> (usize, usize) {
        (self.settings.readers - self.reader_permits.available_permits(), self.settings.readers)
    }

    fn due(&self, call: &Call, at_most: Duration) -> Instant {
        call.deadline().min(Instant::now() + at_most)
    }

    fn limit(&self, connection: &Connection, call: &Call) {
        let due = self.due(call, self.settings.statement_timeout);
        connection.until.store(millis_since(self.started, due), Ordering::Relaxed);
    }
}

/// What every connection to the file has in common.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        // Only a second process (the command line) can hold the lock: wait for it a little.
        .busy_timeout(Duration::from_secs(2))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", LOG_KEPT_BYTES.to_string())
        .foreign_keys(true)
        .disable_statement_logging()
}

fn millis_since(start: Instant, moment: Instant) -> u64 {
    u64::try_from(moment.saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX)
}

/// The writer on loan. It goes back with [`Writer::keep`]; dropped without it, it is stopped and thrown away.
pub(crate) struct Writer<'e> {
    slot: tokio::sync::MutexGuard<'e, Option<Connection>>,
    connection: Option<Connection>,
}

impl Writer<'_> {
    pub(crate) fn raw(&mut self) -> Result<&mut SqliteConnection> {
        self.connection.as_mut().map(|connection| &mut connection.raw).ok_or_else(gone)
    }

    pub(crate) fn keep(mut self) {
        *self.slot = self.connection.take();
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        stop(self.connection.as_ref());
    }
}

/// A reader on loan. It goes back with [`Reader::keep`]; dropped without it, it is stopped and thrown away.
pub(crate) struct Reader<'e> {
    engine: &'e Sqlite,
    connection: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Reader<'_> {
    pub(crate) fn raw(&mut self) -> Result<&mut SqliteConnection> {
        self.connection.as_mut().map(|connection| &mut connection.raw).ok_or_else(gone)
    }

    pub(crate) fn keep(mut self) {
        if let (Some(connection), Ok(mut idle)) = (self.connection.take(), self.engine.idle_readers.lock()) {
            idle.push(connection);
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        stop(self.connection.as_ref());
    }
}

fn stop(connection: Option<&Connection>) {
    if let Some(connection) = connection {
        connection.until.store(0, Ordering::Relaxed);
    }
}

fn gone() -> Error {
    Error::Bug("a connection was used after it went back".to_owned())
}

/// Moves what has been committed from the log into the file, and keeps the log short.
///
/// A passive checkpoint runs beside the writer. Under steady writing it never ends with nothing left to move, which is what
/// the log needs to begin again at its start; so it is repeated until little is left, and that is moved while the writer is
/// held. Rarely and much at a time, because a page that has changed many times meanwhile is then moved once.
///
/// SQLite brings the file to the disk only in the pass that leaves nothing, which is the one for which the writer is held:
/// tens of megabytes then, and as many milliseconds. So each pass is followed by a sync of our own, and the last has little
/// left to sync as well.
pub(crate) struct Checkpointer {
    connection: SqliteConnection,
    file: &'static File,
    /// Until then the writer is not held: a reader of an old state stood in the way.
    held_off_until: Instant,
}

/// For how long the writer is left alone after it was held in vain.
const HOLD_OFF: Duration = Duration::from_secs(5);

/// Passes beside the writer, at most, before the rest is moved while the writer is held.
const PASSES: usize = 6;
/// As little as this is left for that.
const REST_BYTES: i64 = 1 << 20;

/// The log is moved when it has grown past this. Written at full speed it comes to 90 to 130 MB, and to 256 MB where the disk
/// is slow.
const LOG_WANTED_BYTES: i64 = 64 << 20;
/// What a long reader has made of the log beyond this is given back when it begins again. Not less: a log that is cut and
/// grows again each time makes commits wait for the file system's journal.
const LOG_KEPT_BYTES: i64 = 256 << 20;
/// A page in the log, with its header.
const FRAME_BYTES: i64 = 4096 + 24;

/// What a checkpoint answers: frames that are in the log since it last began, and how many of them are in the file.
#[derive(sqlx::FromRow)]
struct Log {
    busy: i64,
    log: i64,
    checkpointed: i64,
}

impl Checkpointer {
    pub(crate) async fn open(engine: &Sqlite) -> Result<Self> {
        let connection = options(engine.path()).busy_timeout(Duration::from_millis(200)).connect().await?;
        Ok(Self { connection, file: engine.file()?, held_off_until: Instant::now() })
    }

    /// Looks at the log once.
    pub(crate) async fn tick(&mut self, engine: &Sqlite) -> Result<()> {
        let seen = self.checkpoint("PRAGMA wal_checkpoint(NOOP)").await?;
        if seen.log * FRAME_BYTES < LOG_WANTED_BYTES {
            return Ok(());
        }
        // Each pass leaves what was written meanwhile, and that is less each time.
        let mut rest = seen.log;
        for _ in 0..PASSES {
            let before = rest;
            let moved = self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)").await?;
            self.sync().await?;
            rest = self.checkpoint("PRAGMA wal_checkpoint(NOOP)").await?.log - moved.checkpointed;
            if rest * FRAME_BYTES <= REST_BYTES || rest >= before {
                break;
            }
        }
        if rest > 0 && Instant::now() >= self.held_off_until {
            let writer = engine.writer(&Call::within(Duration::from_secs(5))).await?;
            let begun_again = self.checkpoint("PRAGMA wal_checkpoint(RESTART)").await?;
            writer.keep();
            if begun_again.busy != 0 {
                self.held_off_until = Instant::now() + HOLD_OFF;
            }
        }
        Ok(())
    }

    /// Brings to the disk what was moved into the file.
    async fn sync(&self) -> Result<()> {
        let file = self.file;
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        let synced = synced.map_err(|error| Error::Bug(format!("the task that syncs the file ended: {error}")))?;
        synced.map_err(|error| Error::Unavailable(format!("the database's file could not be synced: {error}")))
    }

    async fn checkpoint(&mut self, pragma: &'static str) -> Result<Log> {
        Ok(sqlx::query_as(pragma).fetch_one(&mut self.connection).await?)
    }
}

/// The size of the write-ahead log, in bytes; 0 when there is none.
pub(crate) async fn log_size(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    tokio::fs::metadata(log).await.map_or(0, |metadata| metadata.len())
}

/// Closes a connection, as far as that is still possible.
pub(crate) async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a connection did not close cleanly");
    }
}
