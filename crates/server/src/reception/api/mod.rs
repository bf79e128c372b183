//! The reception on the wire.

pub mod appointments;
pub mod availability;
pub mod contacts;
pub mod services;
pub mod settings;
pub mod staff;

use serde::{Deserialize, Deserializer};

/// Null is something else than nothing.
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
