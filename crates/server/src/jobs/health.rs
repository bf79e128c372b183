//! Whether work stands still: the oldest job that could run is too old, or this node ought to work and cannot.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::Timestamp;
use mainstay_jobs::Queue;
use mainstay_store::{Call, QueueAge, ReadAges};

use crate::app::App;
use crate::job_list;
use crate::ops::health::kept::Kept;

/// How long the database may take to answer a check.
const DEADLINE: Duration = Duration::from_secs(1);

/// What was seen: whether it is well, and in words.
pub(crate) type Seen = (bool, String);

/// The last look at the queues.
#[derive(Debug, Default)]
pub(crate) struct Standing(Kept<Seen>);

/// Whether the worker of this node can work.
pub(crate) fn worker(app: &App) -> Seen {
    if !app.config.jobs.enabled {
        return (true, "this node leaves jobs to others".to_owned());
    }
    match app.worker.get() {
        Some(worker) if worker.has_lease() => (true, format!("it holds its lease; {} jobs run here", worker.running())),
        Some(_) => (false, "it has no lease, and begins nothing".to_owned()),
        None => (false, "it has not begun".to_owned()),
    }
}

/// Whether what could run is begun in time, and how old that answer is. Those who ask at the same moment share one answer.
pub(crate) async fn queues(app: &Arc<App>) -> (Seen, Duration) {
    app.jobs.standing.0.get(look(app)).await
}

async fn look(app: &Arc<App>) -> Seen {
    let mut seen = match app.store.run(&Call::within(DEADLINE), ReadAges).await {
        Ok(mut ages) => {
            let off = |queue: &QueueAge| app.controls.queue_off(&queue.name).is_some();
            let stopped = ages.extract_if(.., |queue| off(queue)).map(|queue| queue.name).collect::<Vec<_>>();
            let queues = job_list::queues(&app.config);
            let mut seen = judge(&ages, &queues, app.config.jobs.oldest(), app.clock.now());
            if !stopped.is_empty() {
                seen.1.push_str(&format!("; switched off: {}", stopped.join(", ")));
            }
            seen
        }
        Err(error) => {
            tracing::warn!(%error, "the queues could not be read for a health check");
            (false, "the queues could not be read".to_owned())
        }
    };
    if let Some(dead) = app.jobs.depths.dead() {
        seen.1.push_str(&format!("; {dead} given up and kept"));
    }
    seen
}

/// A queue that this version does not know is held to the usual bound: nobody may be there to work on it.
fn judge(ages: &[QueueAge], queues: &[Queue], usual: Duration, now: Timestamp) -> Seen {
    let (mut late, mut paused) = (Vec::new(), 0);
    for age in ages {
        if age.paused_at.is_some() {
            paused += 1;
            continue;
        }
        let bound = queues.iter().find(|queue| queue.name == age.name).map_or(usual, |queue| queue.oldest);
        if let Some(waited) = age.oldest.map(|oldest| now.since(oldest)).filter(|waited| *waited > bound) {
            let (waited, bound) = (waited.as_secs(), bound.as_secs());
            late.push(format!("the oldest job in {} has been due for {waited} s, and {bound} s are allowed", age.name));
        }
    }
    let well = late.is_empty();
    let mut words = if well { "nothing waits for too long".to_owned() } else { late.join("; ") };
    if paused > 0 {
        words.push_str(&format!("; {paused} paused"));
    }
    (well, words)
}

#[cfg(test)]
mod tests {
    use mainstay_store::QueueLimits;

    use super::*;

    #[test]
    fn a_queue_is_held_to_its_own_bound_unless_it_is_paused() {
        let seconds = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let age = |name: &str, oldest: Option<i64>, paused: bool| QueueAge {
            name: name.to_owned(),
            paused_at: paused.then_some(Timestamp::EPOCH),
            oldest: oldest.map(seconds),
        };
        let queue = |name, oldest| Queue {
            name,
            slots: 1,
            limits: QueueLimits::default(),
            oldest: Duration::from_secs(oldest),
        };
        let queues = [queue("fast", 5), queue("slow", 600)];
        let judge = |ages: &[QueueAge]| judge(ages, &queues, Duration::from_secs(60), seconds(1000));
        assert_eq!(judge(&[]), (true, "nothing waits for too long".to_owned()));
        assert!(judge(&[age("fast", Some(995), false), age("slow", Some(400), false), age("fast", None, false)]).0);
        let (well, words) = judge(&[age("fast", Some(994), false), age("slow", Some(500), false)]);
        assert_eq!((well, words.as_str()), (false, "the oldest job in fast has been due for 6 s, and 5 s are allowed"));
        assert!(!judge(&[age("old", Some(939), false)]).0, "nobody may know it any more");
        assert_eq!(judge(&[age("fast", Some(0), true)]), (true, "nothing waits for too long; 1 paused".to_owned()));
    }
}
