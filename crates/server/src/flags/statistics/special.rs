//! The functions that the distributions are made of. Series and continued fractions as in Press et al., "Numerical
//! Recipes", third edition, sections 6.1, 6.2 and 6.4; a test holds them against tables.

use std::f64::consts::PI;

/// Where a series or a fraction has converged.
const NEAR: f64 = 1e-15;
/// What a denominator is taken for in place of zero (Lentz's method).
const TINY: f64 = 1e-300;
/// The most terms. For degrees of freedom up to a million, a few thousand are needed.
const MOST_TERMS: u32 = 20_000;
/// Halvings of an interval: more than a double has digits.
const HALVINGS: u32 = 200;
/// Student's distribution with more degrees of freedom is the normal one, to six digits.
const MANY_DEGREES: f64 = 1e6;

/// Lanczos' coefficients for g = 7.
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// The logarithm of the gamma function, for `x` > 0.
fn ln_gamma(x: f64) -> f64 {
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let t = x + 7.5;
    let sum = LANCZOS.iter().enumerate().skip(1).fold(LANCZOS[0], |sum, (place, coefficient)| {
        sum + coefficient / (x + f64::from(u32::try_from(place).unwrap_or(0)))
    });
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The upper regularised incomplete gamma function Q(a, x), for a > 0 and x >= 0.
fn upper_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        // The series of the lower one.
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        for _ in 0..MOST_TERMS {
            n += 1.0;
            term *= x / n;
            sum += term;
            if term < sum * NEAR {
                break;
            }
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    let (mut b, mut c) = (x + 1.0 - a, 1.0 / TINY);
    let mut d = 1.0 / b;
    let mut fraction = d;
    for term in 1..=MOST_TERMS {
        let i = f64::from(term);
        let factor = -i * (i - a);
        b += 2.0;
        d = 1.0 / kept_from_zero(factor * d + b);
        c = kept_from_zero(b + factor / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < NEAR {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

fn kept_from_zero(value: f64) -> f64 {
    if value.abs() < TINY { TINY } else { value }
}

/// The regularised incomplete beta function I_x(a, b).
fn beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let (mut c, mut d) = (1.0, 1.0 / kept_from_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for term in 1..=MOST_TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / kept_from_zero(1.0 + even * d);
        c = kept_from_zero(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / kept_from_zero(1.0 + odd * d);
        c = kept_from_zero(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < NEAR {
            break;
        }
    }
    fraction
}

/// How likely a chi-square value at least so large is.
#[must_use]
pub(super) fn chi_square_tail(value: f64, degrees: u32) -> f64 {
    upper_gamma(f64::from(degrees) / 2.0, value / 2.0)
}

/// How likely a standard normal value outside -`z` to `z` is.
fn normal_tails(z: f64) -> f64 {
    upper_gamma(0.5, z * z / 2.0)
}

/// How likely a value of Student's distribution outside -`t` to `t` is.
fn student_tails(t: f64, degrees: f64) -> f64 {
    beta(degrees / 2.0, 0.5, degrees / (degrees + t * t))
}

/// The value that a standard normal one stays within, on both sides of zero, with this probability.
#[must_use]
pub(super) fn normal_within(confidence: f64) -> f64 {
    within(confidence, normal_tails)
}

/// The same for Student's distribution.
#[must_use]
pub(super) fn student_within(confidence: f64, degrees: f64) -> f64 {
    if degrees > MANY_DEGREES {
        return normal_within(confidence);
    }
    within(confidence, |t| student_tails(t, degrees))
}

/// Where tails that only shrink have become as small as `1 - confidence`.
fn within(confidence: f64, tails: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while tails(high) > 1.0 - confidence && high < 1e12 {
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if tails(middle) > 1.0 - confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-4 * expected.abs().max(0.001), "{found} is not {expected}");
    }

    /// The tables of Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.8 and 26.10, and every textbook's.
    #[test]
    fn the_distributions_are_those_of_the_tables() {
        for (confidence, z) in [(0.90, 1.644_854), (0.95, 1.959_964), (0.99, 2.575_829), (0.975, 2.241_403)] {
            near(normal_within(confidence), z);
        }
        let student = [(1.0, 12.7062), (2.0, 4.3027), (5.0, 2.5706), (10.0, 2.2281), (30.0, 2.0423), (120.0, 1.9799)];
        for (degrees, t) in student {
            near(student_within(0.95, degrees), t);
        }
        near(student_within(0.99, 10.0), 3.1693);
        near(student_within(0.95, 999_999.0), 1.959_97);
        near(student_within(0.95, 1e9), 1.959_964);
        for (value, degrees, tail) in
            [(3.841_46, 1, 0.05), (10.8276, 1, 0.001), (5.991_46, 2, 0.05), (24.3219, 7, 0.001), (2.167, 7, 0.95)]
        {
            near(chi_square_tail(value, degrees), tail);
        }
        near(chi_square_tail(0.0, 3), 1.0);
        assert!(chi_square_tail(1e6, 1) < 1e-12);
    }

    #[test]
    fn the_gamma_function_is_that_of_factorials() {
        let mut factorial: f64 = 1.0;
        for n in 1..20u32 {
            assert!((ln_gamma(f64::from(n)) - factorial.ln()).abs() < 1e-10, "{n}");
            factorial *= f64::from(n);
        }
        assert!((ln_gamma(0.5) - PI.sqrt().ln()).abs() < 1e-12);
    }
}
