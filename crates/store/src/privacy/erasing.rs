//! Taking somebody out of the database.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mainstay_domain::{ConversationId, PersonId, TenantId, Timestamp};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::changing::{New, Owner};
use super::matching::{By, Identifiers};
use super::rules::{self, Blank, Fate, Rule, Rules};
use super::synced::{EraseInSynced, Words};
use super::walking::{Seen, WAITING_ROWS, walk};
use super::{PASSES, each};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::store::{Options, Store};

/// What rows that are theirs say of them beside their id. The number that a call came from is not among it: others may call
/// from there.
const SAYS: [(&str, &[&str]); 4] = [
    ("person", &["email", "name"]),
    ("contact", &["email", "phone", "name"]),
    ("lead", &["address"]),
    ("email", &["address"]),
];
/// The tables whose ids lead on to more that is theirs.
const LEADS_ON: [&str; 4] = ["person", "contact", "lead", "phone_call"];
/// How long changing one row that clients have may take.
const SYNCED: Duration = Duration::from_secs(10);
/// The most rows that are told by themselves.
const MOST_TOLD: usize = 1_000;

/// What there is of somebody that has to be stopped before it can be erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasurePlan {
    /// How many rows of each table are theirs or name them.
    pub rows: BTreeMap<&'static str, u64>,
    /// Accounts of theirs.
    pub people: BTreeSet<PersonId>,
    /// Where they are a member.
    pub memberships: BTreeSet<(TenantId, PersonId)>,
    /// Conversations of theirs that are not deleted.
    pub conversations: BTreeSet<(TenantId, PersonId, ConversationId)>,
    /// Organisations that write to them, or have been told not to.
    pub written_to_by: BTreeSet<TenantId>,
    /// Organisations that they have told not to send text messages.
    pub silenced: BTreeSet<TenantId>,
    /// Appointments of theirs that are not over; they take place, of nobody.
    pub appointments: u64,
}

/// What an erasure has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// How many rows of each table were changed.
    pub changed: BTreeMap<&'static str, u64>,
    /// How many rows were looked at.
    pub looked: u64,
    /// What is left, the first thousand.
    pub left: Vec<Left>,
}

/// A row that still names somebody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    /// In which table.
    pub table: &'static str,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Whose it is.
    pub tenant: Option<String>,
    /// The columns.
    pub columns: Vec<&'static str>,
    /// Why it was left.
    pub why: Why,
}

/// Why a row was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Somebody works on it at this moment. It goes at the next time.
    Busy,
    /// The organisation works with it: an account that it sends from, a member of the staff. It has to be changed there.
    Setting,
    /// It is of somebody else who has the same name.
    Namesake,
}

/// What becomes of a row.
enum Step {
    Change(Vec<(&'static str, New)>),
    Delete,
    Leave(Why, Vec<&'static str>),
    Nothing,
}

/// Whether the rows of an erasure within an organisation are meant: what belongs to none is then left alone.
fn within(tenant: Option<TenantId>, row: &Map<String, Value>) -> bool {
    tenant.is_none_or(|tenant| row.get("tenant_id").is_some_and(|id| *id == tenant.to_string()))
}

fn tenant_of(row: &Map<String, Value>) -> Option<&str> {
    row.get("tenant_id").and_then(Value::as_str)
}

fn is_theirs(identifiers: &Identifiers, rules: &Rules, row: &Map<String, Value>) -> bool {
    rules.owner.iter().any(|column| row.get(*column).is_some_and(|value| identifiers.are(value)))
}

/// Learns what else somebody is surely known by, as [`learn`](super::learn) does, but only from rows that are theirs by their
/// whole address or number: an erasure must not reach who has the same name.
///
/// # Errors
/// As [`find`](super::find).
pub async fn learn_surely(options: &Options, identifiers: &mut Identifiers, tenant: Option<TenantId>) -> Result<()> {
    for _ in 0..PASSES {
        let known = identifiers.clone();
        let theirs = |table: &'static str, row: &Map<String, Value>| {
            let rules = rules::of(table).filter(|_| within(tenant, row));
            rules.is_some_and(|rules| is_theirs(&known, rules, row))
        };
        let mut is_new = false;
        let learnt = &mut *identifiers;
        each(options, &theirs, &mut |Seen { table, row, .. }| {
            let text = |column: &str| row.get(column).and_then(Value::as_str);
            if LEADS_ON.contains(&table) {
                is_new |= text("id").is_some_and(|id| learnt.id(id));
            }
            let says = SAYS.iter().find(|(name, _)| *name == table).map_or(&[] as &[&str], |(_, columns)| columns);
            for column in says {
                is_new |= text(column).is_some_and(|said| learnt.learn(column, said, tenant_of(&row)));
            }
            if let Some(name) = text("fields").filter(|_| table == "lead").and_then(full_name) {
                is_new |= learnt.learn("name", &name, tenant_of(&row));
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

/// The name of a lead, from its fields.
fn full_name(fields: &str) -> Option<String> {
    let fields: BTreeMap<String, String> = serde_json::from_str(fields).ok()?;
    let whole = ["name", "full_name"].iter().find_map(|name| fields.get(*name).cloned());
    whole.or_else(|| Some(format!("{} {}", fields.get("first_name")?.trim(), fields.get("last_name")?.trim())))
}

/// Says what there is of somebody, and changes nothing.
///
/// # Errors
/// As [`find`](super::find).
pub async fn plan(
    options: &Options,
    identifiers: &Identifiers,
    tenant: Option<TenantId>,
    now: Timestamp,
) -> Result<ErasurePlan> {
    let concerned = |table: &'static str, row: &Map<String, Value>| concerns(identifiers, tenant, table, row);
    let mut plan = ErasurePlan::default();
    each(options, &concerned, &mut |Seen { table, row, .. }| {
        let id = |column: &str| row.get(column).and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let (of, person) = (id("tenant_id").map(TenantId), id("person_id").map(PersonId));
        let Some(rules) = rules::of(table) else { return Ok(()) };
        let theirs = is_theirs(identifiers, rules, &row);
        match (table, of, person) {
            ("membership", Some(of), Some(person)) => {
                plan.memberships.insert((of, person));
                return Ok(());
            }
            ("person", ..) if theirs => plan.people.extend(id("id").map(PersonId)),
            ("conversation", Some(of), Some(person)) if theirs && row.get("deleted_at").is_none_or(Value::is_null) => {
                plan.conversations.extend(id("id").map(|id| (of, person, ConversationId(id))));
            }
            ("lead" | "email" | "suppression", Some(of), _) if theirs => plan.written_to_by.extend([of]),
            ("text_opt_out", Some(of), _) if theirs => plan.silenced.extend([of]),
            ("appointment", ..) if theirs => plan.appointments += u64::from(is_to_come(&row, now)),
            _ => {}
        }
        if !matches!(step(identifiers, rules, &row, true), Step::Nothing) {
            *plan.rows.entry(table).or_default() += 1;
        }
        Ok(())
    })
    .await?;
    Ok(plan)
}

fn is_to_come(row: &Map<String, Value>, now: Timestamp) -> bool {
    let waits = row.get("state").and_then(Value::as_str).is_some_and(|state| matches!(state, "booked" | "confirmed"));
    let ends = row.get("ends_at");
    let millis =
        ends.and_then(|at| at.as_i64().or_else(|| at.as_str()?.parse().ok().map(|at: Timestamp| at.as_millis())));
    waits && millis.is_some_and(|at| at > now.as_millis())
}

/// Whether a row could be changed, or its membership ended.
fn concerns(identifiers: &Identifiers, tenant: Option<TenantId>, table: &str, row: &Map<String, Value>) -> bool {
    if !within(tenant, row) {
        return false;
    }
    if table == "membership" {
        return row.get("person_id").is_some_and(|id| identifiers.are(id));
    }
    rules::of(table).is_some_and(|rules| {
        !matches!(step(identifiers, rules, row, true), Step::Nothing) || is_theirs(identifiers, rules, row)
    })
}

/// Goes through the database once and takes out what names somebody. `last` says that nothing else is left, so that what keeps
/// others from writing to them may go as well. What [`Erased::left`] holds is as it was seen before the changes.
///
/// # Errors
/// When the database cannot be read or changed by this login.
pub async fn erase(
    (options, store): (&Options, &Store),
    identifiers: &Identifiers,
    tenant: Option<TenantId>,
    (last, now): (bool, Timestamp),
) -> Result<Erased> {
    let concerned = |table: &'static str, row: &Map<String, Value>| concerns(identifiers, tenant, table, row);
    let (to, mut rows) = mpsc::channel(WAITING_ROWS);
    let mut owner = Owner::open(options).await?;
    let mut erased = Erased::default();
    let changing = async {
        while let Some(Seen { table, row, key }) = rows.recv().await {
            let Some(rules) = rules::of(table) else { continue };
            let changed = match step(identifiers, rules, &row, last) {
                Step::Nothing => continue,
                Step::Leave(why, columns) => {
                    if erased.left.len() < MOST_TOLD {
                        let id = row.get("id").and_then(Value::as_str).map(str::to_owned);
                        erased.left.push(Left { table, id, tenant: tenant_of(&row).map(str::to_owned), columns, why });
                    }
                    continue;
                }
                Step::Delete => owner.delete(table, &key).await?,
                Step::Change(columns) if rules.fate == Fate::Synced => {
                    synced(store, table, &row, &columns, now).await?
                }
                Step::Change(columns) => owner.update(table, &key, &columns).await?,
            };
            *erased.changed.entry(table).or_default() += u64::from(changed);
        }
        Ok(())
    };
    let done = tokio::try_join!(walk(options, &concerned, to), changing);
    owner.close().await;
    (erased.looked, ()) = done?;
    Ok(erased)
}

/// What becomes of a row.
fn step(identifiers: &Identifiers, rules: &Rules, row: &Map<String, Value>, last: bool) -> Step {
    let theirs = is_theirs(identifiers, rules, row);
    let by = By::Names(tenant_of(row));
    let named = || {
        rules.columns.iter().any(|(column, rule)| {
            *rule != Rule::Nothing && row.get(*column).is_some_and(|value| identifiers.in_value(value, by))
        })
    };
    match rules.fate {
        Fate::Deleted if theirs || named() => return Step::Delete,
        Fate::DeletedLast if theirs && last => return Step::Delete,
        Fate::Deleted | Fate::DeletedLast => return Step::Nothing,
        Fate::Blanked | Fate::BlankedOnceNot(..) | Fate::Synced => {}
    }
    let (mut changes, mut kept) = (Vec::new(), Vec::new());
    let mut why = Why::Namesake;
    for (column, rule) in rules.columns {
        let Some(text) = row.get(*column).and_then(Value::as_str) else { continue };
        let to = match rule {
            Rule::Nothing => continue,
            Rule::Identity(blank) | Rule::Described(blank) | Rule::Theirs(blank) if theirs => {
                blank.instead_of(text, row)
            }
            Rule::With(other, blank) => {
                changes.iter().any(|(changed, _)| changed == other).then_some(New::Bytes(*blank))
            }
            Rule::Copied(blank) => {
                let named = identifiers.id_in(text) || identifiers.in_value(&row[*column], by);
                named.then(|| blank.instead_of(text, row)).flatten()
            }
            Rule::Described(_) => identifiers.without(text, By::Sure).map(|text| text_for(&row[*column], text)),
            Rule::Theirs(_) | Rule::Text => identifiers.without(text, by).map(|rest| text_for(&row[*column], rest)),
            Rule::Identity(_) | Rule::Setting => None,
        };
        match to {
            Some(new) => changes.push((*column, new)),
            None if identifiers.in_value(&row[*column], by) => {
                if *rule == Rule::Setting {
                    why = Why::Setting;
                }
                kept.push(*column);
            }
            None => {}
        }
    }
    let is_busy = match rules.fate {
        Fate::BlankedOnceNot(column, states) => {
            row.get(column).and_then(Value::as_str).is_some_and(|at| states.contains(&at))
        }
        Fate::Synced => row.get("status").is_some_and(|status| status == "streaming"),
        _ => false,
    };
    match (changes.is_empty(), kept.is_empty()) {
        (false, _) if is_busy => Step::Leave(Why::Busy, changes.into_iter().map(|(column, _)| column).collect()),
        (false, _) => Step::Change(changes),
        (true, false) => Step::Leave(why, kept),
        (true, true) => Step::Nothing,
    }
}

fn text_for(old: &Value, new: String) -> New {
    New::Text { old: old.as_str().unwrap_or_default().to_owned(), new: Some(new) }
}

impl Blank {
    /// What takes the place of a text, or of bytes as they are told; nothing when it is there already.
    fn instead_of(self, old: &str, row: &Map<String, Value>) -> Option<New> {
        let new = match self {
            Self::Null => None,
            Self::Text(text) => Some(text.to_owned()),
            Self::Address => {
                let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
                Some(format!("{id}@erased.invalid"))
            }
            Self::NoBytes => return (!old.is_empty()).then_some(New::Bytes(self)),
        };
        (new.as_deref() != Some(old)).then(|| New::Text { old: old.to_owned(), new })
    }
}

async fn synced(
    store: &Store,
    table: &str,
    row: &Map<String, Value>,
    columns: &[(&'static str, New)],
    now: Timestamp,
) -> Result<bool> {
    let id = |column: &str| {
        let id = row.get(column).and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
        id.ok_or_else(|| Error::Bug(format!("a {table} without {column}")))
    };
    let text = |column: &'static str| {
        let changed = columns.iter().find(|(name, _)| *name == column);
        match changed {
            Some((_, New::Text { new, .. })) => new.clone(),
            _ => row.get(column).and_then(Value::as_str).map(str::to_owned),
        }
    };
    let (conversation, words) = match table {
        "conversation" => (id("id")?, Words::Title(text("title").unwrap_or_default())),
        _ => {
            let content = text("content").unwrap_or_default();
            let (error_detail, images, tools) = (text("error_detail"), text("images"), text("tools"));
            (id("conversation_id")?, Words::Message { id: id("id")?, content, error_detail, images, tools })
        }
    };
    let (tenant, person) = (TenantId(id("tenant_id")?), PersonId(id("person_id")?));
    let intent = EraseInSynced { tenant, person, conversation, words, now };
    store.run(&Call::within(SYNCED), intent).await
}
