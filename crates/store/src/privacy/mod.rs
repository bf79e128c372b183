//! What the database holds of a person: every row of every table in which they are named, whatever the program knows of it.
//!
//! It is looked for as somebody would who has the database and a search: all tables of the page of tables, all columns of the
//! catalogue, so that no table and no column can be forgotten. That walks everything, and so it is for commands and jobs and
//! not for requests; like a backup it is one transaction that sees one moment, by the login that owns the tables.

mod matching;
mod walking;

use mainstay_domain::TenantId;
use serde_json::{Map, Value};

pub use matching::{Identifiers, NothingToFind};

use crate::error::Result;
use crate::store::Options;

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
/// until there is nothing new.
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
                is_new |= text(column).is_some_and(|said| learnt.learn(column, said));
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
    walking::walk(options, &mut |table, row| {
        if tenant.is_some_and(|tenant| row.get("tenant_id").is_some_and(|id| *id != tenant.to_string())) {
            return Ok(());
        }
        let columns = identifiers.columns(&row);
        if columns.is_empty() { Ok(()) } else { found(Found { table, columns, row }) }
    })
    .await
}
