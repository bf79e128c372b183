//! What callers want somebody to know.

use mainstay_domain::{ContactId, PersonId, PhoneCallId, PhoneMessageId, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::reception::board::{Happened, count};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, END_OF_TIME, moment};

statements! {
    INSERT = both("
        INSERT INTO phone_message (id, tenant_id, call_id, contact_id, name, phone, body, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING");
    LIST = both("
        SELECT id, call_id, contact_id, name, phone, body, created_at, handled_at, handled_by FROM phone_message
        WHERE tenant_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4");
    GET = both("
        SELECT id, call_id, contact_id, name, phone, body, created_at, handled_at, handled_by FROM phone_message
        WHERE id = $1 AND tenant_id = $2");
    HANDLE = both("UPDATE phone_message SET handled_at = $3, handled_by = $4 WHERE id = $1 AND tenant_id = $2");
}

/// What a caller wants somebody to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneMessage {
    /// Its id.
    pub id: PhoneMessageId,
    /// In which call it was taken.
    pub call: Option<PhoneCallId>,
    /// Of whom.
    pub contact: Option<ContactId>,
    /// What they are called.
    pub name: String,
    /// Where they can be reached (E.164).
    pub phone: Option<String>,
    /// What they want somebody to know.
    pub body: String,
    /// When it was taken.
    pub created_at: Timestamp,
    /// When somebody took care of it, and who.
    pub handled: Option<(Timestamp, PersonId)>,
}

#[derive(sqlx::FromRow)]
struct MessageRow {
    id: Uuid,
    call_id: Option<Uuid>,
    contact_id: Option<Uuid>,
    name: String,
    phone: Option<String>,
    body: String,
    created_at: At,
    handled_at: Option<At>,
    handled_by: Option<Uuid>,
}

impl From<MessageRow> for PhoneMessage {
    fn from(row: MessageRow) -> Self {
        Self {
            id: PhoneMessageId(row.id),
            call: row.call_id.map(PhoneCallId),
            contact: row.contact_id.map(ContactId),
            name: row.name,
            phone: row.phone,
            body: row.body,
            created_at: row.created_at.0,
            handled: moment(row.handled_at).zip(row.handled_by.map(PersonId)),
        }
    }
}

/// Takes a message. The same id again changes nothing.
#[derive(Clone, Debug)]
pub struct TakeMessage {
    /// The organisation.
    pub tenant: TenantId,
    /// The message.
    pub message: PhoneMessage,
}

impl Intent for TakeMessage {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let PhoneMessage { id, call, contact, name, phone, body, created_at, .. } = &self.message;
        let insert = tx.query(INSERT).bind(id.uuid()).bind(self.tenant.uuid()).bind(call.map(PhoneCallId::uuid));
        let insert = insert.bind(contact.map(ContactId::uuid)).bind(name.clone()).bind(phone.clone());
        if insert.bind(body.clone()).bind(At(*created_at)).run().await? == 1 {
            count(tx, self.tenant, Happened::Call, *created_at).await?;
        }
        Ok(())
    }
}

/// Lists messages, the last first.
#[derive(Clone, Copy, Debug)]
pub struct ListPhoneMessages {
    /// The organisation.
    pub tenant: TenantId,
    /// Those before this one.
    pub before: Option<(Timestamp, PhoneMessageId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListPhoneMessages {
    type Output = Vec<PhoneMessage>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<PhoneMessage>> {
        let (at, id) = self.before.map_or((END_OF_TIME, Uuid::max()), |(at, id)| (at, id.uuid()));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(id).bind(i64::from(self.limit));
        Ok(list.rows::<MessageRow>().await?.into_iter().map(PhoneMessage::from).collect())
    }
}

/// Says that somebody has taken care of a message, or that nobody has.
#[derive(Clone, Copy, Debug)]
pub struct HandleMessage {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: PhoneMessageId,
    /// Who has; nothing to open it again.
    pub by: Option<PersonId>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for HandleMessage {
    type Output = PhoneMessage;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<PhoneMessage> {
        let missing = || Error::Missing("message");
        let handle = tx.query(HANDLE).bind(self.id.uuid()).bind(self.tenant.uuid());
        let handle = handle.bind(self.by.map(|_| At(self.now))).bind(self.by.map(PersonId::uuid));
        if handle.run().await? != 1 {
            return Err(missing());
        }
        let row = tx.query(GET).bind(self.id.uuid()).bind(self.tenant.uuid()).row::<MessageRow>().await?;
        count(tx, self.tenant, Happened::Call, self.now).await?;
        row.map(PhoneMessage::from).ok_or_else(missing)
    }
}
