//! What the server tells: its log, its traces, its figures, its error reports and its alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use super::minting::{AREA, MARKER, Mint};
use crate::support::receiver::{Arrival, Receiver};

/// How many leaks are shown at the most.
const MOST_SHOWN: usize = 60;
/// How much of a text is shown, in characters.
const LONGEST_SHOWN: usize = 600;

/// Who is told.
pub(super) struct Told {
    pub(super) collector: Receiver,
    pub(super) reports: Receiver,
    pub(super) alerts: Receiver,
}

impl Told {
    pub(super) async fn listen() -> Self {
        Self { collector: Receiver::start().await, reports: Receiver::start().await, alerts: Receiver::start().await }
    }

    /// Fails when one of them was told anything that was sent, and when one of them was told nothing.
    pub(super) fn has_nothing_of(&self, mint: &Mint, lines: &[String], figures: &str) {
        let spans = figure(figures, "mainstay_trace_spans_total{outcome=\"queue_full\"}");
        assert_eq!(spans, 0.0, "spans were not sent, and nobody knows what was in them");
        assert_eq!(figure(figures, "mainstay_log_lost_total"), 0.0, "lines were lost");
        let levels =
            ["error", "warn", "info", "debug"].map(|level| format!("mainstay_log_lines_total{{level=\"{level}\"}}"));
        for level in levels {
            assert!(figure(figures, &level) > 0.0, "{level}: the log has none of these");
        }
        let texts = |arrivals: Vec<Arrival>| arrivals.iter().map(text_of).collect::<Vec<_>>();
        let outputs = [
            ("log", lines.to_vec()),
            ("trace", texts(self.collector.arrivals())),
            // What is measured is a number, and no canary; its name and labels are words.
            (
                "figure",
                figures.lines().map(|line| line.rsplit_once(' ').map_or(line, |(name, _)| name).to_owned()).collect(),
            ),
            ("error report", texts(self.reports.arrivals())),
            ("alert", texts(self.alerts.arrivals())),
        ];
        let mut leaks = BTreeMap::new();
        for (output, texts) in &outputs {
            let bytes: usize = texts.iter().map(String::len).sum();
            assert!(bytes > 200, "nothing was told as {output}");
            for text in texts {
                for place in mint.places_in(text) {
                    let shown = around(text);
                    leaks.entry((*output, place)).or_insert(shown);
                }
            }
        }
        let operations: BTreeSet<_> = leaks.keys().map(|(_, place)| &place.operation).collect();
        let shown = leaks.iter().take(MOST_SHOWN);
        let shown =
            shown.map(|((output, place), text)| format!("\n{output}: {} {}\n  {text}", place.operation, place.field));
        let shown: String = shown.collect();
        assert!(leaks.is_empty(), "{} leaks of {} operations:{shown}", leaks.len(), operations.len());
    }
}

/// The part of a text that is around the first canary in it.
fn around(text: &str) -> String {
    let small = text.to_ascii_lowercase();
    let at = small.find(MARKER).or_else(|| small.find(AREA)).unwrap_or(0);
    let before = text[..at].char_indices().rev().nth(LONGEST_SHOWN / 2).map_or(0, |(start, _)| start);
    text[before..].chars().take(LONGEST_SHOWN).collect()
}

/// The value of a figure; nothing is nought.
fn figure(figures: &str, name: &str) -> f64 {
    let line = figures.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
}

/// The body of what arrived, unpacked.
fn text_of(arrival: &Arrival) -> String {
    let mut text = String::new();
    let packed = arrival.headers.get("content-encoding").is_some_and(|coding| coding == "gzip");
    if packed {
        flate2::read::GzDecoder::new(arrival.body.as_slice()).read_to_string(&mut text).expect("packed");
    } else {
        text = String::from_utf8_lossy(&arrival.body).into_owned();
    }
    text
}
