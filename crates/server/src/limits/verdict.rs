//! What is answered: whether a request passes, and what the headers say.

use std::fmt::Write as _;
use std::time::Duration;

use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use mainstay_domain::{Error, Kind};

use super::key::Rule;
use crate::http::Problem;

/// <https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-10.html>, section 3.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Section 4 of the same.
const STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// How one limit stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The limit.
    pub rule: Rule,
    /// How many more would pass now.
    pub left: u32,
    /// How long until one more would pass than now.
    pub more_in: Duration,
    /// Whether it is this limit that refused.
    pub refused: bool,
}

/// Whether a request passes, by all of its limits together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Every limit of the request, the tightest subject first.
    pub standings: Vec<Standing>,
    /// The window of all of them.
    pub window: Duration,
}

impl Verdict {
    /// Whether it passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.standings.iter().all(|standing| !standing.refused)
    }

    /// The limits that refuse it.
    pub fn violated(&self) -> impl Iterator<Item = &Standing> {
        self.standings.iter().filter(|standing| standing.refused)
    }

    /// When the request would pass, if nothing else is sent.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.violated().map(|standing| standing.more_in).max().unwrap_or_default()
    }

    /// Writes the two headers. Seconds are rounded up, so that who comes back then is not too early.
    pub fn write(&self, headers: &mut HeaderMap) {
        if self.standings.is_empty() {
            return;
        }
        let (mut policy, mut standing) = (String::with_capacity(64), String::with_capacity(64));
        let window = seconds(self.window);
        for (index, one) in self.standings.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(policy, "{comma}\"{}\";q={};w={window}", one.rule.name, one.rule.limit);
            let _ = write!(standing, "{comma}\"{}\";r={};t={}", one.rule.name, one.left, seconds(one.more_in));
        }
        for (name, value) in [(POLICY, policy), (STANDING, standing)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }

    /// The refusal as a problem. The stack adds the headers.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let wait = self.wait();
        let names: Vec<_> = self.violated().map(|standing| standing.rule.name).collect();
        let limits: Vec<_> = self
            .violated()
            .map(|one| format!("{} in {} s for the limit \"{}\"", one.rule.limit, seconds(self.window), one.rule.name))
            .collect();
        let after = seconds(wait);
        let plural = if after == 1 { "second" } else { "seconds" };
        let detail = format!(
            "Too many requests: no more than {}. Send it again in {after} {plural}; until then nothing is counted.",
            limits.join(" and ")
        );
        Problem::from(Error::new(Kind::TooManyRequests, "rate_limited", detail).retry_after(wait)).violating(names)
    }
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use mainstay_domain::TenantId;

    use super::super::key::{Key, Subject};
    use super::*;

    fn standing(name: &'static str, limit: u32, left: u32, more_in: u64, refused: bool) -> Standing {
        let key = Key::overall(Subject::Organisation(TenantId(uuid::Uuid::nil())));
        Standing { rule: Rule { key, name, limit }, left, more_in: Duration::from_millis(more_in), refused }
    }

    #[test]
    fn headers_are_structured_fields_with_seconds_rounded_up() {
        let standings =
            vec![standing("user", 60, 12, 29_001, false), standing("organisation", 6000, 5000, 3_000, false)];
        let verdict = Verdict { standings, window: Duration::from_secs(60) };
        let mut headers = HeaderMap::new();
        verdict.write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"user\";q=60;w=60, \"organisation\";q=6000;w=60");
        assert_eq!(headers["ratelimit"], "\"user\";r=12;t=30, \"organisation\";r=5000;t=3");
        let mut none = HeaderMap::new();
        Verdict::default().write(&mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn a_refusal_waits_for_the_last_of_the_limits_that_refuse() {
        let standings = vec![
            standing("user", 60, 0, 5_000, true),
            standing("api_key", 600, 1, 50_000, false),
            standing("organisation", 6000, 0, 7_500, true),
        ];
        let verdict = Verdict { standings, window: Duration::from_secs(60) };
        assert!(!verdict.passes());
        assert_eq!(verdict.wait(), Duration::from_millis(7_500));
        let problem = verdict.problem();
        assert_eq!(problem.error().code, "rate_limited");
        let document =
            serde_json::to_value(problem.document(mainstay_domain::RequestId(uuid::Uuid::nil()))).expect("JSON");
        assert_eq!(document["violated-policies"], serde_json::json!(["user", "organisation"]));
        assert_eq!(problem.into_response().headers()["retry-after"], "8");
    }
}
