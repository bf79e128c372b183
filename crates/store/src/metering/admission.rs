//! Whether something may be used: the counters are locked by counting it, the plan and the budgets are read then, and what
//! is refused is taken back, all in one transaction.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use mainstay_domain::{Amounts, Day, Meter, PersonId, Plan, PlanLimits, Spent, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::ledger::{Account, Ledger, Standing, account};
use super::plans;
use super::reservation::{Reserve, reserve};
use crate::error::{Error, Result};
use crate::members::word;
use crate::sql::statements;
use crate::tx::Tx;

statements! {
    LIMITS = batch((tenant_id: uuid, person_id: uuid) "
        SELECT b.tenant_id, b.person_id, o.plan, p.cost_micros AS person_budget, w.cost_micros AS organisation_budget
        FROM batch b JOIN organisation o ON o.tenant_id = b.tenant_id
        LEFT JOIN budget p ON p.tenant_id = b.tenant_id AND p.subject_id = b.person_id
        LEFT JOIN budget w ON w.tenant_id = b.tenant_id AND w.subject_id = b.tenant_id");
}

/// What is set aside for work whose cost is not known yet, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bid {
    /// With less than this the work is not begun.
    pub least_micros: i64,
    /// The most that it can cost.
    pub most_micros: i64,
    /// After how long it is swept.
    pub lasts: Duration,
}

/// Something that wants to be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// The id of the work.
    pub(crate) id: Uuid,
    /// The organisation.
    pub(crate) tenant: TenantId,
    /// Who asks.
    pub(crate) person: PersonId,
    /// When.
    pub(crate) at: Timestamp,
    /// What is used by it at once.
    pub(crate) amounts: Amounts,
    /// What is to be set aside.
    pub(crate) bid: Option<Bid>,
}

/// The answer: how many millionths are set aside, or which limit is spent.
pub(crate) type Verdict = std::result::Result<i64, Spent>;

/// What somebody may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The plan of the organisation.
    pub plan: Plan,
    /// What it allows each person.
    pub limits: PlanLimits,
    /// The most that the person may cost in a month, in millionths, if the organisation has said so.
    pub person_budget: Option<i64>,
    /// The most that the organisation may cost in a month, if it has said so.
    pub organisation_budget: Option<i64>,
}

#[derive(Serialize)]
struct Pair {
    tenant_id: Uuid,
    person_id: Uuid,
}

#[derive(sqlx::FromRow)]
struct LimitsRow {
    tenant_id: Uuid,
    person_id: Uuid,
    plan: String,
    person_budget: Option<i64>,
    organisation_budget: Option<i64>,
}

/// What these may use.
pub(super) async fn limits(
    tx: &mut Tx<'_>,
    pairs: impl IntoIterator<Item = (TenantId, PersonId)>,
) -> Result<HashMap<(TenantId, PersonId), Limits>> {
    let pairs: BTreeSet<_> = pairs.into_iter().collect();
    let pairs: Vec<_> =
        pairs.into_iter().map(|(tenant, person)| Pair { tenant_id: tenant.uuid(), person_id: person.uuid() }).collect();
    let plans: HashMap<_, _> = plans::all(tx).await?.into_iter().collect();
    let rows: Vec<LimitsRow> = tx.batch(LIMITS, &pairs).rows().await?;
    rows.into_iter()
        .map(|row| {
            let plan: Plan = word(&row.plan)?;
            let limits = *plans.get(&plan).ok_or_else(gone)?;
            let (person_budget, organisation_budget) = (row.person_budget, row.organisation_budget);
            let limits = Limits { plan, limits, person_budget, organisation_budget };
            Ok(((TenantId(row.tenant_id), PersonId(row.person_id)), limits))
        })
        .collect()
}

/// Posts the ledger, decides over each demand in their order, and sets aside what the granted ones bid for. Call it once in
/// a transaction, after the entities are locked and before the streams.
pub(crate) async fn admit(tx: &mut Tx<'_>, mut ledger: Ledger, demands: &[Demand]) -> Result<Vec<Verdict>> {
    // What is asked for is counted first, which locks the counters.
    for demand in demands {
        ledger.add(demand.tenant, demand.person, demand.at, demand.amounts, most(demand));
    }
    let mut accounts = ledger.post(tx).await?;
    if demands.is_empty() {
        return Ok(Vec::new());
    }
    let limits = limits(tx, demands.iter().map(|demand| (demand.tenant, demand.person))).await?;
    // Before any of them.
    for demand in demands {
        each(&mut accounts, demand, |standing| take(standing, -demand.amounts, -most(demand), Day::of(demand.at)));
    }
    let mut verdicts = Vec::with_capacity(demands.len());
    let (mut corrections, mut reservations) = (Ledger::default(), Vec::new());
    for demand in demands {
        let limits = limits.get(&(demand.tenant, demand.person)).ok_or_else(gone)?;
        let verdict = decide(&accounts, demand, limits);
        match verdict {
            Ok(granted) => {
                each(&mut accounts, demand, |standing| take(standing, demand.amounts, granted, Day::of(demand.at)));
                corrections.add(demand.tenant, demand.person, demand.at, Amounts::default(), granted - most(demand));
                reservations.extend(demand.bid.filter(|_| granted > 0).map(|bid| Reserve {
                    id: demand.id,
                    tenant_id: demand.tenant.uuid(),
                    person_id: demand.person.uuid(),
                    amount_micros: granted,
                    reserved_at: demand.at.as_millis(),
                    expires_at: demand.at.plus(bid.lasts).as_millis(),
                }));
            }
            Err(_) => {
                corrections.add(demand.tenant, demand.person, demand.at, -demand.amounts, -most(demand));
            }
        }
        verdicts.push(verdict);
    }
    corrections.post(tx).await?;
    reserve(tx, &reservations).await?;
    Ok(verdicts)
}

fn gone() -> Error {
    Error::Constraint("an organisation or its plan is not there".to_owned())
}

fn most(demand: &Demand) -> i64 {
    demand.bid.map_or(0, |bid| bid.most_micros)
}

fn accounts_of(demand: &Demand) -> [Account; 2] {
    [demand.person.uuid(), demand.tenant.uuid()].map(|subject| account(demand.tenant, subject, demand.at))
}

fn each(accounts: &mut HashMap<Account, Standing>, demand: &Demand, change: impl Fn(&mut Standing)) {
    for key in accounts_of(demand) {
        change(accounts.entry(key).or_default());
    }
}

fn take(standing: &mut Standing, amounts: Amounts, reserved: i64, day: Day) {
    standing.month += amounts;
    standing.reserved_micros += reserved;
    if standing.day == day.number() {
        standing.today += amounts;
    }
}

fn decide(accounts: &HashMap<Account, Standing>, demand: &Demand, limits: &Limits) -> Verdict {
    let [person, organisation] = accounts_of(demand).map(|key| accounts.get(&key).copied().unwrap_or_default());
    let today = person.on(Day::of(demand.at));
    for meter in Meter::ALL.iter().copied() {
        let (asked, allowed) = (demand.amounts.of(meter), limits.limits.of(meter));
        let over = |used: i64, limit: Option<i64>| asked > 0 && limit.is_some_and(|limit| used + asked > limit);
        if over(person.month.of(meter), allowed.per_month) {
            return Err(Spent::Monthly(meter));
        }
        if over(today.of(meter), allowed.per_day) {
            return Err(Spent::Daily(meter));
        }
    }
    // What can cost nothing has not read the money of the organisation.
    let Some(bid) = demand.bid.filter(|bid| bid.most_micros > 0) else { return Ok(0) };
    let left = |standing: &Standing, cap: i64| cap - standing.month.cost_micros - standing.reserved_micros;
    let caps = [
        (limits.limits.cost_micros_per_month, &person, Spent::PlanCost),
        (limits.person_budget, &person, Spent::PersonBudget),
        (limits.organisation_budget, &organisation, Spent::OrganisationBudget),
    ];
    let tightest = caps
        .into_iter()
        .filter_map(|(cap, standing, spent)| cap.map(|cap| (left(standing, cap), spent)))
        .min_by_key(|(left, _)| *left);
    match tightest {
        Some((left, spent)) if left < bid.least_micros => Err(spent),
        Some((left, _)) => Ok(bid.most_micros.min(left)),
        None => Ok(bid.most_micros),
    }
}
