//! The counters of a month: a row for each person, and one for what the organisation as a whole costs.
//!
//! What an organisation has used is the sum of its people's rows, added up by whoever asks. Only its money has a row of its
//! own, because a budget of the organisation must be compared with it while others spend too; work that costs nothing does
//! not touch that row, so colleagues do not wait for each other's commits.

use std::collections::BTreeMap;

use mainstay_domain::{Amounts, Day, Month, PersonId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Result;
use crate::sql::statements;
use crate::tx::Tx;

statements! {
    /// From here on the rows are locked (PostgreSQL) until the commit. What belongs to an earlier day than the latest one
    /// is counted in its month only.
    POST = insert((tenant_id: uuid, month: bigint, subject_id: uuid, messages: bigint, input_tokens: bigint, output_tokens: bigint, images: bigint, voice_seconds: bigint, cost_micros: bigint, reserved_micros: bigint, day: bigint) "
        usage_month (tenant_id, month, subject_id, messages, input_tokens, output_tokens, images, voice_seconds,
          cost_micros, reserved_micros, day, day_messages, day_images, day_voice_seconds)
        SELECT tenant_id, month, subject_id, messages, input_tokens, output_tokens, images, voice_seconds, cost_micros,
          reserved_micros, day, messages, images, voice_seconds
        FROM batch WHERE true ORDER BY tenant_id, month, subject_id
        ON CONFLICT (tenant_id, month, subject_id) DO UPDATE SET
          messages = usage_month.messages + excluded.messages,
          input_tokens = usage_month.input_tokens + excluded.input_tokens,
          output_tokens = usage_month.output_tokens + excluded.output_tokens,
          images = usage_month.images + excluded.images,
          voice_seconds = usage_month.voice_seconds + excluded.voice_seconds,
          cost_micros = usage_month.cost_micros + excluded.cost_micros,
          reserved_micros = usage_month.reserved_micros + excluded.reserved_micros,
          day_messages = CASE WHEN usage_month.day < excluded.day THEN excluded.messages
            WHEN usage_month.day = excluded.day THEN usage_month.day_messages + excluded.messages
            ELSE usage_month.day_messages END,
          day_images = CASE WHEN usage_month.day < excluded.day THEN excluded.images
            WHEN usage_month.day = excluded.day THEN usage_month.day_images + excluded.images
            ELSE usage_month.day_images END,
          day_voice_seconds = CASE WHEN usage_month.day < excluded.day THEN excluded.voice_seconds
            WHEN usage_month.day = excluded.day THEN usage_month.day_voice_seconds + excluded.voice_seconds
            ELSE usage_month.day_voice_seconds END,
          day = CASE WHEN usage_month.day < excluded.day THEN excluded.day ELSE usage_month.day END");
}

/// Whose counters: a person's, or those of the organisation's money, whose subject is its own id.
pub(crate) type Account = (TenantId, i64, Uuid);

/// The account of a subject in the month of a moment.
pub(crate) fn account(tenant: TenantId, subject: Uuid, at: Timestamp) -> Account {
    (tenant, Month::of(at).number(), subject)
}

#[derive(Serialize)]
struct Entry {
    tenant_id: Uuid,
    month: i64,
    subject_id: Uuid,
    messages: i64,
    input_tokens: i64,
    output_tokens: i64,
    images: i64,
    voice_seconds: i64,
    cost_micros: i64,
    reserved_micros: i64,
    day: i64,
}

/// What a transaction counts. Collect all of it, then [`post`](Self::post) it at once.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By day first: a statement must not meet an account twice.
    entries: BTreeMap<(Day, Account), (Amounts, i64)>,
}

impl Ledger {
    /// Counts for a person, and money for the organisation too, in the month and on the day of `at`. `reserved` is what is
    /// set aside more, or less when it is below zero.
    pub(crate) fn add(&mut self, tenant: TenantId, person: PersonId, at: Timestamp, amounts: Amounts, reserved: i64) {
        let money = Amounts { cost_micros: amounts.cost_micros, ..Amounts::default() };
        for (subject, amounts) in [(person.uuid(), amounts), (tenant.uuid(), money)] {
            if amounts != Amounts::default() || reserved != 0 {
                let entry = self.entries.entry((Day::of(at), account(tenant, subject, at))).or_default();
                entry.0 += amounts;
                entry.1 += reserved;
            }
        }
    }

    /// Writes it, also what adds up to nothing: it locks the counters, and somebody may be about to decide by them.
    pub(crate) async fn post(self, tx: &mut Tx<'_>) -> Result<()> {
        let mut days: BTreeMap<Day, Vec<Entry>> = BTreeMap::new();
        for ((day, (tenant, month, subject)), (amounts, reserved)) in self.entries {
            days.entry(day).or_default().push(Entry {
                tenant_id: tenant.uuid(),
                month,
                subject_id: subject,
                messages: amounts.messages,
                input_tokens: amounts.input_tokens,
                output_tokens: amounts.output_tokens,
                images: amounts.images,
                voice_seconds: amounts.voice_seconds,
                cost_micros: amounts.cost_micros,
                reserved_micros: reserved,
                day: day.number(),
            });
        }
        for entries in days.into_values() {
            tx.batch(POST, &entries).run().await?;
        }
        Ok(())
    }
}
