//! How far the moment of a request may lie from now.

use std::time::Duration;

use http::HeaderName;
use mainstay_domain::Timestamp;

use super::Refused;

/// How old a request may be, and how far ahead its sender's clock may go. Within it a repeat has a good signature; that
/// is found by the identity of the event, which must be remembered for at least as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How far in the past a moment may lie.
    pub past: Duration,
    /// How far in the future.
    pub future: Duration,
}

impl Default for Window {
    /// Five minutes each way.
    fn default() -> Self {
        let tolerance = Duration::from_secs(5 * 60);
        Self { past: tolerance, future: tolerance }
    }
}

impl Window {
    pub(super) fn check(self, header: &HeaderName, stated: Timestamp, now: Timestamp) -> Result<(), Refused> {
        let (age, ahead) = (now.since(stated), stated.since(now));
        if age > self.past {
            return Err(Refused::Stale { header: header.clone(), by: age.saturating_sub(self.past) });
        }
        if ahead > self.future {
            return Err(Refused::Future { header: header.clone(), by: ahead.saturating_sub(self.future) });
        }
        Ok(())
    }
}
