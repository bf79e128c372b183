//! The section `[traces]`.

use std::time::Duration;

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};
use url::Url;

use super::schema::Bound;
use super::{Fault, rules};
use crate::ops::traces::read_headers;

/// Traces, for a collector that speaks the OpenTelemetry protocol.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Traces {
    /// Where the collector is. Empty: no traces.
    pub endpoint: String,
    /// Headers for the collector.
    pub headers: Secret,
    /// A file that holds the headers.
    pub headers_file: String,
    /// What this service is called there.
    pub service: String,
    /// The share of all traces that is kept whatever comes of them, in per cent.
    pub sample_percent: u32,
    /// How long a request takes that is kept for it, in milliseconds. 0: none is.
    pub slow_ms: u64,
}

pub(super) const BOUNDS: &[Bound] = &[("traces.sample_percent", 0, 100), ("traces.slow_ms", 0, 3_600_000)];

impl Traces {
    /// A path below the address of the collector; nothing when there is none.
    pub(crate) fn url(&self, path: &str) -> Option<Url> {
        let mut url = Url::parse(&self.endpoint).ok()?;
        let whole = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&whole);
        Some(url)
    }

    /// From when on a request is slow.
    pub(crate) fn slow(&self) -> Option<Duration> {
        (self.slow_ms > 0).then(|| Duration::from_millis(self.slow_ms))
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if !self.endpoint.is_empty() {
            faults.extend(rules::web_address("traces.endpoint", &self.endpoint, rules::Path::Any).err());
        }
        // They are secrets: the fault says nothing of them.
        if read_headers(self.headers.expose()).is_none() {
            let cure = "Write name=value, with commas between several, and %2C for a comma within a value";
            faults.push(Fault::new("traces.headers", "is no list of headers", cure));
        }
        if self.service.is_empty() || self.service.len() > 64 {
            let cure = "Write a word such as mainstay";
            faults.push(Fault::new("traces.service", "is no name of a service", cure));
        }
    }
}
