//! Alerts: what is wrong is told to people, with its cause, the first step and where to look.
//!
//! Every node tells of itself every ten seconds (`ops/system`). One node judges all of it by [`rules`], keeps what is wrong
//! in the database, so that another can go on, and promises a message for each receiver in the same transaction.

pub mod api;
pub mod judge;
pub mod message;
pub mod round;
pub mod rules;
pub mod send;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use mainstay_domain::{Clock, Result};
use mainstay_store::Store;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use self::send::Sender;
use crate::app::App;
use crate::config;
use crate::outgoing::Lookup;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RoundLabel {
    outcome: &'static str,
}

/// Alerts, as far as this node has to do with them.
pub struct Alerts {
    /// Who is told.
    pub sender: Sender,
    rounds: Family<RoundLabel, Counter>,
    firing: Gauge<i64, AtomicI64>,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").field("receivers", &self.sender.receivers()).finish_non_exhaustive()
    }
}

impl Alerts {
    /// Ready to judge and to tell, as the settings say.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(
        settings: &config::Alerts,
        parts: (Store, Arc<dyn Clock>),
        lookup: Arc<dyn Lookup>,
        registry: &mut Registry,
    ) -> Result<Self> {
        let sender = Sender::new(settings, parts, lookup, registry)?;
        let (rounds, firing) = (Family::default(), Gauge::default());
        let help = "Rounds in which alerts were judged, or not because another node does";
        registry.register("mainstay_alert_rounds", help, Family::clone(&rounds));
        let help = "Alerts that fired at the last round of this node; 0 on a node that stands by";
        registry.register("mainstay_alerts_firing", help, Gauge::clone(&firing));
        Ok(Self { sender, rounds, firing })
    }

    fn count_round(&self, outcome: &'static str) {
        self.rounds.get_or_create(&RoundLabel { outcome }).inc();
        if outcome != "done" {
            self.firing.set(0);
        }
    }

    fn set_firing(&self, count: usize) {
        self.firing.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many fired at this node's last round.
    #[must_use]
    pub fn firing(&self) -> i64 {
        self.firing.get()
    }
}

/// The address of the installation, for links.
#[must_use]
pub fn installation(app: &App) -> String {
    app.config.http.public_address(app.config.http.port)
}

/// Starts judging, if this node may.
pub fn start(app: &Arc<App>) {
    if app.config.alerts.enabled {
        round::start(app);
    }
}
