//! What is left of somebody who was erased, so that nobody writes to them again: a keyed digest of their address or number,
//! under which nobody finds them who does not know it already.

use mainstay_domain::{TenantId, Timestamp};

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// The reason that was there stays; else it is one by hand.
    ADDRESS = both("
        INSERT INTO suppression (subject, tenant_id, reason, email_id, created_at)
        VALUES ($1, $2, coalesce((SELECT reason FROM suppression WHERE subject = $3 AND tenant_id = $2), 'manual'), NULL, $4)
        ON CONFLICT (subject, tenant_id) DO NOTHING");
    /// Only of who had said stop.
    PHONE = both("
        INSERT INTO text_opt_out (phone, tenant_id, stopped, changed_at)
        SELECT $1, x.tenant_id, 1, x.changed_at FROM text_opt_out x WHERE x.phone = $3 AND x.tenant_id = $2 AND x.stopped = 1
        ON CONFLICT (phone, tenant_id) DO UPDATE SET stopped = 1, changed_at = excluded.changed_at");
}

/// Where the addresses of leads point that were erased: nobody can ever be there (RFC 2606).
const NOWHERE: &str = "@erased.invalid";

/// An address or a number, and the digest that is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// As it is now.
    pub plain: String,
    /// What stays.
    pub digest: String,
}

/// Keeps that somebody is not to be written to, without keeping who it is.
#[derive(Clone, Debug)]
pub struct ObjectFor {
    /// The organisation.
    pub tenant: TenantId,
    /// Addresses: nobody writes to them again.
    pub addresses: Vec<Objection>,
    /// Numbers: those that had said stop get no text message again.
    pub phones: Vec<Objection>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ObjectFor {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let tenant = self.tenant.uuid();
        let nowhere = Objection { plain: NOWHERE.to_owned(), digest: NOWHERE.to_owned() };
        for one in self.addresses.iter().chain((!self.addresses.is_empty()).then_some(&nowhere)) {
            let add = tx.query(ADDRESS).bind(one.digest.clone()).bind(tenant).bind(one.plain.clone());
            add.bind(At(self.now)).run().await?;
        }
        for one in &self.phones {
            tx.query(PHONE).bind(one.digest.clone()).bind(tenant).bind(one.plain.clone()).run().await?;
        }
        Ok(())
    }
}
