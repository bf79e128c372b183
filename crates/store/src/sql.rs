//! Statements: one text for both engines wherever that is possible, and a list of all of them for the tests.

pub(crate) use crate::pack::{Column, Kind};

/// One statement. Parameters are `$1`, `$2` ... on both engines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sql {
    /// Where it is written: `mainstay_store::conversations::RENAME`.
    pub(crate) name: &'static str,
    /// The text for SQLite.
    pub(crate) sqlite: &'static str,
    /// The text for PostgreSQL.
    pub(crate) postgres: &'static str,
    /// The columns of its batch, if it has one.
    pub(crate) columns: &'static [Column],
}

impl Sql {
    /// A statement without a batch.
    pub(crate) const fn plain(name: &'static str, sqlite: &'static str, postgres: &'static str) -> Self {
        Self { name, sqlite, postgres, columns: &[] }
    }

    /// Whether it cannot change a row, by its words.
    pub(crate) fn only_reads(&self) -> bool {
        let text = self.sqlite.trim_start();
        let within = || ["INSERT INTO ", "UPDATE ", "DELETE FROM "].iter().any(|word| text.contains(word));
        text.starts_with("SELECT") || (text.starts_with("WITH") && !within())
    }
}

/// Declares the statements of a module, each as a constant, and their list as `STATEMENTS`.
///
/// - `both("...")`: one text.
/// - `batch((column: kind, ...) "...")`: a set-based statement, which sees its rows as the table `batch` with the column `n`
///   (the position, from 0) and the named ones. Kinds: `uuid`, `text`, `bigint`, `time` (milliseconds since 1970), `float8`.
///   The rows come as `$1`: on PostgreSQL one JSON array of objects; on SQLite an array that is as long, with the rows
///   themselves in `$9`, as [`crate::pack`] says, and the bytes of one of them in `$8`. `$2` to `$7` are free.
///   PostgreSQL takes the batch for a hundred rows; the condition that is always true makes it one in its reckoning, so
///   that it looks each row up by its key and never reads a table to compare it with the batch.
/// - `locking((column: kind, ...) "...", "...")`: the same, with an end that only PostgreSQL gets: it locks the rows.
/// - `insert((column: kind, ...) "table ...")` and `update((column: kind, ...) "table SET ...")`: the same for statements
///   that begin so. On SQLite what one of them has done before it fails stays until the transaction is rolled back, as it
///   always is then: it needs no journal of its own to undo just that.
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
    (@insert $name:ident (($($column:ident : $type:ident),+) $body:literal)) => {
        statements!(@set $name ($($column: $type),+) ("INSERT OR FAIL INTO ", $body) ("INSERT INTO ", $body))
    };
    (@update $name:ident (($($column:ident : $type:ident),+) $body:literal)) => {
        statements!(@set $name ($($column: $type),+) ("UPDATE OR FAIL ", $body) ("UPDATE ", $body))
    };
    (@locking $name:ident (($($column:ident : $type:ident),+) $body:literal, $lock:literal)) => {
        statements!(@set $name ($($column: $type),+) ($body) ($body, " ", $lock))
    };
    (@set $name:ident ($($column:ident : $type:ident),+) ($($sqlite:literal),+) ($($postgres:literal),+)) => {
        statements!(@make $name,
            concat!(
                "WITH batch AS (SELECT key AS n",
                statements!(@cells ["1" "21" "41" "61" "81" "101" "121" "141" "161" "181" "201" "221" "241" "261" "281"]
                    $($column $type)+),
                " FROM jsonb_each($1)) ", $($sqlite),+
            ),
            concat!(
                "WITH batch AS (SELECT ordinality - 1 AS n", $(statements!(@postgres $column $type)),+,
                " FROM ROWS FROM (json_to_recordset($1::json) AS (", statements!(@types $($column $type),+),
                ")) WITH ORDINALITY WHERE ordinality % 1 = 0) ", $($postgres),+
            ),
            &[$($crate::sql::Column { name: stringify!($column), kind: statements!(@kind $type) }),+])
    };
    (@make $name:ident, $sqlite:expr, $postgres:expr) => {
        $crate::sql::Sql::plain(concat!(module_path!(), "::", stringify!($name)), $sqlite, $postgres)
    };
    (@make $name:ident, $sqlite:expr, $postgres:expr, $columns:expr) => {
        $crate::sql::Sql {
            name: concat!(module_path!(), "::", stringify!($name)),
            sqlite: $sqlite,
            postgres: $postgres,
            columns: $columns,
        }
    };
    (@kind uuid) => { $crate::sql::Kind::Uuid };
    (@kind text) => { $crate::sql::Kind::Text };
    (@kind bigint) => { $crate::sql::Kind::Number };
    (@kind time) => { $crate::sql::Kind::Number };
    (@kind float8) => { $crate::sql::Kind::Real };
    // Each column with the place of its cell in the row.
    (@cells [$at:literal $($next:literal)*] $column:ident $type:ident $($columns:ident $types:ident)*) => {
        concat!(", ", statements!(@cell $type $at), " AS ", stringify!($column),
            statements!(@cells [$($next)*] $($columns $types)*))
    };
    (@cells [$($next:literal)*]) => { "" };
    (@cell uuid $at:literal) => { concat!("substr($9, key * $8 + ", $at, ", 16)") };
    (@cell bigint $at:literal) => {
        concat!("CAST(nullif(substr($9, key * $8 + ", $at, ", 20), x'", "2020202020202020202020202020202020202020", "') AS INTEGER)")
    };
    (@cell time $at:literal) => { statements!(@cell bigint $at) };
    (@cell text $at:literal) => {
        concat!("CAST(substr($9, CAST(nullif(substr($9, key * $8 + ", $at, ", 10), x'20202020202020202020') AS INTEGER), ",
            "CAST(substr($9, key * $8 + ", $at, " + 10, 10) AS INTEGER)) AS TEXT)")
    };
    (@cell float8 $at:literal) => { concat!("CAST(", statements!(@cell text $at), " AS REAL)") };
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
