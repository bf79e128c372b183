//! How the system is: each node tells of itself every ten seconds, and the views `system_health` and `system_health_node`
//! say what that comes to over five minutes.

pub mod api;
mod sampler;

pub use sampler::{SampleFigures, start};
