//! What the database holds of a person: every row of every table in which they are named, whatever the program knows of it; and
//! how it is taken away.
//!
//! It is looked for as somebody would who has the database and a search: all tables of the page of tables, all columns of the
//! catalogue, so that no table and no column can be forgotten. That walks everything, and so it is for commands and jobs and
//! not for requests; like a backup it is one transaction that sees one moment, by the login that owns the tables. What an
//! erasure does is decided by the [`rules`], and proven by looking again.

mod changing;
mod erasing;
mod matching;
mod numbers;
mod objections;
mod rules;
mod synced;
mod walking;

use mainstay_domain::TenantId;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

#[cfg(test)]
pub(crate) use rules::{Fate, RULES, Rule, Rules};

pub use changing::{leave_no_trace, writers_have_ended};
pub use erasing::{Erased, ErasurePlan, Left, Phase, Why, erase, learn_surely, plan};
pub use matching::{Identifiers, NothingToFind};
pub use objections::{ObjectFor, Objection};

use walking::{Seen, WAITING_ROWS, Wanted, walk};

use crate::error::Result;
#[cfg(test)]
use crate::sql::Sql;
use crate::store::Options;
use matching::By;

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[Sql]] = &[objections::STATEMENTS, synced::STATEMENTS];

/// A row in which a person is named, or that belongs to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// In which table.
    pub table: &'static str,
    /// The columns by which it was found.
    pub columns: Vec<String>,
    /// All of it, as JSON. Ids are UUIDs, what is no text is in hexadecimal digits, long contents are told by their size.
    pub row: Map<String, Value>,
}

/// Where a row that names somebody is theirs, and what it says of them beside its id. What is linked to it by that id is theirs,
/// too: appointments of a contact, emails of a lead, what was done in a call.
const THEIRS: [(&str, &[&str]); 4] = [
    ("person", &["email", "name"]),
    ("contact", &["email", "phone", "name"]),
    ("lead", &["address"]),
    ("phone_call", &["number"]),
];
/// The columns by which such a row is somebody's: not by a note in it about somebody else.
const BY: [&str; 7] = ["id", "email", "name", "phone", "address", "number", "contact_id"];
/// How often it is gone through the database to learn of more that is theirs.
const PASSES: usize = 4;

/// Learns what else a person is known by: the ids of rows that are theirs, and the addresses, numbers and full names in these,
/// until there is nothing new. It would rather find too much, for somebody who reads what was found.
///
/// # Errors
/// As [`find`].
pub async fn learn(options: &Options, identifiers: &mut Identifiers, tenant: Option<TenantId>) -> Result<()> {
    for _ in 0..PASSES {
        let known = identifiers.clone();
        let mut is_new = false;
        let learnt = &mut *identifiers;
        find(options, &known, tenant, &mut |found| {
            let Some((_, columns)) = THEIRS.iter().find(|(table, _)| *table == found.table) else { return Ok(()) };
            if !found.columns.iter().any(|column| BY.contains(&column.as_str())) {
                return Ok(());
            }
            let text = |column: &str| found.row.get(column).and_then(Value::as_str);
            is_new |= text("id").is_some_and(|id| learnt.id(id));
            for column in *columns {
                is_new |= text(column).is_some_and(|said| learnt.learn(column, said, None));
            }
            Ok(())
        })
        .await?;
        if !is_new {
            break;
        }
    }
    Ok(())
}

/// Goes through the whole database and hands each row to `found` that names a person by one of the identifiers: as they are
/// written, in any case, and numbers in any form, also within JSON. With an organisation only its rows count.
///
/// # Errors
/// When the database cannot be read, or this login would not see all of it; what `found` fails with.
pub async fn find(
    options: &Options,
    identifiers: &Identifiers,
    tenant: Option<TenantId>,
    found: &mut (dyn FnMut(Found) -> Result<()> + Send),
) -> Result<u64> {
    let named = |row: &Map<String, Value>| identifiers.columns(row, By::All);
    let wanted = |_: &'static str, row: &Map<String, Value>| {
        let elsewhere = tenant.is_some_and(|tenant| row.get("tenant_id").is_some_and(|id| *id != tenant.to_string()));
        !elsewhere && !named(row).is_empty()
    };
    each(options, &wanted, &mut |Seen { table, row, .. }| found(Found { table, columns: named(&row), row })).await
}

/// Hands on each row that is wanted.
async fn each(options: &Options, wanted: Wanted<'_>, take: &mut (dyn FnMut(Seen) -> Result<()> + Send)) -> Result<u64> {
    let (to, mut rows) = mpsc::channel(WAITING_ROWS);
    let taken = async {
        while let Some(seen) = rows.recv().await {
            take(seen)?;
        }
        Ok(())
    };
    let (walked, ()) = tokio::try_join!(walk(options, wanted, to), taken)?;
    Ok(walked)
}
