//! Every row of every table, as JSON, of one moment.

use futures_util::TryStreamExt as _;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::backup::owner_reads;
use crate::engine::postgres::quoted;
use crate::engine::sqlite;
use crate::error::{Error, Result};
use crate::store::Options;
use crate::tables::TABLES;

/// The longest content that is no text and is told in full, in bytes: an id has 16, a digest 32.
const LONGEST_BYTES: i64 = 64;

/// What is handed each row.
pub(super) type Take<'t> = &'t mut (dyn FnMut(&'static str, Map<String, Value>) -> Result<()> + Send);

/// Goes through all rows; the answer is how many there were.
pub(super) async fn walk(options: &Options, take: Take<'_>) -> Result<u64> {
    match options.sqlite_path() {
        Some(path) => {
            let mut connection = sqlite::options(&path).create_if_missing(false).connect().await?;
            let walked = sqlite_rows(&mut connection, take).await;
            sqlite::close(connection).await;
            walked
        }
        None => {
            let mut connection = owner_reads(&options.url).await?;
            let walked = postgres_rows(&mut connection, take).await;
            // What was only read needs no good end.
            let _ = connection.close().await;
            walked
        }
    }
}

async fn sqlite_rows(connection: &mut SqliteConnection, take: Take<'_>) -> Result<u64> {
    let mut tx = connection.begin().await?;
    let mut rows = 0;
    for table in TABLES {
        let columns =
            sqlx::query("SELECT name FROM pragma_table_info($1)").bind(table.name).fetch_all(&mut *tx).await?;
        let mut parts = Vec::new();
        for column in columns {
            let name: String = column.try_get("name")?;
            let own = quoted(&name);
            parts.push(format!(
                "'{name}', CASE WHEN typeof({own}) <> 'blob' THEN {own} WHEN length({own}) <= {LONGEST_BYTES} \
                 THEN lower(hex({own})) ELSE length({own}) || ' bytes' END"
            ));
        }
        let text = format!("SELECT json_object({}) AS whole FROM {}", parts.join(", "), quoted(table.name));
        let mut all = sqlx::query(AssertSqlSafe(text)).fetch(&mut *tx);
        while let Some(row) = all.try_next().await? {
            rows += 1;
            take(table.name, object(row.try_get("whole")?, true)?)?;
        }
    }
    Ok(rows)
}

async fn postgres_rows(connection: &mut PgConnection, take: Take<'_>) -> Result<u64> {
    let mut rows = 0;
    for table in TABLES {
        let columns = sqlx::query(
            "SELECT column_name::text AS name, data_type = 'bytea' AS raw FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
        );
        let mut parts = Vec::new();
        for column in columns.bind(table.name).fetch_all(&mut *connection).await? {
            let (name, raw): (String, bool) = (column.try_get("name")?, column.try_get("raw")?);
            let own = quoted(&name);
            parts.push(if raw {
                format!(
                    "CASE WHEN octet_length({own}) <= {LONGEST_BYTES} THEN encode({own}, 'hex') \
                     ELSE octet_length({own}) || ' bytes' END AS {own}"
                )
            } else {
                own
            });
        }
        let text = format!(
            "SELECT to_jsonb(w)::text AS whole FROM (SELECT {} FROM {}) w",
            parts.join(", "),
            quoted(table.name)
        );
        let mut all = sqlx::query(AssertSqlSafe(text)).fetch(&mut *connection);
        while let Some(row) = all.try_next().await? {
            rows += 1;
            take(table.name, object(row.try_get("whole")?, false)?)?;
        }
    }
    Ok(rows)
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
