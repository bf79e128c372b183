//! Images that people send with messages. An image is stored when it is uploaded, belongs to the first message that carries
//! it, and goes with its conversation; what is never sent goes after a while.

pub(crate) mod housekeeping;
pub(crate) mod newest;

use std::sync::Arc;

use mainstay_domain::{Amounts, ImageId, ImageKind, MessageImage, PersonId, Spent, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::members::word;
use crate::metering::admission::{self, Demand};
use crate::metering::ledger::Ledger;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, count};

statements! {
    UNSENT = both("
        SELECT id, kind, width, height, bytes, sha256, created_at FROM image
        WHERE tenant_id = $1 AND person_id = $2 AND source_sha256 = $3 AND message_id IS NULL");
    INSERT = both("
        INSERT INTO image (id, tenant_id, person_id, kind, width, height, bytes, sha256, source_sha256, created_at, content)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING");
    /// Those that may be sent: a person's own, which no message carries.
    SENDABLE = batch((id: uuid) "
        SELECT i.id, i.kind, i.width, i.height FROM batch b CROSS JOIN image i
        WHERE i.id = b.id AND i.tenant_id = $2 AND i.person_id = $3 AND i.message_id IS NULL ORDER BY b.n");
    GET = both("
        SELECT i.id, i.kind, i.sha256, i.content FROM image i
        LEFT JOIN conversation c ON c.id = i.conversation_id AND c.tenant_id = i.tenant_id
        WHERE i.id = $1 AND i.tenant_id = $2 AND i.person_id = $3 AND c.deleted_at IS NULL");
    READ = batch((id: uuid) "
        SELECT i.id, i.kind, i.sha256, i.content FROM batch b JOIN image i ON i.id = b.id AND i.tenant_id = $2");
}

/// For how long what was never sent is kept.
pub const UNSENT_LASTS: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// An image, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImage {
    /// What a message says of it.
    pub image: MessageImage,
    /// How many bytes it has.
    pub bytes: u32,
    /// Their digest, in hexadecimal.
    pub sha256: String,
    /// When it was uploaded.
    pub created_at: Timestamp,
}

/// The bytes of an image.
#[derive(Clone)]
pub struct ImageContent {
    /// Which.
    pub id: ImageId,
    /// Their form.
    pub kind: ImageKind,
    /// Their digest, in hexadecimal.
    pub sha256: String,
    /// Themselves.
    pub content: Vec<u8>,
}

impl std::fmt::Debug for ImageContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImageContent({}, {} bytes)", self.id, self.content.len())
    }
}

#[derive(sqlx::FromRow)]
struct SendableRow {
    id: Uuid,
    kind: String,
    width: i64,
    height: i64,
}

impl TryFrom<SendableRow> for MessageImage {
    type Error = Error;

    fn try_from(row: SendableRow) -> Result<Self> {
        let (width, height) = (count(row.width), count(row.height));
        Ok(Self { id: ImageId(row.id), kind: word(&row.kind)?, width, height })
    }
}

#[derive(sqlx::FromRow)]
struct StoredRow {
    #[sqlx(flatten)]
    image: SendableRow,
    bytes: i64,
    sha256: String,
    created_at: At,
}

#[derive(sqlx::FromRow)]
struct ContentRow {
    id: Uuid,
    kind: String,
    sha256: String,
    content: Vec<u8>,
}

impl TryFrom<ContentRow> for ImageContent {
    type Error = Error;

    fn try_from(row: ContentRow) -> Result<Self> {
        Ok(Self { id: ImageId(row.id), kind: word(&row.kind)?, sha256: row.sha256, content: row.content })
    }
}

/// What became of an image that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageStored {
    /// It is stored, and counted.
    Stored(StoredImage),
    /// The same was uploaded before and is not sent yet. Nothing is stored or counted.
    Known(StoredImage),
    /// A limit is spent.
    Spent(Spent),
}

/// Stores an image, and counts it.
#[derive(Clone)]
pub struct StoreImage {
    /// The organisation.
    pub tenant: TenantId,
    /// Who uploads it.
    pub person: PersonId,
    /// What a message will say of it.
    pub image: MessageImage,
    /// Its bytes.
    pub content: Arc<[u8]>,
    /// Their digest, in hexadecimal.
    pub sha256: String,
    /// The digest of what was uploaded.
    pub source_sha256: String,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for StoreImage {
    type Output = ImageStored;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<ImageStored> {
        let (tenant, person) = (self.tenant.uuid(), self.person.uuid());
        let known = tx.query(UNSENT).bind(tenant).bind(person).bind(self.source_sha256.clone());
        if let Some(row) = known.row::<StoredRow>().await? {
            return Ok(ImageStored::Known(StoredImage {
                image: row.image.try_into()?,
                bytes: count(row.bytes),
                sha256: row.sha256,
                created_at: row.created_at.0,
            }));
        }
        let amounts = Amounts { images: 1, ..Amounts::default() };
        let id = self.image.id.uuid();
        let demand = Demand { id, tenant: self.tenant, person: self.person, at: self.now, amounts, bid: None };
        if let Some(Err(spent)) = admission::admit(tx, Ledger::default(), &[demand]).await?.into_iter().next() {
            return Ok(ImageStored::Spent(spent));
        }
        let MessageImage { kind, width, height, .. } = self.image;
        let bytes = i64::try_from(self.content.len()).unwrap_or(i64::MAX);
        let stored = tx
            .query(INSERT)
            .bind(id)
            .bind(tenant)
            .bind(person)
            .bind(kind.as_str())
            .bind(i64::from(width))
            .bind(i64::from(height))
            .bind(bytes)
            .bind(self.sha256.clone())
            .bind(self.source_sha256.clone())
            .bind(At(self.now))
            .bind(self.content.to_vec())
            .run()
            .await?;
        if stored == 0 {
            // The same arrives twice at this moment: what this one has counted is rolled back.
            return Err(Error::Conflict);
        }
        let (sha256, created_at) = (self.sha256.clone(), self.now);
        Ok(ImageStored::Stored(StoredImage { image: self.image, bytes: count(bytes), sha256, created_at }))
    }
}

/// Reads which of these images somebody may send, in their order.
#[derive(Clone, Debug)]
pub struct SendableImages {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// Which.
    pub ids: Vec<ImageId>,
}

impl Intent for SendableImages {
    type Output = Vec<MessageImage>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let ids: Vec<_> = self.ids.iter().map(|id| Id { id: id.uuid() }).collect();
        let read = tx.batch(SENDABLE, &ids).bind(self.tenant.uuid()).bind(self.person.uuid());
        read.rows::<SendableRow>().await?.into_iter().map(MessageImage::try_from).collect()
    }
}

/// Reads an image for whoever has sent it. Nothing when it went with its conversation.
#[derive(Clone, Copy, Debug)]
pub struct GetImage {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// Which.
    pub id: ImageId,
}

impl Intent for GetImage {
    type Output = Option<ImageContent>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let get = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.person.uuid());
        get.row::<ContentRow>().await?.map(ImageContent::try_from).transpose()
    }
}

/// Reads images for the model that answers the message which carries them. That they may be seen was found out when the
/// message was accepted.
#[derive(Clone, Debug)]
pub struct ReadImages {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub ids: Vec<ImageId>,
}

impl Intent for ReadImages {
    type Output = Vec<ImageContent>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let ids: Vec<_> = self.ids.iter().map(|id| Id { id: id.uuid() }).collect();
        let rows: Vec<ContentRow> = tx.batch(READ, &ids).bind(self.tenant.uuid()).rows().await?;
        rows.into_iter().map(ImageContent::try_from).collect()
    }
}
