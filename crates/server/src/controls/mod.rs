//! Emergency controls: what operators set while everything runs, for all nodes, each with an end, a reason and a trail.
//!
//! [`control`] has every control on one page. Each node reads what is set every two seconds ([`service`]) and keeps it in
//! memory ([`snapshot`]): a request looks there, which costs it nothing while nothing is set. While the database cannot be
//! read, the last reading holds, and everything in it still ends at its own moment by the clock.
//!
//! A part that is off answers 503 with `Retry-After`, or leaves its work undone for later: what was accepted stays.
//! `docs/operations/controls.md` tells what each is for.

pub mod api;
mod body;
mod control;
mod figures;
mod keeping;
pub mod service;
mod snapshot;

pub use self::body::{ControlBody, ControlChangeBody, ControlNameBody};
pub use self::control::{Catalogue, Control, Part, Setting, Values};
pub(crate) use self::keeping::KNOWN_WITHIN;
pub use self::keeping::start;
pub use self::service::Controls;
pub use self::snapshot::{Active, Snapshot};

/// The code of what is refused because a part is off.
pub(crate) const SWITCHED_OFF: &str = "switched_off";
