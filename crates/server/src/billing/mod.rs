//! What organisations pay for and what they use: plans, usage, budgets.
//!
//! The decision whether something may be used is the store's, in the transaction that uses it. Here it is read, shown and
//! set, and a refusal is put into words.

pub mod api;
pub mod fastspring;
mod figures;
mod refusal;
mod service;

pub use figures::BillingFigures;
pub use refusal::refusal;
pub use service::{members_usage, set_budget, usage};
