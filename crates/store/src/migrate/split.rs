//! Statements of a migration, and what is risky about each.

/// A statement of a pending migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRisk {
    /// The statement, without comments around it.
    pub sql: String,
    /// What it locks while it runs.
    pub locks: &'static str,
    /// What to think of before it runs; nothing when it is harmless.
    pub risk: Option<&'static str>,
}

/// Cuts a file into statements. It knows quotes, dollar quotes, line comments and the bodies of triggers: all that the files
/// use.
pub(crate) fn statements(text: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut current = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(after) = rest.strip_prefix(';') {
            if is_in_a_trigger(&current) {
                current.push(';');
            } else {
                finish(&mut current, &mut statements);
            }
            rest = after;
        } else {
            let taken = token(rest);
            current.push_str(&rest[..taken]);
            rest = &rest[taken..];
        }
    }
    finish(&mut current, &mut statements);
    statements
}

/// Whether a trigger of SQLite has begun and not ended: its statements end with semicolons of their own, and it with END.
fn is_in_a_trigger(current: &str) -> bool {
    let mut words = current.split_whitespace();
    let begun = words.next() == Some("CREATE") && words.next() == Some("TRIGGER");
    begun && current.split_whitespace().any(|word| word == "BEGIN") && words.last() != Some("END")
}

/// The length of what stands first: a quoted text as a whole, else one character.
fn token(rest: &str) -> usize {
    for quote in ["'", "\"", "$$"] {
        if let Some(inside) = rest.strip_prefix(quote) {
            return inside.find(quote).map_or(rest.len(), |end| end + 2 * quote.len());
        }
    }
    rest.chars().next().map_or(0, char::len_utf8)
}

fn finish(current: &mut String, statements: &mut Vec<String>) {
    let statement = current.trim();
    if !statement.is_empty() {
        statements.push(statement.to_owned());
    }
    current.clear();
}

const NEW_TABLE: &str = "only the new table";

/// The statements of a file with their locks and risks. What is done to a table that the same file has made concerns
/// nobody yet.
pub(crate) fn risks(text: &str, postgres: bool) -> Vec<StatementRisk> {
    let mut made = Vec::new();
    statements(text)
        .into_iter()
        .map(|sql| {
            let words = sql.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
            let (locks, risk) = match table(&words) {
                Some(name) if postgres && made.iter().any(|other| other == name) => (NEW_TABLE, None),
                _ if postgres => judge_postgres(&words),
                _ => judge_sqlite(&words),
            };
            made.extend(
                words.strip_prefix("CREATE TABLE ").and_then(|rest| rest.split([' ', '(']).next()).map(str::to_owned),
            );
            StatementRisk { sql, locks, risk }
        })
        .collect()
}

/// The table that a statement changes or adds an index or a policy to.
fn table(words: &str) -> Option<&str> {
    let rest = if words.starts_with("CREATE ") && !words.starts_with("CREATE TABLE ") {
        words.split_once(" ON ")?.1
    } else {
        words.strip_prefix("ALTER TABLE ")?
    };
    rest.split([' ', '(']).next()
}

const DESTROYS: &str = "destroys data: take a backup first, and make sure that no running program still needs it";
const RENAMES: &str =
    "programs that run now use the old name: add the new one beside it, move, and drop the old one later";
const REWRITES: &str = "may rewrite the table or check every row while nobody can use it";

/// Lock levels: <https://www.postgresql.org/docs/current/explicit-locking.html>.
fn judge_postgres(words: &str) -> (&'static str, Option<&'static str>) {
    const EVERYTHING: &str = "the table, for reading and writing (ACCESS EXCLUSIVE)";
    let has = |text: &str| words.contains(text);
    if words.starts_with("CREATE TABLE") {
        (NEW_TABLE, None)
    } else if words.starts_with("CREATE") && has("INDEX CONCURRENTLY") {
        ("nothing for long", Some("leaves an invalid index when it fails: drop that before the next try"))
    } else if words.starts_with("CREATE INDEX") || words.starts_with("CREATE UNIQUE INDEX") {
        (
            "the table, for writing (SHARE)",
            Some("writers wait until the index is built: on a large table build it concurrently"),
        )
    } else if words.starts_with("DROP TABLE") || words.starts_with("TRUNCATE") || has(" DROP COLUMN") {
        (EVERYTHING, Some(DESTROYS))
    } else if words.starts_with("ALTER TABLE") && has(" RENAME ") {
        (EVERYTHING, Some(RENAMES))
    } else if words.starts_with("ALTER TABLE") && (has(" TYPE ") || has(" SET NOT NULL")) {
        (EVERYTHING, Some(REWRITES))
    } else if words.starts_with("ALTER TABLE") && has(" ADD ") && has("NOT NULL") && !has("DEFAULT") {
        (EVERYTHING, Some("fails when the table has rows: give a default"))
    } else if words.starts_with("ALTER TABLE") && has(" ADD CONSTRAINT") && !has("NOT VALID") {
        (EVERYTHING, Some("checks every row while nobody can write: add it NOT VALID and validate it later"))
    } else if words.starts_with("ALTER TABLE") || words.starts_with("DROP ") || words.starts_with("CREATE POLICY") {
        (EVERYTHING, None)
    } else if (words.starts_with("UPDATE") || words.starts_with("DELETE")) && !has(" WHERE ") {
        ("every row of the table", Some("touches every row in one transaction: do it in small bites"))
    } else if words.starts_with("UPDATE") || words.starts_with("DELETE") || words.starts_with("INSERT") {
        ("the rows that it touches", None)
    } else {
        ("nothing that requests use", None)
    }
}

fn judge_sqlite(words: &str) -> (&'static str, Option<&'static str>) {
    const WRITERS: &str = "every writer, until it is done";
    let has = |text: &str| words.contains(text);
    if words.starts_with("DROP TABLE") || has(" DROP COLUMN") {
        (WRITERS, Some(DESTROYS))
    } else if words.starts_with("ALTER TABLE") && has(" RENAME ") {
        (WRITERS, Some(RENAMES))
    } else if (words.starts_with("UPDATE") || words.starts_with("DELETE")) && !has(" WHERE ") {
        (WRITERS, Some("touches every row while nobody can write"))
    } else {
        (WRITERS, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_one_statement() {
        let trigger = "CREATE TRIGGER t BEFORE INSERT ON a WHEN new.n > 0 BEGIN\n  SELECT 1;\n  SELECT 2;\nEND";
        assert_eq!(statements(&format!("{trigger};\nDROP TABLE b;")), [trigger, "DROP TABLE b"]);
    }

    #[test]
    fn cuts_at_semicolons_outside_quotes_and_comments() {
        let text = "-- one; two\nCREATE TABLE a (b text DEFAULT ';');\nDO $$ BEGIN PERFORM 1; END $$;\n\nSELECT \";\"";
        assert_eq!(
            statements(text),
            ["CREATE TABLE a (b text DEFAULT ';')", "DO $$ BEGIN PERFORM 1; END $$", "SELECT \";\""]
        );
    }

    #[test]
    fn names_the_risk_of_what_locks_or_destroys() {
        let risk =
            |sql: &str| risks(sql, true).pop().map(|statement| (statement.locks.to_owned(), statement.risk.is_some()));
        let exclusive = "the table, for reading and writing (ACCESS EXCLUSIVE)".to_owned();
        assert_eq!(risk("DROP TABLE a"), Some((exclusive.clone(), true)));
        assert_eq!(risk("ALTER TABLE a ADD COLUMN b text"), Some((exclusive.clone(), false)));
        assert_eq!(risk("ALTER TABLE a ADD COLUMN b text NOT NULL"), Some((exclusive, true)));
        assert_eq!(risk("CREATE INDEX a ON b (c)"), Some(("the table, for writing (SHARE)".to_owned(), true)));
        assert_eq!(risk("CREATE TABLE a (b text)"), Some(("only the new table".to_owned(), false)));
        let of_new =
            risks("CREATE TABLE a (b text);\nCREATE INDEX i ON a (b);\nALTER TABLE a ADD COLUMN c text NOT NULL", true);
        assert!(of_new.iter().all(|statement| statement.locks == NEW_TABLE && statement.risk.is_none()));
        let of_old = risks("CREATE TABLE a (b text);\nCREATE INDEX i ON ab (b)", true);
        assert_eq!(of_old.iter().filter(|statement| statement.risk.is_some()).count(), 1);
        assert!(risks("UPDATE a SET b = 1", false).iter().all(|statement| statement.risk.is_some()));
    }
}
