//! Listening to the other nodes, and coming back after a gap.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep, sleep_until};

use super::super::logs::Moment;
use super::{Phase, Shared, script};
use crate::locking::lock;
use crate::redis::{Away, Event, Subscription};

/// Passes of one key that are written in one go.
const WRITTEN_AT_ONCE: usize = 500;
/// Keys whose passes are written at the same moment.
const WRITERS: usize = 32;
/// How soon the first attempt to come back is followed by the next; then twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

impl Shared {
    /// Listens to the other nodes, and comes back after each gap, for ever.
    pub(in crate::limits) async fn keep(&self, mut subscription: Subscription) {
        let mut pause = FIRST_PAUSE;
        let mut back_since: Option<Instant> = None;
        loop {
            let alone = lock(&self.state).phase == Phase::Alone;
            let connected = self.messages.load(Ordering::Acquire);
            let attempt = async {
                if alone && connected {
                    self.redis.link.up().await;
                } else if alone || !self.has_stragglers() {
                    self.wake.notified().await;
                }
            };
            tokio::select! {
                biased;
                event = subscription.next() => match event {
                    Some(event) => self.learn(event),
                    None => return,
                },
                () = attempt => {
                    if !alone {
                        self.write_stragglers().await;
                        continue;
                    }
                    if !connected {
                        continue;
                    }
                    if back_since.take().is_some_and(|at| at.elapsed() >= LONGEST_PAUSE) {
                        pause = FIRST_PAUSE;
                    }
                    if self.come_back().await {
                        back_since = Some(Instant::now());
                    } else {
                        self.wait(pause, &mut subscription).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        }
    }

    /// Waits, and learns meanwhile.
    async fn wait(&self, pause: Duration, subscription: &mut Subscription) {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                event = subscription.next() => match event {
                    Some(event) => self.learn(event),
                    None => return sleep(pause).await,
                },
            }
        }
    }

    fn learn(&self, event: Event) {
        match event {
            Event::Connected => self.messages.store(true, Ordering::Release),
            Event::Lost => {
                self.messages.store(false, Ordering::Release);
                let gaps = lock(&self.state).gaps;
                self.gap::<()>(gaps, None, false);
            }
            Event::Message(message) => {
                let Some(learned) = script::learn(&message) else { return };
                let now = self.now();
                for key in learned.keys {
                    self.heard(key, learned.newest);
                    if learned.node != self.node {
                        self.shares.learn(key, now, learned.count);
                    }
                }
            }
        }
        self.changed.notify_waiters();
    }

    /// Comes back: learns which log there is, writes down what passed alone, and from then on asks again.
    async fn come_back(&self) -> bool {
        let (known, broken, gaps) = {
            let state = lock(&self.state);
            (Arc::clone(&state.epoch), state.broken, state.gaps)
        };
        let Ok((epoch, there)) = script::hello(&self.redis.link, &known, broken).await else { return false };
        let epoch: Arc<str> = epoch.into();
        self.reckon(there, true);
        if known != epoch {
            lock(&self.newest).clear();
        }
        if !matches!(self.write_down(&epoch).await, Ok(true)) {
            return false;
        }
        let mut state = lock(&self.state);
        if state.gaps != gaps {
            return false;
        }
        // A node that has just begun, and has let nothing pass, believes a log that no other node says is not whole.
        let whole_from = match epoch.strip_prefix('B').and_then(|at| at.parse::<Moment>().ok()) {
            _ if !known.is_empty() => there + self.window,
            Some(at) => at + self.window,
            None => there,
        };
        let fresh = known.is_empty() && self.shares.let_nothing_pass();
        (state.epoch, state.broken) = (epoch, false);
        (state.settled_at, state.quiet_at) = (None, None);
        let rest = if known.is_empty() && !fresh { self.window } else { whole_from.saturating_sub(there) };
        state.phase = if rest == 0 { Phase::Together } else { Phase::Returning { until: self.now() + rest } };
        drop(state);
        self.changed.notify_waiters();
        true
    }

    fn has_stragglers(&self) -> bool {
        self.unwritten_count.load(Ordering::Relaxed) > 0
    }

    /// Writes down what was decided alone and remembered only after this node had come back. What cannot be written is a
    /// gap.
    async fn write_stragglers(&self) {
        let (_, epoch, gaps) = self.phase();
        if self.has_stragglers() && !matches!(self.write_down(&epoch).await, Ok(true)) {
            self.gap::<()>(gaps, None, false);
        }
    }

    /// Writes down what passed alone and still counts.
    async fn write_down(&self, epoch: &str) -> Result<bool, Away> {
        let all = {
            let mut unwritten = lock(&self.unwritten);
            self.unwritten_count.store(0, Ordering::Relaxed);
            std::mem::take(&mut *unwritten)
        };
        let now = self.now();
        let chunks = all.into_iter().flat_map(|(key, passes)| {
            let counting: Vec<_> = passes.into_iter().filter(|(_, at)| at + self.window > now).collect();
            let chunks: Vec<_> = counting.chunks(WRITTEN_AT_ONCE).map(<[_]>::to_vec).collect();
            chunks.into_iter().map(move |chunk| (key, chunk))
        });
        let mut writing = stream::iter(chunks)
            .map(|(key, chunk)| async move {
                let now = self.now();
                let ages: Vec<_> = chunk.iter().map(|(pass, at)| (*pass, now.saturating_sub(*at))).collect();
                (script::write(&self.redis.link, (epoch, self.window), &self.node, &key, &ages).await, key, chunk)
            })
            .buffer_unordered(WRITERS);
        let mut outcome = Ok(true);
        while let Some((written, key, chunk)) = writing.next().await {
            if !matches!(written, Ok(true)) {
                self.unwritten_count.fetch_add(chunk.len(), Ordering::Relaxed);
                lock(&self.unwritten).entry(key).or_default().extend(chunk);
                outcome = written;
            }
        }
        outcome
    }
}
