//! Limits over several nodes: Redis decides, and when it is away each node takes its share.
//!
//! A node is in one of three phases:
//! - **together**: Redis decides, by one question for each request;
//! - **alone**: Redis is away, or its messages are. The node decides by its share ([`share`]) of what it knows, and keeps
//!   what passes to write it down later;
//! - **returning**: Redis is back. For one whole window a request must pass both: the node's share, since the log may lack
//!   what others let pass alone, and Redis, which counts what is written. A gap begins the window anew.
//!
//! So that a share can be taken, every node knows what passes on the others: Redis publishes each pass with the decision, and
//! a pass of which they may not have been told counts against the share of the node alone ([`unconfirmed`]). When Redis is
//! lost, a request waits until what is under way has been answered and what was published has arrived, at most one timeout.
//! `docs/limits.md` tells what holds, and what a partition that only some nodes see can cost.

mod coming_back;
mod script;
mod share;
#[cfg(test)]
mod tests;
mod unconfirmed;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::Entropy;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::script::{Answer, Node, Question};
use self::share::Shares;
use self::unconfirmed::Unconfirmed;
use super::key::{Key, Rule};
use super::logs::{Moment, micros};
use super::verdict::{Standing, Verdict};
use crate::locking::lock;
use crate::nodes::NodeCount;
use crate::redis::{Redis, Subscription};

/// Passes that wait to be written down. Further ones are not: the node's own share counts them, Redis does not.
const MOST_UNWRITTEN: usize = 200_000;
/// How often, and how long each time, those get a turn who read what came before the loss.
const TURNS_TO_READ: u32 = 5;
const TURN_TO_READ: Duration = Duration::from_millis(1);

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Together,
    Alone,
    Returning { until: Moment },
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The log that was last known; nothing before the first.
    epoch: Arc<str>,
    /// A pass is missing from that log.
    broken: bool,
    /// How many gaps there were.
    gaps: u64,
    /// Until when, after the loss, what is under way may still be answered.
    settled_at: Option<Instant>,
    /// When nothing more can arrive of what was published before the loss, if nothing is under way.
    quiet_at: Option<Instant>,
}

/// What decides over several nodes.
pub(super) struct Shared {
    redis: Redis,
    nodes: NodeCount,
    node: Node,
    begun: Instant,
    window: Moment,
    shares: Shares,
    unconfirmed: Unconfirmed,
    state: Mutex<State>,
    /// The newest pass of each key that is in the log, by the clock of Redis.
    newest: Mutex<HashMap<Key, Moment>>,
    most_keys: usize,
    /// What was let pass alone: the number of each pass and its moment.
    unwritten: Mutex<HashMap<Key, Vec<(u64, Moment)>>>,
    unwritten_count: AtomicUsize,
    passes: AtomicU64,
    /// The clock of Redis less ours, in microseconds; the greatest that was seen, which had the least delay.
    offset: AtomicI64,
    under_way: AtomicUsize,
    messages: AtomicBool,
    /// Something has ended or changed: look again.
    changed: Notify,
    /// Wakes who comes back.
    wake: Notify,
}

/// What Redis decided.
struct Answered {
    /// How many had passed before, for each limit, when it passes.
    granted: Option<Vec<u32>>,
    verdict: Verdict,
}

/// Holds the count of questions under way up by one.
struct UnderWay<'a>(&'a Shared);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }
}

impl Shared {
    /// Limits of this window over the nodes that share this Redis. No limit is above `most`.
    pub(super) fn new(
        redis: Redis,
        nodes: NodeCount,
        window: Duration,
        (keys, most): (usize, usize),
        entropy: &dyn Entropy,
    ) -> Self {
        let mut node = [0; 8];
        entropy.fill(&mut node);
        Self {
            redis,
            nodes,
            node,
            begun: Instant::now(),
            window: micros(window),
            shares: Shares::new(window, keys, most),
            unconfirmed: Unconfirmed::default(),
            state: Mutex::new(State {
                phase: Phase::Alone,
                epoch: Arc::from(""),
                broken: false,
                gaps: 0,
                settled_at: None,
                quiet_at: None,
            }),
            newest: Mutex::default(),
            most_keys: 2 * keys,
            unwritten: Mutex::default(),
            unwritten_count: AtomicUsize::new(0),
            passes: AtomicU64::new(0),
            offset: AtomicI64::new(i64::MIN),
            under_way: AtomicUsize::new(0),
            messages: AtomicBool::new(false),
            changed: Notify::new(),
            wake: Notify::new(),
        }
    }

    fn now(&self) -> Moment {
        // Later than any window, so that a moment of before the start can be told.
        micros(self.begun.elapsed()) + self.window + 1
    }

    /// Decides about a request.
    pub(super) async fn decide(&self, rules: &[Rule]) -> Verdict {
        let pass = self.passes.fetch_add(1, Ordering::Relaxed);
        let (phase, epoch, gaps) = self.phase();
        match phase {
            Phase::Together => {
                if let Some(verdict) = self.together(rules, &epoch, gaps, pass).await {
                    return verdict;
                }
            }
            Phase::Returning { .. } => return self.returning(rules, &epoch, gaps, pass).await,
            Phase::Alone => {}
        }
        self.settled().await;
        let (verdict, at) = self.share(rules);
        if verdict.passes() {
            self.keep_for_later(rules, pass, at);
        }
        verdict
    }

    fn share(&self, rules: &[Rule]) -> (Verdict, Moment) {
        self.unconfirmed.give_up(|(at, keys)| keys.into_iter().for_each(|key| self.shares.charge(key, at)));
        self.shares.decide(rules, self.nodes.get(), || self.now())
    }

    /// The phase, with what it goes by. A window without a gap ends the return.
    fn phase(&self) -> (Phase, Arc<str>, u64) {
        let mut state = lock(&self.state);
        if let Phase::Returning { until } = state.phase
            && self.now() >= until
        {
            state.phase = Phase::Together;
            tracing::info!("limits are shared through Redis again");
        }
        (state.phase, Arc::clone(&state.epoch), state.gaps)
    }

    /// Redis decides. Nothing when it did not, or when the other nodes may not know of it and had better.
    async fn together(&self, rules: &[Rule], epoch: &str, gaps: u64, pass: u64) -> Option<Verdict> {
        let (sent, mark) = (Instant::now(), self.unconfirmed.mark());
        let answer = self.ask(rules, (epoch, gaps), pass, sent).await?;
        self.told(mark);
        if let Some(counted) = &answer.granted {
            self.granted(rules, counted, gaps).await?;
        }
        Some(answer.verdict)
    }

    /// Redis has granted a pass. Nothing when it must not be used: other nodes may not know of it, or this node may have
    /// decided by its share in the meantime, without knowing of it.
    async fn granted(&self, rules: &[Rule], counted: &[u32], gaps: u64) -> Option<()> {
        if !self.unconfirmed.granted(rules, counted, self.nodes.get(), self.now()) {
            self.confirm(gaps).await?;
        }
        // After it was counted: whoever decides by the share from here on knows of it.
        self.is_without_gap_since(gaps).then_some(())
    }

    fn is_without_gap_since(&self, gaps: u64) -> bool {
        lock(&self.state).gaps == gaps
    }

    /// A question of this mark was answered: of every pass before it all nodes are told.
    fn told(&self, mark: u64) {
        self.unconfirmed.confirm(mark, |(at, keys)| keys.into_iter().for_each(|key| self.shares.learn(key, at, 1)));
    }

    /// Waits until all nodes are told of what was granted so far. Nothing when that is not known.
    async fn confirm(&self, gaps: u64) -> Option<()> {
        let _under_way = self.begin_question();
        let (sent, mark) = (Instant::now(), self.unconfirmed.mark());
        match self.redis.link.ping().await {
            // After a gap it may be another Redis that answers.
            Ok(()) if !self.is_without_gap_since(gaps) => None,
            Ok(()) => {
                self.told(mark);
                Some(())
            }
            Err(_) => self.gap(gaps, Some(sent), false),
        }
    }

    /// Both decide: the share first, which is given back when Redis refuses.
    async fn returning(&self, rules: &[Rule], epoch: &str, gaps: u64, pass: u64) -> Verdict {
        let (share, at) = self.share(rules);
        if !share.passes() {
            return share;
        }
        match self.ask(rules, (epoch, gaps), pass, Instant::now()).await {
            Some(Answered { granted: Some(_), verdict }) => tighter(share, verdict),
            Some(Answered { granted: None, verdict }) => {
                self.shares.give_back(rules, at);
                verdict
            }
            None => {
                self.keep_for_later(rules, pass, at);
                share
            }
        }
    }

    /// Asks Redis. Whatever is no decision is a gap.
    async fn ask(&self, rules: &[Rule], (epoch, gaps): (&str, u64), pass: u64, sent: Instant) -> Option<Answered> {
        let _under_way = self.begin_question();
        // One that came too late by our reckoning of its clock is asked once more.
        for _ in 0..2 {
            let known = self.newest(rules, epoch);
            let (window, node, latest) = (self.window, &self.node, self.latest());
            let question = Question { epoch, latest, window, node, pass, known: &known };
            match script::decide(&self.redis.link, rules, &question).await {
                Ok((answer, now)) => {
                    self.reckon(now, matches!(answer, Answer::Late));
                    match answer {
                        Answer::Decided { passes, limits } => {
                            if passes {
                                rules.iter().for_each(|rule| self.heard(rule.key, now));
                            }
                            let verdict = self.verdict(rules, &limits, passes);
                            let granted = passes.then(|| limits.iter().map(|(count, _)| *count).collect());
                            return Some(Answered { granted, verdict });
                        }
                        Answer::Late => {}
                        Answer::Epoch => return self.gap(gaps, Some(sent), false),
                        Answer::Lost => return self.gap(gaps, Some(sent), true),
                    }
                }
                Err(_) => break,
            }
        }
        self.gap(gaps, Some(sent), false)
    }

    /// A question is under way for as long as the answer of this lives.
    fn begin_question(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay(self)
    }

    /// The newest pass of each limit that must be in this log. What is older than the log is in another.
    fn newest(&self, rules: &[Rule], epoch: &str) -> Vec<Moment> {
        let begun = epoch.get(1..).and_then(|at| at.parse().ok()).unwrap_or(0);
        let newest = lock(&self.newest);
        rules.iter().map(|rule| newest.get(&rule.key).copied().filter(|at| *at > begun).unwrap_or(0)).collect()
    }

    fn verdict(&self, rules: &[Rule], limits: &[(u32, Moment)], passes: bool) -> Verdict {
        let window = Duration::from_micros(self.window);
        let standings = rules.iter().zip(limits).map(|(rule, (count, wait))| {
            let refused = *count >= rule.limit;
            let left = rule.limit.saturating_sub(*count).saturating_sub(u32::from(passes));
            Standing { rule: *rule, left, more_in: Duration::from_micros(*wait), refused }
        });
        Verdict { standings: standings.collect(), window }
    }

    /// The moment by the clock of Redis after which nobody waits for the answer any more; 0 when that clock is not known.
    fn latest(&self) -> Moment {
        let offset = self.offset.load(Ordering::Relaxed);
        if offset == i64::MIN {
            return 0;
        }
        let now = i64::try_from(self.now() + micros(self.redis.link.patience())).unwrap_or(i64::MAX);
        Moment::try_from(now.saturating_add(offset)).unwrap_or_default()
    }

    /// Learns what time it is in Redis.
    fn reckon(&self, now: Moment, anew: bool) {
        let offset = i64::try_from(now).unwrap_or(i64::MAX) - i64::try_from(self.now()).unwrap_or(i64::MAX);
        if anew {
            self.offset.store(offset, Ordering::Relaxed);
        } else {
            self.offset.fetch_max(offset, Ordering::Relaxed);
        }
    }

    /// A pass is in the log.
    fn heard(&self, key: Key, now: Moment) {
        let mut newest = lock(&self.newest);
        if newest.len() < self.most_keys || newest.contains_key(&key) {
            let known = newest.entry(key).or_default();
            *known = now.max(*known);
        }
    }

    /// Remembers a pass that Redis has not counted, as far as is known. Who comes back writes it down; when that was done
    /// just before, it is written now: another node may believe the log already.
    fn keep_for_later(&self, rules: &[Rule], pass: u64, at: Moment) {
        if self.unwritten_count.load(Ordering::Relaxed) >= MOST_UNWRITTEN {
            return;
        }
        {
            let mut unwritten = lock(&self.unwritten);
            for rule in rules {
                unwritten.entry(rule.key).or_default().push((pass, at));
            }
            self.unwritten_count.fetch_add(rules.len(), Ordering::Relaxed);
        }
        if lock(&self.state).phase != Phase::Alone {
            self.wake.notify_one();
        }
    }

    /// There is a gap: from now on this node decides alone, until it has come back. Nothing, for whoever asked.
    fn gap<T>(&self, known: u64, sent: Option<Instant>, broken: bool) -> Option<T> {
        let mut state = lock(&self.state);
        // Many learn of one gap; only the first makes it one, and whoever asked before the last return none.
        if state.gaps == known {
            state.gaps += 1;
            if state.phase == Phase::Together {
                let patience = self.redis.link.patience();
                let now = Instant::now();
                state.settled_at = Some(now + patience);
                state.quiet_at = Some(sent.unwrap_or(now) + patience);
                tracing::warn!(
                    nodes = self.nodes.get(),
                    "limits are not shared through Redis now: each node takes its share of them"
                );
            }
            state.phase = Phase::Alone;
        }
        state.broken |= broken;
        drop(state);
        self.changed.notify_waiters();
        self.wake.notify_one();
        None
    }

    /// Waits, after the loss, until nothing is under way and what was published has arrived; at most one timeout, and what
    /// it takes to read what came meanwhile.
    async fn settled(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let (settled_at, quiet_at) = {
                let state = lock(&self.state);
                (state.settled_at, state.quiet_at)
            };
            let (Some(settled_at), Some(quiet_at)) = (settled_at, quiet_at) else { return };
            let now = Instant::now();
            let idle = self.under_way.load(Ordering::Acquire) == 0;
            // The end of the messages comes after the last of them.
            if idle && !self.messages.load(Ordering::Acquire) {
                return;
            }
            if now >= settled_at || (idle && now >= quiet_at) {
                return self.read_what_came(settled_at).await;
            }
            let until = if now < quiet_at { quiet_at.min(settled_at) } else { settled_at };
            let _ = timeout_at(until, changed).await;
        }
    }

    /// The time is over. Perhaps it passed while this process stood still, and messages that came are not read yet: those
    /// who read them get some turns. Once after a loss.
    async fn read_what_came(&self, settled_at: Instant) {
        for _ in 0..TURNS_TO_READ {
            sleep(TURN_TO_READ).await;
        }
        let mut state = lock(&self.state);
        if state.settled_at == Some(settled_at) {
            (state.settled_at, state.quiet_at) = (None, None);
        }
    }

    /// Waits until Redis decides, at most so long.
    pub(super) async fn joined(&self, within: Duration) {
        let together = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if self.phase().0 != Phase::Alone {
                    return;
                }
                changed.await;
            }
        };
        let _ = timeout(within, together).await;
    }

    pub(super) fn subscribe(&self) -> Subscription {
        self.redis.bus.subscribe(script::CHANNEL)
    }

    pub(super) fn sweep(&self) {
        let now = self.now();
        self.shares.sweep(now);
        let there = now.saturating_add_signed(self.offset.load(Ordering::Relaxed).max(0));
        lock(&self.newest).retain(|_, at| *at + self.window > there);
        let mut unwritten = lock(&self.unwritten);
        unwritten.retain(|_, passes| {
            passes.retain(|(_, at)| at + self.window > now);
            !passes.is_empty()
        });
        self.unwritten_count.store(unwritten.values().map(Vec::len).sum(), Ordering::Relaxed);
    }

    pub(super) fn keys(&self) -> usize {
        self.shares.keys()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.shares.evicted()
    }

    /// Whether Redis alone decides.
    pub(super) fn is_together(&self) -> bool {
        self.phase().0 == Phase::Together
    }
}

/// For each limit the standing that leaves less.
fn tighter(one: Verdict, other: Verdict) -> Verdict {
    let pairs = one.standings.into_iter().zip(other.standings);
    Verdict { standings: pairs.map(|(one, other)| if one.left < other.left { one } else { other }).collect(), ..other }
}
