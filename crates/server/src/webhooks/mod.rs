//! The inbox of webhooks: who signed what arrived, and what it says; storing it once; processing it by jobs.
//!
//! The order matters. The signature is checked over the bytes as they came, before anything reads them; what a body says
//! is read only after that; the sender is told only once it is on the disk. `docs/inbox.md` tells how it is used.

mod access_token;
mod answers;
pub mod api;
mod figures;
mod form;
mod header;
mod inbox;
pub mod processors;
pub mod receive;
pub mod scheme;
pub mod service;
pub mod signature;
pub mod sources;
mod subjects;
pub(crate) mod work;

pub use figures::InboxFigures;
pub(crate) use inbox::secrets;
pub use inbox::{Inbox, LastRefusal};
