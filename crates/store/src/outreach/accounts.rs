//! The accounts that send: how, how much, and whether they do.

use std::time::Duration;

use mainstay_domain::outreach::{AccountHealth, HealthReason, RampUp};
use mainstay_domain::{AccountState, CampaignId, Sealed, SendingAccountId, TenantId, Timestamp};
use uuid::Uuid;

use super::waking::wake_account;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count, moment, unsigned};

statements! {
    /// One at Gmail does not send before somebody has signed in.
    INSERT = both("
        INSERT INTO sending_account (id, tenant_id, address, sender_name, reply_to, kind, host, port, security, user_name, secret,
          dkim_selector, dkim_domain, dkim_key, state, daily_cap, ramp_start, ramp_step, ramp_from, gap_millis, domain_gap_millis,
          connections, tracking_domain, run, wakes, next_at, sent, bounced, complained, created_at, updated_at, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, CASE WHEN $6 = 'gmail' THEN 'reconnect' ELSE 'active' END,
          $15, $16, $17, $18, $19, $20, $21, $22, 0, 0, $23, 0, 0, 0, $23, $23,
          CASE WHEN $6 = 'gmail' THEN 'Nobody has signed in to it yet.' END)
        ON CONFLICT (tenant_id, address) DO NOTHING");
    UPDATE = both("
        UPDATE sending_account SET sender_name = $4, reply_to = $5, kind = $6, host = $7, port = $8, security = $9, user_name = $10,
          secret = coalesce($11, secret), dkim_selector = $12, dkim_domain = $13, dkim_key = coalesce($14, dkim_key),
          daily_cap = $15, ramp_start = $16, ramp_step = $17, ramp_from = $18, gap_millis = $19, domain_gap_millis = $20,
          connections = $21, tracking_domain = $22, updated_at = $23
        WHERE id = $1 AND tenant_id = $2 AND address = $3");
    GET = both("
        SELECT id, address, sender_name, reply_to, kind, host, port, security, user_name, secret, dkim_selector, dkim_domain,
          dkim_key, state, reason, daily_cap, ramp_start, ramp_step, ramp_from, gap_millis, domain_gap_millis, connections,
          tracking_domain, run, wakes, next_at, sent, bounced, complained, created_at, updated_at
        FROM sending_account WHERE id = $1 AND tenant_id = $2");
    LIST = both("
        SELECT id, address, sender_name, reply_to, kind, host, port, security, user_name, secret, dkim_selector, dkim_domain,
          dkim_key, state, reason, daily_cap, ramp_start, ramp_step, ramp_from, gap_millis, domain_gap_millis, connections,
          tracking_domain, run, wakes, next_at, sent, bounced, complained, created_at, updated_at
        FROM sending_account WHERE tenant_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4");
    OF_CAMPAIGN = both("
        SELECT a.id, a.address, a.sender_name, a.reply_to, a.kind, a.host, a.port, a.security, a.user_name, a.secret,
          a.dkim_selector, a.dkim_domain, a.dkim_key, a.state, a.reason, a.daily_cap, a.ramp_start, a.ramp_step, a.ramp_from,
          a.gap_millis, a.domain_gap_millis, a.connections, a.tracking_domain, a.run, a.wakes, a.next_at, a.sent, a.bounced,
          a.complained, a.created_at, a.updated_at
        FROM campaign_account u JOIN sending_account a ON a.id = u.account_id AND a.tenant_id = u.tenant_id
        WHERE u.campaign_id = $1 AND u.tenant_id = $2 ORDER BY u.account_id LIMIT $3");
    /// What it sent before counts no more once somebody says that it is to go on.
    SET_STATE = both("
        UPDATE sending_account SET state = $3, reason = $4, updated_at = $5,
          sent = CASE WHEN $3 = 'active' THEN 0 ELSE sent END, bounced = CASE WHEN $3 = 'active' THEN 0 ELSE bounced END,
          complained = CASE WHEN $3 = 'active' THEN 0 ELSE complained END
        WHERE id = $1 AND tenant_id = $2 AND state <> $3");
    WEIGH = both("
        UPDATE sending_account SET sent = sent + $3, bounced = bounced + $4, complained = complained + $5
        WHERE id = $1 AND tenant_id = $2 RETURNING state, sent, bounced, complained");
}

/// How an account sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// The name beside the address.
    pub sender_name: String,
    /// Where answers go; nothing for the address itself.
    pub reply_to: Option<String>,
    /// By what: `smtp` or `gmail`.
    pub kind: String,
    /// The server, for SMTP.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the line to it is protected: `none`, `start_tls` or `tls`.
    pub security: String,
    /// Who signs in there.
    pub user_name: String,
    /// With what. Nothing leaves it as it is.
    pub secret: Option<Sealed>,
    /// The selector and domain of the signature.
    pub dkim: Option<(String, String)>,
    /// The key of the signature. Nothing leaves it as it is.
    pub dkim_key: Option<Sealed>,
    /// The most emails in any 24 hours.
    pub daily_cap: u32,
    /// How it warms up.
    pub ramp: Option<Ramp>,
    /// The least time between two emails.
    pub gap: Duration,
    /// The least time between two to one domain.
    pub domain_gap: Duration,
    /// How many connections it may have at once.
    pub connections: u32,
    /// The name under which links of its emails are followed; nothing for that of this server.
    pub tracking_domain: Option<String>,
}

/// How an account warms up: some on the first day, and some more on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// The cap of the first day.
    pub start: u32,
    /// What each day adds.
    pub step: u32,
    /// When the first day began.
    pub from: Timestamp,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendingAccount {
    /// Its id.
    pub id: SendingAccountId,
    /// The address that it sends from.
    pub address: String,
    /// How it sends.
    pub settings: AccountSettings,
    /// Whether it does.
    pub state: AccountState,
    /// Why it does not.
    pub reason: Option<String>,
    /// The number of the run that works on it.
    pub run: i64,
    /// How often it was given something to do.
    pub wakes: i64,
    /// It sends nothing before this.
    pub next_at: Timestamp,
    /// What servers took of it since it was last told to send, what came back for good, what was called junk.
    pub health: (u32, u32, u32),
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl SendingAccount {
    /// The most emails of the 24 hours that end now.
    #[must_use]
    pub fn cap(&self, now: Timestamp) -> u32 {
        let cap = self.settings.daily_cap;
        self.settings.ramp.map_or(cap, |ramp| RampUp { start: ramp.start, step: ramp.step, cap }.at(ramp.from, now))
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct AccountRow {
    id: Uuid,
    address: String,
    sender_name: String,
    reply_to: Option<String>,
    kind: String,
    host: String,
    port: i64,
    security: String,
    user_name: String,
    secret: Option<String>,
    dkim_selector: Option<String>,
    dkim_domain: Option<String>,
    dkim_key: Option<String>,
    state: String,
    reason: Option<String>,
    daily_cap: i64,
    ramp_start: i64,
    ramp_step: i64,
    ramp_from: Option<At>,
    gap_millis: i64,
    domain_gap_millis: i64,
    connections: i64,
    tracking_domain: Option<String>,
    run: i64,
    wakes: i64,
    next_at: At,
    sent: i64,
    bounced: i64,
    complained: i64,
    created_at: At,
    updated_at: At,
}

fn sealed(text: Option<String>) -> Result<Option<Sealed>> {
    let sealed = |text: String| Sealed::parse(&text).ok_or_else(|| Error::Corrupt("a secret is not sealed".to_owned()));
    text.map(sealed).transpose()
}

impl TryFrom<AccountRow> for SendingAccount {
    type Error = Error;

    fn try_from(row: AccountRow) -> Result<Self> {
        let ramp =
            moment(row.ramp_from).map(|from| Ramp { start: count(row.ramp_start), step: count(row.ramp_step), from });
        let settings = AccountSettings {
            sender_name: row.sender_name,
            reply_to: row.reply_to,
            kind: row.kind,
            host: row.host,
            port: crate::value::small(row.port),
            security: row.security,
            user_name: row.user_name,
            secret: sealed(row.secret)?,
            dkim: row.dkim_selector.zip(row.dkim_domain),
            dkim_key: sealed(row.dkim_key)?,
            daily_cap: count(row.daily_cap),
            ramp,
            gap: Duration::from_millis(unsigned(row.gap_millis)),
            domain_gap: Duration::from_millis(unsigned(row.domain_gap_millis)),
            connections: count(row.connections),
            tracking_domain: row.tracking_domain,
        };
        Ok(Self {
            id: SendingAccountId(row.id),
            address: row.address,
            settings,
            state: word(&row.state)?,
            reason: row.reason,
            run: row.run,
            wakes: row.wakes,
            next_at: row.next_at.0,
            health: (count(row.sent), count(row.bounced), count(row.complained)),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        })
    }
}

/// Makes an account, or changes how one sends. The answer is false when another has the address, or there is none of the id
/// with this address.
#[derive(Clone, Debug)]
pub struct PutAccount {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: SendingAccountId,
    /// Its address. It never changes.
    pub address: String,
    /// Whether it is a new one.
    pub new: bool,
    /// How it sends.
    pub settings: AccountSettings,
    /// The present moment.
    pub now: Timestamp,
}

fn millis(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
}

impl Intent for PutAccount {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let settings = &self.settings;
        let (selector, domain) = settings.dkim.clone().unzip();
        let ramp = settings.ramp;
        let put = tx.query(if self.new { INSERT } else { UPDATE }).bind(self.id.uuid()).bind(self.tenant.uuid());
        let put = put.bind(self.address.clone()).bind(settings.sender_name.clone()).bind(settings.reply_to.clone());
        let put = put.bind(settings.kind.clone()).bind(settings.host.clone()).bind(i64::from(settings.port));
        let put = put.bind(settings.security.clone()).bind(settings.user_name.clone());
        let put = put.bind(settings.secret.as_ref().map(|sealed| sealed.as_str().to_owned()));
        let put = put.bind(selector).bind(domain);
        let put = put.bind(settings.dkim_key.as_ref().map(|sealed| sealed.as_str().to_owned()));
        let put = put.bind(i64::from(settings.daily_cap)).bind(ramp.map_or(0, |ramp| i64::from(ramp.start)));
        let put = put.bind(ramp.map_or(0, |ramp| i64::from(ramp.step))).bind(ramp.map(|ramp| At(ramp.from)));
        let put = put.bind(millis(settings.gap)).bind(millis(settings.domain_gap));
        let put = put.bind(i64::from(settings.connections)).bind(settings.tracking_domain.clone()).bind(At(self.now));
        if put.run().await? == 0 {
            return Ok(false);
        }
        if !self.new {
            wake_account(tx, self.tenant, self.id, self.now).await?;
        }
        Ok(true)
    }
}

/// Reads an account.
#[derive(Clone, Copy, Debug)]
pub struct GetAccount {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: SendingAccountId,
}

impl Intent for GetAccount {
    type Output = Option<SendingAccount>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        account_of(tx, self.tenant, self.id).await
    }
}

pub(super) async fn account_of(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: SendingAccountId,
) -> Result<Option<SendingAccount>> {
    let row: Option<AccountRow> = tx.query(GET).bind(id.uuid()).bind(tenant.uuid()).row().await?;
    row.map(SendingAccount::try_from).transpose()
}

/// Lists accounts, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListAccounts {
    /// The organisation.
    pub tenant: TenantId,
    /// Those after this one.
    pub after: Option<(Timestamp, SendingAccountId)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListAccounts {
    type Output = Vec<SendingAccount>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (at, id) = self.after.unwrap_or((Timestamp::EPOCH, SendingAccountId(Uuid::nil())));
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(id.uuid()).bind(i64::from(self.limit));
        let rows: Vec<AccountRow> = list.rows().await?;
        rows.into_iter().map(SendingAccount::try_from).collect()
    }
}

/// Reads the accounts that send for a campaign.
#[derive(Clone, Copy, Debug)]
pub struct AccountsInUse {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// At most so many.
    pub limit: u32,
}

impl Intent for AccountsInUse {
    type Output = Vec<SendingAccount>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let list = tx.query(OF_CAMPAIGN).bind(self.campaign.uuid()).bind(self.tenant.uuid());
        let rows: Vec<AccountRow> = list.bind(i64::from(self.limit)).rows().await?;
        rows.into_iter().map(SendingAccount::try_from).collect()
    }
}

/// Tells an account to send, or not to. What it owes waits. False when it is so already, or there is none.
#[derive(Clone, Debug)]
pub struct SetAccountState {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: SendingAccountId,
    /// What it is to be.
    pub state: AccountState,
    /// Why, for people; nothing for one that sends.
    pub reason: Option<String>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for SetAccountState {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        if !set_state(tx, (self.tenant, self.id), self.state, self.reason.clone(), self.now).await? {
            return Ok(false);
        }
        if self.state == AccountState::Active {
            wake_account(tx, self.tenant, self.id, self.now).await?;
        }
        Ok(true)
    }
}

pub(super) async fn set_state(
    tx: &mut Tx<'_>,
    (tenant, id): (TenantId, SendingAccountId),
    state: AccountState,
    reason: Option<String>,
    now: Timestamp,
) -> Result<bool> {
    let set = tx.query(SET_STATE).bind(id.uuid()).bind(tenant.uuid()).bind(state.as_str()).bind(reason);
    Ok(set.bind(At(now)).run().await? == 1)
}

#[derive(sqlx::FromRow)]
struct WeighedRow {
    state: String,
    sent: i64,
    bounced: i64,
    complained: i64,
}

/// Counts what became of emails of an account, and has it rest when too much came back.
pub(super) async fn weigh(
    tx: &mut Tx<'_>,
    (tenant, account): (TenantId, SendingAccountId),
    (sent, bounced, complained): (i64, i64, i64),
    now: Timestamp,
) -> Result<()> {
    if (sent, bounced, complained) == (0, 0, 0) {
        return Ok(());
    }
    let weigh = tx.query(WEIGH).bind(account.uuid()).bind(tenant.uuid());
    let row: Option<WeighedRow> = weigh.bind(sent).bind(bounced).bind(complained).row().await?;
    let Some(row) = row.filter(|row| row.state == AccountState::Active.as_str()) else { return Ok(()) };
    let all = row.sent + row.bounced;
    let reason = match AccountHealth::judge(unsigned(all), unsigned(row.bounced), unsigned(row.complained)) {
        AccountHealth::Paused(HealthReason::Bounces) => format!("{} of its last {all} emails came back", row.bounced),
        AccountHealth::Paused(HealthReason::Complaints) => {
            format!("{} of its last {all} emails were called junk", row.complained)
        }
        AccountHealth::Good | AccountHealth::Strained(_) => return Ok(()),
    };
    let reason = format!("{reason}. Check whom it writes to, then have it send again.");
    set_state(tx, (tenant, account), AccountState::Paused, Some(reason), now).await.map(drop)
}
