//! The figures of calendars on this node, since its start.

use mainstay_domain::Timestamp;
use mainstay_store::CalendarStates;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct State {
    state: &'static str,
}

/// What is counted. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct CalendarFigures {
    writes: Family<Outcome, Counter>,
    reads: Family<Outcome, Counter>,
    notifications: Family<Outcome, Counter>,
    connections: Family<State, Gauge>,
    owed: Gauge,
}

impl CalendarFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        let f = &figures;
        registry.register(
            "mainstay_calendar_writes",
            "Appointments written into calendars, by what came of it",
            f.writes.clone(),
        );
        registry.register("mainstay_calendar_reads", "Readings of calendars, by what came of it", f.reads.clone());
        registry.register(
            "mainstay_calendar_notifications",
            "Notifications of changes in calendars: taken or refused",
            f.notifications.clone(),
        );
        registry.register(
            "mainstay_calendar_connections",
            "Connected calendars of all organisations, by state; the node that looked after them last counts them",
            f.connections.clone(),
        );
        registry.register(
            "mainstay_calendar_owed_seconds",
            "For how long the oldest change is owed to a calendar that could be written; counted as the connections are",
            f.owed.clone(),
        );
        figures
    }

    pub(super) fn wrote(&self, outcome: &'static str) {
        self.writes.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn read(&self, outcome: &'static str) {
        self.reads.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn notified(&self, outcome: &'static str) {
        self.notifications.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn states(&self, states: &CalendarStates, now: Timestamp) {
        for (state, count) in [("connected", states.connected), ("reconnect", states.reconnect)] {
            self.connections.get_or_create(&State { state }).set(i64::from(count));
        }
        let owed = states.owed_since.map_or(0, |since| now.since(since).as_secs());
        self.owed.set(i64::try_from(owed).unwrap_or(i64::MAX));
    }
}
