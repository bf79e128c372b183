//! What is so in the database, and what audits have found.

use std::time::Duration;

use mainstay_domain::InboxEventId;
use uuid::Uuid;

use super::Harness;
use crate::{
    AuditRun, CountOperators, FindFaults, FindUnguarded, ListAudits, ReadArchive, ReadAudits, ReadLeftovers,
    ReadSettings, RecordAudit,
};

pub(super) async fn the_database_tells_what_it_keeps_its_promises_by(h: &Harness) {
    let settings = h.store.run(&h.call(), ReadSettings).await.expect("read");
    let value = |name: &str| settings.get(name).map(String::as_str);
    if h.database.is_some() {
        assert!(value("fsync").is_some() && value("data_checksums").is_some() && value("archive_mode").is_some());
        assert_eq!(h.store.run(&h.call(), FindUnguarded).await, Ok(Some(Vec::new())));
        assert!(h.store.run(&h.call(), ReadArchive).await.expect("read").is_some());
    } else {
        assert_eq!((value("journal_mode"), value("synchronous")), (Some("wal"), Some("2")));
        assert_eq!(h.store.run(&h.call(), FindUnguarded).await, Ok(None));
        assert_eq!(h.store.run(&h.call(), ReadArchive).await, Ok(None));
    }
    assert_eq!(h.store.run(&h.call(), FindFaults).await, Ok(Vec::new()));
    assert!(h.store.run(&h.call(), CountOperators).await.is_ok());
    assert!(h.store.run(&h.call(), ReadLeftovers).await.is_ok());
}

pub(super) async fn audits_are_remembered_the_last_first(h: &Harness) {
    let run = |score| AuditRun {
        id: h.ids.make::<InboxEventId>().uuid(),
        at: h.now(),
        profile: "server".to_owned(),
        score,
        report: format!(r#"{{"score": {score}}}"#),
    };
    let mut all = Vec::new();
    for score in 0..410 {
        h.clock.advance(Duration::from_millis(1));
        let run = run(score);
        // A commit that was not confirmed is repeated.
        for _ in 0..2 {
            h.store.run(&h.call(), RecordAudit(run.clone())).await.expect("recorded");
        }
        all.push(run);
    }
    let read =
        async |before: Option<Uuid>, limit| h.store.run(&h.call(), ReadAudits { before, limit }).await.expect("read");
    let history = h.store.run(&h.call(), ListAudits(3)).await.expect("listed");
    assert_eq!(history.iter().map(|one| one.score).collect::<Vec<_>>(), [409, 408, 407]);
    assert_eq!(read(None, 2).await, [all[409].clone(), all[408].clone()]);
    assert_eq!(read(Some(all[11].id), 1000).await, [all[10].clone()], "the oldest are forgotten");
}
