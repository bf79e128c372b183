//! The section `[billing]`.

use serde::{Deserialize, Serialize};

use super::Fault;

/// Plans, usage and budgets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Billing {
    /// What prices, costs and budgets are in: three letters (ISO 4217).
    pub currency: String,
}

impl Billing {
    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if self.currency.len() != 3 || !self.currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
            let reason = "is no currency";
            faults.push(Fault::new("billing.currency", reason, "Write its three letters, as USD or EUR (ISO 4217)"));
        }
    }
}
