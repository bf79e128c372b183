//! Who wants no text messages.

use mainstay_domain::{TenantId, Timestamp};

use crate::error::Result;
use crate::intent::Intent;
use crate::jobs::finish::{Fence, done};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// What was said last counts, whatever arrives last.
    SAY = both("
        INSERT INTO text_opt_out (phone, tenant_id, stopped, changed_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (phone, tenant_id) DO UPDATE SET stopped = excluded.stopped, changed_at = excluded.changed_at
        WHERE excluded.changed_at > text_opt_out.changed_at
          OR (excluded.changed_at = text_opt_out.changed_at AND excluded.stopped = 1)");
    /// Whoever wants them again after having been erased.
    AGAIN = both("DELETE FROM text_opt_out WHERE phone = $1 AND tenant_id = $2");
    SILENCED = both("
        SELECT stopped FROM text_opt_out WHERE phone = $1 AND tenant_id = $2 AND stopped = 1");
    LIST = both("
        SELECT phone, changed_at FROM text_opt_out WHERE tenant_id = $1 AND stopped = 1 AND (changed_at, phone) < ($2, $3)
          AND phone NOT LIKE 'erased1:%'
        ORDER BY changed_at DESC, phone DESC LIMIT $4");
}

/// Keeps that a number wants no more text messages, or wants them again.
#[derive(Clone, Debug)]
pub struct OptOut {
    /// The organisation.
    pub tenant: TenantId,
    /// The number (E.164).
    pub phone: String,
    /// What is kept of it when somebody was erased.
    pub digest: String,
    /// Whether it wants none.
    pub stopped: bool,
    /// When it said so.
    pub at: Timestamp,
    /// The job that ends with it, and the present moment.
    pub fence: Option<(Fence, Timestamp)>,
}

impl Intent for OptOut {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let say = tx.query(SAY).bind(self.phone.clone()).bind(self.tenant.uuid()).bind(i64::from(self.stopped));
        say.bind(At(self.at)).run().await?;
        if !self.stopped {
            tx.query(AGAIN).bind(self.digest.clone()).bind(self.tenant.uuid()).run().await?;
        }
        match self.fence {
            Some((fence, now)) => done(tx, fence, now).await,
            None => Ok(()),
        }
    }
}

/// Whether somebody who was erased had said that they want no text messages.
#[derive(Clone, Debug)]
pub struct WasSilenced {
    /// The organisation.
    pub tenant: TenantId,
    /// What is kept of the number.
    pub digest: String,
}

#[derive(sqlx::FromRow)]
struct SilencedRow {
    stopped: i64,
}

impl Intent for WasSilenced {
    type Output = bool;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let row: Option<SilencedRow> =
            tx.query(SILENCED).bind(self.digest.clone()).bind(self.tenant.uuid()).row().await?;
        Ok(row.is_some_and(|row| row.stopped == 1))
    }
}

/// Lists the numbers that want none, and since when, the last first.
#[derive(Clone, Debug)]
pub struct ListOptOuts {
    /// The organisation.
    pub tenant: TenantId,
    /// Those before this one.
    pub before: Option<(Timestamp, String)>,
    /// At most so many.
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct OptOutRow {
    phone: String,
    changed_at: At,
}

impl Intent for ListOptOuts {
    type Output = Vec<(String, Timestamp)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (at, phone) = self.before.clone().unwrap_or((crate::value::END_OF_TIME, String::new()));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(phone).bind(i64::from(self.limit));
        Ok(list.rows::<OptOutRow>().await?.into_iter().map(|row| (row.phone, row.changed_at.0)).collect())
    }
}
