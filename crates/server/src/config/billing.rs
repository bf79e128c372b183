//! The section `[billing]`.

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

use super::Fault;

/// Plans, usage and budgets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Billing {
    /// What prices, costs and budgets are in: three letters (ISO 4217).
    pub currency: String,
    /// What is paid for at FastSpring.
    pub fastspring: FastSpring,
}

/// What is paid for at FastSpring.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FastSpring {
    /// The secret of the webhook at FastSpring; while it is replaced both, with a space between them. Empty: /hooks/fastspring is not there.
    pub webhook_secrets: Secret,
    /// A file that holds the secrets.
    pub webhook_secrets_file: String,
}

impl FastSpring {
    /// Each secret.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.webhook_secrets.expose().split_whitespace().map(|secret| Secret::new(secret.to_owned())).collect()
    }
}

impl Billing {
    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if self.currency.len() != 3 || !self.currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
            let reason = "is no currency";
            faults.push(Fault::new("billing.currency", reason, "Write its three letters, as USD or EUR (ISO 4217)"));
        }
    }
}
