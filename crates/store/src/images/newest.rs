//! What the newest images of all organisations are, without their pixels: for whoever audits.

use mainstay_domain::{ImageId, TenantId};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{count, unsigned};

statements! {
    /// The ids of images are in the order of time. So many are named here so that PostgreSQL knows that there are few.
    NEWEST = both("
        SELECT id, tenant_id, kind, width, height, bytes, cast(length(content) AS bigint) AS there,
          substr(content, 1, 8) AS beginning
        FROM image WHERE id < $1 ORDER BY id DESC LIMIT 200");
}

#[derive(sqlx::FromRow)]
struct NewestRow {
    id: Uuid,
    tenant_id: Uuid,
    kind: String,
    width: i64,
    height: i64,
    bytes: i64,
    there: i64,
    beginning: Vec<u8>,
}

/// Reads what the newest images are, at most 200.
#[derive(Clone, Copy, Debug)]
pub struct ReadNewestImages;

/// What an image says that it is, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptImage {
    /// Which.
    pub id: ImageId,
    /// Whose.
    pub tenant: TenantId,
    /// Its media type.
    pub kind: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// How many bytes it is said to have.
    pub bytes: u64,
    /// How many it has.
    pub there: u64,
    /// The first eight of them.
    pub beginning: Vec<u8>,
}

impl Intent for ReadNewestImages {
    type Output = Vec<KeptImage>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<NewestRow> = tx.query(NEWEST).bind(Uuid::max()).rows().await?;
        let kept = |row: NewestRow| KeptImage {
            id: ImageId(row.id),
            tenant: TenantId(row.tenant_id),
            kind: row.kind,
            width: count(row.width),
            height: count(row.height),
            bytes: unsigned(row.bytes),
            there: unsigned(row.there),
            beginning: row.beginning,
        };
        Ok(rows.into_iter().map(kept).collect())
    }
}
