//! What organisations pay for and what they use: plans, usage, budgets.
//!
//! The decision whether something may be used is the store's, in the transaction that uses it. Here it is read, shown and
//! set, and a refusal is put into words.

pub mod api;
mod apply;
pub mod fastspring;
mod figures;
pub mod orders;
pub mod plan_api;
mod plans;
mod provider;
mod refusal;
mod service;

pub(crate) use apply::run_review;
pub use apply::{Applied, BillingReview, NotApplied, ORGANISATION_TAG, apply_fastspring, look};
pub use figures::BillingFigures;
pub use provider::FastSpringApi;
pub use refusal::refusal;
pub use service::{members_usage, set_budget, usage};
