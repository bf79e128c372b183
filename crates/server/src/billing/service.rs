//! The verbs of usage and budgets, and their rules.

use mainstay_domain::{Day, Error, Month, PersonId, Result};
use mainstay_store::{Call, GetUsage, ListUsage, MemberUsage, SetBudget, UsageOf};

use crate::accounts::Member;
use crate::app::App;

/// The most that a budget may be, in millionths: a thousand million.
const MOST_MICROS: i64 = 1_000_000_000_000_000;

/// What a member and their organisation have used in a month, and what they may use now.
///
/// # Errors
/// `not_found` when the organisation is gone.
pub async fn usage(app: &App, call: &Call, by: &Member, month: Month) -> Result<UsageOf> {
    let get = GetUsage { tenant: by.tenant, person: by.person, month, day: Day::of(app.clock.now()) };
    app.store.run(call, get).await?.ok_or_else(|| Error::not_found("organisation"))
}

/// What the people of the organisation have used in a month, after one of them.
///
/// # Errors
/// As every intent.
pub async fn members_usage(
    app: &App,
    call: &Call,
    by: &Member,
    month: Month,
    (after, limit): (PersonId, u32),
) -> Result<Vec<MemberUsage>> {
    let list = ListUsage { tenant: by.tenant, month, day: Day::of(app.clock.now()), after, limit };
    Ok(app.store.run(call, list).await?)
}

/// Sets or removes the budget of a member, or of the organisation as a whole. It holds for the next thing that is used.
///
/// # Errors
/// `invalid_input` for an amount that cannot be one, `not_found` for a member.
pub async fn set_budget(
    app: &App,
    call: &Call,
    by: &Member,
    member: Option<PersonId>,
    cost_micros: Option<i64>,
) -> Result<()> {
    if cost_micros.is_some_and(|cost| !(0..=MOST_MICROS).contains(&cost)) {
        let detail =
            format!("Give millionths of the currency's unit, from 0 to {MOST_MICROS}, or null to remove the budget.");
        return Err(Error::invalid_field("cost_micros", "out_of_range", detail));
    }
    let set = SetBudget { tenant: by.tenant, member, cost_micros, by: by.person, now: app.clock.now() };
    if app.store.run(call, set).await? { Ok(()) } else { Err(Error::not_found("member")) }
}
