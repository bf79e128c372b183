use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn at(minutes: u64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000).plus(MINUTE * u32::try_from(minutes).expect("minutes"))
}

#[test]
fn a_cap_grows_by_the_day_up_to_its_end() {
    let ramp = RampUp { start: 5, step: 10, cap: 40 };
    assert_eq!([0, 1, 2, 3, 4, 5, u32::MAX].map(|day| ramp.on_day(day)), [5, 15, 25, 35, 40, 40, 40]);
    assert_eq!([0, u32::MAX].map(|day| RampUp { start: 5, step: 0, cap: 40 }.on_day(day)), [5, 5]);
    assert_eq!([0, 9].map(|day| RampUp::flat(40).on_day(day)), [40, 40]);
    let caps = [0, 24 * 60 - 1, 24 * 60, 48 * 60].map(|minutes| ramp.at(at(0), at(minutes)));
    assert_eq!(caps, [5, 5, 15, 25]);
    assert_eq!(ramp.at(at(10), at(0)), 5, "a clock that was set back");
    assert_eq!(ramp.faults(), []);
    for (bad, fields) in [
        (RampUp { start: 0, step: 1, cap: 40 }, &["start"][..]),
        (RampUp { start: 41, step: 1, cap: 40 }, &["start"]),
        (RampUp { start: 1, step: 1, cap: 100_001 }, &["cap"]),
        (RampUp { start: 0, step: 0, cap: 0 }, &["cap", "start"]),
    ] {
        assert_eq!(bad.faults().iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), fields);
    }
}

#[test]
fn a_bucket_counts_until_its_last_moment_is_a_day_old() {
    let sent = [SentBucket { start: at(0), sent: 7 }];
    assert_eq!(bucket_of(at(4)), at(0));
    assert_eq!(bucket_of(at(5)), at(5));
    let day = 24 * 60;
    let just_before = |minutes: u64| at(minutes).minus(Duration::from_millis(1));
    assert_eq!(room(&sent, at(0), 10, 0), 3);
    assert_eq!(room(&sent, at(1), 10, 2), 1);
    assert_eq!(room(&sent, at(1), 10, 4), 0);
    assert_eq!(room(&sent, just_before(day + 5), 10, 0), 3);
    assert_eq!(room(&sent, at(day + 5), 10, 0), 10);
    assert_eq!(first_bucket(just_before(day + 5)), at(0));
    assert_eq!(first_bucket(at(day + 5)), at(5));
    // A cap that was lowered, and a clock that was set back.
    assert_eq!(room(&sent, at(1), 5, 0), 0);
    assert_eq!(room(&[SentBucket { start: at(60), sent: 7 }], at(0), 10, 0), 3);
    let many = [SentBucket { start: at(0), sent: u32::MAX }; 2];
    assert_eq!(room(&many, at(0), 10, u32::MAX), 0);
}

#[test]
fn it_is_known_when_there_is_room_again() {
    let buckets = [(0, 3), (10, 4), (60, 3)].map(|(minutes, sent)| SentBucket { start: at(minutes), sent });
    let day = 24 * 60;
    assert_eq!(room_again(&buckets, at(70), 11, 0), Some(at(70)));
    assert_eq!(room_again(&buckets, at(70), 10, 0), Some(at(day + 5)));
    assert_eq!(room_again(&buckets, at(70), 10, 3), Some(at(day + 15)));
    assert_eq!(room_again(&buckets, at(70), 10, 9), Some(at(day + 65)));
    assert_eq!(room_again(&buckets, at(70), 10, 10), None);
    assert_eq!(room_again(&buckets, at(70), 0, 0), None);
}

/// What an account does in a test: whoever claims takes as much as there is room for, and sends it after a while.
#[derive(Debug, Clone)]
struct Claim {
    /// Milliseconds after the claim before.
    pause: u64,
    /// The most that are taken.
    wanted: u32,
    /// Milliseconds from the claim until each is sent, one after the other.
    each: u64,
}

fn claims() -> impl Strategy<Value = Vec<Claim>> {
    let pause = prop_oneof![0..400_000_u64, 0..30_000_000_u64, Just(86_400_000), Just(300_000)];
    let claim = (pause, 1..40_u32, prop_oneof![0..2_000_u64, 0..200_000_u64]);
    prop::collection::vec(claim.prop_map(|(pause, wanted, each)| Claim { pause, wanted, each }), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_stretch_of_a_day_has_more_than_the_cap(claims in claims(), cap in 1..100_u32, step in 0..20_u32) {
        let start = 1_767_225_600_123_u64;
        let ramp = RampUp { start: 1.max(cap / 3), step, cap };
        // The exact log, which the ledger does not have.
        let mut log: Vec<u64> = Vec::new();
        let mut buckets: BTreeMap<Timestamp, u32> = BTreeMap::new();
        let mut in_hand: Vec<u64> = Vec::new();
        let mut now = start;
        for claim in claims {
            now += claim.pause;
            in_hand.sort_unstable();
            let done = in_hand.partition_point(|sent| *sent <= now);
            for sent in in_hand.drain(..done) {
                log.push(sent);
                *buckets.entry(bucket_of(Timestamp::from_millis(sent as i64))).or_default() += 1;
            }
            let moment = Timestamp::from_millis(now as i64);
            let kept: Vec<_> = buckets
                .range(first_bucket(moment)..)
                .map(|(start, sent)| SentBucket { start: *start, sent: *sent })
                .collect();
            let cap = ramp.at(Timestamp::from_millis(start as i64), moment);
            let taken = claim.wanted.min(room(&kept, moment, cap, in_hand.len() as u32));
            in_hand.extend((1..=u64::from(taken)).map(|number| now + number * claim.each));
        }
        log.extend(in_hand);
        log.sort_unstable();
        for (place, sent) in log.iter().enumerate() {
            let day = 86_400_000;
            let within = log[..=place].iter().filter(|other| **other + day > *sent).count();
            let cap = ramp.at(Timestamp::from_millis(start as i64), Timestamp::from_millis(*sent as i64));
            prop_assert!(within <= cap as usize, "{within} of {cap} in the day before {sent}");
        }
    }

    #[test]
    fn nothing_is_held_back_longer_than_a_bucket(moments in prop::collection::vec(0..200_000_000_u64, 0..200), cap in 1..100_u32, now in 0..400_000_000_u64) {
        let mut buckets: BTreeMap<Timestamp, u32> = BTreeMap::new();
        for moment in moments.iter().filter(|moment| **moment <= now) {
            *buckets.entry(bucket_of(Timestamp::from_millis(*moment as i64))).or_default() += 1;
        }
        let buckets: Vec<_> = buckets.into_iter().map(|(start, sent)| SentBucket { start, sent }).collect();
        let counted = |longer: u64| moments.iter().filter(|one| **one <= now && **one + 86_400_000 + longer > now).count() as u32;
        let room = room(&buckets, Timestamp::from_millis(now as i64), cap, 0);
        prop_assert!(room <= cap.saturating_sub(counted(0)));
        prop_assert!(room >= cap.saturating_sub(counted(300_000)));
    }

    #[test]
    fn two_mails_are_never_closer_than_the_gap(gap in 0..100_000_u64, chance in any::<f64>(), fraction in 0.0..1.0_f64) {
        let gap = Duration::from_millis(gap);
        for chance in [chance, fraction] {
            let next = next_after(at(0), gap, chance).since(at(0));
            prop_assert!(next >= gap && next <= gap + gap / 2 + Duration::from_millis(1), "{next:?}");
        }
    }

    #[test]
    fn mails_to_a_domain_are_a_gap_apart_and_none_waits_for_nothing(pauses in prop::collection::vec(0..10_000_u64, 1..60), gap in 1..5_000_u64) {
        let gap = Duration::from_millis(gap);
        let (mut now, mut next_at, mut before) = (at(0), Timestamp::EPOCH, None::<Timestamp>);
        for pause in pauses {
            now = now.plus(Duration::from_millis(pause));
            let (due, next) = slot(next_at, now, gap);
            prop_assert!(due >= now && next == due.plus(gap));
            let earliest = before.map_or(now, |before| before.plus(gap).max(now));
            prop_assert_eq!(due, earliest);
            (next_at, before) = (next, Some(due));
        }
    }
}

#[test]
fn the_jitter_is_spread() {
    let gap = Duration::from_secs(60);
    let seconds = [0.0, 0.5, 0.999].map(|chance| next_after(at(0), gap, chance).since(at(0)).as_millis());
    assert_eq!(seconds, [60_000, 75_000, 89_970]);
    assert_eq!(next_after(at(0), gap, f64::NAN), at(1));
}

#[test]
fn an_account_is_judged_by_what_comes_back() {
    use AccountHealth::{Good, Paused, Strained};
    use HealthReason::{Bounces, Complaints};
    for (sent, bounced, complained, expected) in [
        (0, 0, 0, Good),
        // Too few to tell.
        (49, 49, 0, Good),
        (50, 0, 50, Good),
        (299, 0, 100, Good),
        // Bounces.
        (50, 0, 0, Good),
        (51, 1, 0, Good),
        (50, 1, 0, Strained(Bounces)),
        (50, 2, 0, Strained(Bounces)),
        (50, 3, 0, Paused(Bounces)),
        (100, 4, 0, Strained(Bounces)),
        (100, 5, 0, Paused(Bounces)),
        (1_000, 19, 0, Good),
        (1_000, 20, 0, Strained(Bounces)),
        (1_000, 49, 0, Strained(Bounces)),
        (1_000, 50, 0, Paused(Bounces)),
        // Complaints.
        (300, 0, 1, Strained(Complaints)),
        (300, 0, 2, Paused(Complaints)),
        (666, 0, 2, Paused(Complaints)),
        (667, 0, 2, Strained(Complaints)),
        (1_000, 0, 1, Strained(Complaints)),
        (1_001, 0, 1, Good),
        (1_000, 0, 3, Paused(Complaints)),
        // Of two the worse, and of two as bad what people say.
        (1_000, 50, 3, Paused(Complaints)),
        (1_000, 50, 1, Paused(Bounces)),
        (1_000, 20, 1, Strained(Complaints)),
        (u64::MAX, u64::MAX, 0, Paused(Bounces)),
    ] {
        assert_eq!(AccountHealth::judge(sent, bounced, complained), expected, "{sent} {bounced} {complained}");
    }
}
