//! The wire of deliveries: `/v1/webhook-endpoints`, `/v1/webhook-events` and `/v1/webhook-deliveries`.

pub mod endpoints;
pub mod events;
