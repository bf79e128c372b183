use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A pool of ten connections and one writer.
#[derive(Default)]
struct Simulated {
    meter: LoadMeter,
    reading: Reading,
}

impl Simulated {
    /// A second in which so many loans of requests were each waited for and held so long.
    fn second(&mut self, loans: u32, waited: Duration, held: Duration) -> f64 {
        let requests = &mut self.reading[Lending::Requests as usize];
        requests.size = 10;
        requests.loans += u64::from(loans);
        requests.waited += waited * loans;
        requests.lent += held * loans;
        requests.most_in_use = usize::try_from(loans.min(10)).expect("small");
        self.meter.read(self.reading, SECOND)
    }

    fn seconds(&mut self, seconds: u32, loans: u32, waited: Duration, held: Duration) -> f64 {
        (0..seconds).map(|_| self.second(loans, waited, held)).last().unwrap_or(0.0)
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn nothing_to_do_is_no_load() {
    assert!(Simulated::default().seconds(10, 0, Duration::ZERO, Duration::ZERO).abs() < 1e-9);
}

#[test]
fn connections_that_are_lent_are_load_in_proportion() {
    let mut server = Simulated::default();
    // 400 loans of 20 ms are eight connections of ten.
    let load = server.seconds(20, 400, Duration::ZERO, 20 * MS);
    assert!((load - 0.8).abs() < 0.02, "{load}");
}

#[test]
fn five_times_as_slow_as_alone_is_eighty_per_cent() {
    let mut server = Simulated::default();
    let idle = server.seconds(30, 20, Duration::ZERO, 4 * MS);
    assert!(idle < 0.1, "{idle}");
    let busy = server.seconds(10, 100, 14 * MS, 10 * MS);
    assert!((busy - 0.8).abs() < 0.03, "{busy}");
    let after = server.seconds(10, 20, Duration::ZERO, 4 * MS);
    assert!(after < 0.1, "{after}: it is over when it is over");
}

#[test]
fn a_crowd_that_lasts_does_not_come_to_look_normal() {
    let mut server = Simulated::default();
    server.seconds(30, 20, Duration::ZERO, 4 * MS);
    let load = server.seconds(3600, 200, 14 * MS, 10 * MS);
    assert!(load > 0.75, "{load}");
    // Nor one from the first second on.
    let load = Simulated::default().seconds(3600, 180, 50 * MS, 20 * MS);
    assert!(load > 0.8, "{load}");
}

#[test]
fn a_database_that_is_slower_by_itself_is_learnt() {
    let mut server = Simulated::default();
    server.seconds(30, 20, Duration::ZERO, 2 * MS);
    let first = server.seconds(6, 20, Duration::ZERO, 30 * MS);
    assert!(first > 0.8, "{first}");
    let later = server.seconds(300, 20, Duration::ZERO, 30 * MS);
    assert!(later < 0.3, "{later}");
}

#[test]
fn less_than_a_millisecond_is_never_slow() {
    let mut server = Simulated::default();
    server.seconds(30, 100, Duration::ZERO, MS / 20);
    let load = server.seconds(10, 100, Duration::ZERO, MS / 2);
    assert!(load < 0.4, "{load}: ten times as slow, and still fast");
}

#[test]
fn waits_that_run_out_of_time_are_past_the_capacity() {
    let mut server = Simulated::default();
    server.seconds(10, 20, Duration::ZERO, 4 * MS);
    server.reading[Lending::Requests as usize].refused += 20;
    let load = server.second(20, Duration::ZERO, 4 * MS);
    assert!(load > 1.0 && load < 2.0, "{load}");
}

#[test]
fn the_last_minute_is_remembered() {
    let mut server = Simulated::default();
    server.seconds(40, 1, Duration::ZERO, 10 * MS);
    server.seconds(30, 500, Duration::ZERO, 10 * MS);
    let minute = server.meter.minute(SECOND);
    assert_eq!((minute.size, minute.most), (10, 10));
    assert!((minute.mean - 2.5).abs() < 0.2, "{minute:?}: half of the minute at five");
    assert!((minute.share() - 0.25).abs() < 0.02);
    server.seconds(61, 0, Duration::ZERO, Duration::ZERO);
    assert_eq!(server.meter.minute(SECOND).most, 0);
}
