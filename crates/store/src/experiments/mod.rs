//! Experiments: their definitions ([`PutExperiment`] and its like), who saw what and what came of it ([`exposures`]), the
//! figures ([`results`]), and how old ones are erased ([`housekeeping`]).

mod exposures;
mod housekeeping;
mod results;

use mainstay_domain::{Experiment, ExperimentId, ExperimentState, FlagKey, Timestamp, VariantName};
use uuid::Uuid;

use crate::error::Result;
use crate::flags::{Put, changed, is_full};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, json};

pub use exposures::{Exposure, Outcome, RecordExposures, RecordOutcomes};
pub use results::{ResultsOf, VariantFigures};

statements! {
    ALL = both("
        SELECT id, key, definition, state, winner, created_at, started_at, stopped_at FROM experiment
        WHERE removed_at IS NULL ORDER BY key LIMIT 1000");
    OTHERS = both("SELECT count(*) AS number FROM experiment WHERE removed_at IS NULL AND key <> $1");
    PUT = both("
        INSERT INTO experiment (id, key, definition, state, created_at) VALUES ($1, $2, $3, 'draft', $4)
        ON CONFLICT (key) WHERE removed_at IS NULL
        DO UPDATE SET definition = excluded.definition WHERE experiment.state = 'draft'");
    START = both("
        UPDATE experiment SET state = 'running', started_at = $2 WHERE key = $1 AND removed_at IS NULL AND state = 'draft'");
    STOP = both("
        UPDATE experiment SET state = 'stopped', stopped_at = coalesce(stopped_at, $2), winner = $3
        WHERE key = $1 AND removed_at IS NULL AND state <> 'draft'");
    REMOVE = both("
        UPDATE experiment SET removed_at = $2 WHERE key = $1 AND removed_at IS NULL AND state <> 'running'");
}

/// The lists of this module and those below.
#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] =
    &[STATEMENTS, exposures::STATEMENTS, housekeeping::STATEMENTS, results::STATEMENTS];

/// The most experiments of an installation.
pub const MOST_EXPERIMENTS: i64 = 100;

/// An experiment as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredExperiment {
    /// Its id: another one for an experiment that is made anew under an old key.
    pub id: ExperimentId,
    /// What it is asked for by.
    pub key: FlagKey,
    /// What is tried.
    pub experiment: Experiment,
    /// How far it has come.
    pub state: ExperimentState,
    /// What everybody gets after it was stopped.
    pub winner: Option<VariantName>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it was stopped.
    pub stopped_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct ExperimentRow {
    id: Uuid,
    key: String,
    definition: String,
    state: String,
    winner: Option<String>,
    created_at: At,
    started_at: Option<At>,
    stopped_at: Option<At>,
}

impl ExperimentRow {
    /// Nothing when this program cannot read it: it must not keep the others from being read.
    fn read(self) -> Option<StoredExperiment> {
        let experiment = serde_json::from_str(&self.definition).map_err(|error| {
            let key = &self.key;
            tracing::error!(key, %error, "an experiment cannot be read, and is left out; was it written by a newer program?");
        });
        Some(StoredExperiment {
            id: ExperimentId(self.id),
            key: FlagKey::parse(&self.key).ok()?,
            experiment: experiment.ok()?,
            state: word(&self.state).ok()?,
            winner: self.winner.and_then(|name| VariantName::parse(&name).ok()),
            created_at: self.created_at.0,
            started_at: self.started_at.map(|at| at.0),
            stopped_at: self.stopped_at.map(|at| at.0),
        })
    }
}

/// Reads those that were not removed.
pub(crate) async fn all(tx: &mut Tx<'_>) -> Result<Vec<StoredExperiment>> {
    let rows: Vec<ExperimentRow> = tx.query(ALL).rows().await?;
    Ok(rows.into_iter().filter_map(ExperimentRow::read).collect())
}

/// Makes an experiment, or changes one that has not been started.
#[derive(Clone, Debug)]
pub struct PutExperiment {
    /// Its id, if it is new.
    pub id: ExperimentId,
    /// What it is asked for by.
    pub key: FlagKey,
    /// What is tried.
    pub experiment: Experiment,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for PutExperiment {
    type Output = Put;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Put> {
        changed(tx).await?;
        if is_full(tx, OTHERS, &self.key, MOST_EXPERIMENTS).await? {
            return Ok(Put::TooMany);
        }
        let put = tx
            .query(PUT)
            .bind(self.id.uuid())
            .bind(self.key.as_str().to_owned())
            .bind(json(&self.experiment)?)
            .bind(At(self.now))
            .run()
            .await?;
        Ok(if put > 0 { Put::Done } else { Put::NotDraft })
    }
}

/// One step of an experiment. The answer is false when it is not there, or is not where the step begins.
#[derive(Clone, Debug)]
pub struct MoveExperiment {
    /// What it is asked for by.
    pub key: FlagKey,
    /// Where to.
    pub step: ExperimentStep,
    /// The present moment.
    pub now: Timestamp,
}

/// What is done to an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExperimentStep {
    /// A draft begins to run.
    Start,
    /// One that runs is stopped. Again, with another winner, for one that was stopped already.
    Stop {
        /// What everybody gets from now on.
        winner: Option<VariantName>,
    },
    /// One that does not run is removed, and what it found is erased.
    Remove,
}

impl Intent for MoveExperiment {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        changed(tx).await?;
        let sql = match &self.step {
            ExperimentStep::Start => START,
            ExperimentStep::Stop { .. } => STOP,
            ExperimentStep::Remove => REMOVE,
        };
        let query = tx.query(sql).bind(self.key.as_str().to_owned()).bind(At(self.now));
        let query = match &self.step {
            ExperimentStep::Stop { winner } => query.bind(winner.as_ref().map(|name| name.as_str().to_owned())),
            ExperimentStep::Start | ExperimentStep::Remove => query,
        };
        Ok(query.run().await? > 0)
    }
}
