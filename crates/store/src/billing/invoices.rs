//! What an organisation was asked to pay.

use mainstay_domain::{TenantId, Timestamp};

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// Events come in any order: the order itself says more than what only mentions it, and what was given back stays so.
    PUT = both("
        INSERT INTO invoice (tenant_id, provider_id, reference, total_micros, currency, url, state, whole, issued_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (tenant_id, provider_id) DO UPDATE SET
          reference = CASE WHEN excluded.whole < invoice.whole OR excluded.reference = '' THEN invoice.reference ELSE excluded.reference END,
          total_micros = CASE WHEN excluded.whole < invoice.whole THEN invoice.total_micros ELSE excluded.total_micros END,
          currency = CASE WHEN excluded.whole < invoice.whole THEN invoice.currency ELSE excluded.currency END,
          url = CASE WHEN excluded.url = '' THEN invoice.url ELSE excluded.url END,
          state = CASE WHEN invoice.state = 'returned' OR (invoice.state = 'paid' AND excluded.state = 'failed')
            THEN invoice.state ELSE excluded.state END,
          issued_at = CASE WHEN excluded.issued_at < invoice.issued_at THEN excluded.issued_at ELSE invoice.issued_at END,
          whole = CASE WHEN excluded.whole < invoice.whole THEN invoice.whole ELSE excluded.whole END");
    LIST = both("
        SELECT provider_id, reference, total_micros, currency, url, state, whole, issued_at FROM invoice
        WHERE tenant_id = $1 ORDER BY issued_at DESC, provider_id LIMIT $2");
}

/// What became of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvoiceState {
    /// The money could not be taken.
    Failed,
    /// It was paid.
    Paid,
    /// It was paid, and given back.
    Returned,
}

impl InvoiceState {
    /// The word for it on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Paid => "paid",
            Self::Returned => "returned",
        }
    }

    fn read(word: &str) -> Result<Self> {
        [Self::Failed, Self::Paid, Self::Returned]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| Error::Corrupt(format!("an invoice in the state {word:?}")))
    }
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// The provider's id of the order.
    pub id: String,
    /// What people call it by; may be empty.
    pub reference: String,
    /// What is to be paid, in millionths.
    pub total_micros: i64,
    /// In which currency: three letters.
    pub currency: String,
    /// Where it can be read; may be empty.
    pub url: String,
    /// What became of it.
    pub state: InvoiceState,
    /// Whether the order itself was told, or only that there is one.
    pub whole: bool,
    /// When it was made.
    pub issued_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct InvoiceRow {
    provider_id: String,
    reference: String,
    total_micros: i64,
    currency: String,
    url: String,
    state: String,
    whole: i64,
    issued_at: At,
}

/// Remembers an invoice, or what is new of it.
pub(super) async fn put(tx: &mut Tx<'_>, tenant: TenantId, invoice: &Invoice) -> Result<()> {
    let put = tx.query(PUT).bind(tenant.uuid()).bind(invoice.id.clone()).bind(invoice.reference.clone());
    let put = put.bind(invoice.total_micros).bind(invoice.currency.clone()).bind(invoice.url.clone());
    put.bind(invoice.state.as_str()).bind(i64::from(invoice.whole)).bind(At(invoice.issued_at)).run().await?;
    Ok(())
}

/// Lists the invoices of an organisation, the latest first.
#[derive(Clone, Copy, Debug)]
pub struct ListInvoices {
    /// The organisation.
    pub tenant: TenantId,
    /// How many at most: 1 to 1,000.
    pub limit: u32,
}

impl Intent for ListInvoices {
    type Output = Vec<Invoice>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<Invoice>> {
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(i64::from(self.limit));
        let rows: Vec<InvoiceRow> = list.rows().await?;
        let read = |row: InvoiceRow| {
            Ok(Invoice {
                state: InvoiceState::read(&row.state)?,
                id: row.provider_id,
                reference: row.reference,
                total_micros: row.total_micros,
                currency: row.currency,
                url: row.url,
                whole: row.whole != 0,
                issued_at: row.issued_at.0,
            })
        };
        rows.into_iter().map(read).collect()
    }
}
