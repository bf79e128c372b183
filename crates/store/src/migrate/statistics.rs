//! What SQLite is told about the tables before there is anything to know: that they are large.
//!
//! Without statistics it takes any table for a small one and an organisation for ten rows of it, and then walks all that an
//! organisation has to compare it with a batch of sixteen. What it plans by stands in `sqlite_stat1`
//! (<https://www.sqlite.org/optoverview.html#manual_control_of_query_plans_using_sqlite_stat_tables>) and is read when a connection
//! is opened. What `ANALYZE` finds is no better: many organisations with ten rows each say nothing of the one with a million. It
//! is put right at the next start.

use sqlx::{Connection as _, SqliteConnection};

use crate::error::Result;

/// A million rows; of an index that covers a part of them, eight thousand. Each column of an index tells sixty-four times as
/// many rows apart as those before it, the organisation thirty-two times, so that of two indexes never the one is taken that
/// knows no more than whose the rows are; an id, and all columns of a unique one, tell each row apart.
///
/// No search skips from one value of a first column to the next, which by these numbers it would where an id comes before the
/// organisation: it walks the table then. The primary key of a table without row ids goes by the table's name.
const PRESUME: &str = "
    INSERT INTO sqlite_stat1 (tbl, idx, stat)
    SELECT tbl, idx, every || (
        SELECT group_concat(' ' || CASE WHEN only AND c.seqno + 1 = columns THEN 1 ELSE max(1, every >> (
            SELECT sum(CASE d.name WHEN 'tenant_id' THEN 5 WHEN 'id' THEN 20 ELSE 6 END)
            FROM pragma_index_info(real) d WHERE d.seqno <= c.seqno)) END, '')
        FROM pragma_index_info(real) c) || ' noskipscan'
    FROM (
        SELECT t.name AS tbl, CASE WHEN i.origin = 'pk' AND t.wr THEN t.name ELSE i.name END AS idx, i.name AS real,
          i.\"unique\" AS only, CASE WHEN i.partial THEN 1 << 13 ELSE 1 << 20 END AS every,
          (SELECT count(*) FROM pragma_index_info(i.name)) AS columns
        FROM pragma_table_list t, pragma_index_list(t.name) i
        WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite_%')";

/// Tells SQLite that each table is large.
pub(super) async fn presume(connection: &mut SqliteConnection) -> Result<()> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    // Makes the table of statistics where there is none, and looks at no other.
    sqlx::raw_sql("ANALYZE sqlite_schema; DELETE FROM sqlite_stat1").execute(&mut *tx).await?;
    sqlx::query(PRESUME).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}
