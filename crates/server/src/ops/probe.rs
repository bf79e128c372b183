//! The probe: a job whose only effect is a row that says how often it took place, so that a running system can show that
//! what it promises is done, and done once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mainstay_jobs::{Done, Failure, Job, JobContext, JobResult};
use mainstay_store::RecordProbe;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::job_list::PROBES;

/// The longest that a probe may work.
const LONGEST: Duration = Duration::from_secs(30);

/// A probe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    /// What it is known by: it begins with `probe/`.
    pub key: String,
    /// How long it works, in milliseconds.
    pub work_ms: u64,
    /// How many of its attempts fail.
    pub failures: u32,
}

impl Job for Probe {
    const KIND: &'static str = "probe";
    const QUEUE: &'static str = PROBES;

    fn backoff(_: u32) -> Duration {
        Duration::from_millis(100)
    }
}

/// Works, fails as often as it was told to, and then takes effect in the transaction that ends it.
pub(crate) async fn run(app: Weak<App>, context: JobContext, probe: Probe) -> JobResult {
    let Some(app): Option<Arc<App>> = app.upgrade() else { return Err(Failure::new("the server stops")) };
    tokio::time::sleep(Duration::from_millis(probe.work_ms).min(LONGEST)).await;
    if context.attempt <= probe.failures {
        return Err(Failure::new(format_args!("attempt {} was told to fail", context.attempt)));
    }
    let effect = RecordProbe { key: probe.key, fence: context.fence, now: app.clock.now() };
    app.store.run_for_jobs(&context.call(), effect).await?;
    Ok(Done::Settled)
}
