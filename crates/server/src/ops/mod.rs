//! What an operator needs: health, figures, housekeeping.

pub mod audit;
pub mod backup;
pub mod health;
pub mod housekeeping;
pub mod metrics;
pub mod pools;
pub mod preflight;
pub mod probe;
pub mod process;
