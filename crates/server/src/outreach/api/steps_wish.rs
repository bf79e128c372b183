//! The steps of a campaign, as they are asked for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::service::{StepWish, VariantWish};

/// One of the texts of a step. Of several, each lead gets one by their weights, and always the same.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StepVariantWish)]
pub struct VariantBody {
    /// What it is called within the step.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: String,
    /// Its share: 0 to 10,000.
    #[serde(default = "one")]
    #[schema(maximum = 10_000)]
    weight: u32,
    /// With fields such as {{first_name}}, or {{first_name | "there"}} for leads without one.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    subject: String,
    #[schema(min_length = 1, pattern = r"\S")]
    text: String,
    #[serde(default)]
    html: Option<String>,
}

const fn one() -> u32 {
    1
}

/// A step of a campaign.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignStepWish)]
pub struct StepBody {
    /// How long after the step before it: `3d` at the same hour, or `12h`. Of the first, `0d`.
    #[schema(value_type = crate::openapi::words::Delay)]
    delay: String,
    #[schema(min_items = 1, max_items = 10)]
    variants: Vec<VariantBody>,
}

/// The steps of a campaign.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignStepsWish)]
pub struct StepsBody {
    #[schema(min_items = 1, max_items = 20)]
    steps: Vec<StepBody>,
}

impl From<VariantBody> for VariantWish {
    fn from(body: VariantBody) -> Self {
        let VariantBody { name, weight, subject, text, html } = body;
        Self { name, weight, subject, text, html }
    }
}

impl From<StepsBody> for Vec<StepWish> {
    fn from(body: StepsBody) -> Self {
        let step = |body: StepBody| StepWish {
            delay: body.delay,
            variants: body.variants.into_iter().map(VariantWish::from).collect(),
        };
        body.steps.into_iter().map(step).collect()
    }
}
