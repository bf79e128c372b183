//! The section `[errors]`.

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

use super::Fault;
use crate::ops::errors::is_dsn;

/// Telling a server of errors, by the protocol of Sentry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Errors {
    /// Where errors are told: `https://KEY@host/PROJECT`.
    pub dsn: Secret,
    /// A file that holds the address.
    pub dsn_file: String,
    /// What the installation is called there.
    pub environment: String,
}

impl Errors {
    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        // The address is a secret: the fault says nothing of it.
        if !self.dsn.is_empty() && !is_dsn(self.dsn.expose()) {
            let cure = "Copy it whole from the settings of the project: https://KEY@host/PROJECT";
            faults.push(Fault::new("errors.dsn", "is no DSN", cure));
        }
        if self.environment.is_empty() || self.environment.len() > 64 || self.environment.contains(['/', ' ', '\n']) {
            let cure = "Write a word such as production or staging";
            faults.push(Fault::new("errors.environment", "is no name of an environment", cure));
        }
    }
}
