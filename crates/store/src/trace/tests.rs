//! Steps, their parts and times, and what is handed over.

use super::*;

#[derive(Default)]
struct Kept(Mutex<Vec<Segment>>);

impl Keeper for Kept {
    fn ended(&self, segment: Segment) {
        self.0.lock().expect("a lock").push(segment);
    }
}

impl Kept {
    fn take(&self) -> Segment {
        let mut kept = self.0.lock().expect("a lock");
        assert_eq!(kept.len(), 1);
        kept.remove(0)
    }
}

fn trace(kept: &Arc<Kept>) -> Trace {
    let context = TraceContext { trace: TraceId::of(Uuid::from_u128(1)), span: SpanId::new(7), sampled: false };
    Trace::begin(context, None, None, Some(Arc::clone(kept) as Arc<dyn Keeper>))
}

fn end(trace: &Trace) {
    trace.end((StepKind::Request, "GET /".into()), None, Vec::new());
}

#[tokio::test(start_paused = true)]
async fn steps_have_parts_and_times() {
    let kept = Arc::new(Kept::default());
    let trace = trace(&kept);
    trace
        .clone()
        .within(async {
            let second = Duration::from_secs(1);
            tokio::time::advance(second).await;
            let mut step = Step::begin(StepKind::Work, "an intent");
            step.say("n", 3_u32);
            let asked = Instant::now();
            tokio::time::advance(second).await;
            step.waited("a wait", asked);
            step.waited("no wait", Instant::now());
            let mut part = step.part(StepKind::Statement, "a statement");
            part.fail("it broke");
            tokio::time::advance(second).await;
        })
        .await;
    end(&trace);
    end(&trace);
    let segment = kept.take();
    let names: Vec<_> = segment.spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["a wait", "a statement", "an intent"]);
    let [wait, statement, intent] = segment.spans.as_slice() else { panic!("{segment:?}") };
    assert_eq!((intent.parent, wait.parent, statement.parent), (segment.root.id, intent.id, intent.id));
    let seconds = |span: &Span| (span.began.as_secs(), span.took.as_secs());
    assert_eq!([intent, wait, statement].map(seconds), [(1, 2), (1, 1), (2, 1)]);
    assert_eq!((statement.failed.as_deref(), &intent.attributes), (Some("it broke"), &vec![("n", 3_u32.into())]));
    assert_eq!(segment.root.took.as_secs(), 3);
}

#[tokio::test]
async fn what_is_gathered_becomes_part_of_each_trace() {
    let kept = [Arc::new(Kept::default()), Arc::new(Kept::default())];
    let traces = kept.each_ref().map(trace);
    let steps = traces.each_ref().map(|trace| trace.step(StepKind::Work, "turns"));
    let together = Trace::gathering();
    together
        .clone()
        .within(async {
            let step = Step::begin(StepKind::Work, "whole");
            drop(step.part(StepKind::Statement, "one"));
            drop(step.part(StepKind::Statement, "two"));
        })
        .await;
    let gathered = together.gathered();
    for (step, trace) in steps.into_iter().zip(&traces) {
        step.adopt(&gathered);
        drop(step);
        end(trace);
    }
    for kept in &kept {
        let segment = kept.take();
        let [one, two, whole, turns] = segment.spans.as_slice() else { panic!("{segment:?}") };
        assert_eq!((one.parent, two.parent, whole.parent), (whole.id, whole.id, turns.id));
        assert_eq!(turns.parent, segment.root.id);
    }
}

#[tokio::test]
async fn a_segment_is_bounded_and_what_is_left_behind_is_one_of_its_own() {
    let kept = Arc::new(Kept::default());
    let trace = trace(&kept);
    let child = trace.child();
    for _ in 0..MOST_STEPS + 5 {
        drop(trace.step(StepKind::Work, "again"));
    }
    let late = trace.step(StepKind::Work, "late");
    end(&trace);
    drop(late);
    let segment = kept.take();
    assert_eq!((segment.spans.len(), segment.left_out), (MOST_STEPS, 5));
    drop(child.step(StepKind::Work, "later"));
    end(&child);
    let later = kept.take();
    assert_eq!((later.parent, later.spans.len()), (Some(segment.root.id), 1));
    assert_eq!(later.context.trace, segment.context.trace);
    assert!(!segment.spans.iter().any(|span| span.id == later.root.id));
}

#[tokio::test]
async fn without_a_trace_nothing_is_noted() {
    let mut step = Step::begin(StepKind::Work, "nobody hears");
    step.fail("nor of this");
    assert!(!step.is_noted() && Trace::current().is_none());
    let context = TraceContext { trace: TraceId::of(Uuid::from_u128(1)), span: SpanId::new(7), sampled: false };
    let unheard = Trace::begin(context, None, None, None);
    assert!(!unheard.within(async { Step::begin(StepKind::Work, "nor of this") }).await.is_noted());
}
