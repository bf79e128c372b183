//! Taking somebody out of the database.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mainstay_domain::{ConversationId, PersonId, TenantId, Timestamp};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::changing::{Change, New, Owner};
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
const SAYS: [(&str, &[&str]); 3] =
    [("contact", &["email", "phone", "name"]), ("lead", &["address"]), ("email", &["address"])];
/// The tables whose ids lead on to more that is theirs.
const LEADS_ON: [&str; 4] = ["person", "contact", "lead", "phone_call"];
/// How long after its end a call is still told of by its provider.
const REPORTED_WITHIN: Duration = Duration::from_secs(3_600);
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

/// How far an erasure has come. By what somebody is known goes last: whoever erases again, after something has stopped it in the
/// middle, finds by it what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// All that hangs on who they are.
    Rest,
    /// Who they are, but for contacts; and what kept others from writing to them.
    Persons,
    /// Contacts, from which more of them was learnt.
    All,
}

/// What an erasure has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// How many rows of each table were changed.
    pub changed: BTreeMap<&'static str, u64>,
    /// How many rows were to be changed and had changed meanwhile.
    pub missed: u64,
    /// How many rows were looked at.
    pub looked: u64,
    /// How many rows were left, by why.
    pub kept: BTreeMap<Why, u64>,
    /// Those, the first thousand.
    pub left: Vec<Left>,
}

impl Erased {
    /// Whether there was nothing to change, and nobody works on what there is.
    #[must_use]
    pub fn is_still(&self) -> bool {
        self.missed == 0 && self.changed.is_empty() && !self.kept.contains_key(&Why::Busy)
    }

    fn leave(&mut self, (table, row): (&'static str, &Map<String, Value>), why: Why, columns: Vec<&'static str>) {
        *self.kept.entry(why).or_default() += 1;
        if self.left.len() < MOST_TOLD {
            let (id, tenant) = (word(row, "id").map(str::to_owned), tenant_of(row).map(str::to_owned));
            self.left.push(Left { table, id, tenant, columns, why });
        }
    }
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
    /// Without what names them it would be the same as another, which may not be.
    Clash,
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

fn word<'r>(row: &'r Map<String, Value>, column: &str) -> Option<&'r str> {
    row.get(column).and_then(Value::as_str)
}

fn id_of(row: &Map<String, Value>, column: &str) -> Option<Uuid> {
    word(row, column).and_then(|id| Uuid::try_parse(id).ok())
}

fn tenant_of(row: &Map<String, Value>) -> Option<&str> {
    word(row, "tenant_id")
}

fn is_theirs(identifiers: &Identifiers, rules: &Rules, row: &Map<String, Value>) -> bool {
    rules.owner.iter().any(|column| row.get(*column).is_some_and(|value| identifiers.are(value, tenant_of(row))))
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
            // Within an organisation an account says whose rows are theirs there.
            let rules = rules::of(table).filter(|_| table == "person" || within(tenant, row));
            is_membership_of(&known, table, row) || rules.is_some_and(|rules| is_theirs(&known, rules, row))
        };
        let mut is_new = false;
        let learnt = &mut *identifiers;
        let (mut names, mut organisations) = (BTreeSet::new(), BTreeSet::new());
        each(options, &theirs, &mut |Seen { table, row, .. }| {
            let text = |column: &str| word(&row, column);
            match table {
                // An account was found by what was given. Its name counts where it is a member.
                "person" => names.extend(text("name").map(str::to_owned)),
                "membership" => organisations.extend(tenant_of(&row).map(str::to_owned)),
                _ => {}
            }
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
        for (name, of) in names.iter().flat_map(|name| organisations.iter().map(move |of| (name, of))) {
            is_new |= identifiers.learn("name", name, Some(of));
        }
        if !is_new {
            break;
        }
    }
    Ok(())
}

fn is_membership_of(identifiers: &Identifiers, table: &str, row: &Map<String, Value>) -> bool {
    table == "membership" && row.get("person_id").is_some_and(|id| identifiers.are(id, None))
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
    let concerned = |table: &'static str, row: &Map<String, Value>| concerns(identifiers, tenant, (table, row), now);
    let mut plan = ErasurePlan::default();
    each(options, &concerned, &mut |Seen { table, row, .. }| {
        let id = |column: &str| id_of(&row, column);
        let (of, person) = (id("tenant_id").map(TenantId), id("person_id").map(PersonId));
        let Some(rules) = rules::of(table) else { return Ok(()) };
        let theirs = is_theirs(identifiers, rules, &row);
        match (table, of, person) {
            ("membership", Some(of), Some(person)) => {
                plan.memberships.insert((of, person));
                return Ok(());
            }
            // Within an organisation the account is left.
            ("person", ..) if theirs => plan.people.extend(id("id").map(PersonId)),
            ("conversation", Some(of), Some(person)) if theirs && row.get("deleted_at").is_none_or(Value::is_null) => {
                plan.conversations.extend(id("id").map(|id| (of, person, ConversationId(id))));
            }
            ("lead" | "email" | "suppression", Some(of), _) if theirs => plan.written_to_by.extend([of]),
            ("text_opt_out", Some(of), _) if theirs => plan.silenced.extend([of]),
            ("appointment", ..) if theirs => plan.appointments += u64::from(is_to_come(&row, now)),
            _ => {}
        }
        if !matches!(step(identifiers, rules, &row, (Phase::All, now)), Step::Nothing) {
            *plan.rows.entry(table).or_default() += 1;
        }
        Ok(())
    })
    .await?;
    Ok(plan)
}

/// A moment of a row, in milliseconds, as either engine tells it.
fn millis(row: &Map<String, Value>, column: &str) -> Option<i64> {
    let at = row.get(column)?;
    at.as_i64().or_else(|| at.as_str()?.parse().ok().map(|at: Timestamp| at.as_millis()))
}

fn is_to_come(row: &Map<String, Value>, now: Timestamp) -> bool {
    let waits = word(row, "state").is_some_and(|state| matches!(state, "booked" | "confirmed"));
    waits && millis(row, "ends_at").is_some_and(|at| at > now.as_millis())
}

/// Whether somebody writes to a row at this moment, or will by what is under way.
fn is_busy(rules: &Rules, row: &Map<String, Value>, now: Timestamp) -> bool {
    // The provider tells of a call once more when it has ended.
    let is_told_of = |row| {
        let ended = millis(row, "ended_at").unwrap_or(i64::MAX);
        let until = i64::try_from(REPORTED_WITHIN.as_millis()).unwrap_or(i64::MAX).saturating_add(ended);
        rules.table == "phone_call"
            && word(row, "state") == Some("ended")
            && row.get("reported_at").is_none_or(Value::is_null)
            && until > now.as_millis()
    };
    match rules.fate {
        Fate::BlankedOnceNot(column, states) => {
            word(row, column).is_some_and(|at| states.contains(&at)) || is_told_of(row)
        }
        Fate::Synced => word(row, "status") == Some("streaming"),
        _ => false,
    }
}

/// Whether a row could be changed, or its membership ended.
fn concerns(
    identifiers: &Identifiers,
    tenant: Option<TenantId>,
    (table, row): (&str, &Map<String, Value>),
    now: Timestamp,
) -> bool {
    if !within(tenant, row) {
        return false;
    }
    let has_step = |rules| !matches!(step(identifiers, rules, row, (Phase::All, now)), Step::Nothing);
    is_membership_of(identifiers, table, row)
        || rules::of(table).is_some_and(|rules| has_step(rules) || is_theirs(identifiers, rules, row))
}

/// Goes through the database once and takes out what names somebody, as far as the phase goes. What [`Erased::left`] holds is
/// as it was seen before the changes.
///
/// # Errors
/// When the database cannot be read or changed by this login.
pub async fn erase(
    (options, store): (&Options, &Store),
    identifiers: &Identifiers,
    tenant: Option<TenantId>,
    (phase, now): (Phase, Timestamp),
) -> Result<Erased> {
    let concerned = |table: &'static str, row: &Map<String, Value>| concerns(identifiers, tenant, (table, row), now);
    let (to, mut rows) = mpsc::channel(WAITING_ROWS);
    let mut owner = Owner::open(options).await?;
    let mut erased = Erased::default();
    let changing = async {
        while let Some(Seen { table, row, key }) = rows.recv().await {
            let Some(rules) = rules::of(table) else { continue };
            let (done, columns) = match step(identifiers, rules, &row, (phase, now)) {
                Step::Nothing => continue,
                Step::Leave(why, columns) => {
                    erased.leave((table, &row), why, columns);
                    continue;
                }
                Step::Delete => (owner.delete(table, &key).await?, Vec::new()),
                Step::Change(columns) => {
                    let names = columns.iter().map(|(column, _)| *column).collect();
                    let done = match rules.fate {
                        Fate::Synced => synced(store, table, &row, &columns, now).await?,
                        Fate::BlankedOnceDone => owner.update(table, &unless_a_job_works(&key, &row), &columns).await?,
                        _ => owner.update(table, &key, &columns).await?,
                    };
                    (done, names)
                }
            };
            match done {
                Change::Done => *erased.changed.entry(table).or_default() += 1,
                Change::Missed if rules.fate == Fate::BlankedOnceDone => {
                    erased.leave((table, &row), Why::Busy, columns)
                }
                Change::Missed => erased.missed += 1,
                Change::Clash => erased.leave((table, &row), Why::Clash, columns),
            }
        }
        Ok(())
    };
    let done = tokio::try_join!(walk(options, &concerned, to), changing);
    owner.close().await;
    (erased.looked, ()) = done?;
    Ok(erased)
}

/// An event that is being processed is whole until then: it may tell of others, too.
fn unless_a_job_works(key: &str, row: &Map<String, Value>) -> String {
    let id = id_of(row, "id").unwrap_or_default();
    format!(
        "{key} AND NOT EXISTS (SELECT 1 FROM job WHERE job.state IN ('scheduled', 'ready', 'running') \
         AND job.arguments LIKE '%{id}%')"
    )
}

/// What becomes of a row.
fn step(identifiers: &Identifiers, rules: &Rules, row: &Map<String, Value>, (phase, now): (Phase, Timestamp)) -> Step {
    let theirs = is_theirs(identifiers, rules, row);
    let (sure, by) = (By::Sure(tenant_of(row)), By::Names(tenant_of(row)));
    let named = || {
        rules.columns.iter().any(|(column, rule)| {
            *rule != Rule::Nothing && row.get(*column).is_some_and(|value| identifiers.in_value(value, sure))
        })
    };
    let goes_in = match rules.table {
        "contact" => Phase::All,
        "person" | "lead" => Phase::Persons,
        _ if rules.fate == Fate::DeletedLast => Phase::Persons,
        _ => Phase::Rest,
    };
    match rules.fate {
        Fate::Deleted if theirs || named() => return Step::Delete,
        Fate::DeletedLast if theirs && phase >= goes_in => return Step::Delete,
        Fate::Deleted | Fate::DeletedLast => return Step::Nothing,
        _ if theirs && phase < goes_in => return Step::Nothing,
        _ => {}
    }
    let (mut changes, mut kept) = (Vec::new(), Vec::new());
    let mut why = Why::Namesake;
    for (column, rule) in rules.columns {
        let Some(text) = word(row, column) else { continue };
        if *rule == Rule::Nothing {
            continue;
        }
        let (value, text_for) = (&row[*column], |new| New::Text { old: text.to_owned(), new: Some(new) });
        // Most rows name nobody: what stands in them is taken apart only where it does.
        let is_named = identifiers.in_value(value, by);
        let to = match rule {
            Rule::Identity(blank) | Rule::Theirs(blank) if theirs => blank.instead_of(text, row),
            Rule::With(other, blank) => {
                changes.iter().any(|(changed, _)| changed == other).then_some(New::Bytes(*blank))
            }
            Rule::Copied(blank) if identifiers.id_in(text) || is_named && identifiers.in_value(value, sure) => {
                blank.instead_of(text, row)
            }
            // Of an entry of the trail the digest covers all that it says.
            Rule::Copied(Blank::Null) | Rule::Setting | Rule::Nothing => None,
            _ if !is_named => None,
            Rule::Identity(_) => identifiers.without(text, sure).map(text_for),
            Rule::Theirs(_) | Rule::Text | Rule::Copied(_) => identifiers.without(text, by).map(text_for),
        };
        match to {
            Some(new) => changes.push((*column, new)),
            None if is_named => {
                if *rule == Rule::Setting {
                    why = Why::Setting;
                }
                kept.push(*column);
            }
            None => {}
        }
    }
    match (changes.is_empty(), kept.is_empty()) {
        (false, _) if is_busy(rules, row, now) => {
            Step::Leave(Why::Busy, changes.into_iter().map(|(column, _)| column).collect())
        }
        (false, _) => Step::Change(changes),
        (true, false) => Step::Leave(why, kept),
        (true, true) => Step::Nothing,
    }
}

impl Blank {
    /// What takes the place of a text, or of bytes as they are told; nothing when it is there already.
    fn instead_of(self, old: &str, row: &Map<String, Value>) -> Option<New> {
        let new = match self {
            Self::Null => None,
            Self::Text(text) => Some(text.to_owned()),
            Self::Address => Some(format!("{}@erased.invalid", word(row, "id").unwrap_or_default())),
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
) -> Result<Change> {
    let id = |column: &str| id_of(row, column).ok_or_else(|| Error::Bug(format!("a {table} without {column}")));
    let text = |column: &'static str| {
        let changed = columns.iter().find(|(name, _)| *name == column);
        match changed {
            Some((_, New::Text { new, .. })) => new.clone(),
            _ => word(row, column).map(str::to_owned),
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
    let changed = store.run(&Call::within(SYNCED), intent).await?;
    Ok(if changed { Change::Done } else { Change::Missed })
}
