//! The reception on the wire.

pub mod appointments;
pub mod availability;
pub mod contacts;
pub mod services;
pub mod settings;
pub mod staff;
