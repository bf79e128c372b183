//! Integration tests: one binary, whose modules are a table of contents.

#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod accounts;
mod architecture;
mod assistant;
mod audit;
mod billing;
mod client;
mod console;
mod contract;
mod crash;
mod deliveries;
mod documents;
mod flags;
mod inbox;
mod job_crash;
mod jobs;
mod keys;
mod limits;
mod live;
mod load;
mod observe;
mod overload;
mod process;
mod subscriptions;
mod support;
mod sync;
mod tenants;
mod tokens;
mod wire;
