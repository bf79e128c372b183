//! Speaking with the assistant: turn taking, speech in and out. docs/voice.md tells the protocol.
//!
//! A session is one task ([`session`]) that owns its line, its place, the connections to providers and the turn under way:
//! when it ends, by whatever way, all of that ends with it. Sound comes in through a [`gate`], a [`detector`] finds when
//! somebody speaks, a [`turn`] makes text of it, gives that to the assistant as a message and speaks the reply sentence by
//! sentence, and a [`pacer`] sends the sound no further ahead than a listener needs. Whoever speaks while the answer is
//! played stops it.

mod acting;
mod answering;
pub mod api;
mod desk;
mod detector;
mod figures;
mod gate;
mod line;
mod pacer;
mod reason;
mod sentences;
mod session;
mod speech;
mod stopping;
mod turn;
mod wire;

pub use desk::{Desk, start};
