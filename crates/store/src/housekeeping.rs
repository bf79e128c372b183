//! What is swept up in small bites: replies whose node died, messages of deleted conversations, and what has expired.
//! The system's role finds the work across organisations; the rows of an organisation are changed in its own scope.

use std::collections::BTreeMap;

use mainstay_domain::{ConversationId, GenerationId, MessageStatus, PersonId, TenantId, Timestamp};
use uuid::Uuid;

use crate::call::Call;
use crate::error::Result;
use crate::intent::Intent;
use crate::metering::reservation::Cost;
use crate::sql::statements;
use crate::store::Store;
use crate::stream::{Position, PositionRow};
use crate::turns::SettleReply;
use crate::tx::{Scope, Tx};
use crate::value::{At, Number, Place};

statements! {
    LOST = both("SELECT id, tenant_id FROM generation WHERE lease = $1 ORDER BY id LIMIT 500");
    /// The next number of a lease that replies name, again and again, each looked up in the index: the replies themselves
    /// are never walked.
    LEASELESS = both("
        WITH RECURSIVE held (number) AS (
          SELECT cast(0 AS bigint)
          UNION ALL
          SELECT (SELECT min(g.lease) FROM generation g WHERE g.lease > held.number) FROM held WHERE held.number IS NOT NULL)
        SELECT held.number FROM held
        WHERE held.number > 0 AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.number = held.number) LIMIT 100");
    OWNER = both("SELECT person_id FROM generation WHERE id = $1 AND tenant_id = $2");
    UNPURGED = both("
        SELECT id, tenant_id FROM conversation WHERE deleted_at IS NOT NULL AND purged_at IS NULL AND deleted_at <= $1
        ORDER BY deleted_at LIMIT 100");
    PURGE = both("
        DELETE FROM message WHERE (id, tenant_id) IN (
          SELECT id, tenant_id FROM message WHERE tenant_id = $1 AND conversation_id = $2 ORDER BY ordinal LIMIT 500)");
    PURGE_IMAGES = both("
        DELETE FROM image WHERE (id, tenant_id) IN (
          SELECT id, tenant_id FROM image WHERE tenant_id = $1 AND conversation_id = $2 LIMIT 100)");
    PURGED = both("UPDATE conversation SET purged_at = $3 WHERE id = $1 AND tenant_id = $2");
    /// The oldest thousand, and what is of the same millisecond as the last of them.
    /// The oldest tombstones, so many that a place of each stream's last one is known.
    TOMBSTONES = both("
        SELECT tenant_id, stream_id, seq FROM change
        WHERE deleted_at IS NOT NULL AND deleted_at <= $1 ORDER BY deleted_at, stream_id, seq LIMIT 500");
    FORGET_TOMBSTONES = batch((tenant_id: uuid, stream_id: uuid, seq: bigint) "
        DELETE FROM change WHERE (stream_id, tenant_id, seq) IN (SELECT stream_id, tenant_id, seq FROM batch)
        AND deleted_at IS NOT NULL");
    /// Who has seen less than the floor may have missed a tombstone.
    RAISE_FLOOR = batch((tenant_id: uuid, stream_id: uuid, seq: bigint) "
        UPDATE stream SET floor = b.seq FROM batch b
        WHERE stream.stream_id = b.stream_id AND stream.tenant_id = b.tenant_id AND stream.floor < b.seq
        RETURNING stream.tenant_id, stream.stream_id, stream.head, stream.epoch, stream.floor, stream.live_rows, stream.live_sum");
    FORGET_KEYS = both("
        DELETE FROM idempotency WHERE created_at <= (SELECT max(created_at) FROM (
          SELECT created_at FROM idempotency WHERE created_at <= $1 ORDER BY created_at LIMIT 1000) oldest)");
    FORGET_SESSIONS = pair(sqlite "
        DELETE FROM sign_in_session WHERE id IN (SELECT id FROM sign_in_session WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1000)",
        postgres "
        DELETE FROM sign_in_session WHERE id = ANY (ARRAY(SELECT id FROM sign_in_session WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1000))",
        differs "PostgreSQL would join the sub-select by reading the whole table; as an array it looks each up");
    FORGET_REVOCATIONS = pair(sqlite "
        DELETE FROM revocation WHERE position IN (SELECT position FROM revocation WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1000)",
        postgres "
        DELETE FROM revocation WHERE position = ANY (ARRAY(SELECT position FROM revocation WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1000))",
        differs "PostgreSQL would join the sub-select by reading the whole table; as an array it looks each up");
}

/// A reply that is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenReply {
    /// The organisation.
    pub tenant: TenantId,
    /// Which reply.
    pub generation: GenerationId,
}

/// Lists the replies that are made under a lease, by its number, at most 500.
#[derive(Clone, Copy, Debug)]
pub struct RepliesOf(pub i64);

impl Intent for RepliesOf {
    type Output = Vec<OpenReply>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<Place> = tx.query(LOST).bind(self.0).rows().await?;
        Ok(rows
            .into_iter()
            .map(|row| OpenReply { tenant: TenantId(row.tenant_id), generation: GenerationId(row.id) })
            .collect())
    }
}

/// Lists the numbers of leases that replies are made under though the lease's row is gone, at most 100. A node that lives
/// has its row, and had it before its first reply; so whoever made these is gone, or has lost them.
#[derive(Clone, Copy, Debug)]
pub struct LeasesGone;

impl Intent for LeasesGone {
    type Output = Vec<i64>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<Number> = tx.query(LEASELESS).rows().await?;
        Ok(rows.into_iter().map(|row| row.number).collect())
    }
}

struct OwnerOf(OpenReply);

#[derive(sqlx::FromRow)]
struct OwnerRow {
    person_id: Uuid,
}

impl Intent for OwnerOf {
    type Output = Option<PersonId>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<OwnerRow> =
            tx.query(OWNER).bind(self.0.generation.uuid()).bind(self.0.tenant.uuid()).row().await?;
        Ok(row.map(|row| PersonId(row.person_id)))
    }
}

impl Store {
    /// Marks replies of a lease that has ended as interrupted, with what was saved of them. The answer is how many there
    /// were; there may be more when it is 500.
    ///
    /// # Errors
    /// As every intent.
    pub async fn interrupt_replies_of(&self, call: &Call, lease: i64, now: Timestamp) -> Result<usize> {
        let lost = self.run(call, RepliesOf(lease)).await?;
        self.interrupt_replies(call, &lost, lease, now).await?;
        Ok(lost.len())
    }

    /// Marks these replies of a lease as interrupted, with what was saved of them.
    ///
    /// # Errors
    /// As every intent.
    pub async fn interrupt_replies(
        &self,
        call: &Call,
        replies: &[OpenReply],
        lease: i64,
        now: Timestamp,
    ) -> Result<()> {
        let rescues = replies.iter().map(|reply| async {
            let Some(person) = self.run(call, OwnerOf(*reply)).await? else { return Ok(false) };
            let settle = SettleReply {
                tenant: reply.tenant,
                person,
                generation: reply.generation,
                lease,
                status: MessageStatus::Interrupted,
                content: None,
                tools: Vec::new(),
                provider: None,
                model: None,
                usage: None,
                // Nobody knows what the provider counted.
                cost: Cost::AllReserved,
                fault: Some(("server_stopped".to_owned(), "The server stopped while it was answering.".to_owned())),
                now,
            };
            self.settle_reply(call, settle).await
        });
        for rescued in futures_util::future::join_all(rescues).await {
            rescued?;
        }
        Ok(())
    }

    /// Forgets tombstones from before `until`, at most 500. The answer is how many there were. Clients that have not synced
    /// since then begin again.
    ///
    /// # Errors
    /// As every intent.
    pub async fn forget_tombstones(&self, call: &Call, until: Timestamp) -> Result<usize> {
        let oldest = self.run(call, Tombstones(until)).await?;
        let count = oldest.len();
        if count > 0 {
            self.run(call, ForgetTombstones(oldest)).await?;
        }
        Ok(count)
    }

    /// Purges the messages of conversations that were deleted before `until` in bites of 500, and their images. The answer is how many
    /// conversations were looked at.
    ///
    /// # Errors
    /// As every intent.
    pub async fn purge_deleted(&self, call: &Call, until: Timestamp, now: Timestamp) -> Result<usize> {
        let places = self.run(call, Unpurged(until)).await?;
        for (tenant, conversation) in &places {
            self.run(call, Purge { tenant: *tenant, conversation: *conversation, now }).await?;
        }
        Ok(places.len())
    }
}

struct Unpurged(Timestamp);

impl Intent for Unpurged {
    type Output = Vec<(TenantId, ConversationId)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<Place> = tx.query(UNPURGED).bind(At(self.0)).rows().await?;
        Ok(rows.into_iter().map(|row| (TenantId(row.tenant_id), ConversationId(row.id))).collect())
    }
}

struct Purge {
    tenant: TenantId,
    conversation: ConversationId,
    now: Timestamp,
}

impl Intent for Purge {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let purged = tx.query(PURGE).bind(self.tenant.uuid()).bind(self.conversation.uuid()).run().await?;
        let images = tx.query(PURGE_IMAGES).bind(self.tenant.uuid()).bind(self.conversation.uuid()).run().await?;
        if purged == 0 && images == 0 {
            let (conversation, tenant) = (self.conversation.uuid(), self.tenant.uuid());
            tx.query(PURGED).bind(conversation).bind(tenant).bind(At(self.now)).run().await?;
        }
        Ok(())
    }
}

#[derive(Clone, serde::Serialize, sqlx::FromRow)]
struct Tombstone {
    tenant_id: Uuid,
    stream_id: Uuid,
    seq: i64,
}

/// The oldest tombstones from before a moment.
struct Tombstones(Timestamp);

impl Intent for Tombstones {
    type Output = Vec<Tombstone>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        tx.query(TOMBSTONES).bind(At(self.0)).rows().await
    }
}

/// Forgets these tombstones, and says so in their streams.
struct ForgetTombstones(Vec<Tombstone>);

impl Intent for ForgetTombstones {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::of(self.0.iter().map(|row| TenantId(row.tenant_id)))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let mut floors: BTreeMap<(Uuid, Uuid), Tombstone> = BTreeMap::new();
        for row in &self.0 {
            let floor = floors.entry((row.tenant_id, row.stream_id)).or_insert_with(|| row.clone());
            floor.seq = floor.seq.max(row.seq);
        }
        // The floor first: it locks the stream, and no reader may miss a tombstone that the floor does not tell of.
        let floors: Vec<_> = floors.into_values().collect();
        let raised: Vec<PositionRow> = tx.batch(RAISE_FLOOR, &floors).rows().await?;
        tx.batch(FORGET_TOMBSTONES, &self.0).run().await?;
        tx.advanced(raised.into_iter().map(Position::from).collect());
        Ok(())
    }
}

/// Forgets what has expired, about 1,000 rows of each kind. The answer is how many there were.
#[derive(Clone, Copy, Debug)]
pub struct ForgetExpired {
    /// The present moment.
    pub now: Timestamp,
    /// Idempotency keys from before this moment are forgotten.
    pub keys_before: Timestamp,
}

impl Intent for ForgetExpired {
    type Output = u64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        let keys = tx.query(FORGET_KEYS).bind(At(self.keys_before)).run().await?;
        let sessions = tx.query(FORGET_SESSIONS).bind(At(self.now)).run().await?;
        let revocations = tx.query(FORGET_REVOCATIONS).bind(At(self.now)).run().await?;
        Ok(keys + sessions + revocations)
    }
}
