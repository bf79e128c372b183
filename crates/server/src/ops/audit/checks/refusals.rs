//! Answers to strangers, who are to be refused.

use axum::http::StatusCode;

use super::some;
use crate::ops::audit::check::Seen;

/// What strangers were told who were to be refused.
#[derive(Default)]
pub(super) struct Refusals {
    /// How often one asked.
    pub(super) asked: usize,
    /// How often a limit was in the way, so that nothing was seen.
    pub(super) unseen: usize,
    /// What was not refused, and how it was answered.
    pub(super) taken: Vec<String>,
}

impl Refusals {
    /// Notes an answer that should have been one of these.
    pub(super) fn note(&mut self, what: &str, status: StatusCode, wanted: &[StatusCode]) {
        self.asked += 1;
        match status {
            status if wanted.contains(&status) => {}
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => self.unseen += 1,
            status => self.taken.push(format!("{what}: {}", status.as_u16())),
        }
    }

    /// Whether all were refused, in words that go on after a number, such as `routes refuse`.
    pub(super) fn seen(self, words: &str) -> Seen {
        if self.taken.is_empty() && self.unseen > 0 {
            return put_off(self.unseen, self.asked);
        }
        let measured = format!("{} of {} {words}", self.asked - self.taken.len(), self.asked);
        Seen::told(self.taken.is_empty(), measured).by(some(&self.taken))
    }
}

/// That a limit was in the way.
pub(super) fn put_off(unseen: usize, asked: usize) -> Seen {
    Seen::unknown(format!("{unseen} of {asked} were put off by a limit: ask again in a minute"))
}
