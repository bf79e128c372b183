//! Outreach: campaigns that write to leads, and what is true of them whatever sends the mail.

mod state;

pub use state::{AccountState, CampaignState, EmailState, LeadState, StopReason, SuppressionReason};
