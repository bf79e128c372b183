//! Who has read what is said in confidence. It is noted by the transaction that reads.

use mainstay_domain::{ContactId, PersonId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::reception::contacts::{self, Contact};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, END_OF_TIME};

statements! {
    NOTE = both("INSERT INTO access_log (id, tenant_id, person_id, what, subject_id, at) VALUES ($1, $2, $3, $4, $5, $6)");
    LIST = both("
        SELECT id, person_id, what, subject_id, at FROM access_log
        WHERE tenant_id = $1 AND (at, id) < ($2, $3) ORDER BY at DESC, id DESC LIMIT $4");
    /// Of an organisation that is there nothing is ever taken away.
    FORGET_NOBODY = both("
        DELETE FROM access_log WHERE tenant_id = $1 AND person_id = $2
          AND NOT EXISTS (SELECT 1 FROM organisation o WHERE o.tenant_id = $1)");
}

/// Who reads, and under which id that is noted.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The id of the note.
    pub id: Uuid,
    /// Who.
    pub by: PersonId,
    /// The present moment.
    pub now: Timestamp,
}

/// That somebody has read something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessEntry {
    /// Its id.
    pub id: Uuid,
    /// Who.
    pub person: PersonId,
    /// What: `call`, `contact`, `replay`, or `calls` or `contacts` for a list.
    pub what: String,
    /// Which one; nothing for a list.
    pub subject: Option<Uuid>,
    /// When.
    pub at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    id: Uuid,
    person_id: Uuid,
    what: String,
    subject_id: Option<Uuid>,
    at: At,
}

pub(crate) async fn note(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    reading: Reading,
    (what, subject): (&'static str, Option<Uuid>),
) -> Result<()> {
    let note = tx.query(NOTE).bind(reading.id).bind(tenant.uuid()).bind(reading.by.uuid()).bind(what).bind(subject);
    note.bind(At(reading.now)).run().await.map(drop)
}

/// Reads a contact, and notes who did.
#[derive(Clone, Copy, Debug)]
pub struct ReadContact {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: ContactId,
    /// Who reads.
    pub reading: Reading,
}

impl Intent for ReadContact {
    type Output = Option<Contact>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Contact>> {
        let found = contacts::contact_of(tx, self.tenant, self.id).await?;
        if found.is_some() {
            note(tx, self.tenant, self.reading, ("contact", Some(self.id.uuid()))).await?;
        }
        Ok(found)
    }
}

/// Reads a page of contacts, and notes who did.
#[derive(Clone, Debug)]
pub struct ReadContacts {
    /// Which page.
    pub list: contacts::ListContacts,
    /// Who reads.
    pub reading: Reading,
}

impl Intent for ReadContacts {
    type Output = Vec<Contact>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.list.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Contact>> {
        note(tx, self.list.tenant, self.reading, ("contacts", None)).await?;
        self.list.run(tx).await
    }
}

/// Lists who has read what, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListAccesses {
    /// The organisation.
    pub tenant: TenantId,
    /// Those before this one.
    pub before: Option<(Timestamp, Uuid)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListAccesses {
    type Output = Vec<AccessEntry>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<AccessEntry>> {
        let (at, id) = self.before.unwrap_or((END_OF_TIME, Uuid::max()));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(id).bind(i64::from(self.limit));
        let entry = |row: EntryRow| AccessEntry {
            id: row.id,
            person: PersonId(row.person_id),
            what: row.what,
            subject: row.subject_id,
            at: row.at.0,
        };
        Ok(list.rows::<EntryRow>().await?.into_iter().map(entry).collect())
    }
}

/// Takes away what was noted of a reader who is nobody, in an organisation that is not there: an audit's own steps. In an
/// organisation that is there it does nothing. The answer is how much there was.
#[derive(Clone, Copy, Debug)]
pub struct ForgetReadingOfNobody {
    /// The organisation that is not there.
    pub tenant: TenantId,
    /// Who read.
    pub by: PersonId,
}

impl Intent for ForgetReadingOfNobody {
    type Output = u64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        tx.query(FORGET_NOBODY).bind(self.tenant.uuid()).bind(self.by.uuid()).run().await
    }
}
