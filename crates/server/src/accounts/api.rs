//! The wire of accounts.

pub mod api_keys;
pub mod auth;
pub mod members;

use mainstay_domain::{Plan, Role, Timestamp};
use mainstay_store::Membership;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserBody {
    /// Their id.
    pub id: Uuid,
    /// Their address; people of outside issuers may have none.
    pub email: Option<String>,
    /// What they are called.
    pub name: String,
}

/// An organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganisationBody {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// What it pays for.
    #[schema(value_type = crate::openapi::words::Plan, example = "free")]
    pub plan: Plan,
}

impl From<&Membership> for OrganisationBody {
    fn from(membership: &Membership) -> Self {
        Self { id: membership.tenant.uuid(), name: membership.organisation.clone(), plan: membership.plan }
    }
}

/// A person's place in an organisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct MembershipBody {
    /// The organisation.
    pub organisation: OrganisationBody,
    /// What the person may do in it.
    #[schema(value_type = crate::openapi::words::Role, example = "owner")]
    pub role: Role,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

impl From<&Membership> for MembershipBody {
    fn from(membership: &Membership) -> Self {
        Self { organisation: membership.into(), role: membership.role, since: membership.since }
    }
}
