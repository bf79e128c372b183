//! The register of deployments: whoever deploys writes what was put where and what came of it, and operators and the audit
//! read it.

pub mod api;

use mainstay_domain::Timestamp;
use mainstay_store::Deployment;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An entry of the register.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeploymentBody {
    /// Its id.
    id: Uuid,
    /// Where to.
    #[schema(example = "production")]
    pub environment: String,
    /// The version of the program.
    pub version: String,
    /// The commit that it was built from, as whoever recorded it told.
    pub commit: String,
    /// SHA-256 of the program, in hexadecimal.
    pub digest: String,
    /// What was done: deploy or rollback.
    pub kind: String,
    /// What came of it: succeeded, failed or rolled_back.
    pub outcome: String,
    /// Why, in words; empty when nothing was said.
    pub reason: String,
    /// By whom, as they told.
    pub who: String,
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    pub began_at: Timestamp,
    /// When it was known what came of it.
    #[schema(value_type = String, format = DateTime)]
    pub ended_at: Timestamp,
}

impl From<Deployment> for DeploymentBody {
    fn from(one: Deployment) -> Self {
        let Deployment { id, environment, version, commit, digest, kind, outcome, reason, who, began_at, ended_at } =
            one;
        let (kind, outcome) = (kind.to_string(), outcome.to_string());
        Self { id, environment, version, commit, digest, kind, outcome, reason, who, began_at, ended_at }
    }
}
