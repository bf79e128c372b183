//! The binary as people run it: starting, stopping, refusing, and the commands beside `serve`.

mod commands;
mod migrations;
mod outage;
mod pooler;
mod secrets;
mod serving;
mod storage;
