//! Backups: what is known of them, and copies that are the database of one moment.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::TryStreamExt as _;
use mainstay_domain::{BackupState, Secret};
use mainstay_testing::postgres::{Cluster, Database};
use uuid::Uuid;

use super::Harness;
use crate::{
    BackupDeleted, BeginBackup, Drill, EndBackup, Error, FindPersonByEmail, InstallationIs, LastGood, ListBackups,
    ListDrills, Mark, OpenQueues, Options, Part, PauseQueue, ReadQueues, RecordDrill, Restoration, Snapshot, Store,
};

fn begin(h: &Harness, id: &str) -> BeginBackup {
    BeginBackup {
        id: id.to_owned(),
        place: "/backups".to_owned(),
        canary: format!("canary of {id}"),
        encrypted: true,
        now: h.now(),
        given_up: h.now().minus(Duration::from_secs(86_400)),
    }
}

pub(super) async fn backups_and_drills_are_remembered(h: &Harness) {
    let installation = h.store.run(&h.call(), InstallationIs(Uuid::from_u128(1))).await;
    assert_eq!(installation, Ok(Uuid::from_u128(1)));
    assert_eq!(h.store.run(&h.call(), InstallationIs(Uuid::from_u128(2))).await, installation, "it is made up once");
    assert_eq!(h.store.run(&h.call(), LastGood).await, Ok((None, None)));
    for id in ["1", "2", "3"] {
        h.store.run(&h.call(), begin(h, id)).await.expect("begun");
    }
    let end = |id: &str, outcome| EndBackup { id: id.to_owned(), outcome, now: h.now() };
    assert_eq!(h.store.run(&h.call(), end("1", Ok((70, 7)))).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), end("2", Err("the disk is full".to_owned()))).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), end("2", Ok((1, 1)))).await, Ok(false), "it has ended");
    h.clock.advance(Duration::from_secs(86_401));
    h.store.run(&h.call(), begin(h, "4")).await.expect("begun");
    let listed = h.store.run(&h.call(), ListBackups(10)).await.expect("listed");
    let states: Vec<_> = listed.iter().map(|backup| (backup.id.as_str(), backup.state)).collect();
    let wanted = [
        ("4", BackupState::Running),
        ("3", BackupState::Failed),
        ("2", BackupState::Failed),
        ("1", BackupState::Complete),
    ];
    assert_eq!(states, wanted, "the one that never ended was given up");
    assert_eq!((listed[3].bytes, listed[3].rows, listed[3].encrypted), (70, 7, true));
    assert_eq!(listed[2].error.as_deref(), Some("the disk is full"));
    let last = h.store.run(&h.call(), LastGood).await.expect("read").0;
    assert_eq!(last.map(|backup| backup.id), Some("1".to_owned()));
    assert_eq!(h.store.run(&h.call(), BackupDeleted("1".to_owned())).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), BackupDeleted("1".to_owned())).await, Ok(false));
    let drill = |number: u32, passed| Drill {
        id: format!("{number:04}"),
        at: h.now(),
        backup: "1".to_owned(),
        passed,
        recovery_point_ms: 5,
        recovery_time_ms: 6,
        detail: String::new(),
    };
    for number in 0..410 {
        let drill = drill(number, number != 409);
        for _ in 0..2 {
            h.store.run(&h.call(), RecordDrill(drill.clone())).await.expect("recorded");
        }
    }
    let drills = h.store.run(&h.call(), ListDrills(1_000)).await.expect("listed");
    assert_eq!((drills.len(), &drills[0]), (400, &drill(409, false)), "the oldest are forgotten");
    assert_eq!(h.store.run(&h.call(), LastGood).await.expect("read").1, Some(drill(408, true)));
}

/// A copy in memory: each part with its bytes.
struct Copy {
    parts: Vec<(Part, BytesMut)>,
    rows: u64,
    engine: &'static str,
    schema: Vec<crate::AppliedMigration>,
}

impl Copy {
    async fn of(mut snapshot: Snapshot, engine: &'static str) -> Self {
        let mut parts = Vec::new();
        for part in snapshot.parts.clone() {
            let stream = snapshot.read(&part).await.expect("begun");
            let bytes: BytesMut = stream
                .try_fold(BytesMut::new(), async |mut all, bytes| {
                    all.extend_from_slice(&bytes);
                    Ok(all)
                })
                .await
                .expect("read");
            parts.push((part, bytes));
        }
        let rows = snapshot.rows().await.expect("counted");
        Self { parts, rows, engine, schema: snapshot.schema.clone() }
    }

    async fn restore(&self, h: &Harness, target: &Options, canary: &str) -> crate::Result<()> {
        let mut restoration = Restoration::begin(target, self.engine, &self.schema, h.now()).await?;
        for (part, bytes) in &self.parts {
            restoration.part(part).await?;
            // In odd pieces, so that rows are cut.
            for piece in bytes.chunks(7_001) {
                restoration.write(piece).await?;
            }
            restoration.end_part(bytes.iter().filter(|byte| **byte == b'\n').count() as u64).await?;
        }
        restoration.finish(&self.mark(h, canary)).await
    }

    fn mark(&self, h: &Harness, canary: &str) -> Mark {
        Mark {
            backup: "b1".to_owned(),
            canary_digest: Mark::digest_of(canary),
            rows: self.rows,
            bytes: 1,
            now: h.now(),
            hold: true,
        }
    }
}

/// An empty place for a copy.
struct Target {
    options: Options,
    folder: tempfile::TempDir,
    _database: Option<Database>,
}

fn target(h: &Harness) -> Target {
    let folder = tempfile::tempdir().expect("a folder");
    let database = h.database.as_ref().map(|_| Cluster::shared().expect("it is there").database().expect("a database"));
    let url = match &database {
        None => format!("sqlite:{}", folder.path().join("copy.db").display()),
        Some(database) => database.url.clone(),
    };
    Target { options: Options::new(Secret::new(url)), folder, _database: database }
}

async fn copied(h: &Harness, scratch: &Target) -> Copy {
    h.store.run(&h.call(), begin(h, "b1")).await.expect("begun");
    let held = Snapshot::hold(&h.options, scratch.folder.path().join("scratch")).await.expect("held");
    Copy::of(held, h.store.engine_name()).await
}

pub(super) async fn a_copy_is_the_database_of_one_moment_while_others_write(h: &Harness) {
    h.store.run(&h.call(), OpenQueues(vec!["mail"])).await.expect("opened");
    let before = h.person("before").await;
    let place = target(h);
    let (stop, made) = (AtomicBool::new(false), AtomicU32::new(0));
    let writing = async {
        while !stop.load(Ordering::SeqCst) {
            h.person(&format!("w{}", made.fetch_add(1, Ordering::SeqCst))).await;
        }
    };
    let copying = async {
        while made.load(Ordering::SeqCst) < 5 {
            tokio::task::yield_now().await;
        }
        let acknowledged = made.load(Ordering::SeqCst) - 1;
        let copy = copied(h, &place).await;
        stop.store(true, Ordering::SeqCst);
        (copy, acknowledged)
    };
    let ((), (copy, acknowledged)) = tokio::join!(writing, copying);
    copy.restore(h, &place.options, "canary of b1").await.expect("restored");
    assert_eq!(Restoration::has_canary(&place.options, &copy.mark(h, "canary of b1")).await, Ok(true));
    assert_eq!(Restoration::has_canary(&place.options, &copy.mark(h, "another")).await, Ok(false));

    let (store, tasks) = Store::open(place.options.clone(), h.entropy()).await.expect("the copy opens");
    let running: Vec<_> = tasks.into_iter().map(|task| super::spawn(task.future)).collect();
    let found = async |name: &str| {
        let find =
            FindPersonByEmail(mainstay_domain::EmailAddress::parse(&format!("{name}@example.com")).expect("one"));
        store.run(&h.call(), find).await.expect("read").map(|person| person.id)
    };
    assert_eq!(found("before").await, Some(before.1));
    for number in 0..acknowledged {
        assert!(found(&format!("w{number}")).await.is_some(), "{number} was acknowledged before the copy began");
    }
    let queues = store.run(&h.call(), ReadQueues).await.expect("read");
    assert!(
        queues.queues.iter().all(|queue| queue.paused_at.is_some()),
        "jobs wait until somebody has looked: {queues:?}"
    );
    let known = store.run(&h.call(), ListBackups(1)).await.expect("listed");
    assert_eq!((known[0].id.as_str(), known[0].state, known[0].rows), ("b1", BackupState::Complete, copy.rows));
    assert!(store.run(&h.call(), PauseQueue { queue: "mail".to_owned(), paused_at: None }).await.expect("resumed"));
    running.iter().for_each(tokio::task::JoinHandle::abort);
    store.close().await;
    let again = copy.restore(h, &place.options, "canary of b1").await;
    // A file is replaced by whoever says so before; tables that are in use are not.
    assert_eq!(again.is_err(), h.database.is_some(), "{again:?}");
}

pub(super) async fn a_copy_that_is_not_whole_is_refused(h: &Harness) {
    h.person("somebody").await;
    let place = target(h);
    let mut copy = copied(h, &place).await;
    let refused = copy.restore(h, &place.options, "the canary of another moment").await;
    assert!(matches!(&refused, Err(Error::Corrupt(cause)) if cause.contains("canary")), "{refused:?}");
    copy.schema.push(crate::AppliedMigration { version: 9_999, checksum: "x".to_owned() });
    let refused = copy.restore(h, &place.options, "canary of b1").await;
    assert!(matches!(&refused, Err(Error::Corrupt(cause)) if cause.contains("another version")), "{refused:?}");
    copy.schema.pop();
    copy.engine = if h.database.is_some() { "sqlite" } else { "postgresql" };
    let refused = copy.restore(h, &place.options, "canary of b1").await;
    assert!(matches!(&refused, Err(Error::Corrupt(cause)) if cause.contains("the target is")), "{refused:?}");
    copy.engine = h.store.engine_name();
    let largest = copy.parts.iter_mut().max_by_key(|(part, bytes)| (part.name == "person", bytes.len())).expect("one");
    let (whole, half) = (largest.1.clone(), largest.1.len() / 2);
    largest.1.truncate(half);
    let refused = copy.restore(h, &place.options, "canary of b1").await;
    assert!(matches!(&refused, Err(Error::Corrupt(_))), "{refused:?}");
    let largest = copy.parts.iter_mut().max_by_key(|(part, bytes)| (part.name == "person", bytes.len())).expect("one");
    largest.1 = whole;
    copy.restore(h, &place.options, "canary of b1").await.expect("what was refused left nothing in the way");
}
