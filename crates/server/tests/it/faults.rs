//! Faults, each put into the real binary while it works, and what holds then. `docs/operations/faults.md` is the table of
//! all of them. Those that have tests of their own are elsewhere: a kill (`crash`, `job_crash`), a restart of PostgreSQL
//! and a full disk (`process`), Redis, providers and receivers (beside what calls them).

pub(crate) mod clock;
mod database;
mod descriptors;
mod memory;
mod stopping;
