//! Every row of every table, as JSON, of one moment.

use futures_util::TryStreamExt as _;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};
use tokio::sync::mpsc;

use crate::backup::owner_reads;
use crate::engine::postgres::quoted;
use crate::engine::sqlite;
use crate::error::{Error, Result};
use crate::store::Options;
use crate::tables::TABLES;

/// The longest content that is no text and is told in full, in bytes: an id has 16, a digest 32.
const LONGEST_BYTES: i64 = 64;

/// The most rows that wait for whoever takes them.
pub(super) const WAITING_ROWS: usize = 100;

/// A row.
pub(super) struct Seen {
    pub table: &'static str,
    pub row: Map<String, Value>,
    /// The condition that is true of it alone, in SQL.
    pub key: String,
}

/// Which rows are handed on.
pub(super) type Wanted<'w> = &'w (dyn Fn(&'static str, &Map<String, Value>) -> bool + Sync);

/// Goes through all rows and hands on those that are wanted; the answer is how many there were. It ends when nobody takes them
/// any more.
pub(super) async fn walk(options: &Options, wanted: Wanted<'_>, to: mpsc::Sender<Seen>) -> Result<u64> {
    let mut walk = Walk { wanted, to, rows: 0 };
    match options.sqlite_path() {
        Some(path) => {
            let mut connection = sqlite::options(&path).create_if_missing(false).connect().await?;
            let walked = walk.sqlite(&mut connection).await;
            sqlite::close(connection).await;
            walked?;
        }
        None => {
            let mut connection = owner_reads(&options.url).await?;
            let walked = walk.postgres(&mut connection).await;
            // What was only read needs no good end.
            let _ = connection.close().await;
            walked?;
        }
    }
    Ok(walk.rows)
}

struct Walk<'w> {
    wanted: Wanted<'w>,
    to: mpsc::Sender<Seen>,
    rows: u64,
}

impl Walk<'_> {
    async fn sqlite(&mut self, connection: &mut SqliteConnection) -> Result<()> {
        let mut tx = connection.begin().await?;
        for table in TABLES {
            let columns =
                sqlx::query("SELECT name, pk FROM pragma_table_info($1)").bind(table.name).fetch_all(&mut *tx).await?;
            let (mut parts, mut keys) = (Vec::new(), Vec::new());
            for column in columns {
                let (name, place): (String, i64) = (column.try_get("name")?, column.try_get("pk")?);
                let own = quoted(&name);
                parts.push(format!(
                    "'{name}', CASE WHEN typeof({own}) <> 'blob' THEN {own} WHEN length({own}) <= {LONGEST_BYTES} \
                     THEN lower(hex({own})) ELSE length({own}) || ' bytes' END"
                ));
                if place > 0 {
                    keys.push(format!("'{own} = ' || quote({own})"));
                }
            }
            let text = format!(
                "SELECT json_object({}) AS whole, {} AS row_key FROM {}",
                parts.join(", "),
                keys.join(" || ' AND ' || "),
                quoted(table.name)
            );
            let mut all = sqlx::query(AssertSqlSafe(text)).fetch(&mut *tx);
            while let Some(row) = all.try_next().await? {
                self.take(table.name, object(row.try_get("whole")?, true)?, row.try_get("row_key")?).await?;
            }
        }
        Ok(())
    }

    async fn postgres(&mut self, connection: &mut PgConnection) -> Result<()> {
        for table in TABLES {
            let columns = sqlx::query(
                "SELECT a.attname::text AS name, format_type(a.atttypid, NULL) AS form, EXISTS (SELECT 1 FROM pg_index i
                   WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS is_key
                 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = current_schema() AND c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped
                 ORDER BY a.attnum",
            );
            let (mut parts, mut keys) = (Vec::new(), Vec::new());
            for column in columns.bind(table.name).fetch_all(&mut *connection).await? {
                let (name, form): (String, String) = (column.try_get("name")?, column.try_get("form")?);
                let own = quoted(&name);
                parts.push(if form == "bytea" {
                    format!(
                        "CASE WHEN octet_length({own}) <= {LONGEST_BYTES} THEN encode({own}, 'hex') \
                         ELSE octet_length({own}) || ' bytes' END AS {own}"
                    )
                } else {
                    own.clone()
                });
                if column.try_get("is_key")? {
                    keys.push(format!("'{own} = ' || quote_literal({own}::text) || '::{form}'"));
                }
            }
            let text = format!(
                "SELECT to_jsonb(w)::text AS whole, row_key FROM (SELECT {} FROM {table}) w,
                 LATERAL (SELECT {} AS row_key) k",
                parts.join(", "),
                keys.join(" || ' AND ' || "),
                table = quoted(table.name)
            );
            let mut all = sqlx::query(AssertSqlSafe(text)).fetch(&mut *connection);
            while let Some(row) = all.try_next().await? {
                self.take(table.name, object(row.try_get("whole")?, false)?, row.try_get("row_key")?).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, table: &'static str, row: Map<String, Value>, key: String) -> Result<()> {
        self.rows += 1;
        if !(self.wanted)(table, &row) {
            return Ok(());
        }
        let gone = |_| Error::Unavailable("what the rows were read for has ended".to_owned());
        self.to.send(Seen { table, row, key }).await.map_err(gone)
    }
}

/// A row. On SQLite ids are bytes, and are told as they are elsewhere.
fn object(text: String, ids_are_bytes: bool) -> Result<Map<String, Value>> {
    let row = serde_json::from_str(&text).map_err(|error| Error::Bug(format!("a row is no JSON: {error}")))?;
    let Value::Object(mut row) = row else { return Err(Error::Bug("a row is no object".to_owned())) };
    if ids_are_bytes {
        for (name, value) in &mut row {
            let id = (name.as_str() == "id" || name.ends_with("_id") || name.ends_with("_by")).then(|| {
                value.as_str().filter(|text| text.len() == 32).and_then(|text| uuid::Uuid::try_parse(text).ok())
            });
            if let Some(id) = id.flatten() {
                *value = Value::String(id.to_string());
            }
        }
    }
    Ok(row)
}
