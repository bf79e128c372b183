//! Where work belongs: what its jobs are told of it, and by which name a server knows its transactions.

use mainstay_domain::{SpanId, TraceContext, TraceId};

use super::jobs::{claim, job, worker};
use super::{EngineKind, Harness};
use crate::sql::Sql;
use crate::trace::Trace;
use crate::tx::{Scope, Tx};
use crate::{Enqueue, GetJob, Intent, NewJob, Result};

fn context(h: &Harness, sampled: bool) -> TraceContext {
    TraceContext { trace: TraceId::of(h.ids.make()), span: SpanId::new(7), sampled }
}

fn within(context: TraceContext) -> Trace {
    Trace::begin(context, None, None, None)
}

pub(super) async fn a_job_is_told_for_what_it_was_promised(h: &Harness) {
    let worker = worker(h, "one").await;
    let (own, other) = (context(h, true), context(h, false));
    let enqueue = |trace| {
        let promised = NewJob { trace, ..job(h) };
        let (id, call) = (promised.id, h.call());
        let enqueue = Enqueue { jobs: vec![promised], now: h.now() };
        (id, Box::pin(async move { h.store.run(&call, enqueue).await }))
    };
    // What the transaction knows, unless the job knows better; nothing without a cause.
    let (first, promising) = enqueue(None);
    within(own).within(promising).await.expect("promised");
    let (second, promising) = enqueue(Some(other));
    within(own).within(promising).await.expect("promised");
    let (third, promising) = enqueue(None);
    promising.await.expect("promised");
    let claimed = claim(h, worker, 3).await;
    for (id, trace) in [(first, Some(own)), (second, Some(other)), (third, None)] {
        let job = claimed.iter().find(|job| job.id == id).expect("claimed");
        assert_eq!(job.trace, trace);
        assert_eq!(h.store.run(&h.call(), GetJob(id)).await.expect("read").expect("there").job.trace, trace);
    }
}

/// The name that the server knows the transaction by.
struct NameOfTheApplication;

#[derive(sqlx::FromRow)]
struct Name {
    name: String,
}

impl Intent for NameOfTheApplication {
    type Output = String;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<String> {
        let text = "SELECT current_setting('application_name') AS name";
        Ok(tx.query(Sql::plain("test", text, text)).row::<Name>().await?.map_or_else(String::new, |row| row.name))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_knows_a_transaction_by_its_trace() {
    let Some(h) = Harness::open(EngineKind::Postgres).await else { return };
    let kept = context(&h, true);
    let call = h.call();
    let name = async || h.store.run(&call, NameOfTheApplication).await.expect("read");
    assert_eq!(within(kept).within(name()).await, format!("mainstay {}", kept.trace));
    // The name goes with the transaction, and what is not kept has none of its own.
    assert_eq!(within(context(&h, false)).within(name()).await, "mainstay");
    assert_eq!(name().await, "mainstay");
}
