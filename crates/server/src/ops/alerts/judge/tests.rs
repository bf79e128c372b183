use super::*;

const PATIENCE: Patience = Patience {
    after: Duration::from_secs(60),
    calm: Duration::from_secs(120),
    group: Duration::from_secs(30),
    repeat: Duration::from_secs(4 * 3600),
};

fn seen(rule: &'static str, subject: &str, value: f64) -> Seen {
    Seen { rule, subject: subject.to_owned(), value, threshold: 80.0, well_at: 72.0 }
}

/// Looks every fifteen seconds, and keeps what the store would.
struct Judge {
    now: Timestamp,
    open: Vec<Alert>,
    made: u128,
    tells: bool,
}

impl Judge {
    fn new() -> Self {
        Self { now: Timestamp::from_millis(1_700_000_000_000), open: Vec::new(), made: 0, tells: true }
    }

    fn look(&mut self, seen: &[Seen]) -> Judged {
        let made = &mut self.made;
        let judged = judge(self.open.clone(), seen, PATIENCE, (self.now, self.tells), || {
            *made += 1;
            Uuid::from_u128(*made)
        });
        for alert in &judged.changed {
            match self.open.iter_mut().find(|known| known.id == alert.id) {
                Some(known) => *known = alert.clone(),
                None => self.open.push(alert.clone()),
            }
        }
        self.open.retain(|alert| {
            let told = alert.ended_at.is_none() || (alert.told_at.is_some() && alert.end_told_at.is_none());
            told && !judged.dropped.contains(&alert.id)
        });
        self.now = self.now.plus(Duration::from_secs(15));
        judged
    }

    /// Looks until something is told, and says after how many seconds.
    fn until_news(&mut self, seen: &[Seen]) -> (u64, Judged) {
        let begun = self.now;
        for _ in 0..2_000 {
            let at = self.now;
            let judged = self.look(seen);
            if judged.has_news() {
                return (at.since(begun).as_secs(), judged);
            }
        }
        panic!("nothing was told");
    }
}

#[test]
fn what_is_wrong_for_long_enough_is_told_once_then_every_four_hours_and_when_it_is_over() {
    let mut judge = Judge::new();
    let wrong = [seen("pool", "a", 91.0)];
    let (after, judged) = judge.until_news(&wrong);
    assert_eq!((after, judged.fired.len(), judged.firing), (90, 1, 1), "a minute until it fires, half for the others");
    let (after, judged) = judge.until_news(&wrong);
    assert_eq!((after, judged.lasting.len()), (4 * 3600 - 15 + 30, 1));
    // Between the threshold and well it is neither.
    for _ in 0..40 {
        assert!(!judge.look(&[seen("pool", "a", 75.0)]).has_news());
    }
    let (after, judged) = judge.until_news(&[seen("pool", "a", 72.0)]);
    assert_eq!((after, judged.over.len(), judged.firing), (150, 1, 0));
    assert!(judge.open.is_empty() && !judge.look(&[seen("pool", "a", 10.0)]).has_news());
}

#[test]
fn what_passes_by_itself_wakes_nobody() {
    let mut judge = Judge::new();
    for _ in 0..4 {
        judge.look(&[seen("pool", "a", 91.0)]);
    }
    assert_eq!(judge.look(&[seen("pool", "a", 79.0)]).dropped.len(), 1);
    for _ in 0..20 {
        assert!(!judge.look(&[seen("pool", "a", 79.0)]).has_news());
    }
    // And what swings does not end again and again.
    let mut told = 0;
    for look in 0..400 {
        let value = if look % 6 == 0 { 60.0 } else { 91.0 };
        told += usize::from(judge.look(&[seen("pool", "a", value)]).has_news());
    }
    assert_eq!(told, 1);
}

#[test]
fn a_storm_is_one_message() {
    let mut judge = Judge::new();
    let names: Vec<String> = (0..300).map(|number| format!("node {number}")).collect();
    let all: Vec<Seen> = names.iter().map(|name| seen("pool", name, 99.0)).collect();
    // They begin one after the other, within half a minute.
    judge.look(&all[..100]);
    judge.look(&all[..200]);
    let (_, judged) = judge.until_news(&all);
    assert_eq!(judged.fired.len(), 300);
    let (_, judged) = judge.until_news(&[]);
    assert_eq!(judged.over.len(), 300, "they are gone");
}

#[test]
fn what_is_not_measured_any_more_is_gone_after_five_minutes() {
    let mut judge = Judge::new();
    judge.until_news(&[seen("pool", "a", 91.0)]);
    let (after, judged) = judge.until_news(&[]);
    assert_eq!((after, judged.over.len()), (330, 1));
    judge.look(&[seen("pool", "b", 91.0)]);
    assert_eq!(judge.look(&[]).dropped.len(), 1);
}

#[test]
fn where_nobody_listens_it_is_told_later() {
    let mut judge = Judge::new();
    judge.tells = false;
    for _ in 0..40 {
        assert!(!judge.look(&[seen("pool", "a", 91.0)]).has_news());
    }
    judge.tells = true;
    assert_eq!(judge.look(&[seen("pool", "a", 91.0)]).fired.len(), 1);
}
