//! A histogram of durations whose size does not depend on how many it holds.
//!
//! Log-linear, as in HdrHistogram (<https://hdrhistogram.org>): each power of two is cut into [`PARTS`] equal parts, so that
//! a value is known to within 1/[`PARTS`] of itself, from a microsecond to half a day, in 18 KB.

use std::time::Duration;

/// Parts of each power of two, itself a power of two.
const PARTS: usize = 64;
const PARTS_LOG: u32 = PARTS.trailing_zeros();
/// Powers of two above the first [`PARTS`] values: up to 2^36 µs.
const POWERS: usize = 30;

/// Durations, in microseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
    sum: u128,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; PARTS * (POWERS + 1)].into_boxed_slice(), total: 0, max: 0, sum: 0 }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(index(micros)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(micros);
        self.sum += u128::from(micros);
    }

    /// How many it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// The mean; zero when it is empty.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let mean = self.sum.checked_div(u128::from(self.total)).unwrap_or(0);
        Duration::from_micros(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The duration that this part of all does not exceed: 0.5 for the median. Zero when it is empty. Never less than the
    /// true one by more than the width of a part, and never more than the longest.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let rank = ((self.total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && *count > 0 {
                return Duration::from_micros(highest(index).min(self.max));
            }
        }
        Duration::ZERO
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
        self.max = self.max.max(other.max);
        self.sum += other.sum;
    }

    /// Empties it, and keeps its memory.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.total, self.max, self.sum) = (0, 0, 0);
    }
}

/// Where a value is counted.
fn index(micros: u64) -> usize {
    let parts = PARTS as u64;
    if micros < parts {
        return usize::try_from(micros).unwrap_or(0);
    }
    let power = micros.ilog2() - PARTS_LOG;
    let part = usize::try_from((micros >> power) - parts).unwrap_or(0);
    ((power as usize + 1) * PARTS + part).min(PARTS * (POWERS + 1) - 1)
}

/// The highest value that is counted there.
fn highest(index: usize) -> u64 {
    let (power, part) = (index / PARTS, (index % PARTS) as u64);
    match power.checked_sub(1) {
        None => part,
        Some(power) => ((PARTS as u64 + part + 1) << power) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_to_within_a_part_of_itself() {
        for micros in (0..200).chain([999, 1_000, 65_535, 65_536, 1_000_000, 3_600_000_000]) {
            let found = highest(index(micros));
            assert!(found >= micros && found - micros <= micros / PARTS as u64, "{micros} is told as {found}");
        }
        assert_eq!(index(u64::MAX), PARTS * (POWERS + 1) - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        for micros in 1..=10_000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (part, wanted) in [(0.5, 5_000), (0.95, 9_500), (0.99, 9_900), (1.0, 10_000)] {
            let found = u64::try_from(histogram.quantile(part).as_micros()).expect("small");
            assert!((wanted..=wanted + wanted / 60).contains(&found), "{part}: {found}");
        }
        assert_eq!((histogram.max(), histogram.count()), (Duration::from_micros(10_000), 10_000));
        let mut both = histogram.clone();
        both.add(&histogram);
        assert_eq!(
            (both.count(), both.quantile(0.5), both.mean()),
            (20_000, histogram.quantile(0.5), histogram.mean())
        );
        both.clear();
        assert_eq!((both.count(), both.max()), (0, Duration::ZERO));
    }
}
