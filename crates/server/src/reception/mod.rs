//! The reception: what an organisation offers, by whom and when, which times are free, and the appointments that are made.
//!
//! Whether a time is offered is judged by the hours; whether it is free is decided under a lock, where it is taken. What
//! is told as free may be gone a moment later, and whoever asks for it then is told what is free instead.

pub mod api;
mod availability;
mod booking;
mod calendars;
mod catalogue;
mod contacts;
mod figures;
mod settings;

use std::sync::Arc;

use mainstay_domain::{Clock, Error, FieldFault, Ids, Refused, Result};
use mainstay_store::Store;
use prometheus_client::registry::Registry;

use calendars::Calendars;
use figures::ReceptionFigures;

pub use availability::{Asked, Found, Free, MOST_DAYS};
pub use booking::{BOOKING, Change, Wish};
pub use catalogue::{ServiceWish, StaffWish};
pub use contacts::ContactWish;

/// The reception of every organisation, as this node sees it.
pub struct Reception {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Ids,
    calendars: Calendars,
    figures: ReceptionFigures,
}

impl Reception {
    /// Makes it ready.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, ids: Ids, registry: &mut Registry) -> Self {
        let figures = ReceptionFigures::register(registry);
        let calendars = Calendars::register(registry);
        Self { store, clock, ids, calendars, figures }
    }
}

/// What is wrong with what somebody sent, field by field.
#[derive(Default)]
struct Faults(Vec<FieldFault>);

impl Faults {
    /// Keeps what is good, and notes why something is not.
    fn keep<T>(&mut self, field: &str, read: std::result::Result<T, Refused>) -> Option<T> {
        read.map_err(|refused| self.0.push(refused.of(field))).ok()
    }

    fn add(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldFault::new(field, code, detail));
    }

    /// Nothing, when all is good.
    fn judge(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::invalid(self.0)) }
    }
}

/// What was read without a fault is there; that it is not is a bug.
fn read<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::internal("a field without a fault has no value"))
}
