//! What the provider tells of messages that it has.

use mainstay_domain::{TenantId, TextHeard, TextTold, Timestamp};

use super::{TextMessage, TextRow};
use crate::error::Result;
use crate::intent::Intent;
use crate::jobs::finish::{Fence, done};
use crate::reception::board::{Happened, count};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    LOCK = pair(sqlite "
        SELECT id, appointment_id, contact_id, reason, service_id, staff_id, starts_at, phone, state, body, due_at, attempts,
          attempted_at, provider_id, error_code, error, segments, price_micros, currency, created_at, updated_at
        FROM text_message WHERE tenant_id = $1 AND provider_id = $2",
        postgres "
        SELECT id, appointment_id, contact_id, reason, service_id, staff_id, starts_at, phone, state, body, due_at, attempts,
          attempted_at, provider_id, error_code, error, segments, price_micros, currency, created_at, updated_at
        FROM text_message WHERE tenant_id = $1 AND provider_id = $2 FOR UPDATE",
        differs "SQLite has one writer and no row locks");
    UPDATE = both("
        UPDATE text_message SET state = $3, error_code = $4, segments = $5, price_micros = $6, currency = $7, updated_at = $8
        WHERE id = $1 AND tenant_id = $2");
    /// Messages to a number of which nobody knows yet under which id the provider has them.
    NAMELESS = both("
        SELECT count(*) AS value FROM text_message
        WHERE tenant_id = $1 AND phone = $2 AND provider_id IS NULL AND state IN ('sending', 'unknown') AND created_at > $3");
    KNOWN = batch((provider_id: text) "
        SELECT t.provider_id AS value FROM batch b JOIN text_message t ON t.provider_id = b.provider_id AND t.tenant_id = $2");
}

/// Takes in what the provider tells of a message.
#[derive(Clone, Debug)]
pub struct HearText {
    /// The organisation.
    pub tenant: TenantId,
    /// The provider's id of it.
    pub provider_id: String,
    /// What it tells.
    pub told: TextTold,
    /// To whom the message went, where that is told: its id may not be known yet.
    pub phone: Option<String>,
    /// The job that ends with it.
    pub fence: Option<Fence>,
    /// The present moment.
    pub now: Timestamp,
}

/// What became of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is one of ours.
    Of(Box<TextMessage>),
    /// It may be one that is just being sent: tell it again in a moment. The job has not ended.
    NotYet,
    /// It is none of ours.
    Unknown,
}

#[derive(sqlx::FromRow)]
struct CountRow {
    value: i64,
}

/// For how long a message may be without the provider's id.
const NAMELESS_FOR: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

impl Intent for HearText {
    type Output = Heard;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Heard> {
        let tenant = self.tenant.uuid();
        let row: Option<TextRow> = tx.query(LOCK).bind(tenant).bind(self.provider_id.clone()).row().await?;
        let heard = match (row, &self.phone) {
            (Some(row), _) => Heard::Of(Box::new(self.hear(tx, row.try_into()?).await?)),
            (None, Some(phone)) => {
                let since = self.now.minus(NAMELESS_FOR);
                let nameless = tx.query(NAMELESS).bind(tenant).bind(phone.clone()).bind(At(since));
                if nameless.row::<CountRow>().await?.is_some_and(|row| row.value > 0) {
                    return Ok(Heard::NotYet);
                }
                Heard::Unknown
            }
            (None, None) => Heard::Unknown,
        };
        if let Some(fence) = self.fence {
            done(tx, fence, self.now).await?;
        }
        Ok(heard)
    }
}

impl HearText {
    async fn hear(&self, tx: &mut Tx<'_>, mut text: TextMessage) -> Result<TextMessage> {
        let before = TextHeard {
            state: text.state,
            error_code: text.error_code,
            segments: text.segments,
            price: text.price.clone(),
        };
        let mut after = before.clone();
        after.hear(&self.told);
        if after != before {
            let (price, currency) = after.price.clone().unzip();
            let update = tx.query(UPDATE).bind(text.id.uuid()).bind(self.tenant.uuid()).bind(after.state.as_str());
            let update = update.bind(after.error_code).bind(after.segments).bind(price).bind(currency);
            update.bind(At(self.now)).run().await?;
            count(tx, self.tenant, Happened::Appointment, self.now).await?;
            (text.state, text.error_code, text.updated_at) = (after.state, after.error_code, self.now);
            (text.segments, text.price) = (after.segments, after.price);
        }
        Ok(text)
    }
}

/// Which of the provider's ids are those of messages that are known, at most 100.
#[derive(Clone, Debug)]
pub struct KnownTexts {
    /// The organisation.
    pub tenant: TenantId,
    /// The ids.
    pub provider_ids: Vec<String>,
}

#[derive(serde::Serialize)]
struct IdCells<'a> {
    provider_id: &'a str,
}

#[derive(sqlx::FromRow)]
struct IdRow {
    value: String,
}

impl Intent for KnownTexts {
    type Output = Vec<String>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let cells: Vec<_> = self.provider_ids.iter().map(|provider_id| IdCells { provider_id }).collect();
        let rows: Vec<IdRow> = tx.batch(KNOWN, &cells).bind(self.tenant.uuid()).rows().await?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }
}
