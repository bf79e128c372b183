use super::*;

fn of(of: u64, all: u64) -> Proportion {
    Proportion { of, all }
}

#[track_caller]
fn same(found: Interval, low: f64, high: f64, digits: f64) {
    let near = |one: f64, other: f64| (one - other).abs() < 0.6 * digits;
    assert!(near(found.low, low) && near(found.high, high), "{found:?} is not {low} to {high}");
}

/// R. G. Newcombe, "Two-sided confidence intervals for the single proportion: comparison of seven methods", Statistics in
/// Medicine 17 (1998), 857-872, table I, method 3.
#[test]
fn wilsons_interval_is_that_of_the_published_examples() {
    for (proportion, low, high) in [
        (of(81, 263), 0.2553, 0.3662),
        (of(15, 148), 0.0624, 0.1605),
        (of(0, 20), 0.0000, 0.1611),
        (of(1, 29), 0.0061, 0.1718),
    ] {
        same(proportion.interval(0.95), low, high, 1e-4);
    }
    assert_eq!(of(0, 0).interval(0.95), Interval { low: 0.0, high: 1.0 });
    assert_eq!(of(5, 5).interval(0.95).high, 1.0);
}

/// R. G. Newcombe, "Interval estimation for the difference between independent proportions", table II, method 10.
#[test]
fn newcombes_interval_is_that_of_the_published_examples() {
    for (one, other, low, high) in [
        (of(56, 70), of(48, 80), 0.0524, 0.3339),
        (of(9, 10), of(3, 10), 0.1705, 0.8090),
        (of(6, 7), of(2, 7), 0.0582, 0.8062),
        (of(5, 56), of(0, 29), -0.0381, 0.1926),
        (of(0, 10), of(0, 20), -0.1611, 0.2775),
        (of(0, 10), of(0, 10), -0.2775, 0.2775),
        (of(10, 10), of(0, 20), 0.6791, 1.0000),
        (of(10, 10), of(0, 10), 0.6075, 1.0000),
    ] {
        same(one.above(other, 0.95), low, high, 1e-4);
        same(other.above(one, 0.95), -high, -low, 1e-4);
    }
}

fn sample(values: &[f64]) -> Sample {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    Sample { units: values.len() as u64, mean, squares: values.iter().map(|value| (value - mean).powi(2)).sum() }
}

/// Student's data on sleep (Biometrika 6 (1908), 1-25), as the documentation of R shows it: `t.test(extra ~ group, data =
/// sleep)` gives 17.776 degrees of freedom and -3.3654832 to 0.2054832.
#[test]
fn welchs_interval_is_that_of_the_published_example() {
    let first = sample(&[0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]);
    let second = sample(&[1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]);
    assert!((first.mean - 0.75).abs() < 1e-12 && (second.mean - 2.33).abs() < 1e-12);
    same(first.above(second, 0.95).expect("an interval"), -3.365_483_2, 0.205_483_2, 1e-7);
    // With equal sizes and variances it is Student's own, with 18 degrees of freedom: t is 2.100922.
    let other = Sample { mean: 0.0, ..first };
    let half = 2.100_922 * (2.0 * first.squares / 9.0 / 10.0).sqrt();
    same(first.above(other, 0.95).expect("an interval"), 0.75 - half, 0.75 + half, 1e-6);
    // One sample: t with 9 degrees of freedom is 2.262157.
    let half = 2.262_157 * (first.squares / 9.0 / 10.0).sqrt();
    same(first.interval(0.95).expect("an interval"), 0.75 - half, 0.75 + half, 1e-6);
}

#[test]
fn too_few_units_have_no_interval_and_equal_ones_no_width() {
    let one = sample(&[1.0]);
    assert_eq!((one.interval(0.95), one.deviation(), Sample::default().interval(0.95)), (None, None, None));
    assert_eq!(one.above(sample(&[1.0, 2.0]), 0.95), None);
    let (threes, twos) = (sample(&[3.0, 3.0]), sample(&[2.0, 2.0]));
    assert_eq!(threes.above(twos, 0.95), Some(Interval { low: 1.0, high: 1.0 }));
}

/// The interval holds the truth about as often as it says, also where there is little to go by: over all outcomes of two
/// binomials, weighted by how likely they are.
#[test]
fn newcombes_interval_covers_what_it_says() {
    let binomial = |n: u64, p: f64| -> Vec<f64> {
        (0..=n)
            .map(|k| (1..=k).fold((1.0 - p).powi((n - k) as i32), |b, i| b * p * (n + 1 - i) as f64 / i as f64))
            .collect()
    };
    for (p, q) in [(0.1, 0.1), (0.3, 0.2), (0.5, 0.05)] {
        let (n, m) = (40, 60);
        let (first, second) = (binomial(n, p), binomial(m, q));
        let mut covered = 0.0;
        for (a, likely) in first.iter().enumerate() {
            for (b, likely_too) in second.iter().enumerate() {
                if of(a as u64, n).above(of(b as u64, m), 0.95).holds(p - q) {
                    covered += likely * likely_too;
                }
            }
        }
        assert!((0.93..=0.98).contains(&covered), "{covered} for {p} and {q}");
    }
}

#[test]
fn a_split_that_is_off_is_unlikely() {
    // 1.0 with one degree of freedom: 0.3173.
    let likely = split_likelihood(&[5_050, 4_950], &[1, 1]).expect("enough");
    assert!((likely - 0.3173).abs() < 1e-4, "{likely}");
    assert!(split_likelihood(&[5_200, 4_800], &[1, 1]).expect("enough") < 0.001);
    assert!(split_likelihood(&[9_000, 1_000], &[9, 1]).expect("enough") > 0.999);
    assert_eq!(split_likelihood(&[4, 4], &[1, 1]), None, "too few to tell");
    assert_eq!(split_likelihood(&[10], &[1]), None);
}
