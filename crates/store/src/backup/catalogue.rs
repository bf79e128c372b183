//! What is known of backups that were made and of drills that restored one. The backups themselves are elsewhere: when this
//! database is lost, they are found without it.

use mainstay_domain::{BackupState, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, moment, signed, unsigned};

statements! {
    MAKE_INSTALLATION = both("INSERT INTO installation (only_row, id) VALUES (1, $1) ON CONFLICT (only_row) DO NOTHING");
    INSTALLATION = both("SELECT id FROM installation WHERE only_row = 1");
    BEGIN_BACKUP = both("
        INSERT INTO backup (id, state, place, canary, started_at, bytes, rows, encrypted)
        VALUES ($1, 'running', $2, $3, $4, 0, 0, $5)");
    END_BACKUP = both("
        UPDATE backup SET state = $2, ended_at = $3, bytes = $4, rows = $5, error = $6 WHERE id = $1 AND state = 'running'");
    /// Whoever made it was killed.
    GIVE_UP = both("
        UPDATE backup SET state = 'failed', ended_at = $2, error = 'whoever made it ended before it was done'
        WHERE state = 'running' AND started_at < $1");
    DELETED = both("UPDATE backup SET state = 'deleted' WHERE id = $1 AND state = 'complete'");
    FORGET_BACKUPS = both("
        DELETE FROM backup WHERE state IN ('failed', 'deleted')
          AND id <= (SELECT id FROM backup ORDER BY id DESC LIMIT 1 OFFSET $1)");
    BACKUPS = both("
        SELECT id, state, place, canary, started_at, ended_at, bytes, rows, encrypted, error FROM backup
        ORDER BY id DESC LIMIT $1");
    LAST_COMPLETE = both("
        SELECT id, state, place, canary, started_at, ended_at, bytes, rows, encrypted, error FROM backup
        WHERE state = 'complete' ORDER BY id DESC LIMIT 1");
    RECORD_DRILL = both("
        INSERT INTO restore_drill (id, at, backup, passed, recovery_point_ms, recovery_time_ms, detail)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING");
    FORGET_DRILLS = both("
        DELETE FROM restore_drill WHERE id <= (SELECT id FROM restore_drill ORDER BY id DESC LIMIT 1 OFFSET $1)");
    DRILLS = both("
        SELECT id, at, backup, passed, recovery_point_ms, recovery_time_ms, detail FROM restore_drill
        ORDER BY id DESC LIMIT $1");
    LAST_PASSED = both("
        SELECT id, at, backup, passed, recovery_point_ms, recovery_time_ms, detail FROM restore_drill
        WHERE passed ORDER BY id DESC LIMIT 1");
}

/// How many backups that are gone, and how many drills, are remembered.
const REMEMBERED: i64 = 400;

/// Which installation this is. It is made up the first time, and stays with its data: a restored copy has it too.
#[derive(Clone, Copy, Debug)]
pub struct InstallationIs(pub Uuid);

#[derive(sqlx::FromRow)]
struct InstallationRow {
    id: Uuid,
}

impl Intent for InstallationIs {
    type Output = Uuid;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Uuid> {
        tx.query(MAKE_INSTALLATION).bind(self.0).run().await?;
        let row: Option<InstallationRow> = tx.query(INSTALLATION).row().await?;
        Ok(row.map_or(self.0, |row| row.id))
    }
}

/// A backup as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBackup {
    /// Its name where it is kept; they sort by time.
    pub id: String,
    /// Where it stands.
    pub state: BackupState,
    /// Where it is kept.
    pub place: String,
    /// Chance by which a copy is known to be of its moment.
    pub canary: String,
    /// When it began: everything that was committed before is in it.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its size as stored, in bytes.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// Why it failed.
    pub error: Option<String>,
}

#[derive(sqlx::FromRow)]
struct BackupRow {
    id: String,
    state: String,
    place: String,
    canary: String,
    started_at: At,
    ended_at: Option<At>,
    bytes: i64,
    rows: i64,
    encrypted: bool,
    error: Option<String>,
}

impl TryFrom<BackupRow> for StoredBackup {
    type Error = crate::error::Error;

    fn try_from(row: BackupRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            state: word(&row.state)?,
            place: row.place,
            canary: row.canary,
            started_at: row.started_at.0,
            ended_at: moment(row.ended_at),
            bytes: unsigned(row.bytes),
            rows: unsigned(row.rows),
            encrypted: row.encrypted,
            error: row.error,
        })
    }
}

/// A backup is about to be made. Committed before the first byte is read, so that the copy has this row too.
#[derive(Clone, Debug)]
pub struct BeginBackup {
    /// Its name.
    pub id: String,
    /// Where it will be kept, without any secret.
    pub place: String,
    /// Chance.
    pub canary: String,
    /// Whether it will be encrypted.
    pub encrypted: bool,
    /// The present moment.
    pub now: Timestamp,
    /// Backups that began before this and have not ended never will.
    pub given_up: Timestamp,
}

impl Intent for BeginBackup {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.query(GIVE_UP).bind(At(self.given_up)).bind(At(self.now)).run().await?;
        let query = tx.query(BEGIN_BACKUP).bind(self.id.clone()).bind(self.place.clone()).bind(self.canary.clone());
        query.bind(At(self.now)).bind(self.encrypted).run().await?;
        tx.query(FORGET_BACKUPS).bind(REMEMBERED).run().await?;
        Ok(())
    }
}

/// A backup has ended.
#[derive(Clone, Debug)]
pub struct EndBackup {
    /// Which.
    pub id: String,
    /// Its size in bytes and its rows, or why it failed.
    pub outcome: std::result::Result<(u64, u64), String>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for EndBackup {
    /// False when it had been given up.
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let (state, bytes, rows, error) = match &self.outcome {
            Ok((bytes, rows)) => ("complete", signed(*bytes), signed(*rows), None),
            Err(error) => ("failed", 0, 0, Some(error.clone())),
        };
        let query = tx.query(END_BACKUP).bind(self.id.clone()).bind(state).bind(At(self.now));
        Ok(query.bind(bytes).bind(rows).bind(error).run().await? == 1)
    }
}

/// A backup has been deleted where it was kept.
#[derive(Clone, Debug)]
pub struct BackupDeleted(pub String);

impl Intent for BackupDeleted {
    /// False when this database did not know it as complete.
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        Ok(tx.query(DELETED).bind(self.0.clone()).run().await? == 1)
    }
}

/// Lists backups, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListBackups(pub u32);

impl Intent for ListBackups {
    type Output = Vec<StoredBackup>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<BackupRow> = tx.query(BACKUPS).bind(i64::from(self.0)).rows().await?;
        rows.into_iter().map(StoredBackup::try_from).collect()
    }
}

/// A restore that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// Its name; they sort by time.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Of which backup.
    pub backup: String,
    /// Whether the copy was whole, started and had the canary.
    pub passed: bool,
    /// How much time of work would have been lost, in milliseconds.
    pub recovery_point_ms: u64,
    /// How long it took until the copy answered, in milliseconds.
    pub recovery_time_ms: u64,
    /// What was seen, or what went wrong.
    pub detail: String,
}

#[derive(sqlx::FromRow)]
struct DrillRow {
    id: String,
    at: At,
    backup: String,
    passed: bool,
    recovery_point_ms: i64,
    recovery_time_ms: i64,
    detail: String,
}

impl From<DrillRow> for Drill {
    fn from(row: DrillRow) -> Self {
        Self {
            id: row.id,
            at: row.at.0,
            backup: row.backup,
            passed: row.passed,
            recovery_point_ms: unsigned(row.recovery_point_ms),
            recovery_time_ms: unsigned(row.recovery_time_ms),
            detail: row.detail,
        }
    }
}

/// Remembers a drill, and forgets the oldest beyond 400.
#[derive(Clone, Debug)]
pub struct RecordDrill(pub Drill);

impl Intent for RecordDrill {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let Drill { id, at, backup, passed, recovery_point_ms, recovery_time_ms, detail } = self.0.clone();
        let query = tx.query(RECORD_DRILL).bind(id).bind(At(at)).bind(backup).bind(passed);
        query.bind(signed(recovery_point_ms)).bind(signed(recovery_time_ms)).bind(detail).run().await?;
        tx.query(FORGET_DRILLS).bind(REMEMBERED).run().await?;
        Ok(())
    }
}

/// Lists drills, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListDrills(pub u32);

impl Intent for ListDrills {
    type Output = Vec<Drill>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<DrillRow> = tx.query(DRILLS).bind(i64::from(self.0)).rows().await?;
        Ok(rows.into_iter().map(Drill::from).collect())
    }
}

/// The last backup that is whole, and the last drill that passed: how old they are is watched.
#[derive(Clone, Copy, Debug)]
pub struct LastGood;

impl Intent for LastGood {
    type Output = (Option<StoredBackup>, Option<Drill>);
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let backup: Option<BackupRow> = tx.query(LAST_COMPLETE).row().await?;
        let drill: Option<DrillRow> = tx.query(LAST_PASSED).row().await?;
        Ok((backup.map(StoredBackup::try_from).transpose()?, drill.map(Drill::from)))
    }
}
