//! How far the database is used of what it can do, as one number: 0 is idle, 0.8 is where background work slows down, 1 and
//! above is past it.
//!
//! Lives in one process: each node looks at its own connections. What other nodes do to the same database shows here as
//! slower transactions.
//!
//! It is measured once a second over the last five, and is the larger of two:
//!
//! - **Use**: connections for requests that are lent, on average, of all there are. (Those of the batches are always lent
//!   under load; a fuller batch costs little more, so that their use says nothing.)
//! - **Slowdown**: how much longer a connection is waited for and held than in quiet moments, for reading and for writing
//!   apart. Where jobs queue for one server that is busy for a part ρ of its time, each takes 1/(1-ρ) times as long as alone;
//!   so ρ = 1 - alone/now. Five times as slow is 0.8. A millisecond is added to both, below which nothing is slow.
//!
//! When waits for a connection run out of time, that share comes on top of 1.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mainstay_store::{LENDINGS, Lending, Usage};

use super::real;

/// How many seconds are looked at together.
const LOOK_BACK: usize = 5;
/// How many seconds of use are remembered, for the log and the figures.
const REMEMBERED: usize = 60;
/// Loans that a mean needs at least.
const FEWEST: u64 = 10;
/// Seconds below which nothing is slow.
const GRAIN: f64 = 0.001;
/// How far the learnt time alone follows when quiet work has become slower by itself, each second.
const FOLLOW: f64 = 0.005;
/// A time alone that was never seen in a quiet moment is not believed past this, in seconds.
const PLAUSIBLE: f64 = 0.005;

/// The number, cheap to read. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Load(Arc<AtomicU64>);

impl Load {
    /// How far the database is used: 0.8 is where background work should slow down.
    #[must_use]
    pub fn database(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set_database(&self, load: f64) {
        self.0.store(load.to_bits(), Ordering::Relaxed);
    }
}

/// All kinds of connections at one moment.
pub type Reading = [Usage; LENDINGS.len()];

/// Makes the number out of what the store counts.
#[derive(Debug, Default)]
pub(crate) struct LoadMeter {
    /// The newest last, one second apart.
    readings: VecDeque<Reading>,
    alone: [Option<f64>; LENDINGS.len()],
}

/// Connections of requests over the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Minute {
    pub(crate) mean: f64,
    pub(crate) most: usize,
    pub(crate) size: usize,
}

impl Minute {
    /// The part of the connections that was lent on average.
    pub(crate) fn share(&self) -> f64 {
        ratio(self.mean, real(self.size))
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// What lies between two readings of one kind.
struct Between {
    /// Connections that were lent, on average.
    lent: f64,
    loans: u64,
    /// Seconds that a loan took with its wait, on average.
    took: f64,
    refused: u64,
}

fn between(before: &Usage, after: &Usage, elapsed: Duration) -> Between {
    let lent = after.lent.saturating_sub(before.lent).as_secs_f64();
    let waited = after.waited.saturating_sub(before.waited).as_secs_f64();
    let loans = after.loans.saturating_sub(before.loans);
    let count = real(usize::try_from(loans).unwrap_or(usize::MAX));
    Between {
        lent: ratio(lent, elapsed.as_secs_f64()),
        loans,
        took: ratio(lent + waited, count),
        refused: after.refused.saturating_sub(before.refused),
    }
}

impl LoadMeter {
    /// Takes in a reading, `elapsed` after the one before, and answers the load.
    pub(crate) fn read(&mut self, reading: Reading, elapsed: Duration) -> f64 {
        self.readings.push_back(reading);
        if self.readings.len() > REMEMBERED + 1 {
            self.readings.pop_front();
        }
        let back = self.readings.len().saturating_sub(1).min(LOOK_BACK);
        let first = self.readings.len().saturating_sub(1 + back);
        let Some(before) = self.readings.get(first).copied().filter(|_| back > 0) else { return 0.0 };
        let span = elapsed.saturating_mul(u32::try_from(back).unwrap_or(1));
        let mut load: f64 = 0.0;
        let kinds = LENDINGS.into_iter().zip(before.iter().zip(&reading)).zip(&mut self.alone);
        for ((lending, (before, after)), alone) in
            kinds.filter(|((lending, _), _)| matches!(lending, Lending::Requests | Lending::Writing))
        {
            let seen = between(before, after, span);
            if lending == Lending::Requests {
                load = load.max(ratio(seen.lent, real(after.size)));
            }
            if seen.loans >= FEWEST {
                learn(alone, &seen, after.size);
                if let Some(alone) = alone {
                    load = load.max(1.0 - ratio(*alone + GRAIN, seen.took + GRAIN));
                }
            }
            if seen.refused > 0 {
                let asked = seen.refused + seen.loans;
                let share = real(usize::try_from(seen.refused).unwrap_or(usize::MAX));
                load = load.max(1.0 + ratio(share, real(usize::try_from(asked).unwrap_or(usize::MAX))));
            }
        }
        load.max(0.0)
    }

    /// Connections of requests over the last minute.
    pub(crate) fn minute(&self, elapsed: Duration) -> Minute {
        let place = Lending::Requests as usize;
        let (Some(first), Some(last)) = (self.readings.front(), self.readings.back()) else { return Minute::default() };
        let seconds = u32::try_from(self.readings.len().saturating_sub(1)).unwrap_or(1);
        let seen = between(&first[place], &last[place], elapsed.saturating_mul(seconds.max(1)));
        let most = self.readings.iter().map(|reading| reading[place].most_in_use).max().unwrap_or(0);
        Minute { mean: seen.lent, most, size: last[place].size }
    }
}

/// The time alone: what a loan takes while few are lent. A crowd that lasts must not come to look normal.
fn learn(alone: &mut Option<f64>, seen: &Between, size: usize) {
    let quiet = seen.lent < (real(size) * 0.25).min(1.0);
    *alone = Some(match *alone {
        None if quiet => seen.took,
        None => seen.took.min(PLAUSIBLE),
        Some(known) if seen.took < known => (known + seen.took) / 2.0,
        Some(known) if quiet => known + (seen.took - known) * FOLLOW,
        Some(known) => known,
    });
}

#[cfg(test)]
mod tests;
