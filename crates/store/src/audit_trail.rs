//! The audit trail: who has signed in and who has changed what. Each organisation has a chain of entries, and the installation
//! one. An entry is written by the transaction that it tells of, so that there is no change without its entry, and its digest
//! covers the entry before, so that nobody takes one out unseen.
//!
//! The digest covers what an entry says by another digest, made with chance of its own. What is said of a person can be
//! erased, and the chain still holds; from what is left nobody can guess what was said.

mod reading;

use mainstay_domain::{TenantId, Timestamp};
use ring::digest::{Context, SHA256};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
#[cfg(test)]
use crate::sql::Sql;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

pub use reading::{
    AuditEvent, AuditTrail, AuditWalk, BrokenTrail, ListAuditEvents, ListAuditTrails, ListOldAuditTrails,
    ReadAuditLinks, TrimAuditTrail,
};

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[Sql]] = &[STATEMENTS, reading::STATEMENTS];

statements! {
    /// The row's lock lets one after the other write. The answer is the digest of the entry before.
    NEXT = both("
        INSERT INTO audit_trail (tenant_id, position, digest, floor, floor_digest) VALUES ($1, 1, $2, 0, $2)
        ON CONFLICT (tenant_id) DO UPDATE SET position = audit_trail.position + 1
        RETURNING position, digest");
    APPEND = both("
        INSERT INTO audit_event (tenant_id, position, at, action, content, salt, content_digest, digest)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    STANDS = both("UPDATE audit_trail SET digest = $2 WHERE tenant_id = $1");
}

/// The chain of the installation, which belongs to no organisation.
pub const INSTALLATION: TenantId = TenantId(Uuid::nil());

/// A SHA-256.
pub type Digest = [u8; 32];

/// What stands before the first entry of a chain.
pub const GENESIS: Digest = [0; 32];

/// The longest name of what was done, in bytes.
const LONGEST_ACTION: usize = 200;
/// The longest that an entry says, in bytes.
const LONGEST_CONTENT: usize = 8 * 1024;

/// What is written into the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditNote {
    /// Whose chain: of an organisation, or [`INSTALLATION`].
    pub tenant: TenantId,
    /// When.
    pub at: Timestamp,
    /// What was done: a name that does not change. No more of it than 200 bytes are kept.
    pub action: String,
    /// Who did it, to what and from where, as a JSON object of at most 8 KiB; an empty one when it is longer.
    pub content: String,
    /// Chance, so that nobody guesses what was said from its digest.
    pub salt: [u8; 16],
}

/// One link of a chain: all that its digest is made of.
#[derive(Clone, Copy, Debug)]
struct Link<'a> {
    tenant: TenantId,
    position: i64,
    at: Timestamp,
    action: &'a str,
    /// The digest of what it says.
    content: &'a Digest,
}

impl Link<'_> {
    /// Its digest, after the one before.
    fn digest(&self, before: &Digest) -> Digest {
        let action = self.action.as_bytes();
        let length = u32::try_from(action.len()).unwrap_or(u32::MAX).to_be_bytes();
        digest(&[
            b"mainstay audit trail 1",
            before,
            self.tenant.uuid().as_bytes(),
            &self.position.to_be_bytes(),
            &self.at.as_millis().to_be_bytes(),
            &length,
            action,
            self.content,
        ])
    }
}

/// The digest of what an entry says.
fn content_digest(salt: &[u8], content: &str) -> Digest {
    digest(&[b"mainstay audit entry 1", &(salt.len() as u64).to_be_bytes(), salt, content.as_bytes()])
}

fn digest(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = GENESIS;
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// Bytes of the database as a digest; anything else than 32 bytes is none, and no digest is all zeros but the first.
fn as_digest(bytes: &[u8]) -> Digest {
    bytes.try_into().unwrap_or(GENESIS)
}

#[derive(sqlx::FromRow)]
struct NextRow {
    position: i64,
    digest: Vec<u8>,
}

/// Writes an entry in the transaction that it tells of. Last: its lock comes after all others.
pub(crate) async fn append(tx: &mut Tx<'_>, note: &AuditNote) -> Result<()> {
    let tenant = note.tenant.uuid();
    let next: Option<NextRow> = tx.query(NEXT).bind(tenant).bind(GENESIS.as_slice()).row().await?;
    let Some(next) = next else { return Err(crate::Error::Bug("no place in the audit trail".to_owned())) };
    let action = &note.action[..note.action.floor_char_boundary(LONGEST_ACTION)];
    let content = if note.content.len() > LONGEST_CONTENT { "{}" } else { note.content.as_str() };
    let said = content_digest(&note.salt, content);
    let link = Link { tenant: note.tenant, position: next.position, at: note.at, action, content: &said };
    let stands = link.digest(&as_digest(&next.digest));
    let append = tx.query(APPEND).bind(tenant).bind(next.position).bind(At(note.at)).bind(action).bind(content);
    append.bind(note.salt.as_slice()).bind(said.as_slice()).bind(stands.as_slice()).run().await?;
    tx.query(STANDS).bind(tenant).bind(stands.as_slice()).run().await.map(drop)
}

/// Writes an entry that tells of no change: a sign-in that failed, a command.
#[derive(Clone, Debug)]
pub struct RecordAuditNote(pub AuditNote);

impl Intent for RecordAuditNote {
    type Output = ();
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        append(tx, &self.0).await
    }
}
