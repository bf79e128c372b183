//! Calendars on the wire.

pub mod conflicts;
pub mod connections;
pub mod feeds;
pub mod notifications;
