//! The verbs of mailboxes that are read for accounts, and their rules.

use mainstay_domain::{Error, Faults, Kind, Result, Secret, SendingAccountId, TenantId};
use mainstay_store::{Call, GetMailbox, MailboxSettings, PutMailbox, RemoveMailbox, SealedColumn, StoredMailbox};

use super::Outreach;
use super::accounts::{check_port, check_server, one_line};
use super::gmail::GMAIL;
use super::service::missing;
use crate::keys::Place;

/// How a mailbox is wanted.
#[derive(Clone, Debug)]
pub(super) struct MailboxWish {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: String,
    pub(super) user_name: String,
    pub(super) password: Option<Secret>,
    pub(super) folder: String,
}

impl Outreach {
    /// How the mailbox of an account is read.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn mailbox(
        &self,
        call: &Call,
        tenant: TenantId,
        account: SendingAccountId,
    ) -> Result<StoredMailbox> {
        self.store.run(call, GetMailbox { tenant, account }).await?.ok_or_else(|| missing("mailbox"))
    }

    /// Has the mailbox of an account be read. Mail that is in it already is not.
    ///
    /// # Errors
    /// `invalid_input` by field.
    pub(super) async fn put_mailbox(
        &self,
        call: &Call,
        tenant: TenantId,
        account: SendingAccountId,
        wish: MailboxWish,
    ) -> Result<StoredMailbox> {
        if self.account(call, tenant, account).await?.settings.kind == GMAIL {
            let detail =
                "The mailbox of an account at Gmail is read by the Gmail API: sign in to the account, and it is.";
            return Err(Error::new(Kind::Conflict, "read_by_gmail", detail));
        }
        let mut faults = Faults::default();
        one_line(&mut faults, "user_name", &wish.user_name, 254);
        one_line(&mut faults, "folder", &wish.folder, 200);
        if wish.folder.is_empty() {
            faults.add("folder", "missing", "Name the folder that mail comes into, such as INBOX.");
        }
        let cures = (
            "Write the name of the server, such as imap.example.com.",
            "It is tls (port 993), start_tls (port 143) or none.",
        );
        check_server(&mut faults, (&wish.host, &wish.security), cures);
        check_port(&mut faults, wish.port);
        let known = self.store.run(call, GetMailbox { tenant, account }).await?;
        let place = Place { column: SealedColumn::MailboxSecret, tenant, row: account.uuid() };
        let secret = match (&wish.password, known) {
            (Some(password), _) => Some(self.keys.seal(place, password)?),
            (None, Some(known)) => Some(known.settings.secret),
            (None, None) => {
                faults.add("password", "missing", "Give the password, or one for programs that the provider makes.");
                None
            }
        };
        faults.judge()?;
        let Some(secret) = secret else { return Err(missing("mailbox")) };
        let settings = MailboxSettings {
            host: wish.host,
            port: wish.port,
            security: wish.security,
            user_name: wish.user_name,
            secret,
            folder: wish.folder,
        };
        if !self.store.run(call, PutMailbox { tenant, account, settings, now: self.clock.now() }).await? {
            return Err(Error::not_found("sending account"));
        }
        self.mailbox(call, tenant, account).await
    }

    /// Has the mailbox of an account be read no more.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn remove_mailbox(&self, call: &Call, tenant: TenantId, account: SendingAccountId) -> Result<()> {
        let removed = self.store.run(call, RemoveMailbox { tenant, account }).await?;
        if removed { Ok(()) } else { Err(missing("mailbox")) }
    }
}
