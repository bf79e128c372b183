//! How it is known how it goes: health, the log, alerts.

mod alerts;
mod canaries;
mod figures;
mod health;
mod logs;
mod replays;
mod reports;
mod traces;
