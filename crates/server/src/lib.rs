//! The service: the HTTP API, the console and everything behind them, and the parts of the binary `mainstay`.

pub mod accounts;
pub mod app;
pub mod assistant;
pub mod billing;
pub mod cli;
pub mod config;
pub mod console;
pub mod deliveries;
pub mod flags;
pub mod http;
pub mod job_list;
pub mod jobs;
pub mod keys;
pub mod lifecycle;
pub mod limits;
pub mod live;
mod locking;
pub mod nodes;
pub mod openapi;
pub mod ops;
pub mod outgoing;
pub mod outside;
pub mod providers;
pub mod redis;
pub mod routes;
pub mod sync;
pub mod webhooks;
