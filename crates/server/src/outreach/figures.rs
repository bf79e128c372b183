//! The figures of outreach on this node, since its start.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Bounds of the histograms, in seconds.
const STAGES: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 15.0, 120.0];
const DELAYS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HitLabel {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

/// A step of an email on its way out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// It is taken.
    Claim,
    /// It is written and signed.
    Compose,
    /// A line to the server is opened.
    Open,
    /// It is offered to the server, up to the server's word to go on.
    Offer,
    /// It is said to be in flight, and that is on the disk.
    Fence,
    /// It is handed over, up to the server's word.
    Deliver,
    /// What the server said is on the disk.
    End,
}

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Compose => "compose",
            Self::Open => "open",
            Self::Offer => "offer",
            Self::Fence => "fence",
            Self::Deliver => "deliver",
            Self::End => "end",
        }
    }
}

/// What is counted. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct OutreachFigures {
    emails: Family<OutcomeLabel, Counter>,
    steps: Family<StageLabel, Histogram>,
    delay: Histogram,
    left: Family<OutcomeLabel, Counter>,
    stops: Family<OutcomeLabel, Counter>,
    tried: Family<OutcomeLabel, Counter>,
    imported: Family<OutcomeLabel, Counter>,
    hits: Family<HitLabel, Counter>,
    heard: Family<OutcomeLabel, Counter>,
    exports: Family<OutcomeLabel, Counter>,
    exporting: Gauge,
}

impl OutreachFigures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self {
            emails: Family::default(),
            steps: Family::new_with_constructor(|| Histogram::new(STAGES)),
            delay: Histogram::new(DELAYS),
            left: Family::default(),
            stops: Family::default(),
            tried: Family::default(),
            imported: Family::default(),
            hits: Family::default(),
            heard: Family::default(),
            exports: Family::default(),
            exporting: Gauge::default(),
        };
        let f = &figures;
        registry.register(
            "mainstay_outreach_emails",
            "Emails by what came of them: accepted, deferred, released, rejected, unknown or stopped",
            f.emails.clone(),
        );
        registry.register_with_unit(
            "mainstay_outreach_step",
            "What each step of an email takes: claim, compose, open, offer, fence, deliver or end",
            Unit::Seconds,
            f.steps.clone(),
        );
        registry.register_with_unit(
            "mainstay_outreach_delay",
            "From the moment that an email was due until a server had it",
            Unit::Seconds,
            f.delay.clone(),
        );
        registry.register(
            "mainstay_outreach_left",
            "Emails that a run found from the one before it: claimed, which are sent, or in_flight, which are unknown now",
            f.left.clone(),
        );
        registry.register(
            "mainstay_outreach_test_emails",
            "Emails that try a text, by what came of them: accepted, refused or unknown",
            f.tried.clone(),
        );
        registry.register(
            "mainstay_outreach_import_rows",
            "Rows of lists that were read into campaigns: good, or bad with something wrong in them",
            f.imported.clone(),
        );
        registry.register(
            "mainstay_outreach_hits",
            "Requests for images (open) and links (click) of emails: human, machine, gone with their email, or lost because they could not be noted",
            f.hits.clone(),
        );
        registry.register(
            "mainstay_outreach_heard",
            "Messages of mailboxes by what they are: reply, automatic, bounce, soft_bounce, delayed, complaint, unsubscribe, other, or unmatched with any email; emails that were found_sent; and failed attempts to read one",
            f.heard.clone(),
        );
        figures.register_exports(registry);
        registry.register("mainstay_outreach_stops", "Leads that are written to no more, by why", f.stops.clone());
        figures
    }

    fn register_exports(&self, registry: &mut Registry) {
        registry.register(
            "mainstay_outreach_exports",
            "Tables of leads and figures by how they ended: finished, gone with their client, failed, or refused because too many were being made",
            self.exports.clone(),
        );
        registry.register(
            "mainstay_outreach_exports_running",
            "Tables of leads and figures that are being made",
            self.exporting.clone(),
        );
    }

    /// So many tables are being made.
    pub(super) fn exporting(&self, running: usize) {
        self.exporting.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    /// A table has ended so, and so many are still being made.
    pub(super) fn exported(&self, outcome: &'static str, running: usize) {
        self.exports.get_or_create(&OutcomeLabel { outcome }).inc();
        self.exporting(running);
    }

    pub(super) fn email(&self, outcome: &'static str) {
        self.emails.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Rows of a list, and how many of them were bad.
    pub(super) fn imported(&self, rows: usize, bad: u64) {
        self.imported.get_or_create(&OutcomeLabel { outcome: "good" }).inc_by((rows as u64).saturating_sub(bad));
        self.imported.get_or_create(&OutcomeLabel { outcome: "bad" }).inc_by(bad);
    }

    /// Something of an email was asked for.
    pub(super) fn hit(&self, kind: &'static str, outcome: &'static str) {
        self.hits.get_or_create(&HitLabel { kind, outcome }).inc();
    }

    /// Something was heard in a mailbox.
    pub(super) fn heard(&self, outcome: &'static str) {
        self.heard.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// What came of an email that tries a text.
    pub(super) fn tried(&self, outcome: &'static str) {
        self.tried.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(super) fn accepted(&self, delay: Duration) {
        self.email("accepted");
        self.delay.observe(delay.as_secs_f64());
    }

    pub(super) fn step(&self, step: Step, took: Duration) {
        self.steps.get_or_create(&StageLabel { stage: step.as_str() }).observe(took.as_secs_f64());
    }

    pub(super) fn left(&self, (claimed, in_flight): (usize, usize)) {
        self.left.get_or_create(&OutcomeLabel { outcome: "claimed" }).inc_by(claimed as u64);
        self.left.get_or_create(&OutcomeLabel { outcome: "in_flight" }).inc_by(in_flight as u64);
    }

    pub(super) fn stopped(&self, why: &'static str) {
        self.stops.get_or_create(&OutcomeLabel { outcome: why }).inc();
    }
}
