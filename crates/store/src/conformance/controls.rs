//! What operators set in an emergency.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_domain::{InboxEventId, PersonId, Timestamp};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use uuid::Uuid;

use super::Harness;
use crate::{
    ChangeControl, ControlAuthor, ControlChange, KEPT_CONTROL_CHANGES, ListControlChanges, ListControls, StoredControl,
};

const HOUR: Duration = Duration::from_secs(3600);

async fn change(h: &Harness, name: &str, to: Option<(&str, Timestamp)>, reason: &str, author: &ControlAuthor) -> bool {
    h.clock.advance(Duration::from_millis(1));
    let change = ChangeControl {
        id: h.ids.make::<InboxEventId>().uuid(),
        name: name.to_owned(),
        to: to.map(|(value, until)| (value.to_owned(), until)),
        reason: reason.to_owned(),
        author: author.clone(),
        now: h.now(),
    };
    h.store.run(&h.call(), change).await.expect("changed")
}

async fn list(h: &Harness) -> Vec<StoredControl> {
    h.store.run(&h.call(), ListControls { now: h.now() }).await.expect("listed")
}

async fn trail(h: &Harness, before: Option<Uuid>, limit: u32) -> Vec<ControlChange> {
    h.store.run(&h.call(), ListControlChanges { before, limit }).await.expect("listed")
}

pub(super) async fn controls_are_set_renewed_cleared_and_end(h: &Harness) {
    let ada = ControlAuthor { person: Some(h.ids.make::<PersonId>()), name: "ada@example.com".to_owned() };
    let root = ControlAuthor { person: None, name: "command line: root".to_owned() };
    assert!(!change(h, "sign_up", None, "nothing is set", &root).await);
    let first_until = h.now().plus(HOUR);
    assert!(change(h, "sign_up", Some(("off", first_until)), "bots", &ada).await);
    let since = h.now();
    assert!(change(h, "limits.percent", Some(("50", h.now().plus(HOUR))), "the database is slow", &root).await);
    // Renewed before its end: it is one and the same emergency.
    h.clock.advance(Duration::from_secs(1800));
    let until = h.now().plus(HOUR);
    assert!(change(h, "sign_up", Some(("off", until)), "still bots", &root).await);
    let standing = list(h).await;
    assert_eq!(standing.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["limits.percent", "sign_up"]);
    let renewed = StoredControl {
        name: "sign_up".to_owned(),
        value: "off".to_owned(),
        reason: "still bots".to_owned(),
        author: root.clone(),
        set_at: h.now(),
        since,
        expires_at: until,
    };
    assert_eq!(standing[1], renewed);
    // The other one has ended by then, the renewed one a little later; at its very end it counts for nothing.
    h.clock.advance(HOUR - Duration::from_millis(2));
    assert_eq!(list(h).await, std::slice::from_ref(&renewed));
    h.clock.advance(Duration::from_millis(2));
    assert_eq!(list(h).await, []);
    assert!(!change(h, "sign_up", None, "it has ended by itself", &ada).await);
    assert!(change(h, "sign_up", Some(("off", h.now().plus(HOUR))), "bots again", &ada).await);
    assert_eq!(list(h).await[0].since, h.now(), "another emergency");
    assert!(change(h, "sign_up", None, "they are gone", &ada).await);
    assert_eq!(list(h).await, []);
    the_trail_tells_all_of_it(h, &ada, &root).await;
}

async fn the_trail_tells_all_of_it(h: &Harness, ada: &ControlAuthor, root: &ControlAuthor) {
    let entries = trail(h, None, 10).await;
    let told: Vec<_> = entries
        .iter()
        .map(|one| (one.name.as_str(), one.old.as_deref(), one.new.as_deref(), one.reason.as_str(), &one.author))
        .collect();
    let expected = [
        ("sign_up", Some("off"), None, "they are gone", ada),
        ("sign_up", None, Some("off"), "bots again", ada),
        ("sign_up", Some("off"), Some("off"), "still bots", root),
        ("limits.percent", None, Some("50"), "the database is slow", root),
        ("sign_up", None, Some("off"), "bots", ada),
    ];
    assert_eq!(told, expected);
    assert!(entries.iter().all(|one| one.expires_at.is_some() == one.new.is_some()), "{entries:?}");
    assert_eq!(trail(h, Some(entries[2].id), 1).await, [entries[3].clone()], "page by page");
}

pub(super) async fn two_who_set_at_once_leave_a_trail_without_a_gap(h: &Harness) {
    let until = h.now().plus(HOUR);
    let set = |number: u32| ChangeControl {
        id: h.ids.make::<InboxEventId>().uuid(),
        name: "limits.sync".to_owned(),
        to: Some((number.to_string(), until)),
        reason: "at once".to_owned(),
        author: ControlAuthor { person: None, name: "x".to_owned() },
        now: h.now(),
    };
    let changes = join_all((1..=12).map(|number| {
        let change = set(number);
        async move { h.store.run(&h.call(), change).await }
    }))
    .await;
    assert!(changes.into_iter().all(|changed| changed == Ok(true)));
    let entries: Vec<_> = trail(h, None, 100).await.into_iter().filter(|one| one.reason == "at once").collect();
    // Each found what another one had set: one found nothing, and what is set in the end was found by nobody.
    let mut found: Vec<_> = entries.iter().filter_map(|one| one.old.clone()).collect();
    found.extend(list(h).await.into_iter().map(|one| one.value));
    found.sort();
    let mut set: Vec<_> = entries.iter().filter_map(|one| one.new.clone()).collect();
    set.sort();
    assert_eq!((entries.len(), found), (12, set));
}

pub(super) async fn the_trail_keeps_so_many(h: &Harness) {
    let author = ControlAuthor { person: None, name: "x".to_owned() };
    let until = h.now().plus(HOUR);
    fill_the_trail(h, KEPT_CONTROL_CHANGES).await;
    let all = async || {
        let most = u32::try_from(2 * KEPT_CONTROL_CHANGES).expect("it fits");
        trail(h, None, most).await
    };
    assert_eq!(all().await.len() as i64, KEPT_CONTROL_CHANGES);
    assert!(change(h, "sign_up", Some(("off", until)), "one more", &author).await);
    let kept = all().await;
    assert_eq!(kept.len() as i64, KEPT_CONTROL_CHANGES);
    assert_eq!((kept[0].reason.as_str(), kept[kept.len() - 1].id), ("one more", Uuid::from_u128(2)), "the oldest goes");
}

/// Entries with the ids 1, 2, 3 and so on, older than any that the store makes.
async fn fill_the_trail(h: &Harness, count: i64) {
    let insert = "INSERT INTO control_change (id, at, name, reason, author) SELECT";
    match &h.database {
        None => {
            let path = h.options.sqlite_path().expect("a path");
            let url = format!("sqlite:{}", path.display());
            let mut connection = SqliteConnection::connect(&url).await.expect("connected");
            let text = format!(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
                 {insert} unhex(printf('%032x', i)), 1, 'x', 'filled', 'x' FROM n"
            );
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.expect("filled");
        }
        Some(database) => {
            let mut connection = PgConnection::connect(&database.superuser_url).await.expect("connected");
            let text = format!(
                "{insert} lpad(to_hex(i), 32, '0')::uuid, now(), 'x', 'filled', 'x' FROM generate_series(1, {count}) i"
            );
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.expect("filled");
        }
    }
}
