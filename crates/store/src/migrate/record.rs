//! What is recorded of a migration, which is the same on both engines but for the types of the columns.

/// The table of the records. `$integer`, `$text` and `$time` are the engine's types, `$end` what closes the statement.
macro_rules! create {
    ($integer:literal, $text:literal, $time:literal, $end:literal) => {
        concat!(
            "CREATE TABLE IF NOT EXISTS schema_migration (\n",
            "  version     ",
            $integer,
            " NOT NULL PRIMARY KEY,\n",
            "  description ",
            $text,
            " NOT NULL,\n",
            "  kind        ",
            $text,
            " NOT NULL,\n",
            "  checksum    ",
            $text,
            " NOT NULL,\n",
            "  state       ",
            $text,
            " NOT NULL CHECK (state IN ('running', 'done')),\n",
            "  progress    ",
            $integer,
            " NOT NULL,\n",
            "  applied_at  ",
            $time,
            " NOT NULL,\n",
            "  took_ms     ",
            $integer,
            " NOT NULL\n",
            $end
        )
    };
}
pub(super) use create;

/// All records, the oldest first.
pub(super) const ALL: &str = "SELECT version, description, checksum, state, progress, applied_at, took_ms FROM schema_migration ORDER BY version";

/// Records a file that was applied as a whole, in the transaction that applied it.
macro_rules! done {
    ($tx:expr, $file:expr, $now:expr, $took:expr) => {
        sqlx::query("INSERT INTO schema_migration VALUES ($1, $2, 'sql', $3, 'done', 0, $4, $5)")
            .bind($file.version)
            .bind($file.description)
            .bind($file.checksum())
            .bind($crate::value::At($now))
            .bind(i64::try_from($took.as_millis()).unwrap_or(i64::MAX))
            .execute(&mut *$tx)
            .await
    };
}
pub(super) use done;

/// Undoes a file and forgets its record, in one transaction.
macro_rules! undo {
    ($tx:expr, $file:expr) => {{
        sqlx::raw_sql(sqlx::AssertSqlSafe($file.down.to_string())).execute(&mut *$tx).await?;
        sqlx::query("DELETE FROM schema_migration WHERE version = $1").bind($file.version).execute(&mut *$tx).await
    }};
}
pub(super) use undo;
