//! What went wrong in the browsers of an organisation's members: the last of it, for operators.

use mainstay_domain::{PersonId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::call::Call;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::{Scope, Tx};
use crate::value::{At, Place, first_id_of};

statements! {
    RECORD = insert((id: uuid, tenant_id: uuid, person_id: uuid, page: text, version: text, message: text, detail: text, at: time) "
        client_report (id, tenant_id, person_id, page, version, message, detail, at)
        SELECT id, tenant_id, person_id, page, version, message, detail, at FROM batch WHERE true ON CONFLICT (id, tenant_id) DO NOTHING");
    /// Ids sort by time.
    FORGET = both("
        DELETE FROM client_report WHERE tenant_id = $1 AND id <= (
          SELECT id FROM client_report WHERE tenant_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)");
    LATEST = both("
        SELECT id, tenant_id, person_id, page, version, message, detail, at FROM client_report WHERE id < $1
        ORDER BY id DESC LIMIT $2");
    OLD = both("SELECT id, tenant_id FROM client_report WHERE id < $1 ORDER BY id LIMIT 500");
    EXPIRE = batch((id: uuid, tenant_id: uuid) "
        DELETE FROM client_report WHERE (id, tenant_id) IN (SELECT id, tenant_id FROM batch)");
}

/// How many reports are kept of each organisation.
pub const KEPT_REPORTS: u32 = 50;

/// Something that went wrong in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientReport {
    /// Its id.
    pub id: Uuid,
    /// Whose browser: the organisation.
    pub tenant: TenantId,
    /// Whose browser: the person.
    pub person: PersonId,
    /// On which page.
    pub page: String,
    /// Of which version of the program the page was.
    pub version: String,
    /// What the browser said.
    pub message: String,
    /// Where, as the browser says.
    pub detail: String,
    /// When it arrived.
    pub at: Timestamp,
}

#[derive(Serialize)]
struct ReportCells<'a> {
    id: Uuid,
    tenant_id: Uuid,
    person_id: Uuid,
    page: &'a str,
    version: &'a str,
    message: &'a str,
    detail: &'a str,
    at: i64,
}

#[derive(sqlx::FromRow)]
struct ReportRow {
    id: Uuid,
    tenant_id: Uuid,
    person_id: Uuid,
    page: String,
    version: String,
    message: String,
    detail: String,
    at: At,
}

/// Keeps reports of one organisation, and forgets the oldest beyond 50.
#[derive(Clone, Debug)]
pub struct RecordClientReports {
    /// Whose they are.
    pub tenant: TenantId,
    /// The reports, at most 20.
    pub reports: Vec<ClientReport>,
}

impl Intent for RecordClientReports {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let cells = |report| {
            let ClientReport { id, person, page, version, message, detail, at, .. }: &ClientReport = report;
            ReportCells {
                id: *id,
                tenant_id: self.tenant.uuid(),
                person_id: person.uuid(),
                page,
                version,
                message,
                detail,
                at: at.as_millis(),
            }
        };
        let rows: Vec<_> = self.reports.iter().map(cells).collect();
        tx.batch(RECORD, &rows).run().await?;
        tx.query(FORGET).bind(self.tenant.uuid()).bind(i64::from(KEPT_REPORTS)).run().await?;
        Ok(())
    }
}

/// Lists so many reports of all organisations, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListClientReports(pub u32);

impl Intent for ListClientReports {
    type Output = Vec<ClientReport>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<ReportRow> = tx.query(LATEST).bind(Uuid::max()).bind(i64::from(self.0)).rows().await?;
        let report = |row: ReportRow| ClientReport {
            id: row.id,
            tenant: TenantId(row.tenant_id),
            person: PersonId(row.person_id),
            page: row.page,
            version: row.version,
            message: row.message,
            detail: row.detail,
            at: row.at.0,
        };
        Ok(rows.into_iter().map(report).collect())
    }
}

/// Which reports are from before a moment, across organisations: ids begin with their time.
struct Old(Timestamp);

impl Intent for Old {
    type Output = Vec<Place>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        tx.query(OLD).bind(first_id_of(self.0)).rows().await
    }
}

impl Store {
    /// Forgets reports from before a moment, at most 500. The answer is how many there were.
    ///
    /// # Errors
    /// As every intent.
    pub async fn forget_client_reports(&self, call: &Call, before: Timestamp) -> Result<usize> {
        let old = self.run(call, Old(before)).await?;
        self.forget_places(call, EXPIRE, old).await
    }
}
