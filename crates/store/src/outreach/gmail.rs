//! Accounts at Gmail: that somebody has signed in, what Gmail calls their emails, and until when they wait.

use mainstay_domain::{EmailId, Sealed, SendingAccountId, TenantId, Timestamp};

use super::RunOf;
use super::mailboxes::{MailboxSettings, put_mailbox};
use super::waking::wake_account;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id};

statements! {
    /// Whoever has it rest goes on having it rest.
    SIGN_IN = both("
        UPDATE sending_account SET secret = $3, updated_at = $4, reason = CASE WHEN state = 'reconnect' THEN NULL ELSE reason END,
          state = CASE WHEN state = 'reconnect' THEN 'active' ELSE state END
        WHERE id = $1 AND tenant_id = $2 AND kind = 'gmail'");
    NOT_BEFORE = both("
        UPDATE sending_account SET next_at = $4 WHERE id = $1 AND tenant_id = $2 AND run = $3 AND next_at < $4");
    NOTE = both("
        UPDATE email SET provider_id = coalesce($3, provider_id), thread = coalesce($4, thread),
          sent_message_id = coalesce($5, sent_message_id)
        WHERE id = $1 AND tenant_id = $2");
    /// The last email of a thread.
    BY_THREAD = both("
        SELECT id FROM email WHERE tenant_id = $1 AND account_id = $2 AND thread = $3 ORDER BY id DESC LIMIT 1");
}

/// Keeps that somebody has signed in to an account at Gmail: it may send, and its mailbox is read. False when there is no
/// such account.
#[derive(Clone, Debug)]
pub struct SignInAccount {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: SendingAccountId,
    /// The refresh token.
    pub secret: Sealed,
    /// How its mailbox is read.
    pub mailbox: MailboxSettings,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for SignInAccount {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let sign_in = tx.query(SIGN_IN).bind(self.id.uuid()).bind(self.tenant.uuid());
        if sign_in.bind(self.secret.as_str().to_owned()).bind(At(self.now)).run().await? == 0 {
            return Ok(false);
        }
        put_mailbox(tx, (self.tenant, self.id), &self.mailbox, self.now).await?;
        wake_account(tx, self.tenant, self.id, self.now).await?;
        Ok(true)
    }
}

/// Has an account wait: its provider has said how long. It counts for later runs too, whoever wakes them.
#[derive(Clone, Copy, Debug)]
pub struct SendNotBefore {
    /// The run.
    pub run: RunOf,
    /// Nothing before this.
    pub until: Timestamp,
}

impl Intent for SendNotBefore {
    type Output = ();
    const WRITES: bool = true;
    const ONE_STATEMENT: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.run.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let wait = tx.query(NOT_BEFORE).bind(self.run.account.uuid()).bind(self.run.tenant.uuid());
        wait.bind(self.run.run).bind(At(self.until)).run().await.map(drop)
    }
}

/// Notes what a provider calls an email. What is left out stays as it is. False when there is no such email.
#[derive(Clone, Debug)]
pub struct NoteProvider {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: EmailId,
    /// The provider's id of it.
    pub provider_id: Option<String>,
    /// Its thread there.
    pub thread: Option<String>,
    /// Its Message-ID, without angle brackets, where it is another than ours.
    pub message_id: Option<String>,
}

impl Intent for NoteProvider {
    type Output = bool;
    const WRITES: bool = true;
    const ONE_STATEMENT: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let note = tx.query(NOTE).bind(self.id.uuid()).bind(self.tenant.uuid()).bind(self.provider_id.clone());
        Ok(note.bind(self.thread.clone()).bind(self.message_id.clone()).run().await? == 1)
    }
}

/// Finds the last email of a thread at a provider.
#[derive(Clone, Debug)]
pub struct FindByThread {
    /// The organisation.
    pub tenant: TenantId,
    /// The account, whose provider knows the thread by this id.
    pub account: SendingAccountId,
    /// The thread.
    pub thread: String,
}

impl Intent for FindByThread {
    type Output = Option<EmailId>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let find = tx.query(BY_THREAD).bind(self.tenant.uuid()).bind(self.account.uuid()).bind(self.thread.clone());
        let found: Option<Id> = find.row().await?;
        Ok(found.map(|row| EmailId(row.id)))
    }
}
