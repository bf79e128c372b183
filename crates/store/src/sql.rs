//! Statements: one text for both engines wherever that is possible, and a list of all of them for the tests.

/// One statement. Parameters are `$1`, `$2` ... on both engines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sql {
    /// Where it is written: `mainstay_store::conversations::RENAME`.
    pub(crate) name: &'static str,
    /// The text for SQLite.
    pub(crate) sqlite: &'static str,
    /// The text for PostgreSQL.
    pub(crate) postgres: &'static str,
}

/// Declares the statements of a module, each as a constant, and their list as `STATEMENTS`.
///
/// - `both("...")`: one text.
/// - `batch((column: kind, ...) "...")`: a set-based statement. `$1` is one JSON array of objects on both engines, which
///   the statement sees as the table `batch` with the column `n` (the position, from 0) and the named ones. Kinds: `uuid`,
///   `text`, `bigint`, `time` (milliseconds since 1970).
///   PostgreSQL takes the batch for a hundred rows; the condition that is always true makes it one in its reckoning, so
///   that it looks each row up by its key and never reads a table to compare it with the batch.
/// - `locking((column: kind, ...) "...", "...")`: the same, with an end that only PostgreSQL gets: it locks the rows.
/// - `pair(sqlite "...", postgres "...", differs "...")`: two texts, and why.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $kind:ident $body:tt;)+) => {
        $(
            $(#[$doc])*
            const $name: $crate::sql::Sql = statements!(@$kind $name $body);
        )+
        /// Every statement of this module.
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[$crate::sql::Sql] = &[$($name),+];
    };
    (@both $name:ident ($text:literal)) => { statements!(@make $name, $text, $text) };
    (@pair $name:ident (sqlite $sqlite:literal, postgres $postgres:literal, differs $why:literal)) => {
        statements!(@make $name, $sqlite, $postgres)
    };
    (@batch $name:ident (($($column:ident : $type:ident),+) $body:literal)) => {
        statements!(@locking $name (($($column: $type),+) $body, ""))
    };
    (@locking $name:ident (($($column:ident : $type:ident),+) $body:literal, $lock:literal)) => {
        statements!(@make $name,
            concat!(
                "WITH batch AS (SELECT key AS n", $(statements!(@sqlite $column $type)),+, " FROM jsonb_each($1)) ", $body
            ),
            concat!(
                "WITH batch AS (SELECT ordinality - 1 AS n", $(statements!(@postgres $column $type)),+,
                " FROM ROWS FROM (json_to_recordset($1::json) AS (", statements!(@types $($column $type),+),
                ")) WITH ORDINALITY WHERE ordinality % 1 = 0) ", $body, " ", $lock
            ))
    };
    (@make $name:ident, $sqlite:expr, $postgres:expr) => {
        $crate::sql::Sql {
            name: concat!(module_path!(), "::", stringify!($name)),
            sqlite: $sqlite,
            postgres: $postgres,
        }
    };
    (@sqlite $column:ident uuid) => { concat!(", unhex(value->>'", stringify!($column), "', '-') AS ", stringify!($column)) };
    (@sqlite $column:ident $type:ident) => { concat!(", value->>'", stringify!($column), "' AS ", stringify!($column)) };
    (@postgres $column:ident time) => {
        concat!(", to_timestamp(", stringify!($column), " / 1000.0) AS ", stringify!($column))
    };
    (@postgres $column:ident $type:ident) => { concat!(", ", stringify!($column)) };
    (@type $column:ident time) => { concat!(stringify!($column), " bigint") };
    (@type $column:ident $type:ident) => { concat!(stringify!($column), " ", stringify!($type)) };
    (@types $column:ident $type:ident $(, $columns:ident $types:ident)*) => {
        concat!(statements!(@type $column $type) $(, ", ", statements!(@type $columns $types))*)
    };
}
pub(crate) use statements;
