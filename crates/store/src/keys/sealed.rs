//! Every column that is sealed, on one page. A new one gets a line here and two indexes in its migration: by the mark,
//! `(substr(column, 1, 17), tenant_id, id)`, and of what is plain. Counting, sealing and rotation then know it.

use mainstay_domain::{KeyVersion, Sealed, Secret, TenantId};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::{Sql, statements};
use crate::tx::{Scope, Tx};
use crate::value::{Id, Place, count};

/// The most rows that are counted of a column under one key.
pub const MOST_COUNTED: u32 = 1_000_000;

/// The statements of one column.
#[derive(Clone, Copy)]
struct Statements {
    /// How many rows are sealed under a key, up to a bound.
    count: Sql,
    /// Rows that are sealed under a key.
    read: Sql,
    /// Rows that are not sealed.
    plain: Sql,
    /// Locks rows, in the order in which everybody does.
    lock: Sql,
    /// Puts one text in the place of another, where nobody else has meanwhile.
    exchange: Sql,
}

macro_rules! named {
    ($column:ident $what:literal, $statement:expr) => {
        Sql { name: concat!(module_path!(), "::", stringify!($column), "::", $what), ..$statement }
    };
}

macro_rules! both {
    ($($part:literal),+) => { Sql::plain("", concat!($($part),+), concat!($($part),+)) };
}

macro_rules! sealed_columns {
    ($($(#[$doc:meta])* $name:ident = $table:literal $column:literal;)+) => {
        /// A column whose texts are sealed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum SealedColumn { $($(#[$doc])* $name),+ }

        impl SealedColumn {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its table.
            #[must_use]
            pub const fn table(self) -> &'static str {
                match self { $(Self::$name => $table),+ }
            }

            /// Its name.
            #[must_use]
            pub const fn column(self) -> &'static str {
                match self { $(Self::$name => $column),+ }
            }

            const fn statements(self) -> Statements {
                match self { $(Self::$name => Statements {
                    count: named!($name "COUNT", both!(
                        "SELECT count(*) AS rows_of_key FROM (SELECT 1 AS one FROM ", $table, " WHERE substr(", $column,
                        ", 1, 17) = $1 LIMIT $2) counted")),
                    read: named!($name "READ", both!(
                        "SELECT id, tenant_id, ", $column, " AS stored FROM ", $table, " WHERE substr(", $column,
                        ", 1, 17) = $1 AND (tenant_id, id) >= ($2, $3) ORDER BY tenant_id, id LIMIT $4")),
                    plain: named!($name "PLAIN", both!(
                        "SELECT id, tenant_id, ", $column, " AS stored FROM ", $table, " WHERE substr(", $column,
                        ", 1, 8) <> 'sealed1:' AND tenant_id >= $1 ORDER BY tenant_id, id LIMIT $2")),
                    lock: named!($name "LOCK", statements!(@set lock (id: uuid, tenant_id: uuid)
                        ("SELECT ", $table, ".id FROM batch b JOIN ", $table, " ON ", $table, ".id = b.id AND ", $table,
                         ".tenant_id = b.tenant_id ORDER BY ", $table, ".id")
                        ("SELECT ", $table, ".id FROM batch b JOIN ", $table, " ON ", $table, ".id = b.id AND ", $table,
                         ".tenant_id = b.tenant_id ORDER BY ", $table, ".id FOR UPDATE OF ", $table))),
                    exchange: named!($name "EXCHANGE", statements!(@set exchange
                        (id: uuid, tenant_id: uuid, old: text, new: text)
                        ("UPDATE OR FAIL ", $table, " SET ", $column, " = b.new FROM batch b WHERE ", $table, ".id = b.id AND ",
                         $table, ".tenant_id = b.tenant_id AND ", $table, ".", $column, " = b.old")
                        ("UPDATE ", $table, " SET ", $column, " = b.new FROM batch b WHERE ", $table, ".id = b.id AND ",
                         $table, ".tenant_id = b.tenant_id AND ", $table, ".", $column, " = b.old"))),
                }),+ }
            }
        }

        /// Every statement of this module.
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[Sql] = &[$(
            SealedColumn::$name.statements().count, SealedColumn::$name.statements().read,
            SealedColumn::$name.statements().plain, SealedColumn::$name.statements().lock,
            SealedColumn::$name.statements().exchange
        ),+];
    };
}

sealed_columns! {
    /// How a sender of webhooks proves who it is, with its secrets.
    InboxScheme = "inbox_source" "scheme";
    /// What signs for an endpoint.
    EndpointSecrets = "webhook_endpoint" "secrets";
    /// The refresh token of an account whose calendar is connected.
    CalendarToken = "calendar_connection" "token";
    /// The password, or the refresh token, of an account that sends emails.
    AccountSecret = "sending_account" "secret";
    /// What mail of an account is signed with.
    AccountDkimKey = "sending_account" "dkim_key";
    /// The password, or the refresh token, of a mailbox.
    MailboxSecret = "mailbox" "secret";
    /// The key that signs tokens. Its row is the installation's, with the nil UUID for organisation and id.
    SigningKey = "signing_key" "secret";
}

/// Counts the rows of a column that are sealed under a key, up to [`MOST_COUNTED`].
#[derive(Clone, Copy, Debug)]
pub struct CountSealed {
    /// The column.
    pub column: SealedColumn,
    /// The key.
    pub key: KeyVersion,
}

#[derive(sqlx::FromRow)]
struct CountRow {
    rows_of_key: i64,
}

/// See [`CountSealed`].
pub(super) async fn count_sealed(tx: &mut Tx<'_>, column: SealedColumn, key: KeyVersion, most: u32) -> Result<u32> {
    let query = tx.query(column.statements().count).bind(Sealed::mark(key)).bind(i64::from(most));
    let row: Option<CountRow> = query.row().await?;
    Ok(row.map_or(0, |row| count(row.rows_of_key)))
}

impl Intent for CountSealed {
    type Output = u32;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u32> {
        count_sealed(tx, self.column, self.key, MOST_COUNTED).await
    }
}

/// A row of a sealed column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRow {
    /// The organisation; the nil UUID for the installation's own.
    pub tenant: TenantId,
    /// The row.
    pub id: Uuid,
    /// What is stored, which may be plain.
    pub stored: Secret,
}

#[derive(sqlx::FromRow)]
struct StoredRow {
    id: Uuid,
    tenant_id: Uuid,
    stored: String,
}

impl From<StoredRow> for SealedRow {
    fn from(row: StoredRow) -> Self {
        Self { tenant: TenantId(row.tenant_id), id: row.id, stored: Secret::new(row.stored) }
    }
}

/// Reads rows of a column that are sealed under a key, in the order of organisation and id.
#[derive(Clone, Copy, Debug)]
pub struct ReadSealed {
    /// The column.
    pub column: SealedColumn,
    /// The key.
    pub key: KeyVersion,
    /// After this row.
    pub after: Option<(TenantId, Uuid)>,
    /// At most so many.
    pub most: u32,
}

impl Intent for ReadSealed {
    type Output = Vec<SealedRow>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let read = tx.query(self.column.statements().read).bind(Sealed::mark(self.key));
        // The installation's own row is the first that there may be, so that nothing stands before it.
        let (tenant, id) = self.after.map_or((Uuid::nil(), Uuid::nil()), |(tenant, id)| {
            (tenant.uuid(), Uuid::from_u128(id.as_u128().saturating_add(1)))
        });
        let rows: Vec<StoredRow> = read.bind(tenant).bind(id).bind(i64::from(self.most)).rows().await?;
        Ok(rows.into_iter().map(SealedRow::from).collect())
    }
}

/// Reads rows of a column that are not sealed: what an older release has written.
#[derive(Clone, Copy, Debug)]
pub struct ReadPlain {
    /// The column.
    pub column: SealedColumn,
    /// At most so many.
    pub most: u32,
}

impl Intent for ReadPlain {
    type Output = Vec<SealedRow>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let read = tx.query(self.column.statements().plain).bind(Uuid::nil()).bind(i64::from(self.most));
        Ok(read.rows::<StoredRow>().await?.into_iter().map(SealedRow::from).collect())
    }
}

/// Puts sealed texts in the place of what was read. A row that somebody has changed or removed meanwhile stays as it is. The
/// answer is how many were exchanged.
#[derive(Clone, Debug)]
pub struct ExchangeSealed {
    /// The column.
    pub column: SealedColumn,
    /// What was read, and what is to stand there: at most 1,000.
    pub rows: Vec<(SealedRow, Sealed)>,
}

#[derive(Serialize)]
struct ExchangeRow<'a> {
    id: Uuid,
    tenant_id: Uuid,
    old: &'a str,
    new: &'a str,
}

impl Intent for ExchangeSealed {
    type Output = u64;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::of(self.rows.iter().map(|(row, _)| row.tenant))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        if self.rows.is_empty() {
            return Ok(0);
        }
        let statements = self.column.statements();
        let place = |row: &SealedRow| Place { id: row.id, tenant_id: row.tenant.uuid() };
        let places: Vec<_> = self.rows.iter().map(|(row, _)| place(row)).collect();
        tx.batch(statements.lock, &places).rows::<Id>().await?;
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|(row, new)| ExchangeRow {
                id: row.id,
                tenant_id: row.tenant.uuid(),
                old: row.stored.expose(),
                new: new.as_str(),
            })
            .collect();
        tx.batch(statements.exchange, &rows).run().await
    }
}
