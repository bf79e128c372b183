//! Integration tests: one binary, whose modules are a table of contents.

#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod accounts;
mod architecture;
mod assistant;
mod audit;
mod backups;
mod billing;
mod calendars;
mod calls;
mod client;
mod console;
mod contract;
mod controls;
mod crash;
mod deliveries;
mod deploy;
mod documents;
mod faults;
mod flags;
mod images;
mod inbox;
mod job_crash;
mod jobs;
mod keys;
mod knowledge;
mod limits;
mod live;
mod load;
mod observe;
mod outreach;
mod overload;
mod people;
mod preflight;
mod process;
mod reception;

mod secrets;
mod subscriptions;
mod support;
mod sync;
mod tenants;
mod texts;
mod tls;
mod tokens;
mod trail;
mod voice;
mod wire;
