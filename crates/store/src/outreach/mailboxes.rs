//! The mailboxes that answers, bounces and complaints come into: how each is read, and how far it is.
//!
//! There is one job for each, which comes again for as long as there is the mailbox. How far it is read is stored after what
//! was heard, so that whatever ends in between is heard again, and nothing is missed. To hear something twice changes
//! nothing.

use mainstay_domain::{AccountState, EmailId, JobId, JobPriority, Sealed, SendingAccountId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::figures::{Became, Tally};
use super::stopping::mark;
use super::{MAILBOX_KIND, MAILBOXES};
use crate::deliveries::derived;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::enqueue::enqueue;
use crate::jobs::{NewJob, Unique};
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, json, moment, small};

statements! {
    /// Another mailbox is read from its present end; the same one from where it was.
    PUT = both("
        INSERT INTO mailbox (id, tenant_id, host, port, security, user_name, secret, folder, state, last_uid, created_at, updated_at)
        SELECT a.id, a.tenant_id, $3, $4, $5, $6, $7, $8, 'active', 0, $9, $9 FROM sending_account a
        WHERE a.id = $1 AND a.tenant_id = $2
        ON CONFLICT (id, tenant_id) DO UPDATE SET
          uid_validity = CASE WHEN mailbox.host = excluded.host AND mailbox.user_name = excluded.user_name
            AND mailbox.folder = excluded.folder THEN mailbox.uid_validity ELSE NULL END,
          history_id = CASE WHEN mailbox.host = excluded.host AND mailbox.user_name = excluded.user_name
            AND mailbox.folder = excluded.folder THEN mailbox.history_id ELSE NULL END,
          host = excluded.host, port = excluded.port, security = excluded.security, user_name = excluded.user_name,
          secret = excluded.secret, folder = excluded.folder, state = 'active', reason = NULL, updated_at = excluded.updated_at
        RETURNING created_at");
    GET = both("
        SELECT id, host, port, security, user_name, secret, folder, state, reason, uid_validity, last_uid, history_id, looked_at, created_at
        FROM mailbox WHERE id = $1 AND tenant_id = $2");
    REMOVE = both("DELETE FROM mailbox WHERE id = $1 AND tenant_id = $2");
    READ = both("
        UPDATE mailbox SET uid_validity = $3, last_uid = $4, looked_at = coalesce($5, looked_at), state = 'active', reason = NULL
        WHERE id = $1 AND tenant_id = $2");
    READ_HISTORY = both("
        UPDATE mailbox SET history_id = $3, looked_at = coalesce($4, looked_at), state = 'active', reason = NULL
        WHERE id = $1 AND tenant_id = $2");
    HALT = both("
        UPDATE mailbox SET state = 'reconnect', reason = $3, updated_at = $4 WHERE id = $1 AND tenant_id = $2");
    WHY = both("UPDATE mailbox SET reason = $3 WHERE id = $1 AND tenant_id = $2");
    /// The last email that was sent to an address by an account.
    LAST_TO = both("
        SELECT id FROM email WHERE tenant_id = $1 AND address = $2 AND account_id = $3
          AND state IN ('accepted', 'unknown', 'in_flight') ORDER BY id DESC LIMIT 1");
    UNKNOWN = both("
        SELECT id, message_id FROM email WHERE tenant_id = $1 AND account_id = $2 AND state = 'unknown' ORDER BY id DESC LIMIT $3");
}

/// How a mailbox is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxSettings {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the line to it is protected: `none`, `start_tls` or `tls`.
    pub security: String,
    /// Who signs in there.
    pub user_name: String,
    /// With what.
    pub secret: Sealed,
    /// The folder that mail comes into.
    pub folder: String,
}

/// A mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMailbox {
    /// The account whose it is.
    pub account: SendingAccountId,
    /// How it is read.
    pub settings: MailboxSettings,
    /// Whether it is.
    pub state: AccountState,
    /// Why it is not, or was not the last time.
    pub reason: Option<String>,
    /// The validity of the numbers of its messages, and the last that was read; nothing before the first time.
    pub read: Option<(u32, u32)>,
    /// Up to where its history is read, at Gmail; nothing before the first time.
    pub history: Option<String>,
    /// When it was last read to its end.
    pub looked_at: Option<Timestamp>,
    /// When it was made: its job knows it by that.
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct MailboxRow {
    id: Uuid,
    host: String,
    port: i64,
    security: String,
    user_name: String,
    secret: String,
    folder: String,
    state: String,
    reason: Option<String>,
    uid_validity: Option<i64>,
    last_uid: i64,
    history_id: Option<String>,
    looked_at: Option<At>,
    created_at: At,
}

impl TryFrom<MailboxRow> for StoredMailbox {
    type Error = Error;

    fn try_from(row: MailboxRow) -> Result<Self> {
        let sealed = Sealed::parse(&row.secret);
        let secret = sealed.ok_or_else(|| Error::Corrupt("a secret is not sealed".to_owned()))?;
        let number = |number: i64| u32::try_from(number).unwrap_or(0);
        Ok(Self {
            account: SendingAccountId(row.id),
            settings: MailboxSettings {
                host: row.host,
                port: small(row.port),
                security: row.security,
                user_name: row.user_name,
                secret,
                folder: row.folder,
            },
            state: word(&row.state)?,
            reason: row.reason,
            read: row.uid_validity.map(|validity| (number(validity), number(row.last_uid))),
            history: row.history_id,
            looked_at: moment(row.looked_at),
            created_at: row.created_at.0,
        })
    }
}

/// What the job of a mailbox knows.
#[derive(Serialize)]
struct Arguments {
    account: SendingAccountId,
    /// One that was removed and made again is another one: the job of the first ends, and it has a job of its own.
    made_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct MadeRow {
    created_at: At,
}

/// Says how the mailbox of an account is read, and sees to it that it is. False when there is no such account.
#[derive(Clone, Debug)]
pub struct PutMailbox {
    /// The organisation.
    pub tenant: TenantId,
    /// The account.
    pub account: SendingAccountId,
    /// How it is read.
    pub settings: MailboxSettings,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for PutMailbox {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        put_mailbox(tx, (self.tenant, self.account), &self.settings, self.now).await
    }
}

/// See [`PutMailbox`].
pub(super) async fn put_mailbox(
    tx: &mut Tx<'_>,
    (tenant, account): (TenantId, SendingAccountId),
    settings: &MailboxSettings,
    now: Timestamp,
) -> Result<bool> {
    let put = tx.query(PUT).bind(account.uuid()).bind(tenant.uuid()).bind(settings.host.clone());
    let put = put.bind(i64::from(settings.port)).bind(settings.security.clone()).bind(settings.user_name.clone());
    let put = put.bind(settings.secret.as_str().to_owned()).bind(settings.folder.clone()).bind(At(now));
    let made: Option<MadeRow> = put.row().await?;
    let Some(made_at) = made.map(|row| row.created_at.0) else { return Ok(false) };
    let key = format!("{tenant}/{account}/{}", made_at.as_millis());
    let job = NewJob {
        id: JobId(derived(now, &[account.uuid().as_bytes(), b"mailbox"])),
        queue: MAILBOXES,
        kind: MAILBOX_KIND,
        group: account.to_string(),
        tenant: Some(tenant),
        priority: JobPriority::Normal,
        arguments: json(&Arguments { account, made_at })?,
        unique: Some(Unique { key, until: None }),
        run_at: now,
        most_attempts: u32::MAX,
        trace: None,
    };
    enqueue(tx, &[job], now).await?;
    Ok(true)
}

/// Reads how the mailbox of an account is read.
#[derive(Clone, Copy, Debug)]
pub struct GetMailbox {
    /// The organisation.
    pub tenant: TenantId,
    /// The account.
    pub account: SendingAccountId,
}

impl Intent for GetMailbox {
    type Output = Option<StoredMailbox>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row = tx.query(GET).bind(self.account.uuid()).bind(self.tenant.uuid());
        let row: Option<MailboxRow> = row.row().await?;
        row.map(StoredMailbox::try_from).transpose()
    }
}

/// Forgets the mailbox of an account: it is read no more. False when there is none.
#[derive(Clone, Copy, Debug)]
pub struct RemoveMailbox {
    /// The organisation.
    pub tenant: TenantId,
    /// The account.
    pub account: SendingAccountId,
}

impl Intent for RemoveMailbox {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        Ok(tx.query(REMOVE).bind(self.account.uuid()).bind(self.tenant.uuid()).run().await? == 1)
    }
}

/// What became of reading a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxRead {
    /// It is read so far: the validity of its numbers, and the last one.
    To(u32, u32),
    /// It is read so far, and that is its end.
    ToTheEnd(u32, u32),
    /// Its history at Gmail is read so far, and whether that is its end.
    History(String, bool),
    /// It could not be read, for now.
    Away(String),
    /// It cannot be read before somebody has seen to it.
    Halted(String),
}

/// Notes how far a mailbox is read, or why it is not.
#[derive(Clone, Debug)]
pub struct NoteMailbox {
    /// The organisation.
    pub tenant: TenantId,
    /// The account.
    pub account: SendingAccountId,
    /// What became of it.
    pub read: MailboxRead,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for NoteMailbox {
    type Output = ();
    const WRITES: bool = true;
    const ONE_STATEMENT: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let (account, tenant) = (self.account.uuid(), self.tenant.uuid());
        let note = match &self.read {
            MailboxRead::To(validity, uid) => {
                let read = tx.query(READ).bind(account).bind(tenant).bind(i64::from(*validity)).bind(i64::from(*uid));
                read.bind(None::<At>)
            }
            MailboxRead::ToTheEnd(validity, uid) => {
                let read = tx.query(READ).bind(account).bind(tenant).bind(i64::from(*validity)).bind(i64::from(*uid));
                read.bind(Some(At(self.now)))
            }
            MailboxRead::History(history, end) => {
                let read = tx.query(READ_HISTORY).bind(account).bind(tenant).bind(history.clone());
                read.bind(end.then_some(At(self.now)))
            }
            MailboxRead::Away(why) => tx.query(WHY).bind(account).bind(tenant).bind(why.clone()),
            MailboxRead::Halted(why) => tx.query(HALT).bind(account).bind(tenant).bind(why.clone()).bind(At(self.now)),
        };
        note.run().await.map(drop)
    }
}

/// Finds the last email that an account has sent to an address.
#[derive(Clone, Debug)]
pub struct FindLastTo {
    /// The organisation.
    pub tenant: TenantId,
    /// The account.
    pub account: SendingAccountId,
    /// The address, as it identifies somebody.
    pub address: String,
}

impl Intent for FindLastTo {
    type Output = Option<EmailId>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let last = tx.query(LAST_TO).bind(self.tenant.uuid()).bind(self.address.clone()).bind(self.account.uuid());
        let last: Option<crate::value::Id> = last.row().await?;
        Ok(last.map(|row| EmailId(row.id)))
    }
}

/// Lists emails of an account of which nobody knows what became of them, the newest first, with their Message-IDs.
#[derive(Clone, Copy, Debug)]
pub struct ListUnknown {
    /// The organisation.
    pub tenant: TenantId,
    /// The account.
    pub account: SendingAccountId,
    /// At most so many.
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct UnknownRow {
    id: Uuid,
    message_id: String,
}

impl Intent for ListUnknown {
    type Output = Vec<(EmailId, String)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let list = tx.query(UNKNOWN).bind(self.tenant.uuid()).bind(self.account.uuid()).bind(i64::from(self.limit));
        let rows: Vec<UnknownRow> = list.rows().await?;
        Ok(rows.into_iter().map(|row| (EmailId(row.id), row.message_id)).collect())
    }
}

/// Notes what became of an email without stopping anybody: it was answered in a campaign that goes on, or it came back for
/// now. False when that was noted before, or there is no such email.
#[derive(Clone, Copy, Debug)]
pub struct NoteBecame {
    /// The organisation.
    pub tenant: TenantId,
    /// The email.
    pub email: EmailId,
    /// What became of it.
    pub became: Became,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for NoteBecame {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let mut tally = Tally::default();
        let first = mark(tx, (self.tenant, self.email), self.became, &mut tally, self.now).await?;
        tally.write(tx).await?;
        if let Some(of) = first
            && self.became == Became::Bounced
        {
            let account = SendingAccountId(of.account_id);
            super::accounts::weigh(tx, (self.tenant, account), (0, 1, 0), self.now).await?;
        }
        Ok(first.is_some())
    }
}
