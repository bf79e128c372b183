//! The client against a server that does what a test says, over real sockets.

#![expect(clippy::expect_used, reason = "a test fails where something is not as it must be")]

mod calls;
mod live;
mod replica;
mod streaming;
mod support;
