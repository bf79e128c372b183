//! What an account may still send. What it has sent is counted by five minutes, and the last 24 hours are the sum of those
//! that are not wholly older: so it is never more than the cap in any 24 hours, and less for at most five minutes.

use std::time::Duration;

use mainstay_domain::outreach::{BUCKET, SentBucket, WINDOW, first_bucket, room, room_again};
use mainstay_domain::{SendingAccountId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::accounts::SendingAccount;
use crate::error::Result;
use crate::sql::statements;
use crate::tx::Tx;
use crate::value::{At, Number, count};

statements! {
    /// One for each five minutes in which something was sent: 289 at the most, and what a clock that was set back has ahead.
    LEDGER = both("
        SELECT bucket, sent FROM account_bucket WHERE account_id = $1 AND bucket >= $2 AND tenant_id = $3 ORDER BY bucket LIMIT 1000");
    /// The states are those of the index, which SQLite does not see in the one.
    HELD = both("
        SELECT count(*) AS number FROM email WHERE account_id = $1 AND tenant_id = $2
          AND state IN ('claimed', 'in_flight') AND state = 'claimed'");
    CHARGE = insert((account_id: uuid, tenant_id: uuid, bucket: bigint, sent: bigint) "
        account_bucket (account_id, tenant_id, bucket, sent)
        SELECT account_id, tenant_id, bucket, sent FROM batch WHERE true ORDER BY account_id, bucket
        ON CONFLICT (account_id, bucket, tenant_id) DO UPDATE SET sent = account_bucket.sent + excluded.sent");
    FORGET = both("DELETE FROM account_bucket WHERE account_id = $1 AND bucket < $2 AND tenant_id = $3");
    FORGET_DOMAINS = both("DELETE FROM account_domain WHERE account_id = $1 AND next_at < $2 AND tenant_id = $3");
}

/// The number of the five minutes that a moment lies in.
pub(super) fn bucket_of(moment: Timestamp) -> i64 {
    moment.as_millis().div_euclid(BUCKET_MILLIS)
}

const BUCKET_MILLIS: i64 = BUCKET.as_millis() as i64;

#[derive(sqlx::FromRow)]
struct LedgerRow {
    bucket: i64,
    sent: i64,
}

/// What an account may send at a moment.
pub(super) enum Room {
    /// So many more.
    More(u32),
    /// Nothing before this.
    Wait(Timestamp),
}

/// What an account may send now, besides what it has claimed. Whoever asks holds the account's row.
pub(super) async fn room_of(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    account: &SendingAccount,
    now: Timestamp,
) -> Result<Room> {
    let sent = ledger(tx, (tenant, account.id), now).await?;
    let held: Option<Number> = tx.query(HELD).bind(account.id.uuid()).bind(tenant.uuid()).row().await?;
    let held = held.map_or(0, |row| count(row.number));
    let cap = account.cap(now);
    Ok(match room(&sent, now, cap, held) {
        // Where nothing was sent, the cap itself is nothing: it grows with the day.
        0 => Room::Wait(room_again(&sent, now, cap, held).unwrap_or(now.plus(Duration::from_secs(3_600)))),
        more => Room::More(more),
    })
}

/// What an account has sent in the 24 hours that end now.
async fn ledger(
    tx: &mut Tx<'_>,
    (tenant, account): (TenantId, SendingAccountId),
    now: Timestamp,
) -> Result<Vec<SentBucket>> {
    let since = bucket_of(first_bucket(now));
    let rows = tx.query(LEDGER).bind(account.uuid()).bind(since).bind(tenant.uuid());
    let rows: Vec<LedgerRow> = rows.rows().await?;
    let bucket = |row: LedgerRow| SentBucket {
        start: Timestamp::from_millis(row.bucket * BUCKET_MILLIS),
        sent: count(row.sent),
    };
    Ok(rows.into_iter().map(bucket).collect())
}

/// What is to be counted: an account, the five minutes, how many more.
#[derive(Clone, Serialize)]
pub(super) struct Charge {
    pub(super) account_id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) bucket: i64,
    pub(super) sent: i64,
}

/// Counts what accounts send, each once and in order.
pub(super) async fn charge(tx: &mut Tx<'_>, charges: Vec<Charge>) -> Result<()> {
    let mut sums = std::collections::BTreeMap::<_, i64>::new();
    for charge in charges {
        *sums.entry((charge.account_id, charge.bucket, charge.tenant_id)).or_default() += charge.sent;
    }
    let row = |((account_id, bucket, tenant_id), sent)| Charge { account_id, tenant_id, bucket, sent };
    let rows: Vec<Charge> = sums.into_iter().filter(|(_, sent)| *sent != 0).map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    tx.batch(CHARGE, &rows).run().await.map(drop)
}

/// Forgets what an account's cap is not reckoned from any more, and domains that it may write to again.
pub(super) async fn forget(
    tx: &mut Tx<'_>,
    (tenant, account): (TenantId, SendingAccountId),
    now: Timestamp,
) -> Result<()> {
    let old = bucket_of(first_bucket(now.minus(WINDOW)));
    tx.query(FORGET).bind(account.uuid()).bind(old).bind(tenant.uuid()).run().await?;
    tx.query(FORGET_DOMAINS).bind(account.uuid()).bind(At(now)).bind(tenant.uuid()).run().await.map(drop)
}
