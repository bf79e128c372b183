use proptest::prelude::*;

use super::*;

fn moment(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().expect("a moment").as_millisecond())
}

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::parse(expression, zone).unwrap_or_else(|refused| panic!("{expression:?}: {}", refused.detail))
}

/// The next ticks, as the clock of the zone shows them.
fn ticks(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = schedule(expression, zone);
    let zone = time_zone(zone).expect("a zone");
    let walk = std::iter::successors(schedule.next_after(moment(from)), |tick| schedule.next_after(*tick));
    let shown = walk.take(count).map(|tick| {
        let tick = jiff::Timestamp::from_millisecond(tick.as_millis()).expect("a moment");
        tick.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string()
    });
    shown.collect()
}

#[test]
fn working_days_at_nine() {
    let found = ticks("0 9 * * MON-FRI", "Europe/Berlin", "2026-03-26T12:00:00Z", 3);
    assert_eq!(found, ["2026-03-27 09:00 +01:00", "2026-03-30 09:00 +02:00", "2026-03-31 09:00 +02:00"]);
}

#[test]
fn the_next_tick_is_strictly_after() {
    let hourly = schedule("0 * * * *", "UTC");
    let tick = moment("2026-01-01T10:00:00Z");
    assert_eq!(hourly.next_after(tick.minus(Duration::from_millis(1))), Some(tick));
    assert_eq!(hourly.next_after(tick), Some(moment("2026-01-01T11:00:00Z")));
}

#[test]
fn fields_are_lists_of_ranges_with_steps_and_names() {
    let same = |one: &str, other: &str| {
        assert_eq!(Fields::parse(one).map(Fields::values), Fields::parse(other).map(Fields::values), "{one}");
    };
    same("*/15 9-17/4 1,15 jan-MAR,Dec *", "0,15,30,45 9,13,17 1,15 1,2,3,12 *");
    same("0 0 * * sun", "0 0 * * 0");
    same("0 0 * * 7", "0 0 * * 0");
    same("0 0 * * FRI-SUN", "0 0 * * 0,5,6");
    same("0 0 * * 5-7", "0 0 * * 0,5,6");
    same("0 0 * * 0-7", "0 0 * * 0,1,2,3,4,5,6");
    same("00 09  *\t* 01", "0 9 * * 1");
}

#[test]
fn what_is_wrong_is_named_with_a_cure() {
    for (expression, said) in [
        ("", "0 fields; write five"),
        ("0 0 9 * * MON", "6 fields; write five"),
        ("@daily", "1 fields; write five"),
        ("60 * * * *", "minute: \"60\" is not known; write a number from 0 to 59"),
        ("* 24 * * *", "hour: \"24\""),
        ("* * 0 * *", "day of the month: \"0\""),
        ("* * 32 * *", "day of the month: \"32\""),
        ("* * * 13 *", "month: \"13\" is not known; write a number from 1 to 12 or a name from JAN to DEC"),
        ("* * * MON *", "month: \"MON\""),
        ("* * * * 8", "day of the week: \"8\""),
        ("* * * * MONDAY", "day of the week: \"MONDAY\""),
        ("* * ? * *", "day of the month: \"?\""),
        ("* * L * *", "day of the month: \"L\""),
        ("1,,2 * * * *", "minute: \"\""),
        ("1, * * * *", "minute: \"\""),
        ("-1 * * * *", "minute: \"\""),
        ("+1 * * * *", "minute: \"+1\""),
        ("001 * * * *", "minute: \"001\""),
        ("1-2-3 * * * *", "minute: \"2-3\""),
        ("٣ * * * *", "minute: \"٣\""),
        ("50-10 * * * *", "minute: 50-10 runs backwards; write 50-59,0-10"),
        ("*/0 * * * *", "minute: a step is a number from 1 to 59 here, not \"0\""),
        ("*/90 * * * *", "minute: a step is a number from 1 to 59 here, not \"90\""),
        ("0 9-11/4 * * *", "hour: a step is a number from 1 to 2 here"),
        ("*/5/5 * * * *", "minute: a step"),
        ("5/15 * * * *", "minute: a step needs a range; write 5-59/…"),
        ("0 0 30 2 *", "\"2\" has a day \"30\", so it is never due"),
        ("0 0 31 feb,APR,6,9,11 */2", "is never due"),
    ] {
        let refused = Schedule::parse(expression, "UTC").expect_err(expression);
        assert!(refused.detail.contains(said), "{expression:?}: {}", refused.detail);
    }
    assert_eq!(Schedule::parse(&"1,".repeat(101), "UTC").map_err(|refused| refused.code), Err("too_long"));
    for zone in ["", "Mars/Olympus", "Etc/Unknown", "CET-1CEST", "+01:00"] {
        let refused = Schedule::parse("0 9 * * *", zone).map_err(|refused| refused.code);
        assert_eq!(refused, Err("unknown_time_zone"), "{zone:?}");
    }
}

#[test]
fn either_day_field_is_enough_when_both_are_given() {
    // The 13th, and every Friday.
    let found = ticks("0 0 13 * FRI", "UTC", "2026-01-01T00:00:00Z", 4);
    let days: Vec<_> = found.iter().map(|tick| &tick[..10]).collect();
    assert_eq!(days, ["2026-01-02", "2026-01-09", "2026-01-13", "2026-01-16"]);
    // With a star at the front of either both must fit: odd days that are a Friday.
    let found = ticks("0 0 */2 * FRI", "UTC", "2026-01-01T00:00:00Z", 3);
    let days: Vec<_> = found.iter().map(|tick| &tick[..10]).collect();
    assert_eq!(days, ["2026-01-09", "2026-01-23", "2026-02-13"]);
    // A day that never comes does not matter beside a day of the week.
    assert_eq!(ticks("0 0 30 2 MON", "UTC", "2026-03-01T00:00:00Z", 1), ["2027-02-01 00:00 +00:00"]);
}

#[test]
fn a_leap_day_is_found_however_far() {
    let leap = "0 12 29 2 *";
    assert_eq!(ticks(leap, "UTC", "2026-01-01T00:00:00Z", 1), ["2028-02-29 12:00 +00:00"]);
    assert_eq!(ticks(leap, "Europe/Berlin", "2096-03-01T00:00:00Z", 1), ["2104-02-29 12:00 +01:00"]);
    // On a Sunday or a Saturday, which is the rarest that can be written so.
    assert_eq!(ticks("0 12 29 2 */6", "UTC", "2088-03-01T00:00:00Z", 1), ["2116-02-29 12:00 +00:00"]);
}

#[test]
fn nothing_is_due_beyond_the_calendar() {
    assert_eq!(schedule("0 12 29 2 *", "UTC").next_after(moment("9999-01-01T00:00:00Z")), None);
    assert_eq!(schedule("* * * * *", "Europe/Berlin").next_after(Timestamp::from_millis(i64::MAX)), None);
    assert_eq!(
        Schedule::every(Duration::from_secs(1)).expect("a period").next_after(Timestamp::from_millis(i64::MAX)),
        None
    );
}

#[test]
fn a_skipped_time_is_due_after_the_gap() {
    // In Berlin 02:00 was followed by 03:00 on 29 March 2026.
    let from = "2026-03-28T12:00:00Z";
    let found = ticks("30 2 * * *", "Europe/Berlin", from, 2);
    assert_eq!(found, ["2026-03-29 03:00 +02:00", "2026-03-30 02:30 +02:00"]);
    // Several at once are due once, also beside one that is due then anyway.
    let found = ticks("0,30 2,3 * * *", "Europe/Berlin", from, 3);
    assert_eq!(found, ["2026-03-29 03:00 +02:00", "2026-03-29 03:30 +02:00", "2026-03-30 02:00 +02:00"]);
    // A wildcard goes on with what there is.
    let found = ticks("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2);
    assert_eq!(found, ["2026-03-29 01:30 +01:00", "2026-03-29 03:30 +02:00"]);
    assert_eq!(ticks("*/20 2 * * *", "Europe/Berlin", from, 1), ["2026-03-30 02:00 +02:00"]);
    // Lord Howe skips half an hour: 02:00 is 02:30.
    let found = ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2);
    assert_eq!(found, ["2026-10-04 02:30 +11:00", "2026-10-05 02:15 +11:00"]);
    // Midnight was skipped in São Paulo.
    assert_eq!(ticks("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", 1), ["2018-11-04 01:00 -02:00"]);
    // A whole day was skipped in Samoa.
    let found = ticks("0 9 * * *", "Pacific/Apia", "2011-12-29T20:00:00Z", 2);
    assert_eq!(found, ["2011-12-31 00:00 +14:00", "2011-12-31 09:00 +14:00"]);
}

#[test]
fn a_repeated_time_is_due_once_for_a_fixed_hour() {
    // In New York 01:59 was followed by 01:00 on 1 November 2026.
    let from = "2026-11-01T04:00:00Z";
    let found = ticks("30 1 * * *", "America/New_York", from, 2);
    assert_eq!(found, ["2026-11-01 01:30 -04:00", "2026-11-02 01:30 -05:00"]);
    let found = ticks("*/30 1 * * *", "America/New_York", from, 3);
    assert_eq!(found, ["2026-11-01 01:00 -04:00", "2026-11-01 01:30 -04:00", "2026-11-02 01:00 -05:00"]);
    // Asked between the two, too.
    assert_eq!(ticks("30 1 * * *", "America/New_York", "2026-11-01T06:10:00Z", 1), ["2026-11-02 01:30 -05:00"]);
    // Every real hour.
    for hours in ["*", "0-23"] {
        let found = ticks(&format!("30 {hours} * * *"), "America/New_York", from, 3);
        assert_eq!(found, ["2026-11-01 00:30 -04:00", "2026-11-01 01:30 -04:00", "2026-11-01 01:30 -05:00"]);
    }
    // In Newfoundland the clock went back from 00:01 to the day before.
    let found = ticks("30 * * * *", "America/St_Johns", "2010-11-07T01:50:00Z", 3);
    assert_eq!(found, ["2010-11-06 23:30 -02:30", "2010-11-06 23:30 -03:30", "2010-11-07 00:30 -03:30"]);
}

#[test]
fn a_period_ticks_at_its_multiples() {
    let every = Schedule::every(Duration::from_secs(90)).expect("a period");
    assert_eq!(every.next_after(Timestamp::EPOCH), Some(Timestamp::from_millis(90_000)));
    assert_eq!(every.next_after(Timestamp::from_millis(89_999)), Some(Timestamp::from_millis(90_000)));
    assert_eq!(every.next_after(Timestamp::from_millis(-1)), Some(Timestamp::EPOCH));
    assert_eq!(every.to_string(), "every 90s");
    for bad in [0, 999, 366 * 86_400_000 + 1].map(Duration::from_millis) {
        assert!(Schedule::every(bad).is_err(), "{bad:?} was taken");
    }
    assert!(Schedule::every(Duration::from_micros(1_500_500)).is_err());
    assert_eq!(schedule(" 0  9 * * MON-FRI", "europe/berlin").to_string(), "0 9 * * MON-FRI Europe/Berlin");
}

/// Days around changes of the clock, with their zone.
const WINDOWS: [(&str, &str); 12] = [
    ("Europe/Berlin", "2026-03-28T00:00:00Z"),
    ("Europe/Berlin", "2026-10-24T00:00:00Z"),
    ("America/New_York", "2026-03-07T12:00:00Z"),
    ("America/New_York", "2026-10-31T12:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-03T12:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-02T12:00:00Z"),
    ("America/St_Johns", "2010-11-06T00:00:00Z"),
    ("America/Sao_Paulo", "2018-02-16T12:00:00Z"),
    ("America/Sao_Paulo", "2018-11-03T00:00:00Z"),
    ("Pacific/Apia", "2011-12-29T00:00:00Z"),
    ("UTC", "2026-02-27T12:00:00Z"),
    ("UTC", "2028-02-28T00:00:00Z"),
];
const MINUTES: i64 = 60 * 60;

/// A field as text, with what it means.
#[derive(Clone, Debug)]
struct Written {
    text: String,
    values: Vec<i8>,
    starred: bool,
}

fn written(least: i8, most: i8) -> impl Strategy<Value = Written> {
    let all = move |text: String, step: i8| Written {
        text,
        values: (least..=most).step_by(step.unsigned_abs().into()).collect(),
        starred: true,
    };
    let list = prop::collection::vec((least..=most, 0_i8..4), 1..4).prop_map(move |items| {
        let item = |(first, more): &(i8, i8)| (*first, first.saturating_add(*more).min(most));
        let pairs: Vec<_> = items.iter().map(item).collect();
        Written {
            text: pairs.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(","),
            values: pairs.iter().flat_map(|(first, last)| *first..=*last).collect(),
            starred: false,
        }
    });
    let single = (least..=most).prop_map(|one| Written { text: one.to_string(), values: vec![one], starred: false });
    prop_oneof![
        3 => Just(all("*".to_owned(), 1)),
        2 => (1..=most - least).prop_map(move |step| all(format!("*/{step}"), step)),
        3 => list,
        3 => single,
    ]
}

/// Every minute of some days that is due, found by looking at each.
fn looked_at_each(fields: &[Written; 5], zone: &TimeZone, start: jiff::Timestamp) -> Vec<Timestamp> {
    let [minute, hour, day, month, weekday] = fields;
    let fits = |clock: DateTime| {
        let by_day = day.values.contains(&clock.day());
        let by_weekday = weekday.values.contains(&clock.weekday().to_sunday_zero_offset());
        let days = if day.starred || weekday.starred { by_day && by_weekday } else { by_day || by_weekday };
        let time = minute.values.contains(&clock.minute()) && hour.values.contains(&clock.hour());
        time && days && month.values.contains(&clock.month())
    };
    let all = |field: &Written, count: i8| field.starred || (0..count).all(|value| field.values.contains(&value));
    let (wild_minute, wild_hour) = (all(minute, 60), all(hour, 24));
    let minute = SignedDuration::from_mins(1);
    let (mut shown, mut due) = (std::collections::HashSet::new(), Vec::new());
    // From a day before, for what the clock has shown already.
    let mut expected = None;
    for count in -24 * 60..MINUTES {
        let at = start + minute * i32::try_from(count).expect("few");
        let clock = zone.to_datetime(at);
        let skipped =
            std::iter::successors(expected, |last| Some(*last + minute)).take_while(|skipped| *skipped < clock);
        let made_up_for = !wild_minute && !wild_hour && skipped.into_iter().any(fits);
        let first = shown.insert(clock);
        if count >= 0 && (made_up_for || (fits(clock) && (first || wild_hour))) {
            due.push(Timestamp::from_millis(at.as_millisecond()));
        }
        expected = Some(clock + minute);
    }
    due
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_tick_is_missed_or_made_up_around_changes_of_the_clock(
        fields in [written(0, 59), written(0, 23), written(1, 31), written(1, 12), written(0, 6)],
        any_date in prop::bool::weighted(0.7),
        window in prop::sample::select(&WINDOWS[..]),
        from in 0..MINUTES * 60_000,
    ) {
        let [minute, hour, mut day, mut month, mut weekday] = fields;
        if any_date {
            for field in [(&mut day, 31_i8), (&mut month, 12), (&mut weekday, 6)] {
                let least = i8::from(field.1 != 6);
                *field.0 = Written { text: "*".to_owned(), values: (least..=field.1).collect(), starred: true };
            }
        }
        let fields = [minute, hour, day, month, weekday];
        let expression = fields.each_ref().map(|field| field.text.as_str()).join(" ");
        let parsed = Schedule::parse(&expression, window.0);
        prop_assume!(!matches!(&parsed, Err(refused) if refused.code == "never_due"));
        let schedule = parsed.map_err(|refused| TestCaseError::fail(refused.detail))?;
        let zone = time_zone(window.0).expect("a zone");
        let start: jiff::Timestamp = window.1.parse().expect("a moment");
        let due = looked_at_each(&fields, &zone, start);
        let end = Timestamp::from_millis(start.as_millisecond() + MINUTES * 60_000);
        let before = |tick: &Timestamp| *tick < end;

        // From any moment, not only from a tick.
        let from = Timestamp::from_millis(start.as_millisecond() + from);
        let next = schedule.next_after(from);
        prop_assert!(next.is_none_or(|next| next > from));
        let expected = due.iter().copied().find(|tick| *tick > from);
        prop_assert_eq!(next.filter(before), expected, "{} from {}", expression, from);

        // One after the other, from a millisecond before the first.
        let first = schedule.next_after(Timestamp::from_millis(start.as_millisecond() - 1));
        let walk = std::iter::successors(first, |tick| schedule.next_after(*tick)).take_while(before);
        prop_assert_eq!(walk.collect::<Vec<_>>(), due, "{} in {}", expression, window.0);
    }

    #[test]
    fn a_later_moment_has_no_earlier_tick(
        fields in [written(0, 59), written(0, 23), written(1, 31), written(1, 12), written(0, 6)],
        zone in prop::sample::select(vec!["Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"]),
        moments in [0_i64..4_000_000_000_000, 0_i64..4_000_000_000_000],
    ) {
        let expression = fields.each_ref().map(|field| field.text.as_str()).join(" ");
        let Ok(schedule) = Schedule::parse(&expression, zone) else { return Ok(()) };
        let [one, other] = moments.map(Timestamp::from_millis);
        let (earlier, later) = (one.min(other), one.max(other));
        let [first, second] = [earlier, later].map(|moment| schedule.next_after(moment));
        let (first, second) = (first.expect("a tick"), second.expect("a tick"));
        prop_assert!(first > earlier && second > later && first <= second);
        // Nothing lies between a moment and its tick.
        if first > later {
            prop_assert_eq!(first, second);
        }
    }

    #[test]
    fn periods_tick_at_every_multiple(
        period in 1_000_i64..1_000_000_000,
        moment in -1_000_000_000_000_i64..4_000_000_000_000,
    ) {
        let every = Schedule::every(Duration::from_millis(period.unsigned_abs())).expect("a period");
        let next = every.next_after(Timestamp::from_millis(moment)).expect("a tick").as_millis();
        prop_assert!(next > moment && next - moment <= period && next % period == 0);
    }

    #[test]
    fn whatever_is_written_is_read_or_refused(text in "[-0-9*/, A-Za-z?]{0,30}", zone in "[A-Za-z/_]{0,20}") {
        let _ = Schedule::parse(&text, &zone);
        if let Ok(schedule) = Schedule::parse(&text, "Europe/Berlin") {
            prop_assert!(schedule.next_after(moment("2026-01-01T00:00:00Z")).is_some());
        }
    }
}
