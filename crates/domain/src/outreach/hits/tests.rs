use proptest::prelude::*;

use super::*;

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

fn asked(link: u16, seconds: i64) -> Asked {
    Asked {
        link,
        links: 3,
        method: HitMethod::Get,
        user_agent: BROWSER.to_owned(),
        prefetch: false,
        from_machine_range: false,
        at: at(seconds),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
}

/// Long after the email came.
const LATE: Option<Duration> = Some(Duration::from_secs(3_600));

#[test]
fn whoever_follows_a_link_has_opened_it() {
    let mut hits = EmailHits::default();
    let noted = hits.note(&asked(2, 5), LATE);
    assert_eq!((noted.visitor, noted.put.len(), noted.removed.len()), (Visitor::Human, 1, 0));
    let marks = HitMarks { opened_at: Some(at(5)), clicked_at: Some(at(5)), ..HitMarks::default() };
    assert_eq!(hits.marks(), marks);
    hits.note(&asked(IMAGE, 9), LATE);
    assert_eq!(hits.marks(), marks, "the first time counts");
}

#[test]
fn what_came_before_all_links_was_a_machine_too() {
    let mut hits = EmailHits::default();
    for (link, seconds) in [(1, 0), (2, 1)] {
        assert_eq!(hits.note(&asked(link, seconds), LATE).visitor, Visitor::Human);
    }
    let noted = hits.note(&asked(3, 2), LATE);
    assert_eq!(noted.visitor, Visitor::Machine(MachineReason::AllLinks));
    assert_eq!(noted.removed, [(1, VisitorKind::Human), (2, VisitorKind::Human)]);
    assert_eq!(noted.put.len(), 3);
    assert_eq!(hits.marks(), HitMarks { machine_clicked_at: Some(at(0)), ..HitMarks::default() });
}

#[test]
fn what_somebody_did_long_before_stays_theirs() {
    let mut hits = EmailHits::default();
    hits.note(&asked(1, 0), LATE);
    for (link, seconds) in [(2, 100), (1, 101), (3, 102)] {
        hits.note(&asked(link, seconds), LATE);
    }
    let marks = hits.marks();
    assert_eq!((marks.clicked_at, marks.machine_clicked_at), (Some(at(0)), Some(at(100))));
}

proptest! {
    /// The rows that were told of are all that is needed to have the same again, there are never more than two for each
    /// link, and clicks never exceed opens.
    #[test]
    fn what_is_kept_is_all_there_is(steps in prop::collection::vec((0_u16..4, 0_i64..8, 0_usize..3), 1..60)) {
        let (mut hits, mut kept, mut now) = (EmailHits::default(), BTreeMap::new(), 0);
        for (link, later, agent) in steps {
            now += later;
            let asked = Asked { user_agent: [BROWSER, "curl/8", ""][agent].to_owned(), ..asked(link, now) };
            let noted = hits.note(&asked, LATE);
            for key in noted.removed {
                prop_assert!(kept.remove(&key).is_some());
            }
            for row in noted.put {
                kept.insert(row.key(), row);
            }
            prop_assert_eq!(&kept, &hits.0);
            prop_assert!(kept.len() <= 8);
            let marks = hits.marks();
            prop_assert!(marks.clicked_at.is_none() || marks.opened_at.is_some());
        }
    }
}
