//! What is kept, and of which trace it is.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{JobId, ManualClock, RequestId, SpanId, Timestamp, TraceContext, TraceId};
use mainstay_store::trace::{Keeper as _, Segment, Span, StepKind};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Judge, SpanCounts, Traces};

const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn judge(places: usize) -> (Judge, mpsc::Receiver<super::Kept>) {
    let (sender, receiver) = mpsc::channel(places);
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000)));
    (Judge { slow: Some(Duration::from_secs(1)), sender, clock, spans: SpanCounts::default() }, receiver)
}

/// A request of so many milliseconds.
fn segment(millis: u64) -> Segment {
    let id = SpanId::new(1);
    let root = Span {
        id,
        parent: id,
        name: "GET /".into(),
        kind: StepKind::Request,
        began: Duration::ZERO,
        took: Duration::from_millis(millis),
        failed: None,
        attributes: Vec::new(),
    };
    let context = TraceContext { trace: TraceId::of(Uuid::from_u128(1)), span: id, sampled: false };
    Segment { context, parent: None, linked: None, root, spans: Vec::new(), left_out: 0, patient: false }
}

#[test]
fn what_fails_or_is_slow_is_kept_and_of_the_rest_a_share() {
    let (judge, _receiver) = judge(1);
    assert!(!judge.keeps(&segment(999)));
    assert!(judge.keeps(&segment(1_000)));
    // Who waits for a model takes long, and so does a job.
    assert!(!judge.keeps(&Segment { patient: true, ..segment(60_000) }));
    let job = segment(60_000);
    assert!(!judge.keeps(&Segment { root: Span { kind: StepKind::Job, ..job.root.clone() }, ..job }));
    let failed = segment(1);
    assert!(judge.keeps(&Segment { root: Span { failed: Some("500".to_owned()), ..failed.root.clone() }, ..failed }));
    let sampled = segment(1);
    assert!(judge.keeps(&Segment { context: TraceContext { sampled: true, ..sampled.context }, ..sampled }));
}

#[test]
fn what_finds_no_place_is_dropped_and_counted() {
    let (judge, mut receiver) = judge(1);
    (0..3).for_each(|_| judge.ended(segment(2_000)));
    assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_err());
    assert_eq!(judge.spans.get_or_create(&super::OutcomeLabel { outcome: "queue_full" }).get(), 2);
}

#[test]
fn a_request_belongs_where_a_proxy_of_ours_says_and_is_linked_with_what_a_stranger_says() {
    let (traces, given) = (Traces::default(), TraceContext::parse(HEADER));
    let id: RequestId = "0198c0de-0000-7000-8000-00000000abcd".parse().expect("an id");
    let own = traces.of_request(id, None, false).trace().context();
    assert_eq!(own.trace.to_string(), "0198c0de00007000800000000000abcd");
    assert!(!own.sampled, "nobody is told of it");
    assert_eq!(traces.of_request(id, given, true).trace().context().trace.to_string(), HEADER[3..35]);
    assert_eq!(traces.of_request(id, given, false).trace().context().trace, own.trace);
}

#[test]
fn a_job_belongs_where_it_was_promised_and_its_attempts_differ() {
    let (traces, promised) = (Traces::default(), TraceContext::parse(HEADER));
    let id: JobId = "0198c0de-0000-7000-8000-00000000abcd".parse().expect("an id");
    let context = |attempt, promised| traces.of_job(id, attempt, promised).trace().context();
    assert_eq!(context(1, promised).trace.to_string(), HEADER[3..35]);
    assert_eq!(context(1, None).trace.to_string(), "0198c0de00007000800000000000abcd");
    assert_ne!(context(1, None).span, context(2, None).span);
    // An event and its job share their id, and neither is the other's span.
    let request = traces.of_request(RequestId(id.uuid()), None, false).trace().context();
    assert_ne!(context(1, None).span, request.span);
}
