//! Conversations with a model.
//!
//! A message is accepted by one commit that also promises its reply. The reply belongs to the server: it is made in a task
//! of its own, whoever listens, saved once a second together with all others, and settled by one commit when it ends.
//! Listeners follow it through [`live`], on the node that makes it, or read what was saved, on any other.

pub mod api;
mod bids;
mod events;
mod following;
mod history;
mod keeper;
mod known;
mod listening;
mod live;
pub mod parts;
mod pictures;
mod render;
mod runner;
mod service;
mod tools;

pub use render::to_html;
pub use service::{Assistant, SendRequest, Sent};
