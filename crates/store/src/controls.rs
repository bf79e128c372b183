//! What operators set in an emergency, each with its end, and the trail of who set what and why. A name and a value are
//! texts here: which there are, and what they mean, is for the program that reads them. A newer one may have written them.

use mainstay_domain::{PersonId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// First in each transaction that changes something: its row lock lets one after the other do so.
    CHANGED = both("
        INSERT INTO counter (name, value) VALUES ('controls', 1) ON CONFLICT (name) DO UPDATE SET value = counter.value + 1");
    LIST = both("
        SELECT name, value, reason, person_id, author, set_at, since, expires_at FROM control
        WHERE expires_at > $1 ORDER BY name LIMIT 1000");
    STANDING = both("SELECT value FROM control WHERE name = $1 AND expires_at > $2");
    SET = both("
        INSERT INTO control (name, value, reason, person_id, author, set_at, since, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value, reason = excluded.reason, person_id = excluded.person_id,
          author = excluded.author, set_at = excluded.set_at, expires_at = excluded.expires_at,
          since = CASE WHEN control.expires_at > excluded.set_at THEN control.since ELSE excluded.since END");
    CLEAR = both("DELETE FROM control WHERE name = $1");
    SWEEP = both("DELETE FROM control WHERE expires_at <= $1");
    RECORD = both("
        INSERT INTO control_change (id, at, name, old_value, new_value, expires_at, reason, person_id, author)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING");
    /// Ids sort by time.
    FORGET = both("
        DELETE FROM control_change WHERE id <= (SELECT id FROM control_change ORDER BY id DESC LIMIT 1 OFFSET $1)");
    CHANGES = both("
        SELECT id, at, name, old_value, new_value, expires_at, reason, person_id, author FROM control_change
        WHERE id < $1 ORDER BY id DESC LIMIT $2");
}

/// How many changes are kept in the trail.
pub const KEPT_CONTROL_CHANGES: i64 = 10_000;

/// Who set something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlAuthor {
    /// The operator who signed in; nothing from the command line.
    pub person: Option<PersonId>,
    /// Their address as it was then, or how whoever used the command line is called.
    pub name: String,
}

/// What is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredControl {
    /// Of what.
    pub name: String,
    /// To what.
    pub value: String,
    /// Why.
    pub reason: String,
    /// By whom, the last time.
    pub author: ControlAuthor,
    /// When, the last time.
    pub set_at: Timestamp,
    /// Since when it has been set without a pause, however often it was renewed.
    pub since: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// An entry of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlChange {
    /// Its id. Ids sort by time.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Of what.
    pub name: String,
    /// What was set before; nothing when nothing was.
    pub old: Option<String>,
    /// What is set since; nothing when it was cleared.
    pub new: Option<String>,
    /// When that ends; nothing when it was cleared.
    pub expires_at: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// By whom.
    pub author: ControlAuthor,
}

#[derive(sqlx::FromRow)]
struct ControlRow {
    name: String,
    value: String,
    reason: String,
    person_id: Option<Uuid>,
    author: String,
    set_at: At,
    since: At,
    expires_at: At,
}

#[derive(sqlx::FromRow)]
struct ChangeRow {
    id: Uuid,
    at: At,
    name: String,
    old_value: Option<String>,
    new_value: Option<String>,
    expires_at: Option<At>,
    reason: String,
    person_id: Option<Uuid>,
    author: String,
}

#[derive(sqlx::FromRow)]
struct ValueRow {
    value: String,
}

impl From<ControlRow> for StoredControl {
    fn from(row: ControlRow) -> Self {
        Self {
            name: row.name,
            value: row.value,
            reason: row.reason,
            author: ControlAuthor { person: row.person_id.map(PersonId), name: row.author },
            set_at: row.set_at.0,
            since: row.since.0,
            expires_at: row.expires_at.0,
        }
    }
}

impl From<ChangeRow> for ControlChange {
    fn from(row: ChangeRow) -> Self {
        Self {
            id: row.id,
            at: row.at.0,
            name: row.name,
            old: row.old_value,
            new: row.new_value,
            expires_at: row.expires_at.map(|at| at.0),
            reason: row.reason,
            author: ControlAuthor { person: row.person_id.map(PersonId), name: row.author },
        }
    }
}

/// Lists what is set at this moment, by name.
#[derive(Clone, Copy, Debug)]
pub struct ListControls {
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ListControls {
    type Output = Vec<StoredControl>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<ControlRow> = tx.query(LIST).bind(At(self.now)).rows().await?;
        Ok(rows.into_iter().map(StoredControl::from).collect())
    }
}

/// Changes what is set, and writes the trail.
#[derive(Clone, Debug)]
pub struct ChangeControl {
    /// The id of the entry in the trail.
    pub id: Uuid,
    /// Of what.
    pub name: String,
    /// To what, and until when; nothing clears it.
    pub to: Option<(String, Timestamp)>,
    /// Why.
    pub reason: String,
    /// By whom.
    pub author: ControlAuthor,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ChangeControl {
    /// False when it was to be cleared and nothing was set.
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let Self { id, name, to, reason, author, now } = self.clone();
        tx.query(CHANGED).run().await?;
        let standing: Option<ValueRow> = tx.query(STANDING).bind(name.clone()).bind(At(now)).row().await?;
        tx.query(SWEEP).bind(At(now)).run().await?;
        let (person, old) = (author.person.map(PersonId::uuid), standing.map(|row| row.value));
        match &to {
            Some((value, expires_at)) => {
                let set = tx.query(SET).bind(name.clone()).bind(value.clone()).bind(reason.clone());
                let set = set.bind(person).bind(author.name.clone()).bind(At(now)).bind(At(*expires_at));
                set.run().await?;
            }
            None if old.is_none() => return Ok(false),
            None => {
                tx.query(CLEAR).bind(name.clone()).run().await?;
            }
        }
        let (new, expires_at) = to.unzip();
        let record = tx.query(RECORD).bind(id).bind(At(now)).bind(name).bind(old).bind(new);
        record.bind(expires_at.map(At)).bind(reason).bind(person).bind(author.name).run().await?;
        tx.query(FORGET).bind(KEPT_CONTROL_CHANGES).run().await?;
        Ok(true)
    }
}

/// Lists the trail, the last change first.
#[derive(Clone, Copy, Debug)]
pub struct ListControlChanges {
    /// Before this one; nothing for the last.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListControlChanges {
    type Output = Vec<ControlChange>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let query = tx.query(CHANGES).bind(self.before.unwrap_or(Uuid::max())).bind(i64::from(self.limit));
        let rows: Vec<ChangeRow> = query.rows().await?;
        Ok(rows.into_iter().map(ControlChange::from).collect())
    }
}
