//! Intervals for what an experiment has found.
//!
//! - One proportion: the score interval of E. B. Wilson, "Probable inference, the law of succession, and statistical
//!   inference", Journal of the American Statistical Association 22 (1927), 209-212.
//! - The difference of two: the hybrid score interval, method 10 of R. G. Newcombe, "Interval estimation for the difference
//!   between independent proportions", Statistics in Medicine 17 (1998), 873-890. Without continuity correction.
//! - The difference of two means: B. L. Welch, "The generalization of Student's problem when several different population
//!   variances are involved", Biometrika 34 (1947), 28-35.
//! - Whether units were split as they were meant to be: Pearson's chi-square test.

mod special;
#[cfg(test)]
mod tests;

use serde::Serialize;
use utoipa::ToSchema;

use special::{chi_square_tail, normal_within, student_within};

/// From where to where the true value lies, with some confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// True when the value lies in it, its ends included.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// How many of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proportion {
    /// Those that count.
    pub of: u64,
    /// All of them.
    pub all: u64,
}

impl Proportion {
    /// As a fraction; nothing of nothing is 0.
    #[must_use]
    pub fn rate(self) -> f64 {
        if self.all == 0 { 0.0 } else { float(self.of) / float(self.all) }
    }

    /// Wilson's interval; nothing is known without a single unit.
    #[must_use]
    pub fn interval(self, confidence: f64) -> Interval {
        if self.all == 0 {
            return Interval { low: 0.0, high: 1.0 };
        }
        let (p, n, z) = (self.rate(), float(self.all), normal_within(confidence));
        let middle = p + z * z / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let whole = 1.0 + z * z / n;
        // At the ends the formula gives 0 and 1, but for the rounding.
        let low = if self.of == 0 { 0.0 } else { (middle - half) / whole };
        let high = if self.of == self.all { 1.0 } else { (middle + half) / whole };
        Interval { low: low.max(0.0), high: high.min(1.0) }
    }

    /// Newcombe's interval for how much larger this proportion is than another one.
    #[must_use]
    pub fn above(self, other: Self, confidence: f64) -> Interval {
        let (p, q) = (self.rate(), other.rate());
        let (own, others) = (self.interval(confidence), other.interval(confidence));
        let difference = p - q;
        Interval {
            low: (difference - (p - own.low).hypot(others.high - q)).max(-1.0),
            high: (difference + (own.high - p).hypot(q - others.low)).min(1.0),
        }
    }
}

/// Totals of units: how many, their mean, and the sum of the squares of their distances from it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// How many units.
    pub units: u64,
    /// Their mean.
    pub mean: f64,
    /// The sum of the squares of the distances from it.
    pub squares: f64,
}

impl Sample {
    /// The standard deviation of the population, as far as two units or more tell.
    #[must_use]
    pub fn deviation(self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }

    fn variance(self) -> Option<f64> {
        (self.units >= 2).then(|| self.squares.max(0.0) / float(self.units - 1))
    }

    /// Student's interval for the mean; nothing for less than two units.
    #[must_use]
    pub fn interval(self, confidence: f64) -> Option<Interval> {
        let half = student_within(confidence, float(self.units.checked_sub(1)?))
            * (self.variance()? / float(self.units)).sqrt();
        Some(Interval { low: self.mean - half, high: self.mean + half })
    }

    /// Welch's interval for how much larger this mean is than another one; nothing where one has less than two units.
    #[must_use]
    pub fn above(self, other: Self, confidence: f64) -> Option<Interval> {
        let (own, others) = (self.variance()? / float(self.units), other.variance()? / float(other.units));
        let (difference, error) = (self.mean - other.mean, own + others);
        if error == 0.0 {
            return Some(Interval { low: difference, high: difference });
        }
        let degrees = error * error / (own * own / float(self.units - 1) + others * others / float(other.units - 1));
        let half = student_within(confidence, degrees) * error.sqrt();
        Some(Interval { low: difference - half, high: difference + half })
    }
}

/// How likely a split that is at least so far from these weights is, if units were assigned as they should be. Nothing while
/// less than five units are expected somewhere: the test is no good then.
#[must_use]
pub fn split_likelihood(observed: &[u64], weights: &[u16]) -> Option<f64> {
    let (all, weight) = (float(observed.iter().sum()), weights.iter().copied().map(f64::from).sum::<f64>());
    let expected: Vec<f64> = weights.iter().map(|part| all * f64::from(*part) / weight).collect();
    if observed.len() != weights.len() || observed.len() < 2 || expected.iter().any(|expected| *expected < 5.0) {
        return None;
    }
    let value =
        observed.iter().zip(&expected).map(|(seen, expected)| (float(*seen) - expected).powi(2) / expected).sum();
    Some(chi_square_tail(value, u32::try_from(observed.len() - 1).ok()?))
}

/// Counts of units are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of units are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
