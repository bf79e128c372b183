//! The inbox of webhooks, as far as it needs neither a clock nor a store: who signed what arrived, and what it says.
//!
//! The order matters. The signature is checked over the bytes as they came, before anything reads them; what a body says
//! is read only after that.

mod form;
mod header;
pub mod signature;
pub mod sources;
