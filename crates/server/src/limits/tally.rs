//! What the limits said of one request, on its way from where they are checked to the headers of the answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;

use super::Verdict;

/// Shared by the clones of one request's context.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    begun: AtomicBool,
    verdict: Mutex<Verdict>,
}

impl Tally {
    /// True for the first who checks the member of this request.
    pub(super) fn begin(&self) -> bool {
        !self.0.begun.swap(true, Ordering::Relaxed)
    }

    /// Adds how limits stand.
    pub fn add(&self, verdict: Verdict) {
        let mut all = self.0.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        all.window = verdict.window;
        all.standings.extend(verdict.standings);
    }

    /// Writes the headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        self.0.verdict.lock().unwrap_or_else(PoisonError::into_inner).write(headers);
    }
}
