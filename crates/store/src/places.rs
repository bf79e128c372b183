//! Rows of all organisations for which something is due: found as the system, and changed in the names of their
//! organisations.

use mainstay_domain::{TenantId, Timestamp};

use crate::call::Call;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::Sql;
use crate::store::Store;
use crate::tx::{Scope, Tx};
use crate::value::{At, Place};

/// Finds the rows for which something is due at a moment, as many as the statement says.
pub(crate) struct FindDue(pub(crate) Sql, pub(crate) Timestamp);

impl Intent for FindDue {
    type Output = Vec<Place>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        tx.query(self.0).bind(At(self.1)).rows().await
    }
}

/// Forgets rows by a statement that takes their places.
struct Forget(Sql, Vec<Place>);

impl Intent for Forget {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::of(self.1.iter().map(|place| TenantId(place.tenant_id)))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.batch(self.0, &self.1).run().await.map(drop)
    }
}

impl Store {
    /// Forgets rows by a statement that takes their places. The answer is how many there were. Removing is the workers'
    /// right: they have the system's role in the name of organisations.
    pub(crate) async fn forget_places(&self, call: &Call, forget: Sql, places: Vec<Place>) -> Result<usize> {
        let there = places.len();
        if there > 0 {
            self.run_for_jobs(call, Forget(forget, places)).await?;
        }
        Ok(there)
    }
}
