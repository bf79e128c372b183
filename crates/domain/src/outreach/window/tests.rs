use proptest::prelude::*;

use super::*;

const ZONES: [&str; 8] = [
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/New_York",
    "Europe/Berlin",
    "America/Nuuk",
    "Africa/Cairo",
    "America/Havana",
];
const WINDOWS: [&str; 9] = [
    "mon-fri 09:00-17:00",
    "mon-sun 00:00-24:00",
    "sun 02:10-02:20",
    "mon-sun 02:30-04:00",
    "mon-sun 01:00-02:30",
    "sat-sun 23:30-24:00",
    "mon-sun 00:00-00:20",
    "tue,fri 01:45-02:00",
    "wed 12:00-12:01",
];

fn window(text: &str) -> SendingWindow {
    text.parse().unwrap_or_else(|refused| panic!("{text}: {refused:?}"))
}

fn zone(name: &str) -> Zone {
    Zone::parse(name).expect("a zone")
}

fn moment(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

/// When a window is open, found by looking at the clock each minute: from when it first shows the beginning or something
/// later, until it first shows the end or something later.
fn by_looking(clock: &[(CalendarDay, u16)], window: SendingWindow) -> Vec<bool> {
    let mut furthest = None;
    let mut open = Vec::with_capacity(clock.len());
    for shown in clock {
        furthest = furthest.max(Some(*shown));
        let (day, minute) = furthest.unwrap_or(*shown);
        open.push(window.days.holds(day) && (window.from..window.until).contains(&minute));
    }
    open
}

/// What the clock shows in each minute of 366 days. Where it is moved within six hours, each minute is looked up; elsewhere
/// one follows the other.
fn shown(zone: &Zone, start: Timestamp) -> Vec<(CalendarDay, u16)> {
    const STRETCH: usize = 360;
    let at = |minute: usize| zone.clock(start.plus(Duration::from_secs(60 * minute as u64)));
    let mut clock = Vec::new();
    for first in (0..366 * 1_440).step_by(STRETCH) {
        let (day, minute) = at(first);
        let follows = |after: usize| match usize::from(minute) + after {
            today @ 0..1_440 => (day, today as u16),
            tomorrow => (day.next(), (tomorrow - 1_440) as u16),
        };
        let moved = at(first + STRETCH) != follows(STRETCH);
        clock.extend((0..STRETCH).map(|after| if moved { at(first + after) } else { follows(after) }));
    }
    clock
}

/// A year of each of eight zones, in which clocks are moved by an hour or half of one, at night, at midnight and not at all,
/// and one in which a day was left out.
#[test]
fn a_window_is_open_when_a_look_at_each_minute_says_so() {
    let mut moved = Vec::new();
    for (name, start) in
        ZONES.map(|name| (name, "2026-01-01T00:00:00Z")).into_iter().chain([("Pacific/Apia", "2011-06-01T00:00:00Z")])
    {
        let (zone, start) = (zone(name), moment(start));
        let at = |minute: usize| start.plus(Duration::from_secs(60 * minute as u64));
        let clock = shown(&zone, start);
        moved.push(clock.windows(2).filter(|pair| (pair[0].1 + 1) % 1_440 != pair[1].1).count());
        for window in WINDOWS.map(window) {
            let open = by_looking(&clock, window);
            let edges: Vec<usize> = (1..open.len()).filter(|minute| open[*minute] != open[minute - 1]).collect();
            // Going from one opening to the next finds these and no others.
            let mut found = Vec::new();
            let mut now = start;
            while found.len() < edges.len() {
                let (open, next) = match window.closes_at(now, &zone) {
                    Some(closes) => (false, closes),
                    None => (true, window.next_open(now, &zone)),
                };
                assert!(next > now, "{name} {window} at {now}");
                // What is open the whole day closes at midnight and opens in the same moment.
                if open || !window.is_open(next, &zone) {
                    found.push(next);
                }
                now = next;
            }
            assert_eq!(found, edges.iter().map(|minute| at(*minute)).collect::<Vec<_>>(), "{name} {window}");
            // In the last millisecond of a minute it is as in all of it.
            for minute in (0..open.len()).step_by(1_009).chain(edges.iter().map(|edge| edge - 1)) {
                let moment = at(minute).plus(Duration::from_millis(59_999));
                assert_eq!(window.is_open(moment, &zone), open[minute], "{name} {window} at {moment}");
            }
        }
    }
    // Lawmakers change a few of them now and then.
    assert!(moved.iter().sum::<usize>() >= 12 && moved.contains(&0), "{moved:?}");
}

#[test]
fn the_days_on_which_clocks_are_moved() {
    let berlin = zone("Europe/Berlin");
    let next = |text: &str, at: &str| window(text).next_open(moment(at), &berlin).to_string();
    // On 29 March 2026 there is no 02:30, on 25 October there are two.
    assert_eq!(next("sun 02:10-02:50", "2026-03-28T12:00:00Z"), "2026-04-05T00:10:00.000Z", "in the gap");
    assert_eq!(next("sun 02:30-04:00", "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00.000Z", "after the gap");
    assert_eq!(next("sun 02:30-04:00", "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00.000Z", "the first of both");
    let window = window("sun 02:00-02:30");
    assert_eq!(window.closes_at(moment("2026-10-25T00:10:00Z"), &berlin), Some(moment("2026-10-25T00:30:00Z")));
    assert!(!window.is_open(moment("2026-10-25T01:10:00Z"), &berlin), "open once");
    assert_eq!(window.closes_at(moment("2026-10-25T01:10:00Z"), &berlin), None);
}

#[test]
fn windows_are_read_and_written() {
    for (text, written) in [
        ("mon-fri 09:00-17:00", "mon-fri 09:00-17:00"),
        ("mon,tue,wed,thu,fri 09:00-17:00", "mon-fri 09:00-17:00"),
        ("sun,mon 00:00-24:00", "mon,sun 00:00-24:00"),
        ("sat-sun 08:30-08:31", "sat,sun 08:30-08:31"),
        ("mon,wed-fri,sun 09:00-17:00", "mon,wed-fri,sun 09:00-17:00"),
        ("wed 09:00-17:00", "wed 09:00-17:00"),
    ] {
        assert_eq!(window(text).to_string(), written);
        let json = serde_json::to_string(&window(text)).expect("JSON");
        assert_eq!(serde_json::from_str::<SendingWindow>(&json).expect("a window"), window(text));
    }
    assert_eq!(SendingWindow::ALWAYS.to_string(), "mon-sun 00:00-24:00");
    for (bad, code) in [
        ("", "invalid_window"),
        ("mon-fri", "invalid_window"),
        ("09:00-17:00", "invalid_window"),
        ("mon-fri 17:00-09:00", "invalid_window"),
        ("mon-fri 09:00-09:00", "invalid_window"),
        ("mon-fri 09:00-24:01", "invalid_window"),
        ("mon-fri  09:00-17:00", "invalid_window"),
        ("fri-mon 09:00-17:00", "invalid_weekdays"),
        ("Mon 09:00-17:00", "invalid_weekdays"),
        ("mon, 09:00-17:00", "invalid_weekdays"),
        (" 09:00-17:00", "invalid_weekdays"),
        ("mon-tue-wed 09:00-17:00", "invalid_weekdays"),
    ] {
        assert_eq!(bad.parse::<SendingWindow>().map_err(|refused| refused.code), Err(code), "{bad:?}");
    }
    for text in ["0d", "365d", "0h", "8760h", "12h"] {
        assert_eq!(text.parse::<Delay>().expect("a delay").to_string(), text);
    }
    for bad in ["", "d", "3", "3 d", "+3d", "-1d", "366d", "8761h", "3m", "3dd", "٣d", "99999d"] {
        assert_eq!(bad.parse::<Delay>().map_err(|refused| refused.code), Err("invalid_delay"), "{bad:?}");
    }
}

#[test]
fn every_set_of_days_is_read_as_it_is_written() {
    for days in (1..128).map(Weekdays) {
        assert_eq!(days.to_string().parse(), Ok(days));
    }
}

#[test]
fn a_follow_up_comes_at_the_same_time_of_the_clock() {
    let due = |from: &str, delay: &str, name: &str, window_text: &str| {
        delayed(moment(from), delay.parse().expect("a delay"), &zone(name), window(window_text)).to_string()
    };
    let always = "mon-sun 00:00-24:00";
    // Three days over the change of the clock are 71 hours; 72 hours are 72.
    assert_eq!(due("2026-03-27T08:30:15.250Z", "3d", "Europe/Berlin", always), "2026-03-30T07:30:15.250Z");
    assert_eq!(due("2026-03-27T08:30:15.250Z", "72h", "Europe/Berlin", always), "2026-03-30T08:30:15.250Z");
    assert_eq!(due("2026-10-24T08:30:00Z", "1d", "Europe/Berlin", always), "2026-10-25T09:30:00.000Z");
    // Half an hour, on an island.
    assert_eq!(due("2026-04-04T00:00:00Z", "2d", "Australia/Lord_Howe", always), "2026-04-06T00:30:00.000Z");
    assert_eq!(due("2026-04-04T00:00:00Z", "5d", "Asia/Kathmandu", always), "2026-04-09T00:00:00.000Z");
    // A time that is skipped is the moment after the gap; one that comes twice is the first.
    assert_eq!(due("2026-03-28T01:30:00Z", "1d", "Europe/Berlin", always), "2026-03-29T01:00:00.000Z");
    assert_eq!(due("2026-10-24T00:30:00Z", "1d", "Europe/Berlin", always), "2026-10-25T00:30:00.000Z");
    // A day that was left out, in the islands that moved the date line.
    assert_eq!(due("2011-12-29T20:00:00Z", "1d", "Pacific/Apia", always), "2011-12-30T10:00:00.000Z");
    assert_eq!(due("2011-12-29T20:00:00Z", "2d", "Pacific/Apia", always), "2011-12-30T20:00:00.000Z");
    // It waits for the window: over the night, over the weekend.
    assert_eq!(due("2026-03-05T15:00:00Z", "4h", "Europe/Berlin", "mon-fri 09:00-17:00"), "2026-03-06T08:00:00.000Z");
    assert_eq!(due("2026-03-05T15:00:00Z", "2d", "Europe/Berlin", "mon-fri 09:00-17:00"), "2026-03-09T08:00:00.000Z");
    assert_eq!(
        due("2026-03-05T15:00:00Z", "0d", "America/New_York", "mon-fri 09:00-17:00"),
        "2026-03-05T15:00:00.000Z"
    );
}

proptest! {
    #[test]
    fn a_follow_up_is_in_the_window_and_never_before_its_time(
        millis in 1_700_000_000_000_i64..1_900_000_000_000,
        days in 0..=30_u16,
        hours in 0..=800_u16,
        place in 0..ZONES.len(),
        which in 0..WINDOWS.len(),
    ) {
        let (from, zone, window) = (Timestamp::from_millis(millis), zone(ZONES[place]), window(WINDOWS[which]));
        for delay in [Delay::Days(days), Delay::Hours(hours)] {
            let due = delayed(from, delay, &zone, window);
            prop_assert!(window.is_open(due, &zone) && due >= from);
            let earliest = delayed(from, delay, &zone, SendingWindow::ALWAYS);
            prop_assert!(due >= earliest);
            // There is no opening between the two.
            prop_assert_eq!(window.next_open(earliest, &zone), due);
            if let Delay::Days(days) = delay {
                let expected = i64::from(days) * 86_400_000;
                let apart = earliest.as_millis() - millis - expected;
                prop_assert!(apart.abs() <= 3_600_000, "{apart}");
                // Where the last hour of a day is skipped, it is the beginning of the next.
                let day = CalendarDay::from_number(zone.day_of(from).number() + i64::from(days)).expect("a day");
                prop_assert!(zone.day_of(earliest) == day || zone.clock(earliest) == (day.next(), 0));
            }
        }
    }
}
