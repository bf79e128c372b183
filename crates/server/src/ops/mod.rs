//! What an operator needs: health, figures, housekeeping.

pub mod alerts;
pub mod audit;
pub mod health;
pub mod housekeeping;
pub mod log;
pub mod metrics;
pub mod pools;
pub mod probe;
pub mod process;
pub mod system;
