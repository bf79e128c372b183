//! Live updates: a client that is connected is told of a change when it is committed, so that polling is the fallback.
//!
//! A commit tells where its streams stand ([`Hub::committed_here`]); other nodes tell through Redis. Neither carries the
//! change: the hub reads it once for each stream that somebody follows, and gives it to all of its sockets. So a hint that
//! is lost costs a poll and never a change, and a hint that comes twice costs nothing.

pub mod api;
mod connects;
mod fanout;
mod figures;
pub mod hub;
mod outbox;
mod running;
mod socket;
mod tickets;

pub use connects::Connects;
pub use figures::register;
pub use hub::Hub;
pub use running::start;
pub use tickets::Tickets;
