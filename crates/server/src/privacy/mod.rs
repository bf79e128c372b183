//! Erasing somebody: what has to stop first, the rounds until nothing is left, and the proof.
//!
//! Everything that could write of them anew is stopped before the first row changes: their sign-ins, their conversations, emails
//! and text messages to them. It is waited for whoever had begun before. Then the database is gone through until a round finds
//! nothing. What keeps others from writing to them goes last; a keyed digest has taken its place by then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use mainstay_domain::{Error, Kind, PersonId, Result, Role, TenantId};
use mainstay_store::{
    Call, ChangeMember, DeleteConversation, DisablePerson, Erased, ErasurePhase as Phase, ErasurePlan, Identifiers,
    Left, ListMembers, MemberChanged, ObjectFor, Objection, Suppress, Why, erase_everywhere, learn_surely,
    leave_no_trace, plan_erasure, writers_have_ended,
};

use crate::app::{App, store_options};

/// How long one step on the database may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is gone through the database. Two rounds are enough when nobody works on their rows.
const MOST_ROUNDS: u32 = 8;
/// How long it is waited between two rounds while somebody does.
const PAUSE: Duration = Duration::from_secs(1);
/// The most addresses that are put on a list at once.
const AT_ONCE: usize = 100;
/// The members of one page.
const PAGE: u32 = 100;

/// What an erasure came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many rows of each table were changed.
    pub changed: BTreeMap<&'static str, u64>,
    /// What the last round has seen and left.
    pub last: Erased,
    /// How often the database was gone through.
    pub rounds: u32,
    /// Whether the last round had nothing to change.
    pub is_proven: bool,
    /// Whether what was taken out is overwritten.
    pub is_overwritten: bool,
}

impl Report {
    /// Whether nothing of them is left but what is of others.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_proven && self.last.kept.keys().all(|why| *why == Why::Namesake)
    }
}

fn call() -> Call {
    Call::within(PATIENCE)
}

/// Finds out by what somebody is known, and what there is of them.
pub(crate) async fn prepare(app: &App, identifiers: &mut Identifiers, tenant: Option<TenantId>) -> Result<ErasurePlan> {
    if !identifiers.are_sure() {
        let detail = "Give an address or a number: others may have the same name.";
        return Err(Error::invalid_field("--email", "missing", detail));
    }
    if !identifiers.have_full_names() {
        let detail = "Give full names: one word stands in texts about others, too.";
        return Err(Error::invalid_field("--name", "invalid", detail));
    }
    let options = store_options(&app.config.database);
    learn_surely(&options, identifiers, tenant).await?;
    let plan = plan_erasure(&options, identifiers, tenant, app.clock.now()).await?;
    for (tenant, person) in &plan.memberships {
        if let Some(others) = last_owner_of(app, *tenant, *person).await? {
            let detail = format!(
                "They are the last owner of the organisation {tenant}, which has {others} more members. Make somebody else \
                 its owner first."
            );
            return Err(Error::new(Kind::Conflict, "last_owner", detail));
        }
    }
    Ok(plan)
}

/// How many other members an organisation has whose last owner this is; nothing when it is not, or when nobody else is there.
async fn last_owner_of(app: &App, tenant: TenantId, person: PersonId) -> Result<Option<usize>> {
    let (mut after, mut others, mut is_owner) = (None, 0, false);
    loop {
        let members = app.store.run(&call(), ListMembers { tenant, after, limit: PAGE }).await?;
        for member in &members {
            match (member.person == person, member.role == Role::Owner) {
                (true, owner) => is_owner = owner,
                (false, true) => return Ok(None),
                (false, false) => others += 1,
            }
        }
        match members.last().filter(|_| members.len() == PAGE as usize) {
            Some(last) => after = Some(last.person),
            None => return Ok((is_owner && others > 0).then_some(others)),
        }
    }
}

/// Erases somebody of whom this was found.
pub(crate) async fn erase(
    app: &App,
    identifiers: &Identifiers,
    tenant: Option<TenantId>,
    plan: &ErasurePlan,
    however_large: bool,
) -> Result<Report> {
    let options = store_options(&app.config.database);
    stop(app, identifiers, plan).await?;
    writers_have_ended(&options).await?;
    let mut report = Report::default();
    let mut phases = [Phase::Rest, Phase::Persons, Phase::All].into_iter();
    let mut phase = phases.next();
    while let Some(at) = phase.filter(|_| report.rounds < MOST_ROUNDS) {
        report.last = erase_everywhere((&options, &app.store), identifiers, tenant, (at, app.clock.now())).await?;
        report.rounds += 1;
        for (table, count) in &report.last.changed {
            *report.changed.entry(table).or_default() += count;
        }
        if report.last.is_still() {
            report.is_proven = at == Phase::All;
            phase = phases.next();
        } else if report.last.kept.contains_key(&Why::Busy) {
            tokio::time::sleep(PAUSE).await;
        }
    }
    let tables: BTreeSet<&'static str> = report.changed.keys().copied().collect();
    // What was erased stays so, whether or not its place could be overwritten.
    let overwritten = leave_no_trace(&options, &tables, however_large).await;
    report.is_overwritten = overwritten.unwrap_or_else(|error| {
        tracing::warn!(%error, "what was erased could not be overwritten");
        false
    });
    Ok(report)
}

/// Ends what could write of them anew.
async fn stop(app: &App, identifiers: &Identifiers, plan: &ErasurePlan) -> Result<()> {
    let now = app.clock.now();
    let tokens_end = app.accounts.all_tokens_end(now);
    for person in &plan.people {
        let disable = DisablePerson { person: *person, disabled: true, now, tokens_end };
        app.store.run(&call(), disable).await?;
    }
    for (tenant, person, id) in &plan.conversations {
        let delete = DeleteConversation { tenant: *tenant, person: *person, id: *id, claim: None, now };
        match app.store.run(&call(), delete).await {
            Ok(_) | Err(mainstay_store::Error::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for (tenant, person) in &plan.memberships {
        let change = ChangeMember { tenant: *tenant, person: *person, role: None, now, tokens_end };
        if app.store.run(&call(), change).await? == MemberChanged::LastOwner {
            tracing::warn!(%tenant, "an organisation is left without anybody in it");
        }
    }
    object(app, identifiers, plan).await
}

/// Keeps that nobody writes to them: as they are, for as long as rows of theirs are there, and by a digest for good.
async fn object(app: &App, identifiers: &Identifiers, plan: &ErasurePlan) -> Result<()> {
    let now = app.clock.now();
    let objections = |tenant: TenantId, all: &[String]| -> Vec<Objection> {
        let objection = |plain: &String| Objection { plain: plain.clone(), digest: app.keys.objection(tenant, plain) };
        all.iter().map(objection).collect()
    };
    for tenant in &plan.written_to_by {
        let tenant = *tenant;
        for some in identifiers.addresses(tenant).chunks(AT_ONCE) {
            let (addresses, phones) = (objections(tenant, some), Vec::new());
            app.store.run(&call(), ObjectFor { tenant, addresses, phones, now }).await?;
            app.store.run(&call(), Suppress { tenant, subjects: some.iter().cloned().collect(), now }).await?;
        }
    }
    for tenant in &plan.silenced {
        let tenant = *tenant;
        let (addresses, phones) = (Vec::new(), objections(tenant, &identifiers.numbers(tenant)));
        app.store.run(&call(), ObjectFor { tenant, addresses, phones, now }).await?;
    }
    Ok(())
}

/// How many rows there are of each table, a line for each.
pub(crate) fn rows_of(counts: &BTreeMap<&'static str, u64>) -> String {
    counts.iter().fold(String::new(), |mut text, (table, count)| {
        let _ = writeln!(text, "{count:>8}  {table}");
        text
    })
}

/// What there is of somebody, for whoever decides.
pub(crate) fn describe(identifiers: &Identifiers, plan: &ErasurePlan) -> String {
    let mut text = String::from("Known by:\n");
    for (known, of) in identifiers.told() {
        let of = of.map(|of| format!(" (within the organisation {of}, where it was found)")).unwrap_or_default();
        let _ = writeln!(text, "          {known}{of}");
    }
    text.push_str("Rows that are theirs or name them:\n");
    text.push_str(&rows_of(&plan.rows));
    if plan.appointments > 0 {
        let _ = writeln!(
            text,
            "{} of the appointments are to come. They stay booked, and nobody knows for whom.",
            plan.appointments
        );
    }
    text
}

const fn told(why: Why) -> &'static str {
    match why {
        Why::Busy => "somebody works on it; erase again when that is over",
        Why::Setting => "a setting; change it where it is set, and erase again",
        Why::Namesake => "of somebody else with the same name",
        Why::Clash => "another would be the same without it; change it there, and erase again",
    }
}

/// What was done.
pub(crate) fn tell(report: &Report, tenant: Option<TenantId>) -> String {
    let mut text = rows_of(&report.changed);
    let changed: u64 = report.changed.values().sum();
    let (rounds, looked) = (report.rounds, report.last.looked);
    let _ = writeln!(text, "{changed} rows changed in {rounds} rounds; the last looked at {looked} rows.");
    for Left { table, id, tenant, columns, why } in &report.last.left {
        let (id, tenant) = (id.as_deref().unwrap_or("-"), tenant.as_deref().unwrap_or("-"));
        let _ = writeln!(text, "left: {table} {id} of {tenant} ({}): {}", columns.join(", "), told(*why));
    }
    for (why, count) in &report.last.kept {
        let _ = writeln!(text, "{count} left: {}", told(*why));
    }
    if !report.is_overwritten {
        text.push_str(
            "Free pages of the database's file may still hold what was erased. Stop the server and erase again with --vacuum, \
             which writes the file anew.\n",
        );
    }
    let place =
        tenant.map_or_else(|| "the database".to_owned(), |tenant| format!("the rows of the organisation {tenant}"));
    let _ = if report.is_complete() {
        writeln!(
            text,
            "Nothing of them is left in {place}. Backups still have them, until they are deleted by their age."
        )
    } else {
        writeln!(text, "Something of them is left in {place}.")
    };
    text
}
