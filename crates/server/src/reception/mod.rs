//! The reception: what an organisation offers, by whom and when, which times are free, and the appointments that are made.
//!
//! Whether a time is offered is judged by the hours; whether it is free is decided under a lock, where it is taken. What
//! is told as free may be gone a moment later, and whoever asks for it then is told what is free instead.
//!
//! Lives in one process: what is remembered of calendars, and for ten seconds that an organisation has no reception.

pub mod api;
mod availability;
mod booking;
mod calendars;
mod catalogue;
mod contacts;
mod figures;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Clock, Error, Ids, Result, TenantId};
use mainstay_store::Store;
use moka::sync::Cache;
use prometheus_client::registry::Registry;

use calendars::Calendars;
use figures::ReceptionFigures;

pub use availability::{Asked, Found, Free, MOST_DAYS};
pub use booking::{BOOKING, Change, Shift, Wish};
pub use catalogue::{ServiceWish, StaffWish};
pub use contacts::ContactWish;

/// For how long it is remembered that an organisation has no reception, and of how many: its replies then cost no query. A
/// reception that another node has set up is used within that time.
const WITHOUT_FOR: Duration = Duration::from_secs(10);
const MOST_WITHOUT: u64 = 100_000;

/// The reception of every organisation, as this node sees it.
pub struct Reception {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Ids,
    calendars: Calendars,
    figures: ReceptionFigures,
    without: Cache<TenantId, ()>,
}

impl Reception {
    /// Makes it ready.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, ids: Ids, registry: &mut Registry) -> Self {
        let figures = ReceptionFigures::register(registry);
        let calendars = Calendars::register(registry);
        let without = Cache::builder().max_capacity(MOST_WITHOUT).time_to_live(WITHOUT_FOR).build();
        Self { store, clock, ids, calendars, figures, without }
    }
}

/// What was read without a fault is there; that it is not is a bug.
fn read<T>(value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::internal("a field without a fault has no value"))
}
