//! Mail that is right: written, signed, checked, handed over by stages, what comes back read, and the domain that it is sent
//! from looked at.
//!
//! - [`message`] writes one letter to one person as it stands on the wire. Nothing that a person typed can add a header.
//! - [`dkim`] signs it (RFC 6376, RFC 8463).
//! - [`lint`] checks a raw message without knowing the writer.
//! - [`smtp`] hands it over. The stages are apart, so that whoever keeps the books can write them before the first byte
//!   that could make the server accept, and whatever is in doubt afterwards is said to be in doubt.
//! - [`dns`] asks name servers what there is under a name.
//! - [`domain_check`] tells what the DNS says about a sender, and the cure for what is missing.
//! - [`imap`] reads a mailbox, without leaving a trace in it.
//! - [`heard`] tells apart what comes back into a mailbox: bounces, complaints, automatic answers, replies.
//!
//! Nothing here knows a tenant, a database or a configuration.

pub mod dkim;
pub mod dns;
pub mod domain_check;
pub mod heard;
pub mod imap;
pub mod lint;
pub mod message;
pub mod smtp;
mod stream;
mod tags;
