//! What an experiment has found, and what may be said of it.

use mainstay_domain::{Measure, Timestamp, VariantName};
use mainstay_store::{StoredExperiment, VariantFigures};
use serde::Serialize;
use utoipa::ToSchema;

use super::statistics::{Interval, Proportion, Sample, split_likelihood};

/// How sure the intervals are: those of the variants each, those of the comparisons all together.
const CONFIDENCE: f64 = 0.95;
/// Below so many units of a variant nothing is said of it.
const LEAST_UNITS: u64 = 100;
/// A split that is less likely than this is not chance.
const UNLIKELY: f64 = 0.001;

/// What was found for one variant.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct VariantResult {
    /// What it is called.
    #[schema(value_type = String)]
    pub name: VariantName,
    /// In proportion to the weights of all variants, so many units should get it.
    pub weight: u16,
    /// How many units were shown it.
    pub units: u64,
    /// How many of them had the event after that.
    pub converted: u64,
    /// What is compared: the share of those that converted, or the mean of the units' totals.
    pub value: f64,
    /// Where its true value lies, with 95 % confidence: by Wilson, or by Student. Null where too little is known.
    pub interval: Option<Interval>,
    /// The standard deviation of the units' totals, where means are compared.
    pub deviation: Option<f64>,
}

/// What may be said of a variant against the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// One of the two has less than a hundred units.
    NotEnoughData,
    /// Units were not split as they should be: something is wrong with how they are counted, and no figure can be trusted.
    SplitIsOff,
    /// The interval holds zero.
    NoDifferenceSeen,
    /// It is higher than the first one.
    Higher,
    /// It is lower than the first one.
    Lower,
}

impl Verdict {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotEnoughData => "not enough data",
            Self::SplitIsOff => "not to be trusted",
            Self::NoDifferenceSeen => "no difference seen",
            Self::Higher => "higher",
            Self::Lower => "lower",
        }
    }
}

/// A variant against the first one.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    /// The variant.
    #[schema(value_type = String)]
    pub name: VariantName,
    /// How much larger its value is.
    pub difference: f64,
    /// Where the true difference lies: by Newcombe, or by Welch.
    pub interval: Option<Interval>,
    /// What may be said.
    pub verdict: Verdict,
}

/// Whether units were split as the weights say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Split {
    /// How likely a split at least so far off is by chance. Null while there are too few units to tell.
    pub likelihood: Option<f64>,
    /// True when it is not chance: less likely than 0.001.
    pub is_off: bool,
}

/// What an experiment has found.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Results {
    /// When it was added up.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What the values are: conversion or mean.
    #[schema(value_type = crate::openapi::words::Measure, example = "conversion")]
    pub measure: Measure,
    /// The confidence of each variant's interval, and of all comparisons together.
    pub confidence: f64,
    /// The confidence of each comparison's own interval: higher where there are several (Bonferroni).
    pub comparison_confidence: f64,
    /// Each variant, the first one that which the others are compared with.
    pub variants: Vec<VariantResult>,
    /// Each other variant against the first.
    pub comparisons: Vec<Comparison>,
    /// Whether units were split as they should be.
    pub split: Split,
}

impl Results {
    /// The results from the store's figures.
    #[must_use]
    pub fn new(stored: &StoredExperiment, figures: &[VariantFigures], at: Timestamp) -> Self {
        let experiment = &stored.experiment;
        let measure = experiment.measure;
        let found: Vec<VariantFigures> = (0..experiment.variants.len())
            .map(|place| figures.iter().find(|one| one.variant == place).copied().unwrap_or_default())
            .collect();
        let units: Vec<u64> = found.iter().map(|one| one.units).collect();
        let weights: Vec<u16> = experiment.variants.iter().map(|variant| variant.weight).collect();
        let likelihood = split_likelihood(&units, &weights);
        let split = Split { likelihood, is_off: likelihood.is_some_and(|likelihood| likelihood < UNLIKELY) };
        let others = u32::try_from(found.len().saturating_sub(1).max(1)).unwrap_or(1);
        let comparison_confidence = 1.0 - (1.0 - CONFIDENCE) / f64::from(others);
        let names = experiment.variants.iter();
        let variants: Vec<_> = names
            .zip(&found)
            .map(|(variant, figures)| VariantResult {
                name: variant.name.clone(),
                weight: variant.weight,
                units: figures.units,
                converted: figures.converted,
                value: value(measure, figures),
                interval: interval(measure, figures),
                deviation: (measure == Measure::Mean).then(|| sample(figures).deviation()).flatten(),
            })
            .collect();
        let first = found.first().copied().unwrap_or_default();
        let rest = experiment.variants.iter().zip(&found).skip(1);
        let comparisons = rest
            .map(|(variant, figures)| {
                let interval = difference(measure, figures, &first, comparison_confidence);
                let enough = figures.units.min(first.units) >= LEAST_UNITS;
                Comparison {
                    name: variant.name.clone(),
                    difference: value(measure, figures) - value(measure, &first),
                    interval,
                    verdict: verdict(interval.filter(|_| enough), split),
                }
            })
            .collect();
        Self { at, measure, confidence: CONFIDENCE, comparison_confidence, variants, comparisons, split }
    }
}

fn verdict(interval: Option<Interval>, split: Split) -> Verdict {
    match interval {
        _ if split.is_off => Verdict::SplitIsOff,
        None => Verdict::NotEnoughData,
        Some(interval) if interval.low > 0.0 => Verdict::Higher,
        Some(interval) if interval.high < 0.0 => Verdict::Lower,
        Some(_) => Verdict::NoDifferenceSeen,
    }
}

fn proportion(figures: &VariantFigures) -> Proportion {
    Proportion { of: figures.converted, all: figures.units }
}

fn sample(figures: &VariantFigures) -> Sample {
    Sample { units: figures.units, mean: figures.mean, squares: figures.squares }
}

fn value(measure: Measure, figures: &VariantFigures) -> f64 {
    match measure {
        Measure::Conversion => proportion(figures).rate(),
        Measure::Mean => figures.mean,
    }
}

fn interval(measure: Measure, figures: &VariantFigures) -> Option<Interval> {
    match measure {
        Measure::Conversion => (figures.units > 0).then(|| proportion(figures).interval(CONFIDENCE)),
        Measure::Mean => sample(figures).interval(CONFIDENCE),
    }
}

fn difference(measure: Measure, of: &VariantFigures, from: &VariantFigures, confidence: f64) -> Option<Interval> {
    match measure {
        Measure::Conversion => {
            (of.units > 0 && from.units > 0).then(|| proportion(of).above(proportion(from), confidence))
        }
        Measure::Mean => sample(of).above(sample(from), confidence),
    }
}

#[cfg(test)]
mod tests {
    use mainstay_domain::{
        EventName, Experiment, ExperimentId, ExperimentState, FlagKey, Share, Timestamp, Unit, Variant,
    };
    use uuid::Uuid;

    use super::*;

    fn stored(measure: Measure, names: &[&str]) -> StoredExperiment {
        let variant = |name: &&str| Variant { name: VariantName::parse(name).expect("a name"), weight: 1 };
        StoredExperiment {
            id: ExperimentId(Uuid::nil()),
            key: FlagKey::parse("intro").expect("a key"),
            experiment: Experiment {
                description: String::new(),
                unit: Unit::Person,
                traffic: Share::EVERYBODY,
                variants: names.iter().map(variant).collect(),
                metric: EventName::parse("paid").expect("a name"),
                measure,
            },
            state: ExperimentState::Running,
            winner: None,
            created_at: Timestamp::EPOCH,
            started_at: Some(Timestamp::EPOCH),
            stopped_at: None,
        }
    }

    fn figures(variant: usize, units: u64, converted: u64) -> VariantFigures {
        VariantFigures { variant, units, converted, mean: 1.0, squares: 1.0 }
    }

    fn verdicts(figures: &[VariantFigures]) -> Vec<Verdict> {
        let stored = stored(Measure::Conversion, &["control", "short"]);
        Results::new(&stored, figures, Timestamp::EPOCH).comparisons.iter().map(|one| one.verdict).collect()
    }

    #[test]
    fn what_is_said_follows_from_the_figures() {
        assert_eq!(verdicts(&[]), [Verdict::NotEnoughData]);
        assert_eq!(verdicts(&[figures(0, 99, 5), figures(1, 120, 90)]), [Verdict::NotEnoughData]);
        assert_eq!(verdicts(&[figures(0, 1_000, 100), figures(1, 1_000, 110)]), [Verdict::NoDifferenceSeen]);
        assert_eq!(verdicts(&[figures(0, 1_000, 100), figures(1, 1_000, 150)]), [Verdict::Higher]);
        assert_eq!(verdicts(&[figures(0, 1_000, 150), figures(1, 1_000, 100)]), [Verdict::Lower]);
        // However large the difference: one of two is missing in every eight.
        assert_eq!(verdicts(&[figures(0, 1_000, 100), figures(1, 1_250, 900)]), [Verdict::SplitIsOff]);
    }

    #[test]
    fn a_variant_that_nobody_was_shown_is_there_with_nothing() {
        let stored = stored(Measure::Mean, &["control", "short", "long"]);
        let results = Results::new(&stored, &[figures(2, 10, 1)], Timestamp::EPOCH);
        let units: Vec<_> = results.variants.iter().map(|one| one.units).collect();
        assert_eq!(units, [0, 0, 10]);
        assert_eq!(results.variants[0].interval, None);
        assert!(results.comparisons.iter().all(|one| one.verdict == Verdict::NotEnoughData));
        assert!(serde_json::to_string(&results).is_ok_and(|text| !text.contains("NaN")));
    }

    /// Two comparisons with a control: each is made at 97.5 %, so that both hold together at 95 %.
    #[test]
    fn several_comparisons_are_wider_than_one() {
        let figures = [figures(0, 1_000, 100), figures(1, 1_000, 131), figures(2, 1_000, 100)];
        let two = Results::new(&stored(Measure::Conversion, &["control", "short"]), &figures[..2], Timestamp::EPOCH);
        let three =
            Results::new(&stored(Measure::Conversion, &["control", "short", "long"]), &figures, Timestamp::EPOCH);
        assert!(
            (two.comparison_confidence - 0.95).abs() < 1e-12 && (three.comparison_confidence - 0.975).abs() < 1e-12
        );
        assert_eq!(
            (two.comparisons[0].verdict, three.comparisons[0].verdict),
            (Verdict::Higher, Verdict::NoDifferenceSeen)
        );
    }

    #[test]
    fn means_are_compared_by_their_spread() {
        let of = |variant, mean, squares| VariantFigures { variant, units: 400, converted: 400, mean, squares };
        let stored = stored(Measure::Mean, &["control", "short"]);
        let verdict = |squares| {
            let figures = [of(0, 10.0, squares), of(1, 10.5, squares)];
            Results::new(&stored, &figures, Timestamp::EPOCH).comparisons[0].verdict
        };
        assert_eq!((verdict(399.0), verdict(399_000.0)), (Verdict::Higher, Verdict::NoDifferenceSeen));
    }
}
