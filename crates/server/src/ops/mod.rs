//! What an operator needs: health, figures, housekeeping.

pub mod health;
pub mod housekeeping;
pub mod metrics;
pub mod pools;
pub mod probe;
