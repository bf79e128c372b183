//! What an experiment has found: figures for each variant, over all organisations.

use mainstay_domain::ExperimentId;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};

statements! {
    /// First the total of each unit, from its exposure on. The squares are those of the distances from the mean of the
    /// variant: a sum of the squares themselves would lose all digits where the mean is much larger than the spread.
    FIGURES = both("
        WITH totals AS MATERIALIZED (
          SELECT e.variant AS variant, count(o.event_id) AS events, coalesce(sum(o.value), 0.0) AS total
          FROM exposure e LEFT JOIN outcome o ON o.experiment_id = e.experiment_id AND o.tenant_id = e.tenant_id
            AND o.unit_id = e.unit_id AND o.happened_at >= e.exposed_at
          WHERE e.experiment_id = $1 GROUP BY e.tenant_id, e.unit_id, e.variant),
        means AS MATERIALIZED (SELECT variant, avg(total) AS mean FROM totals GROUP BY variant)
        SELECT t.variant, count(*) AS units, sum(CASE WHEN t.events > 0 THEN 1 ELSE 0 END) AS converted,
               means.mean AS mean, sum((t.total - means.mean) * (t.total - means.mean)) AS squares
        FROM totals t JOIN means ON means.variant = t.variant GROUP BY t.variant, means.mean ORDER BY t.variant");
}

/// What was found for one variant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VariantFigures {
    /// Its place in the experiment, from 0.
    pub variant: usize,
    /// How many units were shown it.
    pub units: u64,
    /// How many of them had the event after that.
    pub converted: u64,
    /// The mean of the units' totals.
    pub mean: f64,
    /// The sum of the squares of their distances from it.
    pub squares: f64,
}

#[derive(sqlx::FromRow)]
struct FiguresRow {
    variant: i64,
    units: i64,
    converted: i64,
    mean: f64,
    squares: f64,
}

/// Adds up what an experiment has found. Variants that nobody was shown are missing.
#[derive(Clone, Copy, Debug)]
pub struct ResultsOf(pub ExperimentId);

impl Intent for ResultsOf {
    type Output = Vec<VariantFigures>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<FiguresRow> = tx.query(FIGURES).bind(self.0.uuid()).rows().await?;
        rows.into_iter().map(VariantFigures::try_from).collect()
    }
}

impl TryFrom<FiguresRow> for VariantFigures {
    type Error = Error;
    fn try_from(row: FiguresRow) -> Result<Self> {
        let count = |number: i64| u64::try_from(number).map_err(|error| Error::Corrupt(error.to_string()));
        Ok(Self {
            variant: usize::try_from(row.variant).map_err(|error| Error::Corrupt(error.to_string()))?,
            units: count(row.units)?,
            converted: count(row.converted)?,
            mean: row.mean,
            squares: row.squares,
        })
    }
}
