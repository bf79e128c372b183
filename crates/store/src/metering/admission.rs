//! Whether something may be used: the counters are locked by counting it, compared with the plan and the budgets then, and
//! what is refused is taken back, all in one transaction.
//!
//! The database says who is over a limit when all that is asked for is counted. That is nearly always nobody, and then
//! everybody is let in without more being read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use mainstay_domain::{Amounts, Day, Meter, Month, PersonId, Spent, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::ledger::{Account, Ledger, account};
use super::plans::{Limits, LimitsRow};
use super::reading::{Used, UsedRow};
use super::reservation::{Reserve, reserve};
use crate::error::{Error, Result};
use crate::sql::statements;
use crate::tx::Tx;

statements! {
    /// Those of the batch who are over a limit, or whose organisation is, with all that decides over them. What an
    /// organisation costs is looked at only where it has a budget. An organisation whose plan is missing comes back without
    /// the name of one, which is an error further on: nobody is let in without limits.
    OVER = batch((tenant_id: uuid, person_id: uuid, month: bigint, day: bigint) "
        SELECT b.n, u.messages, u.input_tokens, u.output_tokens, u.images, u.voice_seconds, u.cost_micros,
          u.reserved_micros, u.day, u.day_messages, u.day_images, u.day_voice_seconds,
          o.cost_micros AS organisation_cost, o.reserved_micros AS organisation_reserved,
          coalesce(l.name, '') AS name, l.messages_per_day, l.messages_per_month, l.images_per_day,
          l.images_per_month, l.voice_seconds_per_day, l.voice_seconds_per_month, l.cost_micros_per_month,
          p.cost_micros AS person_budget, w.cost_micros AS organisation_budget
        FROM batch b
        JOIN usage_month u ON u.tenant_id = b.tenant_id AND u.month = b.month AND u.subject_id = b.person_id
        LEFT JOIN organisation g ON g.tenant_id = b.tenant_id
        LEFT JOIN plan l ON l.name = g.plan
        LEFT JOIN budget p ON p.tenant_id = b.tenant_id AND p.subject_id = b.person_id
        LEFT JOIN budget w ON w.tenant_id = b.tenant_id AND w.subject_id = b.tenant_id
        LEFT JOIN usage_month o ON o.tenant_id = w.tenant_id AND o.month = b.month AND o.subject_id = w.tenant_id
        WHERE l.name IS NULL
          OR u.messages > l.messages_per_month OR u.images > l.images_per_month
          OR u.voice_seconds > l.voice_seconds_per_month
          OR (u.day = b.day AND (u.day_messages > l.messages_per_day OR u.day_images > l.images_per_day
            OR u.day_voice_seconds > l.voice_seconds_per_day))
          OR u.cost_micros + u.reserved_micros > l.cost_micros_per_month
          OR u.cost_micros + u.reserved_micros > p.cost_micros
          OR o.cost_micros + o.reserved_micros > w.cost_micros");
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

/// Who asks, in which month and on which day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Asker {
    tenant_id: Uuid,
    person_id: Uuid,
    month: i64,
    day: i64,
}

impl Asker {
    fn of(demand: &Demand) -> Self {
        Self {
            tenant_id: demand.tenant.uuid(),
            person_id: demand.person.uuid(),
            month: Month::of(demand.at).number(),
            day: Day::of(demand.at).number(),
        }
    }
}

#[derive(sqlx::FromRow)]
struct OverRow {
    n: i64,
    day: i64,
    #[sqlx(flatten)]
    used: UsedRow,
    organisation_cost: Option<i64>,
    organisation_reserved: Option<i64>,
    #[sqlx(flatten)]
    limits: LimitsRow,
}

impl OverRow {
    /// Of the organisation only its money counts.
    fn organisation(&self) -> Standing {
        let month = Amounts { cost_micros: self.organisation_cost.unwrap_or(0), ..Amounts::default() };
        let reserved_micros = self.organisation_reserved.unwrap_or(0);
        Standing { used: Used { month, reserved_micros, ..Used::default() }, ..Standing::default() }
    }
}

/// How an account stands, as far as it decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    used: Used,
    /// The latest day that something was counted on, which is the one that `used` has.
    day: i64,
}

/// Those over whom is decided one by one, since somebody cannot have all that they ask for.
#[derive(Default)]
struct Over {
    limits: BTreeMap<Asker, Limits>,
    accounts: HashMap<Account, Standing>,
}

impl Over {
    /// Reads it, when all that is asked for has been counted.
    async fn read(tx: &mut Tx<'_>, demands: &[Demand]) -> Result<Self> {
        let askers: BTreeSet<_> = demands.iter().map(Asker::of).collect();
        let askers: Vec<_> = askers.into_iter().collect();
        let rows: Vec<OverRow> = tx.batch(OVER, &askers).rows().await?;
        let mut over = Self::default();
        for row in rows {
            let asker = usize::try_from(row.n).ok().and_then(|n| askers.get(n));
            let asker = asker.ok_or_else(|| Error::Bug(format!("row {} of a batch of {}", row.n, askers.len())))?;
            let tenant = TenantId(asker.tenant_id);
            over.limits.insert(*asker, row.limits.read()?);
            over.accounts.insert((tenant, asker.month, asker.tenant_id), row.organisation());
            let person = Standing { used: row.used.into(), day: row.day };
            over.accounts.insert((tenant, asker.month, asker.person_id), person);
        }
        // From here on as it was before them.
        for demand in demands {
            if over.limits.contains_key(&Asker::of(demand)) {
                over.take(demand, -demand.amounts, -most(demand));
            }
        }
        Ok(over)
    }

    fn decide(&mut self, demand: &Demand) -> Verdict {
        let Some(limits) = self.limits.get(&Asker::of(demand)) else { return Ok(most(demand)) };
        let standings = accounts_of(demand).map(|key| self.accounts.get(&key).copied().unwrap_or_default());
        let granted = decide(standings, demand, limits)?;
        self.take(demand, demand.amounts, granted);
        Ok(granted)
    }

    fn take(&mut self, demand: &Demand, amounts: Amounts, reserved: i64) {
        for key in accounts_of(demand) {
            let standing = self.accounts.entry(key).or_default();
            standing.used.month += amounts;
            standing.used.reserved_micros += reserved;
            if standing.day == Day::of(demand.at).number() {
                standing.used.today += amounts;
            }
        }
    }
}

/// Posts the ledger, decides over each demand in their order, and sets aside what the granted ones bid for. Call it once in
/// a transaction, after the entities are locked and before the streams.
pub(crate) async fn admit(tx: &mut Tx<'_>, mut ledger: Ledger, demands: &[Demand]) -> Result<Vec<Verdict>> {
    // What is asked for is counted first, which locks the counters.
    for demand in demands {
        ledger.add(demand.tenant, demand.person, demand.at, demand.amounts, most(demand));
    }
    ledger.post(tx).await?;
    if demands.is_empty() {
        return Ok(Vec::new());
    }
    let mut over = Over::read(tx, demands).await?;
    let mut verdicts = Vec::with_capacity(demands.len());
    let (mut corrections, mut reservations) = (Ledger::default(), Vec::new());
    for demand in demands {
        let verdict = over.decide(demand);
        match verdict {
            Ok(granted) => {
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

fn most(demand: &Demand) -> i64 {
    demand.bid.map_or(0, |bid| bid.most_micros)
}

fn accounts_of(demand: &Demand) -> [Account; 2] {
    [demand.person.uuid(), demand.tenant.uuid()].map(|subject| account(demand.tenant, subject, demand.at))
}

fn decide([person, organisation]: [Standing; 2], demand: &Demand, limits: &Limits) -> Verdict {
    let today = if person.day == Day::of(demand.at).number() { person.used.today } else { Amounts::default() };
    for meter in Meter::ALL.iter().copied() {
        let (asked, allowed) = (demand.amounts.of(meter), limits.limits.of(meter));
        let over = |used: i64, limit: Option<i64>| asked > 0 && limit.is_some_and(|limit| used + asked > limit);
        if over(person.used.month.of(meter), allowed.per_month) {
            return Err(Spent::Monthly(meter));
        }
        if over(today.of(meter), allowed.per_day) {
            return Err(Spent::Daily(meter));
        }
    }
    let Some(bid) = demand.bid else { return Ok(0) };
    let left = |standing: &Standing, cap: i64| cap - standing.used.month.cost_micros - standing.used.reserved_micros;
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
