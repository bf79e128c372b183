//! Lists of people that are read into campaigns.
//!
//! The rows of a list, what is wrong with others, and how far it is read are stored in one transaction, which begins by
//! seeing that it is read so far and no further. So whoever reads a list goes on from where the last one was, whatever
//! happened to it, and no row is counted twice.

use mainstay_domain::{CampaignId, CampaignState, ImportState, LeadImportId, PersonId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::campaigns::campaign_of;
use super::leads::{NewLead, add};
use crate::error::Result;
use crate::idempotency::{Once, claim_with};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::turns::Claim;
use crate::tx::{Scope, Tx};
use crate::value::{At, signed, unsigned};

statements! {
    INSERT = both("
        INSERT INTO lead_import (id, tenant_id, campaign_id, name, state, bytes, columns, read_bytes, line, rows, added, duplicates,
          suppressed, bad, created_at, updated_at)
        VALUES ($1, $2, $3, $4, 'running', $5, $6, 0, 1, 0, 0, 0, 0, 0, $7, $7)");
    GET = both("
        SELECT id, campaign_id, name, state, bytes, form, columns, read_bytes, line, rows, added, duplicates, suppressed, bad,
          created_at, updated_at
        FROM lead_import WHERE id = $1 AND tenant_id = $2");
    LOCK = pair(sqlite "
        SELECT id, campaign_id, name, state, bytes, form, columns, read_bytes, line, rows, added, duplicates, suppressed, bad,
          created_at, updated_at
        FROM lead_import WHERE id = $1 AND tenant_id = $2",
        postgres "
        SELECT id, campaign_id, name, state, bytes, form, columns, read_bytes, line, rows, added, duplicates, suppressed, bad,
          created_at, updated_at
        FROM lead_import WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE",
        differs "SQLite has one writer and no row locks");
    LIST = both("
        SELECT id, campaign_id, name, state, bytes, form, columns, read_bytes, line, rows, added, duplicates, suppressed, bad,
          created_at, updated_at
        FROM lead_import WHERE tenant_id = $1 AND campaign_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4");
    READ = both("
        UPDATE lead_import SET state = $3, form = $4, columns = $5, read_bytes = $6, line = $7, rows = rows + $8, added = added + $9,
          duplicates = duplicates + $10, suppressed = suppressed + $11, bad = bad + $12, updated_at = $13
        WHERE id = $1 AND tenant_id = $2");
    CANCEL = both("
        UPDATE lead_import SET state = 'cancelled', updated_at = $3 WHERE id = $1 AND tenant_id = $2 AND state = 'running'");
    ADD_FAULTS = insert((line: bigint, place: bigint, column_name: text, code: text, detail: text, excerpt: text) "
        lead_import_fault (import_id, tenant_id, line, place, column_name, code, detail, excerpt)
        SELECT $3, $2, line, place, column_name, code, detail, excerpt FROM batch WHERE true ORDER BY line, place
        ON CONFLICT (import_id, line, place, tenant_id) DO NOTHING");
    FAULTS = both("
        SELECT line, place, column_name, code, detail, excerpt FROM lead_import_fault
        WHERE import_id = $1 AND tenant_id = $2 AND (line, place) > ($3, $4) ORDER BY line, place LIMIT $5");
}

/// The operation that keys are used for.
pub const BEGINNING_AN_IMPORT: &str = "lead_import";

/// The most faults that are kept of a list. All rows with faults are counted.
pub const MOST_IMPORT_FAULTS: u64 = 10_000;

/// A list of people, as far as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeadImport {
    /// Its id.
    pub id: LeadImportId,
    /// The campaign that it is read into.
    pub campaign: CampaignId,
    /// What the file is called.
    pub name: String,
    /// Whether more is to come.
    pub state: ImportState,
    /// How large the file is, where that was said.
    pub bytes: Option<u64>,
    /// Its encoding, its delimiter and its header, as JSON, once they are read.
    pub form: Option<String>,
    /// What each column is, as JSON, where somebody has said it or its header is read.
    pub columns: Option<String>,
    /// How many bytes are read.
    pub read_bytes: u64,
    /// The line that follows.
    pub line: u64,
    /// How many rows it had so far.
    pub rows: u64,
    /// Those that are leads now.
    pub added: u64,
    /// Those whose address was in the campaign already, or in the list before.
    pub duplicates: u64,
    /// Of those that are leads: who is not written to.
    pub suppressed: u64,
    /// Those with something wrong in them.
    pub bad: u64,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was last read from.
    pub updated_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct ImportRow {
    id: Uuid,
    campaign_id: Uuid,
    name: String,
    state: String,
    bytes: Option<i64>,
    form: Option<String>,
    columns: Option<String>,
    read_bytes: i64,
    line: i64,
    rows: i64,
    added: i64,
    duplicates: i64,
    suppressed: i64,
    bad: i64,
    created_at: At,
    updated_at: At,
}

impl TryFrom<ImportRow> for LeadImport {
    type Error = crate::error::Error;

    fn try_from(row: ImportRow) -> Result<Self> {
        Ok(Self {
            id: LeadImportId(row.id),
            campaign: CampaignId(row.campaign_id),
            name: row.name,
            state: word(&row.state)?,
            bytes: row.bytes.map(unsigned),
            form: row.form,
            columns: row.columns,
            read_bytes: unsigned(row.read_bytes),
            line: unsigned(row.line),
            rows: unsigned(row.rows),
            added: unsigned(row.added),
            duplicates: unsigned(row.duplicates),
            suppressed: unsigned(row.suppressed),
            bad: unsigned(row.bad),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        })
    }
}

/// Begins to read a list. False when there is no such campaign, or it has stopped.
#[derive(Clone, Debug)]
pub struct BeginImport {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: LeadImportId,
    /// The campaign.
    pub campaign: CampaignId,
    /// What the file is called.
    pub name: String,
    /// How large it is, where that is known.
    pub bytes: Option<u64>,
    /// What each column is, as JSON, where somebody has said it.
    pub columns: Option<String>,
    /// The idempotency key of whoever begins, if there is one.
    pub claim: Option<(PersonId, Claim)>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for BeginImport {
    type Output = Once<bool>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Once<bool>> {
        let made = (BEGINNING_AN_IMPORT, self.id.uuid());
        if let Some(used) = claim_with(tx, self.tenant, self.claim.as_ref(), made, self.now).await? {
            return Ok(Once::Repeat(used));
        }
        let campaign = campaign_of(tx, self.tenant, self.campaign).await?;
        if campaign.is_none_or(|campaign| campaign.state == CampaignState::Stopped) {
            return Ok(Once::Done(false));
        }
        let insert = tx.query(INSERT).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.campaign.uuid());
        let insert = insert.bind(self.name.clone()).bind(self.bytes.map(signed)).bind(self.columns.clone());
        insert.bind(At(self.now)).run().await?;
        Ok(Once::Done(true))
    }
}

/// Reads how far a list is read.
#[derive(Clone, Copy, Debug)]
pub struct GetImport {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: LeadImportId,
}

impl Intent for GetImport {
    type Output = Option<LeadImport>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<ImportRow> = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        row.map(LeadImport::try_from).transpose()
    }
}

/// Lists what was read into a campaign, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct ListImports {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// Those before this one.
    pub before: Option<LeadImportId>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListImports {
    type Output = Vec<LeadImport>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let before = self.before.map_or(Uuid::max(), LeadImportId::uuid);
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(self.campaign.uuid()).bind(before);
        let rows: Vec<ImportRow> = list.bind(i64::from(self.limit)).rows().await?;
        rows.into_iter().map(LeadImport::try_from).collect()
    }
}

/// What is wrong with a row of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct ImportFault {
    /// The line that the row begins on, from 1.
    pub line: i64,
    /// Which of its faults it is, from 0.
    pub place: i64,
    /// What the column is called; empty for the whole row.
    pub column_name: String,
    /// Stable, `snake_case`.
    pub code: String,
    /// What is wrong and how to mend it.
    pub detail: String,
    /// How the row begins.
    pub excerpt: String,
}

/// Stores what was read of a list: at most 1,000 rows.
#[derive(Clone, Debug)]
pub struct ReadIntoCampaign {
    /// The organisation.
    pub tenant: TenantId,
    /// Which list.
    pub id: LeadImportId,
    /// How many bytes were read before.
    pub from: u64,
    /// How many are read now, and the line that follows.
    pub behind: (u64, u64),
    /// The encoding, the delimiter and the header, as JSON.
    pub form: String,
    /// What each column is, as JSON.
    pub columns: String,
    /// How many rows these are.
    pub rows: u64,
    /// The good ones.
    pub leads: Vec<NewLead>,
    /// How many were bad.
    pub bad: u64,
    /// What is wrong with them.
    pub faults: Vec<ImportFault>,
    /// Whether the list ends here.
    pub ends: bool,
    /// The present moment.
    pub now: Timestamp,
}

/// Whether what was read of a list is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadStep {
    /// It is. So far it is read now.
    Stored(LeadImport),
    /// It is not: the list is read to another place, or is over.
    Elsewhere(LeadImport),
    /// The campaign has stopped.
    Stopped,
    /// There is no such list.
    Gone,
}

impl Intent for ReadIntoCampaign {
    type Output = ReadStep;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<ReadStep> {
        let row: Option<ImportRow> = tx.query(LOCK).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        let Some(mut import) = row.map(LeadImport::try_from).transpose()? else { return Ok(ReadStep::Gone) };
        if import.state != ImportState::Running || import.read_bytes != self.from {
            return Ok(ReadStep::Elsewhere(import));
        }
        let Some(added) = add(tx, (self.tenant, import.campaign), &self.leads, self.now).await? else {
            return Ok(ReadStep::Stopped);
        };
        // Of a row that has several faults, all are kept or none.
        let room = usize::try_from(MOST_IMPORT_FAULTS.saturating_sub(import.bad)).unwrap_or(usize::MAX);
        let faults = &self.faults[..self.faults.len().min(room)];
        if !faults.is_empty() {
            tx.batch(ADD_FAULTS, faults).bind(self.tenant.uuid()).bind(self.id.uuid()).run().await?;
        }
        let (new, suppressed) = (added.new.len() as u64, added.suppressed.len() as u64);
        let duplicates = self.leads.len() as u64 - new;
        if self.ends {
            import.state = ImportState::Finished;
        }
        (import.read_bytes, import.line) = self.behind;
        import.form = Some(self.form.clone());
        import.columns = Some(self.columns.clone());
        import.rows += self.rows;
        import.added += new;
        import.duplicates += duplicates;
        import.suppressed += suppressed;
        import.bad += self.bad;
        import.updated_at = self.now;
        let read = tx.query(READ).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(import.state.as_str());
        let read = read.bind(import.form.clone()).bind(import.columns.clone());
        let read = read.bind(signed(import.read_bytes)).bind(signed(import.line)).bind(signed(self.rows));
        let read = read.bind(signed(new)).bind(signed(duplicates)).bind(signed(suppressed)).bind(signed(self.bad));
        read.bind(At(self.now)).run().await?;
        Ok(ReadStep::Stored(import))
    }
}

/// Ends reading a list. What was read by then stays. False when it was over already.
#[derive(Clone, Copy, Debug)]
pub struct CancelImport {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: LeadImportId,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for CancelImport {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let cancel = tx.query(CANCEL).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(At(self.now));
        Ok(cancel.run().await? > 0)
    }
}

/// Lists what is wrong with rows of a list, by their lines.
#[derive(Clone, Copy, Debug)]
pub struct ListImportFaults {
    /// The organisation.
    pub tenant: TenantId,
    /// Which list.
    pub import: LeadImportId,
    /// Those after this line and place.
    pub after: (u64, u64),
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListImportFaults {
    type Output = Vec<ImportFault>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (line, place) = self.after;
        let list = tx.query(FAULTS).bind(self.import.uuid()).bind(self.tenant.uuid());
        list.bind(signed(line)).bind(signed(place)).bind(i64::from(self.limit)).rows().await
    }
}
