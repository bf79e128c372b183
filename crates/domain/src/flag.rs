//! Feature flags and experiments: what an operator says about them, checked.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::account::words;
use crate::text::{Refused, bounded_line};
use crate::{FieldFault, TenantId, UnknownWord};

/// The most characters of a key, a name of a variant or a name of an event.
const LONGEST_NAME: usize = 64;
/// The most characters of a description.
const LONGEST_DESCRIPTION: usize = 200;

/// One word of lower case letters, digits, `_`, `-` and `.`, which begins with a letter or a digit.
fn name(text: &str) -> Result<String, Refused> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = text.bytes().next().is_some_and(plain);
    if text.len() > LONGEST_NAME || !first || !text.bytes().all(|byte| plain(byte) || b"_-.".contains(&byte)) {
        let detail =
            "It has 1 to 64 characters: lower case letters, digits, _, - and ., the first a letter or a digit.";
        return Err(Refused { code: "invalid_name", detail: detail.to_owned() });
    }
    Ok(text.to_owned())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)+) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Reads a name.
            ///
            /// # Errors
            /// When it is empty, longer than 64 characters, or has others than lower case letters, digits, `_`, `-`, `.`.
            pub fn parse(text: &str) -> Result<Self, Refused> {
                name(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(|refused| de::Error::custom(refused.detail))
            }
        }
    )+ };
}

names! {
    /// What a flag or an experiment is asked for by.
    FlagKey;
    /// What a variant of an experiment is called.
    VariantName;
    /// What an outcome event is called.
    EventName;
}

/// By what a rollout or an experiment divides: everybody of an organisation gets the same, or each person their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Organisations.
    Organisation,
    /// Persons, wherever they are a member.
    Person,
}

words!(Unit { Organisation = "organisation", Person = "person" });

/// A part of all units, in basis points: 10,000 is everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// Nobody.
    pub const NOBODY: Self = Self(0);
    /// Everybody.
    pub const EVERYBODY: Self = Self(10_000);

    /// In basis points, 0 to 10,000.
    #[must_use]
    pub const fn basis_points(self) -> u16 {
        self.0
    }

    /// From basis points; nothing above 10,000.
    #[must_use]
    pub const fn from_basis_points(points: u16) -> Option<Self> {
        if points <= Self::EVERYBODY.0 { Some(Self(points)) } else { None }
    }

    /// Reads a number of per cent with at most two decimals: `12.5`.
    ///
    /// # Errors
    /// When it is none, or is not from 0 to 100.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let bad = || Refused {
            code: "invalid_percentage",
            detail: "Give a number from 0 to 100 with at most two decimals, such as 12.5.".to_owned(),
        };
        let number = text.trim().trim_end_matches('%');
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || whole.len() > 3 || decimals.len() > 2 {
            return Err(bad());
        }
        let whole: u16 = whole.parse().map_err(|_| bad())?;
        let decimals: u16 = format!("{decimals:0<2}").parse().map_err(|_| bad())?;
        Self::from_basis_points(whole * 100 + decimals).ok_or_else(bad)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:02}", self.0 / 100, self.0 % 100);
        write!(f, "{} %", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let points = u16::deserialize(deserializer)?;
        Self::from_basis_points(points).ok_or_else(|| de::Error::custom("more than 10000 basis points"))
    }
}

/// For whom a feature is on. The lists come first: who is on `deny` never has it, who is on `allow` always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// How many of the units have it.
    pub share: Share,
    /// Of what the share is.
    pub unit: Unit,
    /// Organisations that have it, whatever the share.
    #[serde(default)]
    pub allow: BTreeSet<TenantId>,
    /// Organisations that do not have it, whatever the rest says.
    #[serde(default)]
    pub deny: BTreeSet<TenantId>,
}

impl Flag {
    /// The most organisations on each list.
    pub const MOST_LISTED: usize = 1_000;

    /// A flag that is off for everybody.
    #[must_use]
    pub fn off() -> Self {
        Self {
            description: String::new(),
            share: Share::NOBODY,
            unit: Unit::Organisation,
            allow: BTreeSet::new(),
            deny: BTreeSet::new(),
        }
    }

    /// What is wrong with it; nothing when it can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<FieldFault> {
        let mut faults: Vec<_> = description_fault(&self.description).into_iter().collect();
        for (field, list) in [("allow", &self.allow), ("deny", &self.deny)] {
            if list.len() > Self::MOST_LISTED {
                let detail = format!("At most {} organisations. Use a share for more.", Self::MOST_LISTED);
                faults.push(FieldFault::new(field, "too_many", detail));
            }
        }
        faults
    }
}

/// One of the ways in which an experiment treats its units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// What it is called.
    pub name: VariantName,
    /// How many units get it, in proportion to the weights of all variants.
    pub weight: u16,
}

/// What is compared between the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How many of the units had the event at least once.
    Conversion,
    /// The sum of the event's values for each unit, 0 for one without an event.
    Mean,
}

words!(Measure { Conversion = "conversion", Mean = "mean" });

/// How far an experiment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentState {
    /// It can still be changed; nobody takes part.
    Draft,
    /// Units are assigned, and nothing about it changes.
    Running,
    /// Nobody takes part any more. What was found stays for a while.
    Stopped,
}

words!(ExperimentState { Draft = "draft", Running = "running", Stopped = "stopped" });

/// What is tried, on whom, and by what it is judged. The first variant is the one that the others are compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What is assigned.
    pub unit: Unit,
    /// How many of the units take part.
    pub traffic: Share,
    /// The variants, the control first.
    pub variants: Vec<Variant>,
    /// The event that counts.
    pub metric: EventName,
    /// What of it is compared.
    pub measure: Measure,
}

impl Experiment {
    /// The most variants.
    pub const MOST_VARIANTS: usize = 8;
    /// The highest weight.
    pub const HIGHEST_WEIGHT: u16 = 10_000;

    /// The sum of the weights.
    #[must_use]
    pub fn total_weight(&self) -> u64 {
        self.variants.iter().map(|variant| u64::from(variant.weight)).sum()
    }

    /// What is wrong with it; nothing when it can be used.
    #[must_use]
    pub fn faults(&self) -> Vec<FieldFault> {
        let mut faults: Vec<_> = description_fault(&self.description).into_iter().collect();
        let mut variant = |code, detail: &str| faults.push(FieldFault::new("variant", code, detail));
        if !(2..=Self::MOST_VARIANTS).contains(&self.variants.len()) {
            variant("out_of_range", "An experiment has 2 to 8 variants.");
        }
        if self.variants.iter().any(|one| !(1..=Self::HIGHEST_WEIGHT).contains(&one.weight)) {
            variant("out_of_range", "A weight is a whole number from 1 to 10000.");
        }
        let names: BTreeSet<_> = self.variants.iter().map(|one| &one.name).collect();
        if names.len() < self.variants.len() {
            variant("duplicate", "Each variant has a name of its own.");
        }
        if self.traffic == Share::NOBODY {
            faults.push(FieldFault::new("traffic", "out_of_range", "Somebody has to take part."));
        }
        faults
    }
}

fn description_fault(description: &str) -> Option<FieldFault> {
    bounded_line(description, 0, LONGEST_DESCRIPTION).err().map(|refused| refused.of("description"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_read_what_they_print() {
        for (text, points) in [("0", 0), ("100", 10_000), ("12.5", 1250), ("12.05", 1205), ("0.01", 1), (" 7% ", 700)] {
            assert_eq!(Share::parse(text).map(Share::basis_points), Ok(points), "{text}");
        }
        for share in (0..=10_000).step_by(7).filter_map(Share::from_basis_points) {
            assert_eq!(Share::parse(share.to_string().trim_end_matches(" %")), Ok(share));
        }
        for bad in ["", "-1", "100.01", "101", "1.234", ".5", "1.", "1e1", "NaN", "65600"] {
            assert!(Share::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert_eq!(Share::from_basis_points(10_001), None);
    }

    #[test]
    fn names_are_plain_words() {
        for good in ["a", "new-editor", "checkout.v2", "0_1"] {
            assert_eq!(FlagKey::parse(good).map(|key| key.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "A", "a b", "-a", ".a", "é", "a/b", &"a".repeat(65)] {
            assert!(FlagKey::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    fn experiment(weights: &[(&str, u16)]) -> Experiment {
        let variants = weights
            .iter()
            .map(|(name, weight)| Variant { name: VariantName::parse(name).expect("a name"), weight: *weight });
        Experiment {
            description: String::new(),
            unit: Unit::Person,
            traffic: Share::EVERYBODY,
            variants: variants.collect(),
            metric: EventName::parse("paid").expect("a name"),
            measure: Measure::Conversion,
        }
    }

    #[test]
    fn an_experiment_has_two_to_eight_variants_of_different_names() {
        assert_eq!(experiment(&[("a", 1), ("b", 10_000)]).faults(), []);
        let nine: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|name| (name, 1)).to_vec();
        for bad in [&[("a", 1)][..], &nine, &[("a", 1), ("a", 1)], &[("a", 0), ("b", 1)], &[("a", 10_001), ("b", 1)]] {
            assert_eq!(experiment(bad).faults().len(), 1, "{bad:?}");
        }
        let nobody = Experiment { traffic: Share::NOBODY, ..experiment(&[("a", 1), ("b", 1)]) };
        assert_eq!(nobody.faults().len(), 1);
        let long = Experiment { description: "x".repeat(201), ..experiment(&[("a", 1), ("b", 1)]) };
        assert_eq!(long.faults().len(), 1);
    }
}
