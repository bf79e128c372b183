//! Whether and when a failed attempt is made again.
//!
//! The numbers are those of the providers' own client libraries: half a second, doubling up to eight, a quarter of it
//! by chance; `x-should-retry`, `retry-after-ms` and `retry-after` before all that. Added to it: a budget over all
//! requests of a provider, so that retries cannot become the load that keeps it down.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use mainstay_domain::{Clock, Entropy};
use tokio::time::Instant;

use super::fault::{Failure, FaultKind};

/// The longest wait that a provider may ask for; past it the next provider is asked instead.
const MAX_ADVISED_WAIT: Duration = Duration::from_secs(10);
/// Retries a minute that are always allowed, so that a quiet server can retry at all.
const BUDGET_FLOOR: u64 = 10;
const WINDOW_SECONDS: usize = 60;

/// How long to wait before attempt `n + 1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    /// The first wait.
    pub(super) base: Duration,
    /// The longest wait.
    pub(super) cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(500), cap: Duration::from_secs(8) }
    }
}

/// The policy of one provider.
pub(super) struct Retries {
    max: u32,
    backoff: Backoff,
    budget: Budget,
    entropy: Arc<dyn Entropy>,
}

impl Retries {
    pub(super) fn new(max: u32, budget_percent: u32, backoff: Backoff, entropy: Arc<dyn Entropy>) -> Self {
        Self { max, backoff, budget: Budget::new(budget_percent), entropy }
    }

    /// Counts a request, of which retries may be a share.
    pub(super) fn request(&self) {
        self.budget.request();
    }

    /// How long to wait before the next attempt, after `retried` retries; none when there is to be no further one.
    /// `alone` says that no other provider can be asked.
    pub(super) fn next(&self, failure: &Failure, retried: u32, alone: bool, deadline: Instant) -> Option<Duration> {
        let kind = failure.fault.kind;
        // A provider that hangs has had its time; another one may answer at once.
        let worthwhile = kind.is_passing() && (alone || kind != FaultKind::FirstTokenTimeout);
        if retried >= self.max || !failure.should_retry.unwrap_or(worthwhile) {
            return None;
        }
        let wait = match failure.fault.retry_after {
            Some(advised) if advised > MAX_ADVISED_WAIT => return None,
            Some(advised) if !advised.is_zero() => advised,
            _ => self.backoff(retried),
        };
        (Instant::now() + wait < deadline && self.budget.spend()).then_some(wait)
    }

    fn backoff(&self, retried: u32) -> Duration {
        let full = self.backoff.base.saturating_mul(1 << retried.min(16)).min(self.backoff.cap);
        let mut random = [0; 4];
        self.entropy.fill(&mut random);
        full.mul_f64(1.0 - 0.25 * f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))
    }
}

/// What the headers of an error say about coming back: the wait, and whether it is any use.
pub(crate) fn advice(headers: &HeaderMap, clock: &dyn Clock) -> (Option<Duration>, Option<bool>) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let should_retry = match text("x-should-retry") {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    let seconds = |text: &str, unit: f64| {
        text.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * unit).ok())
    };
    let after = text("retry-after-ms").and_then(|text| seconds(text, 0.001)).or_else(|| {
        let text = text("retry-after")?;
        seconds(text, 1.0).or_else(|| until(text, clock))
    });
    (after, should_retry)
}

/// How long it is until an HTTP date (RFC 9110 section 5.6.7); zero when it has passed.
fn until(date: &str, clock: &dyn Clock) -> Option<Duration> {
    let moment = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(mainstay_domain::Timestamp::from_millis(moment.as_millisecond()).since(clock.now()))
}

#[derive(Clone, Copy, Default)]
struct Second {
    at: u64,
    requests: u64,
    retries: u64,
}

/// Retries as a share of requests over the last minute.
pub(crate) struct Budget {
    percent: u64,
    start: Instant,
    seconds: Mutex<[Second; WINDOW_SECONDS]>,
}

impl Budget {
    /// One of so many retries in per cent of requests.
    pub(crate) fn new(percent: u32) -> Self {
        Self {
            percent: u64::from(percent),
            start: Instant::now(),
            seconds: Mutex::new([Second::default(); WINDOW_SECONDS]),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut [Second; WINDOW_SECONDS], usize, u64) -> T) -> T {
        let now = self.start.elapsed().as_secs();
        let index = usize::try_from(now % WINDOW_SECONDS as u64).unwrap_or(0);
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        if seconds[index].at != now {
            seconds[index] = Second { at: now, ..Second::default() };
        }
        act(&mut seconds, index, now)
    }

    /// Counts a request, of which retries may be a share.
    pub(crate) fn request(&self) {
        self.with(|seconds, index, _| seconds[index].requests += 1);
    }

    /// Takes one retry out of the budget, if there is one left.
    pub(crate) fn spend(&self) -> bool {
        if self.percent == 0 {
            return false;
        }
        self.with(|seconds, index, now| {
            let recent = seconds.iter().filter(|second| now - second.at < WINDOW_SECONDS as u64);
            let (requests, retries) = recent
                .fold((0, 0), |(requests, retries), second| (requests + second.requests, retries + second.retries));
            let allowed = (requests * self.percent / 100).max(BUDGET_FLOOR);
            let within = retries < allowed;
            if within {
                seconds[index].retries += 1;
            }
            within
        })
    }
}

#[cfg(test)]
mod tests {
    use mainstay_domain::{ManualClock, Timestamp};

    use super::*;
    use crate::providers::Fault;

    struct Constant(u8);
    impl Entropy for Constant {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    fn retries(max: u32, percent: u32, chance: u8) -> Retries {
        Retries::new(max, percent, Backoff::default(), Arc::new(Constant(chance)))
    }

    fn failure(kind: FaultKind) -> Failure {
        Fault::new("test", kind).into()
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_a_cap_and_chance_takes_up_to_a_quarter() {
        let failure = failure(FaultKind::Overloaded);
        let longest = retries(9, 100, 0);
        let waits: Vec<_> = (0..6).filter_map(|n| longest.next(&failure, n, true, far())).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 8000].map(Duration::from_millis));
        let shortest = retries(9, 100, 255);
        assert_eq!(shortest.next(&failure, 1, true, far()), Some(Duration::from_millis(750)));
        assert_eq!(shortest.next(&failure, 9, true, far()), None, "no more than the setting says");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_provider_advises_comes_first() {
        let retries = retries(2, 100, 0);
        let mut limited = failure(FaultKind::RateLimited);
        limited.fault.retry_after = Some(Duration::from_secs(7));
        assert_eq!(retries.next(&limited, 0, true, far()), Some(Duration::from_secs(7)));
        let soon = Instant::now() + Duration::from_secs(7);
        assert_eq!(retries.next(&limited, 0, true, soon), None, "it does not fit the deadline");
        limited.fault.retry_after = Some(Duration::from_secs(11));
        assert_eq!(retries.next(&limited, 0, true, far()), None, "longer than anybody should wait");
        let mut refused = failure(FaultKind::Refused { status: 400 });
        assert_eq!(retries.next(&refused, 0, true, far()), None);
        refused.should_retry = Some(true);
        assert!(retries.next(&refused, 0, true, far()).is_some());
        let mut failed = failure(FaultKind::ServerError { status: 500 });
        failed.should_retry = Some(false);
        assert_eq!(retries.next(&failed, 0, true, far()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hang_goes_to_the_next_provider_where_there_is_one() {
        let retries = retries(2, 100, 0);
        let hang = failure(FaultKind::FirstTokenTimeout);
        assert_eq!(retries.next(&hang, 0, false, far()), None);
        assert!(retries.next(&hang, 0, true, far()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_is_a_share_of_the_last_minute_with_a_floor() {
        let quiet = Budget::new(20);
        assert_eq!((0..100).filter(|_| quiet.spend()).count(), 10, "the floor");
        let busy = Budget::new(20);
        for _ in 0..1000 {
            busy.request();
        }
        assert_eq!((0..1000).filter(|_| busy.spend()).count(), 200, "a fifth of a thousand");
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!busy.spend(), "still the same minute");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..1000).filter(|_| busy.spend()).count(), 10, "a new minute without requests");
        assert!(!Budget::new(0).spend(), "none means none");
    }

    #[test]
    fn reads_every_form_of_advice() {
        let clock = ManualClock::new(Timestamp::from_millis(784_111_777_000));
        let read = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<HeaderMap>();
            advice(&headers, &clock)
        };
        assert_eq!(read(&[]), (None, None));
        assert_eq!(read(&[("retry-after", "3")]), (Some(Duration::from_secs(3)), None));
        assert_eq!(read(&[("retry-after", "1.5")]), (Some(Duration::from_millis(1500)), None));
        assert_eq!(
            read(&[("retry-after", "9"), ("retry-after-ms", "250"), ("x-should-retry", "false")]),
            (Some(Duration::from_millis(250)), Some(false))
        );
        assert_eq!(read(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]), (Some(Duration::from_secs(10)), None));
        assert_eq!(read(&[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT")]), (Some(Duration::ZERO), None));
        for nonsense in ["-1", "soon", "NaN", "inf", "1e300"] {
            assert_eq!(read(&[("retry-after", nonsense)]), (None, None), "{nonsense}");
        }
    }
}
