//! What somebody is told whose limit is spent.

use mainstay_domain::{Day, Error, Kind, Meter, Month, Spent, Timestamp};

/// The refusal. What comes back by itself, the day's and the month's allowance of the plan, is 429 with the time until
/// then; a budget, which somebody has to raise, is 402 (RFC 9110, section 15.5.3).
#[must_use]
pub fn refusal(spent: Spent, now: Timestamp) -> Error {
    let wait_until = |moment: Timestamp| moment.since(now);
    let quota = |detail: String, until: Timestamp| {
        Error::new(Kind::TooManyRequests, "quota_exceeded", detail).retry_after(wait_until(until))
    };
    match spent {
        Spent::Daily(meter) => {
            let detail =
                format!("Your plan allows no more {} today (UTC). Wait for tomorrow, or change the plan.", noun(meter));
            quota(detail, Day::of(now).end())
        }
        Spent::Monthly(meter) => {
            let detail = format!(
                "Your plan allows no more {} this month (UTC). Wait for the next month, or change the plan.",
                noun(meter)
            );
            quota(detail, Month::of(now).next().start())
        }
        Spent::PlanCost => {
            let detail = "What your plan includes for models is used up for this month. Wait for the next month, or change \
                          the plan.";
            quota(detail.to_owned(), Month::of(now).next().start())
        }
        Spent::PersonBudget => {
            budget("Your budget for this month is spent. An administrator of the organisation can raise it.")
        }
        Spent::OrganisationBudget => {
            budget("The budget of the organisation for this month is spent. One of its administrators can raise it.")
        }
    }
}

fn budget(detail: &'static str) -> Error {
    Error::new(Kind::PaymentRequired, "budget_spent", detail)
}

const fn noun(meter: Meter) -> &'static str {
    match meter {
        Meter::Messages => "messages",
        Meter::Images => "images",
        Meter::VoiceSeconds => "speech",
    }
}
