//! Feature flags and experiments: who gets what ([`assignment`]), from definitions that a node keeps in memory
//! ([`service`]); who was shown what ([`exposures`]); and what an experiment has found ([`results`], [`statistics`]).
//!
//! `docs/flags.md` tells how they are used and why the figures can be trusted.

pub mod api;
pub mod assignment;
mod exposures;
mod page;
mod results;
mod service;
pub mod statistics;

pub use exposures::Exposures;
pub use results::{Comparison, Results, VariantResult, Verdict};
pub use service::{Catalogue, Evaluated, Event, Flags, start};
