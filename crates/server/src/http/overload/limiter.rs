//! How many requests may be in the handlers at once, learnt from how long they take.
//!
//! Time is cut into windows. For each kind of work (a line of the table of routes) the mean time from admission to the
//! head of the response is compared with what is allowed for it: a target in milliseconds, or a multiple of the time that
//! it takes when nothing else is going on, whichever is more. The mean of these ratios is the **pressure**. Above 1 the
//! limit shrinks in proportion, by a fifth at most; below 0.9 it grows, by its square root when the pressure is small and by
//! less the nearer it comes. It moves only while it is used: under light load a slow answer has other reasons than our own
//! crowd, and a limit that nobody feels proves nothing by growing.
//!
//! A target beside the multiple, because here slower can be better: what waits at the same moment shares a commit, so that
//! a hundred at once take ten times as long as one and ten times as many get through. A limiter that knows only the
//! multiple would give that away.

use std::time::Duration;

use tokio::time::Instant;

use super::gate::{FEWEST_PLACES, Use};
use super::{real, whole};

/// How long a window is at least.
const WINDOW: Duration = Duration::from_millis(500);
/// The answers that a window needs at least, so that one slow one decides nothing.
const FEWEST: u32 = 20;
/// Answers of one kind of work that a mean needs at least to be learnt from.
const FEWEST_TO_LEARN: u32 = 5;
/// The pressure above which the limit does not grow.
const ENOUGH: f64 = 0.9;
/// How far below that it grows at its full pace. In between it grows the slower the nearer it is: what looks like room there
/// is half chance.
const SLOWER: f64 = 0.4;
/// The part of its limit at which it counts as used.
const USED: f64 = 0.6;
/// The most requests at once that are no crowd: what they take is what the work takes alone.
const QUIET: usize = 4;
/// How far the learnt baseline follows when work has become slower by itself, each window.
const FOLLOW: f64 = 0.05;
/// The pressure that is assumed on those whose normal time is not known yet.
const UNKNOWN: f64 = 2.0;
/// The part of the processors in use from which an organisation that asks for more than all others together may be held to
/// less than a place. Below, whoever waits does not wait for it.
const BUSY: f64 = 0.75;
/// Beside the multiple: what no clock and no scheduler can promise better, in seconds.
const GRAIN: f64 = 0.001;

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// Seconds that a request may take whatever its baseline.
    pub(super) target: f64,
    /// How many times its baseline it may take.
    pub(super) tolerance: f64,
    /// How many times its baseline the request of a modest organisation may take, before one that holds much is held to
    /// less.
    pub(super) tenant_tolerance: f64,
}

/// One kind of work.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    /// Seconds without company; unknown until there was a quiet moment.
    baseline: Option<f64>,
    count: u32,
    seconds: f64,
    modest_count: u32,
    modest_seconds: f64,
}

/// A limit that grows and shrinks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    least: f64,
    most: f64,
    now: f64,
}

impl Limit {
    /// At least a place.
    pub(super) fn new(least: usize, first: usize, most: usize) -> Self {
        let least = real(least).max(1.0);
        let most = real(most).max(least);
        Self { least, most, now: real(first).clamp(least, most) }
    }

    /// The same limit with another least, which may be a part of a place.
    pub(super) fn down_to(self, least: f64) -> Self {
        Self { least, ..self }
    }

    /// How much it is now.
    pub(super) fn now(&self) -> f64 {
        self.now
    }

    /// The whole places of it.
    pub(super) fn get(&self) -> usize {
        whole(self.now)
    }

    fn follow(&mut self, pressure: f64) {
        if pressure > 1.0 {
            self.now *= (1.0 / pressure).clamp(0.8, 0.98);
        } else if pressure < ENOUGH {
            // By a quarter at most, so that a small one does not leap.
            let step = self.now.sqrt().min(self.now / 4.0);
            self.now += step * ((ENOUGH - pressure) / SLOWER).min(1.0);
        }
        self.now = self.now.clamp(self.least, self.most);
    }

    fn lower(&mut self, to: usize) {
        self.now = self.now.min(real(to)).max(self.least);
    }

    fn raise(&mut self, to: usize) {
        self.now = self.now.max(real(to)).min(self.most);
    }

    fn is_used(&self, by: usize) -> bool {
        real(by) >= self.now * USED
    }

    fn at_least(&self) -> bool {
        self.now <= self.least
    }
}

/// What has been learnt.
pub(super) struct Limiter {
    allowance: Allowance,
    /// How many may be inside.
    pub(super) whole: Limit,
    /// How many of one organisation may be inside while others are about.
    pub(super) share: Limit,
    works: Vec<Work>,
    begun: Instant,
    count: u32,
    pressure: f64,
}

impl Limiter {
    pub(super) fn new(allowance: Allowance, whole: Limit, share: Limit, now: Instant) -> Self {
        Self { allowance, whole, share, works: Vec::new(), begun: now, count: 0, pressure: 0.0 }
    }

    /// The pressure of the last window: 1 is where the limit begins to shrink.
    pub(super) fn pressure(&self) -> f64 {
        self.pressure
    }

    /// A request of this kind was answered after so long.
    pub(super) fn record(&mut self, work: usize, took: Duration, modest: bool) {
        if work >= self.works.len() {
            self.works.resize(work + 1, Work::default());
        }
        let Some(work) = self.works.get_mut(work) else { return };
        let took = took.as_secs_f64();
        self.count += 1;
        work.count += 1;
        work.seconds += took;
        if modest {
            work.modest_count += 1;
            work.modest_seconds += took;
        }
    }

    /// Whether a window is over.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.count >= FEWEST && now.saturating_duration_since(self.begun) >= WINDOW
    }

    /// Ends a window, in which this part of the processors was used, and moves the limits.
    pub(super) fn turn(&mut self, now: Instant, seen: Use, busy: f64) {
        let (whole, modest) = self.judge();
        self.pressure = whole.unwrap_or(0.0);
        self.learn(seen, busy);
        if seen.full || self.whole.is_used(seen.most_inside) {
            self.whole.follow(self.pressure);
        }
        // Where nobody modest was about, nobody was slowed down.
        let modest = modest.unwrap_or(0.0);
        if modest > 1.0 {
            // Down from what was held and not from what might have been: others are slow already.
            self.share.lower(seen.most_of_one.max(FEWEST_PLACES));
        }
        if modest > 1.0 || seen.one_held_back || self.share.is_used(seen.most_of_one) {
            self.follow(modest, busy);
        }
        for work in &mut self.works {
            *work = Work { baseline: work.baseline, ..Work::default() };
        }
        (self.begun, self.count) = (now, 0);
    }

    /// Moves the share. Less than a few places is for a server that is busy: elsewhere something else makes others slow, and
    /// whoever asks for most of what is asked for may be the one whom the server is there for.
    fn follow(&mut self, modest: f64, busy: f64) {
        if self.has_few() {
            self.share.follow(modest.min(busy / BUSY));
        } else {
            self.share.follow(modest);
            self.share.raise(FEWEST_PLACES);
        }
    }

    fn has_few(&self) -> bool {
        self.share.now() <= real(FEWEST_PLACES)
    }

    /// How the mean times stand to what is allowed: of all, and of those who ask little.
    fn judge(&self) -> (Option<f64>, Option<f64>) {
        let Allowance { target, tolerance, tenant_tolerance } = self.allowance;
        let (mut all, mut modest, mut unknown) = ((0.0, 0.0), (0.0, 0.0), 0.0);
        for work in &self.works {
            let allowed = work.baseline.map_or(target, |baseline| (tolerance * baseline).max(target));
            all = (all.0 + f64::from(work.count), all.1 + work.seconds / allowed);
            let count = f64::from(work.modest_count);
            match work.baseline {
                Some(baseline) => {
                    let strict = tenant_tolerance * baseline + GRAIN;
                    modest = (modest.0 + count, modest.1 + work.modest_seconds / strict);
                }
                None => unknown += count,
            }
        }
        let mean = |(count, sum): (f64, f64), fewest: u32| (count >= f64::from(fewest)).then(|| sum / count);
        // Where it is not known what is normal, whoever asks much steps back until it is.
        let unknown = (unknown >= f64::from(FEWEST_TO_LEARN)).then_some(UNKNOWN);
        (mean(all, 1), mean(modest, FEWEST_TO_LEARN).or(unknown))
    }

    /// The baseline is what work takes in quiet moments, and is never learnt from a crowd: an overload that lasts must not
    /// come to look normal. Where there is no quiet moment, the limit at its least makes one.
    ///
    /// One that is held to as little as it may be held to is no crowd either.
    fn learn(&mut self, seen: Use, busy: f64) {
        let few = seen.most_inside <= QUIET;
        let held = self.has_few() && (busy < BUSY || self.share.at_least());
        let quiet = (few && (!seen.one_held_back || held)) || self.whole.at_least();
        let first = quiet || (few && self.has_few());
        for work in &mut self.works {
            if work.count < FEWEST_TO_LEARN {
                continue;
            }
            let mean = work.seconds / f64::from(work.count);
            work.baseline = match work.baseline {
                Some(baseline) if mean < baseline => Some((baseline + mean) / 2.0),
                Some(baseline) if quiet => Some(baseline + (mean - baseline) * FOLLOW),
                None if first => Some(mean),
                unchanged => unchanged,
            };
        }
    }
}

#[cfg(test)]
mod tests;
