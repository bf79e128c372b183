//! `mainstay plan`.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use mainstay_domain::{Allowance, Error, Meter, Plan, PlanLimits, TenantId};
use mainstay_store::{Call, ListPlanChanges, ListPlans, PlanChange, SetPlan, SetPlanLimits};
use uuid::Uuid;

use super::user::address;
use super::{Answer, open};
use crate::app::App;
use crate::config::Config;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum PlanCommand {
    /// Show what each plan allows a person
    List,
    /// Change what a plan allows a person; what is not named stays
    ///
    /// For example `mainstay plan limits free --messages-per-day 100 --cost-per-month 1.50`. `none` takes a limit away. It
    /// holds for the next thing that is used, on every node.
    Limits {
        /// free, core or studio
        plan: Plan,
        #[command(flatten)]
        limits: LimitArguments,
    },
    /// Say which plan an organisation has
    ///
    /// It holds for the next thing that is used, on every node, and until the provider of billing tells something new.
    Assign {
        /// free, core or studio
        plan: Plan,
        /// The id of the organisation
        #[arg(long, required_unless_present = "email", conflicts_with = "email")]
        organisation: Option<Uuid>,
        /// The address of a person: their oldest organisation
        #[arg(long)]
        email: Option<String>,
    },
    /// Show why the plan of an organisation changed, the last change first
    History {
        /// The id of the organisation
        #[arg(long)]
        organisation: Uuid,
        /// How many changes at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Set the plan that follows from the subscriptions of an organisation and the settings as they are now
    ///
    /// For example after a product was added to billing.fastspring.products.
    Review {
        /// The id of the organisation
        #[arg(long)]
        organisation: Uuid,
    },
}

#[derive(Args, Debug)]
pub(super) struct LimitArguments {
    /// Messages in a day of UTC
    #[arg(long, value_name = "NUMBER|none")]
    messages_per_day: Option<Most<Count>>,
    /// Messages in a month
    #[arg(long, value_name = "NUMBER|none")]
    messages_per_month: Option<Most<Count>>,
    /// Images in a day
    #[arg(long, value_name = "NUMBER|none")]
    images_per_day: Option<Most<Count>>,
    /// Images in a month
    #[arg(long, value_name = "NUMBER|none")]
    images_per_month: Option<Most<Count>>,
    /// Seconds of speech in a day
    #[arg(long, value_name = "NUMBER|none")]
    voice_seconds_per_day: Option<Most<Count>>,
    /// Seconds of speech in a month
    #[arg(long, value_name = "NUMBER|none")]
    voice_seconds_per_month: Option<Most<Count>>,
    /// What models may cost in a month, in the currency's unit: 2.50
    #[arg(long, value_name = "AMOUNT|none")]
    cost_per_month: Option<Most<Money>>,
}

/// A number, or none.
#[derive(Clone, Copy, Debug)]
struct Most<T>(Option<T>);

impl<T: FromStr> FromStr for Most<T> {
    type Err = T::Err;
    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(|number| Self(Some(number))) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Count(i64);

impl FromStr for Count {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let number: u32 = text.parse().map_err(|_| "write a whole number from 0 to 4294967295, or none")?;
        Ok(Self(i64::from(number)))
    }
}

/// Millionths.
#[derive(Clone, Copy, Debug)]
struct Money(i64);

impl FromStr for Money {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let refused = "write an amount as 2.50, with at most six decimals, or none";
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 6 || whole.len() > 9 {
            return Err(refused);
        }
        let whole: i64 = whole.parse().map_err(|_| refused)?;
        let part: i64 = format!("{part:0<6}").parse().map_err(|_| refused)?;
        Ok(Self(whole * 1_000_000 + part))
    }
}

impl LimitArguments {
    fn apply(&self, limits: PlanLimits) -> PlanLimits {
        let count = |most: Option<Most<Count>>, old| most.map_or(old, |most| most.0.map(|count| count.0));
        let both = |day, month, old: Allowance| Allowance {
            per_day: count(day, old.per_day),
            per_month: count(month, old.per_month),
        };
        PlanLimits {
            messages: both(self.messages_per_day, self.messages_per_month, limits.messages),
            images: both(self.images_per_day, self.images_per_month, limits.images),
            voice_seconds: both(self.voice_seconds_per_day, self.voice_seconds_per_month, limits.voice_seconds),
            cost_micros_per_month: self
                .cost_per_month
                .map_or(limits.cost_micros_per_month, |most| most.0.map(|money| money.0)),
        }
    }
}

pub(super) async fn run(command: PlanCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    let call = Call::within(PATIENCE);
    match command {
        PlanCommand::List => Ok(Answer::good(table(&app, &call).await?)),
        PlanCommand::Limits { plan, limits } => {
            let plans = app.store.run(&call, ListPlans).await?;
            let old = plans.into_iter().find(|(name, _)| *name == plan).map(|(_, limits)| limits).unwrap_or_default();
            app.store.run(&call, SetPlanLimits(plan, limits.apply(old))).await?;
            Ok(Answer::good(table(&app, &call).await?))
        }
        PlanCommand::Assign { plan, organisation, email } => {
            let tenant = match (organisation, email) {
                (Some(id), _) => TenantId(id),
                (None, email) => {
                    let email = address(&email.unwrap_or_default())?;
                    app.accounts.home_of(&call, &email).await?
                }
            };
            let cause = "An operator set it.".to_owned();
            let set = SetPlan { tenant, plan, cause, now: app.clock.now() };
            if !app.store.run(&call, set).await? {
                return Err(Error::not_found("organisation").into());
            }
            Ok(Answer::good(format!("The organisation {tenant} has the plan {plan}.\n")))
        }
        PlanCommand::History { organisation, limit } => {
            let list = ListPlanChanges { tenant: TenantId(organisation), limit };
            Ok(Answer::good(history(&app.store.run(&call, list).await?)))
        }
        PlanCommand::Review { organisation } => {
            let tenant = TenantId(organisation);
            let changed = crate::billing::look(&app, &call, tenant, None).await?;
            Ok(Answer::good(match changed {
                Some((from, to)) => format!("The organisation {tenant} had the plan {from} and has {to}.\n"),
                None => format!("The plan of the organisation {tenant} is as it should be.\n"),
            }))
        }
    }
}

/// Why a plan changed, for people.
fn history(changes: &[PlanChange]) -> String {
    if changes.is_empty() {
        return "The plan has never changed.\n".to_owned();
    }
    let mut text = String::new();
    for PlanChange { from, to, cause, at, .. } in changes {
        let _ = writeln!(text, "{at}  {:<8}{:<8}{cause}", from.as_str(), to.as_str());
    }
    text
}

/// What each plan allows, for people.
async fn table(app: &App, call: &Call) -> Result<String, Answer> {
    let plans = app.store.run(call, ListPlans).await?;
    let shown = |limit: Option<i64>| limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
    let mut text = format!("{:<8}{:<16}{:>12}{:>12}\n", "plan", "of", "a day", "a month");
    for (plan, limits) in plans {
        for meter in Meter::ALL {
            let Allowance { per_day, per_month } = limits.of(*meter);
            let _ = writeln!(
                text,
                "{:<8}{:<16}{:>12}{:>12}",
                plan.as_str(),
                meter.as_str(),
                shown(per_day),
                shown(per_month)
            );
        }
        let cost = limits.cost_micros_per_month.map_or_else(|| "none".to_owned(), money);
        let of = format!("cost ({})", app.config.billing.currency);
        let _ = writeln!(text, "{:<8}{:<16}{:>12}{:>12}", plan.as_str(), of, "", cost);
    }
    Ok(text)
}

fn money(micros: i64) -> String {
    let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
    let part = format!("{part:06}");
    let part = part.trim_end_matches('0');
    format!("{whole}.{part:0<2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_and_shown_to_the_millionth() {
        for (text, micros, shown) in
            [("2.50", 2_500_000, "2.50"), ("0", 0, "0.00"), ("12", 12_000_000, "12.00"), ("0.000001", 1, "0.000001")]
        {
            assert_eq!(text.parse::<Money>().map(|money| money.0), Ok(micros));
            assert_eq!(money(micros), shown);
        }
        for bad in ["", "-1", "1.", ".5", "1.0000001", "1,5", "1e3", "9999999999"] {
            assert!(bad.parse::<Money>().is_err(), "{bad:?} was taken");
        }
    }
}
