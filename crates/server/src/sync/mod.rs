//! Delta sync: what changed since a cursor, when to come back, and what was written offline.
//!
//! "Nothing new" is answered from memory ([`heads`]) while this node is certain of what the others write, and from the
//! database otherwise. When clients come back is decided here too ([`pacing`]).

pub mod api;
pub mod heads;
#[cfg(test)]
mod heads_tests;
pub mod mutations;
pub mod pacing;
pub mod rows;
pub mod service;

pub use service::Sync;
