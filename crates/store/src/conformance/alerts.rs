//! Alerts, their receivers, and the samples that they are judged by.

use std::time::Duration;

use mainstay_domain::{InboxEventId, JobPriority, Timestamp};
use uuid::Uuid;

use super::Harness;
use crate::{
    AcquireLease, Alert, ClientReport, GetJob, KEPT_REPORTS, ListAlerts, ListClientReports, NewJob, NodeSample,
    NodeUses, OpenQueues, ReadAlertReceipts, ReadNodeHealth, ReadOpenAlerts, ReadSystemHealth, RecordAlertReceipt,
    RecordAlerts, RecordClientReports, RecordSample, ReleaseLease,
};

const SECOND: Duration = Duration::from_secs(1);

fn id(h: &Harness) -> Uuid {
    h.ids.make::<InboxEventId>().uuid()
}

fn alert(h: &Harness, subject: &str) -> Alert {
    Alert {
        id: id(h),
        rule: "pool".to_owned(),
        subject: subject.to_owned(),
        value: 91.5,
        threshold: 80.0,
        began_at: h.now(),
        fired_at: None,
        calm_at: None,
        told_at: None,
        ended_at: None,
        end_told_at: None,
    }
}

pub(super) async fn an_alert_is_kept_with_the_messages_that_tell_of_it(h: &Harness) {
    let acquire = AcquireLease { name: "alerts".to_owned(), holder: "me".to_owned(), now: h.now(), lasts: 30 * SECOND };
    let number = h.store.run(&h.call(), acquire).await.expect("asked").expect("free");
    h.store.run(&h.call(), OpenQueues(vec!["alerts"])).await.expect("opened");
    let record = |changed: Vec<Alert>, dropped: Vec<Uuid>, jobs: Vec<NewJob>| RecordAlerts {
        lease: ("alerts".to_owned(), number),
        changed,
        dropped,
        jobs,
        now: h.now(),
    };
    let (mut first, second) = (alert(h, "one"), alert(h, "two"));
    let job = NewJob {
        id: h.ids.make(),
        queue: "alerts",
        kind: "alert_message",
        group: "g".to_owned(),
        tenant: None,
        priority: JobPriority::High,
        arguments: "{}".to_owned(),
        unique: None,
        run_at: h.now(),
        most_attempts: 3,
        trace: None,
    };
    let both = record(vec![first.clone(), second.clone()], Vec::new(), vec![job.clone()]);
    assert_eq!(h.store.run_for_jobs(&h.call(), both).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), ReadOpenAlerts).await, Ok(vec![first.clone(), second.clone()]));
    assert_eq!(h.store.run(&h.call(), ListAlerts(10)).await, Ok(Vec::new()), "none has fired");
    assert!(h.store.run(&h.call(), GetJob(job.id)).await.expect("read").is_some());
    h.clock.advance(SECOND);
    (first.fired_at, first.told_at, first.value) = (Some(h.now()), Some(h.now()), 95.0);
    let next = record(vec![first.clone()], vec![first.id, second.id], Vec::new());
    assert_eq!(h.store.run_for_jobs(&h.call(), next).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), ReadOpenAlerts).await, Ok(vec![first.clone()]), "what has fired is not dropped");
    // What is over stays open until somebody was told.
    first.ended_at = Some(h.now());
    h.store.run_for_jobs(&h.call(), record(vec![first.clone()], Vec::new(), Vec::new())).await.expect("kept");
    assert_eq!(h.store.run(&h.call(), ReadOpenAlerts).await, Ok(vec![first.clone()]));
    first.end_told_at = Some(h.now());
    // And the same may be wrong again.
    let again = alert(h, "one");
    let last = record(vec![first.clone(), again.clone()], Vec::new(), Vec::new());
    assert_eq!(h.store.run_for_jobs(&h.call(), last).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), ReadOpenAlerts).await, Ok(vec![again.clone()]));
    assert_eq!(h.store.run(&h.call(), ListAlerts(10)).await, Ok(vec![first]));
    // Twice at once it is not.
    let twice = record(vec![alert(h, "one")], Vec::new(), Vec::new());
    assert!(h.store.run_for_jobs(&h.call(), twice).await.is_err());
    // Who has lost the lease changes nothing.
    h.store.run(&h.call(), ReleaseLease { name: "alerts".to_owned(), number }).await.expect("released");
    let late = record(vec![alert(h, "late")], Vec::new(), vec![NewJob { id: h.ids.make(), ..job }]);
    assert_eq!(h.store.run_for_jobs(&h.call(), late).await, Ok(false));
    assert_eq!(h.store.run(&h.call(), ReadOpenAlerts).await, Ok(vec![again]));
}

pub(super) async fn receivers_are_remembered_by_what_they_did(h: &Harness) {
    let told = |failure: Option<&str>, test| RecordAlertReceipt {
        receiver: "slack",
        failure: failure.map(str::to_owned),
        test,
        now: h.now(),
    };
    let read = async || h.store.run(&h.call(), ReadAlertReceipts).await.expect("read");
    assert_eq!(read().await, []);
    h.store.run(&h.call(), told(Some("no_service"), false)).await.expect("kept");
    let began = h.now();
    h.clock.advance(SECOND);
    h.store.run(&h.call(), told(None, true)).await.expect("kept");
    let tested = h.now();
    h.clock.advance(SECOND);
    h.store.run(&h.call(), told(None, false)).await.expect("kept");
    let [receipt] = read().await.try_into().expect("one");
    assert_eq!((receipt.receiver.as_str(), receipt.failure.as_str()), ("slack", "no_service"));
    assert_eq!((receipt.failed_at, receipt.tested_at, receipt.accepted_at), (Some(began), Some(tested), Some(h.now())));
}

/// The clock of the database, which the views look back by.
#[expect(clippy::disallowed_methods, reason = "the database has no other clock")]
fn present() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Timestamp::from_millis(i64::try_from(since.as_millis()).expect("it fits"))
}

pub(super) async fn five_minutes_of_samples_come_to_one_row(h: &Harness) {
    let empty = h.store.run(&h.call(), ReadSystemHealth).await.expect("read");
    assert_eq!((empty.nodes, empty.requests, empty.last_seen, empty.p95_ms), (0, 0, None, None));
    assert_eq!((empty.mean_job_ms, empty.pool_percent, empty.error_percent), (None, None, 0.0));
    let (one, two, gone) = (id(h), id(h), id(h));
    let now = present();
    let record = async |node, seconds: u64, sample: &NodeSample| {
        let record = RecordSample { node, at: now.minus(Duration::from_secs(seconds)), sample: sample.clone() };
        h.store.run(&h.call(), record).await.expect("kept");
    };
    // Of 100 answers 60 took 5 ms at the most, 96 took 50, all took a second; one took longer than any bound.
    let busy = NodeSample {
        requests: 110,
        errors: 2,
        refusals: 10,
        timed: 100,
        within: [60, 60, 60, 96, 96, 96, 96, 99, 99],
        jobs_ended: 4,
        jobs_ms: 100,
        jobs_running: 3,
        sockets: 7,
        uses: NodeUses { pool: Some(805), memory: Some(412), ..NodeUses::default() },
        redis_lost: true,
        left_alone: vec!["anthropic".to_owned(), "fastspring".to_owned()],
        leaves: false,
    };
    let quiet = NodeSample {
        sockets: 2,
        jobs_running: 1,
        uses: NodeUses { pool: Some(100), ..NodeUses::default() },
        ..NodeSample::default()
    };
    record(one, 20, &busy).await;
    record(one, 10, &NodeSample { requests: 90, sockets: 5, jobs_running: 2, ..busy.clone() }).await;
    record(two, 15, &quiet).await;
    record(gone, 30, &NodeSample { sockets: 100, leaves: true, ..NodeSample::default() }).await;
    // What is older does not count; what is much older is gone with the next sample.
    record(two, 400, &NodeSample { requests: 1_000_000, errors: 1_000_000, ..NodeSample::default() }).await;
    let health = h.store.run(&h.call(), ReadSystemHealth).await.expect("read");
    assert_eq!((health.nodes, health.requests, health.errors, health.refusals), (2, 200, 4, 20));
    assert_eq!((health.p50_ms, health.p95_ms, health.p99_ms), (Some(5), Some(50), Some(1000)));
    assert_eq!((health.active_jobs, health.sockets, health.mean_job_ms), (3, 7, Some(25.0)));
    assert_eq!(
        (health.error_percent, health.pool_percent, health.last_seen),
        (2.0, Some(80.5), Some(now.minus(10 * SECOND)))
    );
    let nodes = h.store.run(&h.call(), ReadNodeHealth).await.expect("read");
    assert_eq!(nodes.len(), 3);
    let of = |node| nodes.iter().find(|health| health.node == node).expect("it is there");
    let first = of(one);
    assert_eq!((first.requests, first.errors, first.sockets, first.last_seen), (200, 4, 5, now.minus(10 * SECOND)));
    assert_eq!((first.uses.pool, first.uses.memory, first.uses.disk), (Some(805), Some(412), None));
    assert_eq!((first.redis_lost, first.left_alone.as_slice()), (true, busy.left_alone.as_slice()));
    assert_eq!((of(two).requests, of(two).redis_lost, of(two).left_alone.len(), of(gone).leaves), (0, false, 0, true));
    // The same sample twice is one.
    record(two, 15, &busy).await;
    assert_eq!(h.store.run(&h.call(), ReadSystemHealth).await.expect("read").requests, 200);
}

pub(super) async fn the_last_reports_of_browsers_are_kept(h: &Harness) {
    let (one, somebody) = h.person("rosa").await;
    let (other, another) = h.person("olaf").await;
    let report = |tenant, person, number: u32| ClientReport {
        id: id(h),
        tenant,
        person,
        page: "/".to_owned(),
        version: "0.1.0".to_owned(),
        message: format!("fault {number}"),
        detail: String::new(),
        at: h.now(),
    };
    let mut all = Vec::new();
    for number in 0..60 {
        h.clock.advance(Duration::from_millis(1));
        let made = report(one, somebody, number);
        all.push(made.clone());
        let record = RecordClientReports { tenant: one, reports: vec![made] };
        h.store.run(&h.call(), record).await.expect("kept");
    }
    let foreign = report(other, another, 99);
    let record = RecordClientReports { tenant: other, reports: vec![foreign.clone()] };
    h.store.run(&h.call(), record.clone()).await.expect("kept");
    h.store.run(&h.call(), record).await.expect("twice is once");
    let listed = h.store.run(&h.call(), ListClientReports(100)).await.expect("read");
    let kept = KEPT_REPORTS as usize;
    assert_eq!(listed.len(), kept + 1);
    assert_eq!((&listed[0], &listed[1]), (&foreign, &all[59]));
    assert!(!listed.contains(&all[9]) && listed.contains(&all[10]), "of each organisation the last are kept");
    // What is old is forgotten, whosever it is.
    assert_eq!(h.store.forget_client_reports(&h.call(), all[30].at).await, Ok(20));
    assert_eq!(h.store.run(&h.call(), ListClientReports(100)).await.expect("read").len(), 31);
    assert_eq!(h.store.forget_client_reports(&h.call(), all[30].at).await, Ok(0));
}
