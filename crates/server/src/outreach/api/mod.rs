//! `/v1/campaigns`, `/v1/imports`, `/v1/leads`, `/v1/sending-accounts`, `/v1/gmail-sign-ins`, `/v1/emails` and `/v1/suppressions`.

pub mod accounts;
pub mod campaign_sums;
pub mod campaigns;
pub mod checklist;
pub mod conversions;
pub mod emails;
pub mod exports;
pub mod imports;
pub mod leads;
pub mod mailboxes;
pub mod steps_wish;
pub mod suppressions;
pub mod test_emails;
