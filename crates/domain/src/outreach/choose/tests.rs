use proptest::prelude::*;

use super::*;

fn lead(number: u32) -> Uuid {
    // Ids as they are made: of one time, one after the other.
    Uuid::from_u128((0x0198_0000_0000_7000_8000_u128 << 48) | u128::from(number))
}

fn variants<'a>(weights: &[(&'a str, u16)]) -> Vec<StepVariant<'a>> {
    weights.iter().map(|(name, weight)| StepVariant { name, weight: *weight }).collect()
}

fn chosen<'a>(campaign: u128, step: u16, who: Uuid, all: &[StepVariant<'a>]) -> Option<&'a str> {
    variant(Uuid::from_u128(campaign), step, who, all).map(|place| all[place].name)
}

/// `n` draws that come out with probability `p` each are this far from `n p` only once in many million times.
fn is_near(count: usize, n: u32, p: f64) -> bool {
    let n = f64::from(n);
    (count as f64 - n * p).abs() <= 5.5 * (n * p * (1.0 - p)).sqrt()
}

#[test]
fn weights_are_what_they_say() {
    for weights in [&[1_u16, 1][..], &[7, 2, 1], &[10_000, 1, 5_000], &[3, 0, 3], &[1; 8]] {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let all: Vec<_> =
            names.into_iter().zip(weights).map(|(name, weight)| StepVariant { name, weight: *weight }).collect();
        let mut counts = vec![0; all.len()];
        for number in 0..20_000 {
            counts[variant(Uuid::from_u128(5), 1, lead(number), &all).expect("one")] += 1;
        }
        let total: u32 = weights.iter().map(|weight| u32::from(*weight)).sum();
        for (count, weight) in counts.iter().zip(weights) {
            assert!(is_near(*count, 20_000, f64::from(*weight) / f64::from(total)), "{counts:?} for {weights:?}");
        }
    }
}

#[test]
fn nobody_chooses_of_nothing() {
    assert_eq!(chosen(1, 0, lead(1), &[]), None);
    assert_eq!(chosen(1, 0, lead(1), &variants(&[("a", 0), ("b", 0)])), None);
    assert_eq!(chosen(1, 0, lead(1), &variants(&[("a", 0), ("b", 1)])), Some("b"));
}

/// These are what they were in the first release: the first 16 digits of `sha256sum` over the parts, and what a calculator
/// gives. Whoever changes them moves everybody.
#[test]
fn the_draws_are_those_of_the_first_release() {
    let drawn = ["a", "b"].map(|name| draw(Uuid::from_u128(0x0198_c0de), 2, lead(7), name));
    assert_eq!(drawn, PINNED);
    let near = |drawn: u64| {
        let expected = 64.0 - (drawn as f64).log2();
        let found = cost(drawn) as f64 / (1_u64 << DIGITS) as f64;
        (expected - found).abs() < 1e-9
    };
    assert!(
        [0, 1, 2, 3, 1 << 32, 0x1234_5678_9abc_def0, u64::MAX / 2, u64::MAX - 1]
            .into_iter()
            .all(|one: u64| near(one.max(1)))
    );
}

const PINNED: [u64; 2] = [0x2072_b0b4_2c94_e709, 0x9817_7e95_9511_d5af];

/// Of those who get one variant in a step, as many get one in another step and in another campaign as of all.
#[test]
fn steps_and_campaigns_have_nothing_to_do_with_each_other() {
    let all = variants(&[("a", 1), ("b", 1)]);
    let mut both = [0; 2];
    for number in 0..20_000 {
        let first = chosen(1, 0, lead(number), &all) == Some("a");
        both[0] += usize::from(first && chosen(1, 1, lead(number), &all) == Some("a"));
        both[1] += usize::from(first && chosen(2, 0, lead(number), &all) == Some("a"));
    }
    assert!(both.iter().all(|count| is_near(*count, 20_000, 0.25)), "{both:?}");
}

proptest! {
    #[test]
    fn a_choice_stays_as_far_as_it_can(
        campaign in any::<u128>(),
        step in any::<u16>(),
        who in any::<u128>(),
        weights in prop::collection::vec(0..=10_000_u16, 1..8),
        other in 1..=10_000_u16,
        place in any::<prop::sample::Index>(),
    ) {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let who = Uuid::from_u128(who);
        let all: Vec<_> = names.into_iter().zip(&weights).map(|(name, weight)| StepVariant { name, weight: *weight }).collect();
        let before = chosen(campaign, step, who, &all);
        prop_assert_eq!(before, chosen(campaign, step, who, &all));
        prop_assert_eq!(before.is_none(), weights.iter().all(|weight| *weight == 0));

        // Whatever the order.
        let mut turned = all.clone();
        turned.reverse();
        prop_assert_eq!(before, chosen(campaign, step, who, &turned));

        // One more takes some for itself and moves nobody else.
        let mut more = all.clone();
        more.insert(place.index(all.len() + 1), StepVariant { name: "z", weight: other });
        let after = chosen(campaign, step, who, &more);
        prop_assert!(after == before || after == Some("z"));

        // One that is taken out moves only those who had it.
        let mut fewer = all.clone();
        let gone = fewer.remove(place.index(all.len()));
        prop_assert!(before == Some(gone.name) || chosen(campaign, step, who, &fewer) == before);

        // More weight takes, less weight gives, and nobody else moves.
        let mut changed = all.clone();
        let one = &mut changed[place.index(all.len())];
        let (name, had) = (one.name, one.weight);
        one.weight = other;
        let after = chosen(campaign, step, who, &changed);
        if other >= had {
            prop_assert!(after == before || after == Some(name));
        } else {
            prop_assert!(after == before || before == Some(name));
        }

        // All weights twice as high change nothing.
        let double: Vec<_> = all.iter().map(|one| StepVariant { weight: one.weight / 2, ..*one }).collect();
        let quadruple: Vec<_> = double.iter().map(|one| StepVariant { weight: one.weight * 2, ..*one }).collect();
        prop_assert_eq!(chosen(campaign, step, who, &double), chosen(campaign, step, who, &quadruple));
    }

    #[test]
    fn a_cost_is_less_for_more(one in any::<u64>(), other in any::<u64>()) {
        let (low, high) = (one.min(other), one.max(other));
        prop_assert!(cost(low) >= cost(high));
    }

    #[test]
    fn a_name_leads_back_to_its_mail(id in any::<u128>(), domain in "[a-z0-9]{1,20}(\\.[a-z0-9]{2,10}){1,3}") {
        let id = Uuid::from_u128(id);
        let name = message_id(id, &domain).expect("a domain");
        prop_assert_eq!(email_of(&name), Some(id));
        prop_assert_eq!(email_of(&format!(" <{name}>\r\n")), Some(id));
        prop_assert!(name.is_ascii() && !name.contains([' ', '<', '>', '\r', '\n']));
    }
}

#[test]
fn names_of_mails_are_fit_for_a_header() {
    let id = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001);
    assert_eq!(message_id(id, "Mail.Example.com").as_deref(), Ok("01980000000070008000000000000001@mail.example.com"));
    for bad in [
        "",
        "localhost",
        "a..b",
        "-a.com",
        "a-.com",
        "a.com\r\nX: y",
        "exämple.com",
        "a.com>",
        ".com",
        "a.",
        &format!("{}.com", "a".repeat(64)),
    ] {
        assert_eq!(message_id(id, bad).map_err(|refused| refused.code), Err("invalid_domain"), "{bad:?}");
    }
    for other in [
        "",
        "x@example.com",
        "01980000000070008000000000000001",
        "01980000000070008000000000000001@",
        "CAF+0198@mail.gmail.com",
    ] {
        assert_eq!(email_of(other), None, "{other}");
    }
}
