//! Migrations: tracked, planned before they run, applied by one node only, reversible, refused when history was changed.
//!
//! Each is a pair of files with the same number and name on both engines. A file runs in one transaction together with
//! the row that records it, so a crash leaves either both or nothing. A file whose first line is `-- no transaction` (an
//! index built concurrently) runs statement by statement; how far it came is recorded after each, and it resumes there.
//!
//! On PostgreSQL one node at a time holds an advisory lock, which the server gives back when its holder dies. It is taken
//! by asking again and again until a deadline: waiting inside the server would hold a snapshot, and an index that is built
//! concurrently waits for snapshots.

mod files;
mod postgres;
mod record;
mod split;
mod sqlite;
mod statistics;

use std::time::Duration;

use mainstay_domain::Timestamp;

use crate::backup::{Applied as AppliedMigration, Damage};
use crate::error::{Error, Result};
use crate::store::Options;
pub(crate) use files::digest;
pub use split::StatementRisk;
pub use sqlite::{file_fault, folder_fault};

/// A migration and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub version: i64,
    /// What it does, in a word or two.
    pub description: String,
    /// Where it stands.
    pub state: StepState,
}

/// Where a migration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// To be applied.
    Pending,
    /// Begun, without a transaction, and not finished: `up` goes on after that many statements.
    Unfinished(i64),
    /// Applied, when, and how long it took in milliseconds.
    Applied(Timestamp, i64),
    /// Applied, but the file has changed since.
    Changed,
    /// Applied by a newer program: this one does not know it.
    Unknown,
}

/// What applying a pending migration means.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its number.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// Its statements, each with what it locks and what is risky about it.
    pub statements: Vec<StatementRisk>,
    /// How long it took in a rehearsal: on a copy (SQLite) or in a transaction that was rolled back (PostgreSQL). Nothing
    /// when it cannot be rehearsed.
    pub rehearsed: Option<Duration>,
}

/// A migration that was applied or undone now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// How long it took.
    pub took: Duration,
}

/// What is recorded of an applied migration.
#[derive(Clone, Debug, sqlx::FromRow)]
struct Record {
    version: i64,
    description: String,
    checksum: String,
    state: String,
    progress: i64,
    applied_at: crate::value::At,
    took_ms: i64,
}

enum Engine {
    Sqlite(sqlite::Engine),
    Postgres(Box<postgres::Engine>),
}

/// A connection of the schema's owner.
pub struct Migrator {
    engine: Engine,
    files: Vec<files::Migration>,
}

impl std::fmt::Debug for Migrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Migrator({} files)", self.files.len())
    }
}

impl Migrator {
    /// Connects. On SQLite the file, and the folder that it is in, are made when they are not there.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn open(options: &Options) -> Result<Self> {
        let engine = match options.sqlite_path() {
            Some(path) => Engine::Sqlite(sqlite::Engine::open(&path).await?),
            None => Engine::Postgres(Box::new(postgres::Engine::open(&options.url).await?)),
        };
        Ok(Self::with(engine))
    }

    fn with(engine: Engine) -> Self {
        let files = match engine {
            Engine::Sqlite(_) => files::sqlite(),
            Engine::Postgres(_) => files::postgres(),
        };
        Self { engine, files }
    }

    /// The same with other files, for tests.
    #[cfg(test)]
    pub(crate) async fn with_files(url: &mainstay_domain::Secret, files: Vec<files::Migration>) -> Result<Self> {
        let mut migrator = Self::open(&Options::new(url.clone())).await?;
        migrator.files = files;
        Ok(migrator)
    }

    /// Every migration, known or applied, and where it stands.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn status(&mut self) -> Result<Vec<Step>> {
        let records = self.records().await?;
        let mut steps: Vec<_> = self.files.iter().map(|file| step(file, &records)).collect();
        for record in &records {
            if !self.files.iter().any(|file| file.version == record.version) {
                let description = record.description.clone();
                steps.push(Step { version: record.version, description, state: StepState::Unknown });
            }
        }
        steps.sort_by_key(|step| step.version);
        Ok(steps)
    }

    /// True when nothing is pending or unfinished.
    ///
    /// # Errors
    /// When history was changed, or the schema is newer than this program: it must not be touched.
    pub async fn is_current(&mut self) -> Result<bool> {
        self.may_serve(false).await
    }

    /// The same, where `accept_newer` says that migrations which came after the last one of this program do no harm: they have
    /// only added. So a program that is put back can serve from the schema of the one that took its place.
    ///
    /// # Errors
    /// As [`Self::is_current`]; what is unknown among the migrations of this program is always refused.
    pub async fn may_serve(&mut self, accept_newer: bool) -> Result<bool> {
        let newest = self.files.iter().map(|file| file.version).max().unwrap_or(0);
        let mut steps = self.status().await?;
        if accept_newer {
            steps.retain(|step| step.state != StepState::Unknown || step.version < newest);
        }
        refuse_foreign_history(&steps)?;
        Ok(steps.iter().all(|step| matches!(step.state, StepState::Applied(..))))
    }

    /// What `up` would do: the statements, their locks and risks, and how long a rehearsal took.
    ///
    /// # Errors
    /// When history was changed or the rehearsal fails.
    pub async fn plan(&mut self) -> Result<Vec<Planned>> {
        let pending = self.pending().await?;
        let rehearsed = match &mut self.engine {
            Engine::Sqlite(engine) => engine.rehearse(&pending).await?,
            Engine::Postgres(engine) => engine.rehearse(&pending).await?,
        };
        let postgres = matches!(self.engine, Engine::Postgres(_));
        Ok(pending
            .into_iter()
            .zip(rehearsed)
            .map(|(file, rehearsed)| Planned {
                version: file.version,
                description: file.description.to_owned(),
                statements: split::risks(&file.up, postgres),
                rehearsed,
            })
            .collect())
    }

    /// Applies what is pending, waiting at most `patience` for another node that does so.
    ///
    /// # Errors
    /// When history was changed, the lock is not to be had in time, or a statement fails: then what that file did is rolled
    /// back.
    pub async fn up(&mut self, now: Timestamp, patience: Duration) -> Result<Vec<Applied>> {
        if let Engine::Postgres(engine) = &mut self.engine {
            engine.lock(patience).await?;
        }
        let done = self.apply_pending(now).await;
        if let Engine::Postgres(engine) = &mut self.engine {
            engine.unlock().await;
        }
        done
    }

    async fn apply_pending(&mut self, now: Timestamp) -> Result<Vec<Applied>> {
        let mut done = Vec::new();
        // Read under the lock: another node may just have finished.
        for file in self.pending().await? {
            let took = match &mut self.engine {
                Engine::Sqlite(engine) => engine.apply(&file, now).await,
                Engine::Postgres(engine) => engine.apply(&file, now).await,
            };
            let took = took.map_err(|error| Error::Bug(format!("migration {}: {error}", file.name())))?;
            if let Some(took) = took {
                done.push(Applied { version: file.version, description: file.description.to_owned(), took });
            }
        }
        if let Engine::Sqlite(engine) = &mut self.engine {
            engine.presume().await?;
        }
        Ok(done)
    }

    /// Applies what is pending, up to and with this migration: how a copy of an older schema gets its tables.
    ///
    /// # Errors
    /// As [`Self::up`].
    pub(crate) async fn up_to(mut self, last: i64, now: Timestamp) -> Result<()> {
        self.files.retain(|file| file.version <= last);
        self.up(now, Duration::from_secs(10)).await.map(drop)
    }

    /// What was applied to the schema, which must be all that this program knows.
    pub(crate) async fn applied(mut self) -> Result<Vec<AppliedMigration>> {
        if !self.is_current().await? {
            return Err(Error::File(
                "Migrations are pending, and a backup is of a schema that is whole. Run `mainstay migrate up` first."
                    .to_owned(),
            ));
        }
        Ok(self
            .files
            .iter()
            .map(|file| AppliedMigration { version: file.version, checksum: file.checksum() })
            .collect())
    }

    /// Looks whether this program has all migrations of a copy.
    pub(crate) fn knows(target: &Options, schema: &[AppliedMigration]) -> Result<()> {
        let files = if target.sqlite_path().is_some() { files::sqlite() } else { files::postgres() };
        let known = |applied: &AppliedMigration| {
            files.iter().any(|file| file.version == applied.version && file.checksum() == applied.checksum)
        };
        match schema.iter().find(|applied| !known(applied)) {
            Some(unknown) => Err(Damage::Newer(unknown.version).into()),
            None => Ok(()),
        }
    }

    /// Undoes every migration above `version`, the newest first.
    ///
    /// # Errors
    /// When history was changed or a statement fails.
    pub async fn down(&mut self, version: i64, patience: Duration) -> Result<Vec<Applied>> {
        if let Engine::Postgres(engine) = &mut self.engine {
            engine.lock(patience).await?;
        }
        let done = self.undo_above(version).await;
        if let Engine::Postgres(engine) = &mut self.engine {
            engine.unlock().await;
        }
        done
    }

    async fn undo_above(&mut self, version: i64) -> Result<Vec<Applied>> {
        refuse_foreign_history(&self.status().await?)?;
        let applied: Vec<i64> = self.records().await?.into_iter().map(|record| record.version).collect();
        let mut done = Vec::new();
        for file in
            self.files.clone().iter().rev().filter(|file| file.version > version && applied.contains(&file.version))
        {
            let took = match &mut self.engine {
                Engine::Sqlite(engine) => engine.undo(file).await,
                Engine::Postgres(engine) => engine.undo(file).await,
            };
            let took = took.map_err(|error| Error::Bug(format!("undoing migration {}: {error}", file.name())))?;
            done.push(Applied { version: file.version, description: file.description.to_owned(), took });
        }
        Ok(done)
    }

    /// A digest of the whole schema, in hexadecimal: the same for the same tables, indexes, rules and policies.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn fingerprint(&mut self) -> Result<String> {
        let text = self.schema().await?;
        Ok(files::digest(&text))
    }

    /// The schema as text, one object a line, sorted.
    pub(crate) async fn schema(&mut self) -> Result<String> {
        match &mut self.engine {
            Engine::Sqlite(engine) => engine.schema().await,
            Engine::Postgres(engine) => engine.schema().await,
        }
    }

    async fn records(&mut self) -> Result<Vec<Record>> {
        match &mut self.engine {
            Engine::Sqlite(engine) => engine.records().await,
            Engine::Postgres(engine) => engine.records().await,
        }
    }

    async fn pending(&mut self) -> Result<Vec<files::Migration>> {
        let steps = self.status().await?;
        refuse_foreign_history(&steps)?;
        let is_pending = |file: &files::Migration| {
            steps.iter().any(|step| {
                step.version == file.version && matches!(step.state, StepState::Pending | StepState::Unfinished(_))
            })
        };
        Ok(self.files.iter().filter(|file| is_pending(file)).cloned().collect())
    }
}

fn step(file: &files::Migration, records: &[Record]) -> Step {
    let state = match records.iter().find(|record| record.version == file.version) {
        None => StepState::Pending,
        Some(record) if record.checksum != file.checksum() => StepState::Changed,
        Some(record) if record.state != "done" => StepState::Unfinished(record.progress),
        Some(record) => StepState::Applied(record.applied_at.0, record.took_ms),
    };
    Step { version: file.version, description: file.description.to_owned(), state }
}

fn refuse_foreign_history(steps: &[Step]) -> Result<()> {
    for step in steps {
        let (version, description) = (step.version, &step.description);
        match step.state {
            StepState::Changed => {
                return Err(Error::Bug(format!(
                    "migration {version} ({description}) was applied from another text than this program has. Use the \
                     program that applied it, or restore the file; an applied migration is never edited."
                )));
            }
            StepState::Unknown => {
                return Err(Error::Bug(format!(
                    "the schema has migration {version} ({description}), which this program does not know: it is older than \
                     the schema. Use the newer program, or undo the migration with it first."
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) fn files_for_tests(options: &Options) -> Vec<files::Migration> {
    if options.sqlite_path().is_some() { files::sqlite() } else { files::postgres() }
}

#[cfg(test)]
pub(crate) fn file_for_tests(version: i64, up: &str) -> files::Migration {
    files::Migration { version, description: "test", up: up.to_owned().into(), down: "SELECT 1".into() }
}
