//! Emails that somebody sends to see a text as it arrives. They are no rows; what they take of the account's cap is counted
//! before they go out, and whoever wants no mail gets none of these either.

use mainstay_domain::{AccountState, SendingAccountId, TenantId, Timestamp};

use super::accounts::{SendingAccount, account_of};
use super::claiming::lock;
use super::domain_of;
use super::quota::{Charge, Room, bucket_of, charge, room_of};
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::Number;

statements! {
    SUPPRESSED = both("
        SELECT count(*) AS number FROM suppression WHERE tenant_id = $1 AND subject IN ($2, '@' || $3, $4)");
}

/// Counts one email that tries a text, before it goes out. It stays counted whatever comes of it.
#[derive(Clone, Debug)]
pub struct ReserveTestEmail {
    /// The organisation.
    pub tenant: TenantId,
    /// The account that sends it.
    pub account: SendingAccountId,
    /// Whom it goes to, as addresses are kept.
    pub address: String,
    /// What is kept of it when somebody was erased.
    pub digest: String,
    /// The present moment.
    pub now: Timestamp,
}

/// Whether an email that tries a text may go out.
#[derive(Debug)]
pub enum TestEmailRoom {
    /// It is counted: it may go out by this account.
    Reserved(Box<SendingAccount>),
    /// The account has sent as much as it may; not before this moment.
    Full(Timestamp),
    /// The account does not send.
    Resting(AccountState),
    /// Whoever it goes to wants no mail of the organisation.
    Suppressed,
    /// There is no such account.
    Gone,
}

impl Intent for ReserveTestEmail {
    type Output = TestEmailRoom;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<TestEmailRoom> {
        if lock(tx, self.tenant, self.account).await?.is_none() {
            return Ok(TestEmailRoom::Gone);
        }
        let Some(account) = account_of(tx, self.tenant, self.account).await? else { return Ok(TestEmailRoom::Gone) };
        if account.state != AccountState::Active {
            return Ok(TestEmailRoom::Resting(account.state));
        }
        let suppressed = tx.query(SUPPRESSED).bind(self.tenant.uuid()).bind(self.address.clone());
        let suppressed: Option<Number> =
            suppressed.bind(domain_of(&self.address).to_owned()).bind(self.digest.clone()).row().await?;
        if suppressed.is_some_and(|row| row.number > 0) {
            return Ok(TestEmailRoom::Suppressed);
        }
        if let Room::Wait(again) = room_of(tx, self.tenant, &account, self.now).await? {
            return Ok(TestEmailRoom::Full(again));
        }
        let (account_id, tenant_id) = (self.account.uuid(), self.tenant.uuid());
        charge(tx, vec![Charge { account_id, tenant_id, bucket: bucket_of(self.now), sent: 1 }]).await?;
        Ok(TestEmailRoom::Reserved(Box::new(account)))
    }
}
