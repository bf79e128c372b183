//! What this node remembers of calendars.
//!
//! Exact, though nobody tells it of changes: a calendar has a number that is counted up with each, and whoever reads says
//! which numbers they know. The store reads those numbers and what is not known in one snapshot, so what is remembered is
//! used only while it is what the database has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mainstay_domain::{Span, StaffId, TenantId};
use mainstay_store::{StaffTime, TakenTime};
use moka::sync::Cache;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The most that is remembered of all organisations, in bytes.
const MOST_BYTES: u64 = 32 * 1024 * 1024;
/// What one remembered calendar takes beside its times, in bytes.
const OWN_BYTES: usize = 160;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What is taken of somebody's time within a stretch.
#[derive(Debug)]
pub(super) struct Calendar {
    version: i64,
    within: Span,
    pub(super) taken: Vec<TakenTime>,
}

type Known = Arc<BTreeMap<StaffId, Arc<Calendar>>>;

/// The calendars that are remembered, by organisation.
pub(super) struct Calendars {
    cache: Cache<TenantId, Known>,
    bytes: Gauge<u64, AtomicU64>,
    looks: Family<Outcome, Counter>,
}

impl Calendars {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let weigh = |_: &TenantId, known: &Known| {
            let each = |one: &Arc<Calendar>| one.taken.len() * size_of::<TakenTime>() + OWN_BYTES;
            u32::try_from(known.values().map(each).sum::<usize>()).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(MOST_BYTES).weigher(weigh).build();
        let (bytes, looks) = (Gauge::default(), Family::default());
        registry.register("mainstay_calendar_cache_bytes", "What is remembered of calendars", bytes.clone());
        registry.register(
            "mainstay_calendar_cache_looks",
            "Calendars that were needed, by whether they were remembered: hit or miss",
            looks.clone(),
        );
        Self { cache, bytes, looks }
    }

    /// The numbers of the calendars that are known for all of a stretch.
    pub(super) fn versions(&self, tenant: TenantId, within: Span) -> BTreeMap<StaffId, i64> {
        let Some(known) = self.cache.get(&tenant) else { return BTreeMap::new() };
        let whole = known.iter().filter(|(_, calendar)| calendar.within.holds(within));
        whole.map(|(staff, calendar)| (*staff, calendar.version)).collect()
    }

    /// The calendars of these people within a stretch: what was read, of a longer one, is remembered, and what was known is
    /// given. Nothing when one is neither, since it was forgotten meanwhile.
    pub(super) fn take(
        &self,
        tenant: TenantId,
        (within, whole): (Span, Span),
        staff: &mut [StaffTime],
    ) -> Option<BTreeMap<StaffId, Arc<Calendar>>> {
        let before = self.cache.get(&tenant).unwrap_or_default();
        let (mut needed, mut read) = (BTreeMap::new(), BTreeMap::new());
        for one in staff {
            let (id, version) = (one.staff.id, one.version);
            let calendar = match one.taken.take() {
                Some(taken) => {
                    let calendar = Arc::new(Calendar { version, within: whole, taken });
                    read.insert(id, Arc::clone(&calendar));
                    calendar
                }
                None => {
                    let known = before.get(&id).filter(|known| known.version == version && known.within.holds(within));
                    Arc::clone(known?)
                }
            };
            needed.insert(id, calendar);
        }
        for (outcome, count) in [("miss", read.len()), ("hit", needed.len() - read.len())] {
            self.looks.get_or_create(&Outcome { outcome }).inc_by(count as u64);
        }
        if !read.is_empty() {
            // Who else has read meanwhile may be overwritten: they are read again.
            let mut after = BTreeMap::clone(&before);
            after.append(&mut read);
            self.cache.insert(tenant, Arc::new(after));
            self.bytes.set(self.cache.weighted_size());
        }
        Some(needed)
    }
}
