//! What was used, and what may be used.

use mainstay_domain::{Amounts, Month, Plan, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::assistant::Listing;
use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::model::Page;

/// What was used in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Used {
    /// How much of what.
    #[serde(flatten)]
    pub amounts: Amounts,
    /// What is set aside for work under way, in millionths of the currency's unit.
    pub reserved_micros: i64,
}

/// A limit and how far it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct UsageLimit {
    /// Nothing: as much as there is.
    pub limit: Option<i64>,
    /// How much of it is used.
    pub used: i64,
    /// When it begins anew.
    pub resets_at: Timestamp,
}

/// What the plan allows of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct UsageAllowance {
    /// In a day, in UTC.
    pub day: UsageLimit,
    /// In a month, in UTC.
    pub month: UsageLimit,
}

/// What the plan allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct UsageLimits {
    /// Messages.
    pub messages: UsageAllowance,
    /// Images.
    pub images: UsageAllowance,
    /// Seconds of speech.
    pub voice_seconds: UsageAllowance,
    /// What models may cost in a month, in millionths, what is set aside included.
    pub cost_micros: UsageLimit,
}

/// The most that may be spent in a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Budget {
    /// In millionths of the currency's unit; nothing when there is none.
    pub cost_micros: Option<i64>,
    /// What is left of it, without what is set aside.
    pub left_micros: Option<i64>,
}

/// What an organisation as a whole has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct OrganisationUsage {
    /// How much.
    #[serde(flatten)]
    pub used: Used,
    /// What it may spend.
    pub budget: Budget,
}

/// What the person has used in a month, and what they may.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UsageOfMonth {
    /// Which month, in UTC.
    pub month: Month,
    /// What the organisation pays for.
    pub plan: Plan,
    /// What costs are in, such as `USD`.
    pub currency: String,
    /// How much.
    #[serde(flatten)]
    pub used: Used,
    /// What the plan allows in the present month; nothing for another.
    pub limits: Option<UsageLimits>,
    /// What the person may spend.
    pub budget: Budget,
    /// Of the organisation as a whole: administrators are told.
    pub organisation: Option<OrganisationUsage>,
}

/// What one person of the organisation has used in a month.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MemberUsage {
    /// The person.
    pub id: Uuid,
    /// Their address; people of outside issuers may have none.
    pub email: Option<String>,
    /// What they are called.
    pub name: String,
    /// How much.
    #[serde(flatten)]
    pub used: Used,
    /// What they may spend.
    pub budget: Budget,
}

#[derive(Serialize)]
struct SetBudget {
    cost_micros: Option<i64>,
}

impl Client {
    /// What the person has used in a month, the present one when none is named, and what they may use now.
    ///
    /// # Errors
    /// As every call.
    pub async fn usage(&self, month: Option<Month>) -> Result<UsageOfMonth, Error> {
        self.json(&Call::get("/v1/usage").query("month", month)).await
    }

    /// What each person of the organisation has used in a month, the present one when none is named; those who have used
    /// nothing are left out.
    ///
    /// # Errors
    /// As every call; `forbidden` for who is no administrator.
    pub async fn members_usage(&self, month: Option<Month>, page: &Listing) -> Result<Page<MemberUsage>, Error> {
        self.json(&page.of("/v1/usage/members").query("month", month)).await
    }

    /// Sets what the organisation as a whole may spend in a month, in millionths of the currency's unit; nothing removes
    /// the budget.
    ///
    /// # Errors
    /// As every call; `forbidden` for who is no administrator.
    pub async fn set_organisation_budget(&self, cost_micros: Option<i64>) -> Result<(), Error> {
        self.done(&Call::put("/v1/budgets/organisation").json(&SetBudget { cost_micros })?).await
    }

    /// Sets what one member may spend in a month, in millionths of the currency's unit; nothing removes the budget.
    ///
    /// # Errors
    /// As every call; `forbidden` for who is no administrator.
    pub async fn set_member_budget(&self, person: Uuid, cost_micros: Option<i64>) -> Result<(), Error> {
        self.done(&Call::put(format!("/v1/budgets/members/{person}")).json(&SetBudget { cost_micros })?).await
    }
}
