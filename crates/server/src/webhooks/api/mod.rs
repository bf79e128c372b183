//! `/v1/inbox-sources` and `/v1/inbox`.

pub mod events;
pub mod senders;
