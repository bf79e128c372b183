//! Calls on the phone, by way of a provider (Vapi): what its events tell of them, the answers that its agent waits for, the
//! tools that it uses, and what is read of all that.
//!
//! Whose a call is, is decided by the address that the provider calls and the secret that it signs with; never by what the
//! call says of itself. What a tool is given is written by a model that a caller talks to, so it names no organisation.

mod answer;
pub mod api;
mod figures;
mod masking;
mod service;
pub(crate) mod speech;
mod sweep;
pub(crate) mod tools;
pub(crate) mod vapi;

pub(crate) use answer::answer;
pub(crate) use masking::is_masked;
pub use service::Calls;
pub(crate) use sweep::sweep;
pub(crate) use vapi::process;
