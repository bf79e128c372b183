//! Who gets what: decided by a digest of the unit alone, so that it is the same on every node and at every time, and needs
//! no row. Nothing here may ever change: everybody would move.

use mainstay_domain::{Experiment, ExperimentId, Flag, PersonId, Share, TenantId, Unit};
use ring::digest::{Context, SHA256};
use uuid::Uuid;

/// How many places a share is counted in.
const PLACES: u64 = 10_000;

/// The place of a unit among `places`, under this salt: the first eight bytes of a SHA-256. Salts that differ give places
/// that have nothing to do with each other. That 2^64 is no multiple of `places` shifts them by less than 10^-14.
fn place(salt: &str, name: &[u8], unit: Uuid, places: u64) -> u64 {
    let mut context = Context::new(&SHA256);
    for part in [salt.as_bytes(), b":", name, b":", unit.as_bytes()] {
        context.update(part);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&context.finish().as_ref()[..8]);
    u64::from_be_bytes(first) % places.max(1)
}

/// A share takes the places from 0 on, so a larger one has everybody of a smaller one.
fn within(share: Share, place: u64) -> bool {
    place < u64::from(share.basis_points())
}

/// What is assigned to a person in an organisation: their own id, or the organisation's.
#[must_use]
pub fn unit(unit: Unit, tenant: TenantId, person: PersonId) -> Uuid {
    match unit {
        Unit::Organisation => tenant.uuid(),
        Unit::Person => person.uuid(),
    }
}

/// Whether a flag is on.
#[must_use]
pub fn is_on(key: &str, flag: &Flag, tenant: TenantId, person: PersonId) -> bool {
    if flag.deny.contains(&tenant) {
        return false;
    }
    flag.allow.contains(&tenant)
        || within(flag.share, place("flag", key.as_bytes(), unit(flag.unit, tenant, person), PLACES))
}

/// The place of a unit's variant in an experiment; nothing when it does not take part. Who takes part and who gets what are
/// two draws.
#[must_use]
pub fn variant(id: ExperimentId, experiment: &Experiment, unit: Uuid) -> Option<usize> {
    let name = id.uuid();
    if !within(experiment.traffic, place("traffic", name.as_bytes(), unit, PLACES)) {
        return None;
    }
    let mut left = place("variant", name.as_bytes(), unit, experiment.total_weight());
    experiment.variants.iter().position(|variant| {
        let weight = u64::from(variant.weight);
        let here = left < weight;
        left = left.saturating_sub(weight);
        here
    })
}

#[cfg(test)]
mod tests {
    use mainstay_domain::{EventName, Measure, Variant, VariantName};
    use proptest::prelude::*;

    use super::*;

    fn share(points: u16) -> Share {
        Share::from_basis_points(points).expect("a share")
    }

    fn flag(points: u16, unit: Unit) -> Flag {
        Flag { share: share(points), unit, ..Flag::off() }
    }

    fn experiment(weights: &[u16], traffic: u16) -> Experiment {
        let variant = |(number, weight): (usize, &u16)| Variant {
            name: VariantName::parse(&format!("v{number}")).expect("a name"),
            weight: *weight,
        };
        Experiment {
            description: String::new(),
            unit: Unit::Person,
            traffic: share(traffic),
            variants: weights.iter().enumerate().map(variant).collect(),
            metric: EventName::parse("paid").expect("a name"),
            measure: Measure::Conversion,
        }
    }

    /// Ids as they are made: of one time, one after the other.
    fn people(count: u32) -> impl Iterator<Item = PersonId> {
        (0..count).map(|number| PersonId(Uuid::from_u128(0x0198_0000_0000_7000_8000 << 48 | u128::from(number))))
    }

    fn tenant() -> TenantId {
        TenantId(Uuid::from_u128(7))
    }

    /// `n` draws that come out with probability `p` each are this far from `n p` only once in many million times.
    fn is_near(count: usize, n: u32, p: f64) -> bool {
        let n = f64::from(n);
        (count as f64 - n * p).abs() <= 5.5 * (n * p * (1.0 - p)).sqrt()
    }

    /// These are what they were in the first release: the first 16 digits of `sha256sum` over the parts, modulo the
    /// places. Whoever changes them moves everybody.
    #[test]
    fn the_places_are_those_of_the_first_release() {
        let unit = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0001);
        let places: Vec<_> = ["flag", "traffic", "variant"].map(|salt| place(salt, b"editor", unit, PLACES)).to_vec();
        assert_eq!(places, PINNED);
    }

    const PINNED: [u64; 3] = [7872, 9905, 1749];

    proptest! {
        #[test]
        fn raising_the_percentage_only_adds(id in any::<u128>(), key in "[a-z]{1,20}", a in 0..=10_000u16, b in 0..=10_000u16) {
            let (low, high) = (a.min(b), a.max(b));
            for unit in [Unit::Person, Unit::Organisation] {
                let (tenant, person) = (TenantId(Uuid::from_u128(id)), PersonId(Uuid::from_u128(!id)));
                let on = |points| is_on(&key, &flag(points, unit), tenant, person);
                prop_assert!(!on(low) || on(high));
                prop_assert!(!on(0) && on(10_000));
                prop_assert_eq!(on(a), on(a));
            }
        }

        #[test]
        fn more_traffic_moves_nobody_between_variants(id in any::<u128>(), who in any::<u128>(), a in 1..=10_000u16, b in 1..=10_000u16) {
            let of = |points| variant(ExperimentId(Uuid::from_u128(id)), &experiment(&[3, 1, 4], points), Uuid::from_u128(who));
            let (less, more) = (of(a.min(b)), of(a.max(b)));
            prop_assert!(less.is_none() || less == more);
            prop_assert!(of(10_000).is_some_and(|place| place < 3));
        }
    }

    #[test]
    fn the_share_is_what_it_says() {
        for points in [1, 100, 2_500, 5_000, 9_900] {
            let flag = flag(points, Unit::Person);
            let on = people(40_000).filter(|person| is_on("editor", &flag, tenant(), *person)).count();
            assert!(is_near(on, 40_000, f64::from(points) / 10_000.0), "{on} of 40000 for {points}");
        }
        let (id, tried) = (ExperimentId(Uuid::from_u128(9)), experiment(&[70, 20, 10], 10_000));
        let mut counts = [0; 3];
        for person in people(40_000) {
            counts[variant(id, &tried, person.uuid()).expect("everybody takes part")] += 1;
        }
        for (count, p) in counts.into_iter().zip([0.7, 0.2, 0.1]) {
            assert!(is_near(count, 40_000, p), "{counts:?}");
        }
    }

    /// Of those who have one flag, as many have another one as of all; the same for two experiments, for a flag and an
    /// experiment, and for taking part and the variant.
    #[test]
    fn draws_have_nothing_to_do_with_each_other() {
        let half = flag(5_000, Unit::Person);
        let (first, second) = (ExperimentId(Uuid::from_u128(1)), ExperimentId(Uuid::from_u128(2)));
        let (all, some) = (experiment(&[1, 1], 10_000), experiment(&[1, 1], 5_000));
        let mut both = [0; 4];
        let mut taking_part = 0;
        for person in people(40_000) {
            let on = is_on("editor", &half, tenant(), person);
            let in_first = variant(first, &all, person.uuid()) == Some(0);
            let part = variant(first, &some, person.uuid());
            taking_part += usize::from(part.is_some());
            for (count, pair) in both.iter_mut().zip([
                (on, is_on("other", &half, tenant(), person)),
                (in_first, variant(second, &all, person.uuid()) == Some(0)),
                (on, in_first),
                (part.is_some(), part == Some(0)),
            ]) {
                *count += usize::from(pair.0 && pair.1);
            }
        }
        assert!(both.iter().all(|count| is_near(*count, 40_000, 0.25)), "{both:?}");
        assert!(is_near(taking_part, 40_000, 0.5), "{taking_part}");
    }

    #[test]
    fn lists_come_before_the_share() {
        let (mine, other) = (tenant(), TenantId(Uuid::from_u128(8)));
        let person = PersonId(Uuid::from_u128(1));
        let mut rule = flag(0, Unit::Organisation);
        rule.allow.insert(mine);
        assert!(is_on("editor", &rule, mine, person) && !is_on("editor", &rule, other, person));
        rule.share = Share::EVERYBODY;
        rule.deny.insert(mine);
        assert!(!is_on("editor", &rule, mine, person) && is_on("editor", &rule, other, person));
    }

    #[test]
    fn people_of_an_organisation_are_treated_alike_where_it_is_the_unit() {
        let half = flag(5_000, Unit::Organisation);
        for number in 0..50 {
            let tenant = TenantId(Uuid::from_u128(number));
            let on: Vec<_> = people(20).map(|person| is_on("editor", &half, tenant, person)).collect();
            assert!(on.iter().all(|one| *one == on[0]));
        }
    }
}
