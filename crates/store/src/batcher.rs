//! The batcher: calls of one hot intent that wait at the same moment become one transaction.
//!
//! A call hands in a member and waits for its answer. Each lane takes what is waiting, runs it as a few set-based
//! statements in one transaction, and answers after the commit. A member that is refused (a duplicate, a missing
//! conversation) is an answer like any other. An error is a bug or an outage: the batch is halved until the fault stands
//! alone, so that one bad member never takes others with it.
//!
//! Fair by construction: at most so many members of one organisation are in a batch, and the others move up. Each
//! organisation has one lane, so that two lanes of a node never wait for each other's rows.
//!
//! A caller whose deadline passes only stops waiting. If its member was not begun, it is dropped; if it was, the outcome
//! is unknown to the caller and its idempotency key decides.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mainstay_domain::TenantId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::call::Call;
use crate::engine::postgres::Pool;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::store::Inner;
use crate::tasks::Task;
use crate::trace::{Gathered, Step, StepKind, Trace};
use crate::tx::{Scope, Tx};

/// What a batcher runs.
pub(crate) trait Batch: Clone + Send + Sync + 'static {
    /// One call.
    type Member: Send + Sync + 'static;
    /// What the call is told.
    type Answer: Send + 'static;
    /// The name of the lanes' tasks.
    const NAME: &'static str;
    /// Which connections its transactions take.
    const POOL: Pool = Pool::Lanes;

    /// Whose call it is.
    fn tenant(member: &Self::Member) -> TenantId;

    /// Whose rows a transaction for these organisations may see.
    fn scope(tenants: &[TenantId]) -> Scope {
        Scope::Tenants(tenants.to_vec())
    }

    /// Runs all members in one transaction. The answers stand in the order of the members.
    fn apply(
        &self,
        tx: &mut Tx<'_>,
        members: &[Arc<Self::Member>],
    ) -> impl Future<Output = Result<Vec<Self::Answer>>> + Send;
}

/// How large a batcher may grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) lanes: usize,
    pub(crate) size: usize,
    pub(crate) size_per_tenant: usize,
    pub(crate) queue: usize,
}

struct Waiting<B: Batch> {
    member: Arc<B::Member>,
    call: Call,
    /// Whether the trace of the caller is noted.
    noted: bool,
    answer: oneshot::Sender<Answered<B>>,
}

/// An answer, and what was done for the whole batch.
type Answered<B> = (Result<<B as Batch>::Answer>, Option<Arc<Gathered>>);

/// Figures of a batcher, since the start.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    batches: AtomicU64,
    members: AtomicU64,
    refused: AtomicU64,
}

/// The near end of the lanes.
pub(crate) struct Batcher<B: Batch> {
    lanes: Arc<[mpsc::Sender<Waiting<B>>]>,
    figures: Arc<Figures>,
}

impl<B: Batch> Clone for Batcher<B> {
    fn clone(&self) -> Self {
        Self { lanes: Arc::clone(&self.lanes), figures: Arc::clone(&self.figures) }
    }
}

impl<B: Batch> Batcher<B> {
    /// A batcher, and its lanes, which must be running for it to answer.
    pub(crate) fn new(inner: &Arc<Inner>, batch: B, bounds: Bounds) -> (Self, Vec<Task>) {
        let figures = Arc::new(Figures::default());
        let mut senders = Vec::with_capacity(bounds.lanes);
        let mut tasks = Vec::with_capacity(bounds.lanes);
        for _ in 0..bounds.lanes.max(1) {
            let (sender, receiver) = mpsc::channel(bounds.queue.div_ceil(bounds.lanes.max(1)).max(1));
            senders.push(sender);
            let lane = Lane { inner: Arc::clone(inner), batch: batch.clone(), bounds, figures: Arc::clone(&figures) };
            tasks.push(Task::new(B::NAME, lane.run(receiver)));
        }
        (Self { lanes: senders.into(), figures }, tasks)
    }

    /// A batcher, whose lanes join these tasks.
    pub(crate) fn with(inner: &Arc<Inner>, batch: B, bounds: Bounds, tasks: &mut Vec<Task>) -> Self {
        let (batcher, lanes) = Self::new(inner, batch, bounds);
        tasks.extend(lanes);
        batcher
    }

    /// Hands in a member and waits for its answer.
    pub(crate) async fn call(&self, call: &Call, member: B::Member) -> Result<B::Answer> {
        let (answer, answered) = oneshot::channel();
        let lane = &self.lanes[lane_of(B::tenant(&member), self.lanes.len())];
        let mut step = Step::begin(StepKind::Work, B::NAME);
        let waiting = Waiting { member: Arc::new(member), call: call.clone(), noted: step.is_noted(), answer };
        lane.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.figures.refused.fetch_add(1, Ordering::Relaxed);
                Error::QueueFull
            }
            mpsc::error::TrySendError::Closed(_) => Error::Unavailable("the store is closing".to_owned()),
        })?;
        let answer = match timeout_at(call.deadline(), answered).await {
            Ok(Ok((answer, gathered))) => {
                if let Some(gathered) = gathered {
                    step.adopt(&gathered);
                }
                answer
            }
            Ok(Err(_)) => Err(Error::Unavailable("the store is closing".to_owned())),
            Err(_) => Err(Error::OutcomeUnknown),
        };
        answer.inspect_err(|error| step.fail(error))
    }

    /// Batches, members in them, and calls that found the queue full, since the start.
    pub(crate) fn figures(&self) -> (u64, u64, u64) {
        let figures = &self.figures;
        (
            figures.batches.load(Ordering::Relaxed),
            figures.members.load(Ordering::Relaxed),
            figures.refused.load(Ordering::Relaxed),
        )
    }

    /// Calls that wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.max_capacity() - lane.capacity()).sum()
    }
}

fn lane_of(tenant: TenantId, lanes: usize) -> usize {
    // The last bytes of a UUIDv7 are random.
    let [.., high, low] = *tenant.uuid().as_bytes();
    usize::from(u16::from_be_bytes([high, low])) % lanes.max(1)
}

struct Lane<B: Batch> {
    inner: Arc<Inner>,
    batch: B,
    bounds: Bounds,
    figures: Arc<Figures>,
}

impl<B: Batch> Lane<B> {
    async fn run(self, mut receiver: mpsc::Receiver<Waiting<B>>) {
        let mut held: VecDeque<Waiting<B>> = VecDeque::new();
        loop {
            if held.is_empty() {
                match receiver.recv().await {
                    Some(first) => held.push_back(first),
                    None => return,
                }
            }
            // Look a few batches ahead, so that one organisation's pile does not hide the others behind it.
            while held.len() < self.bounds.size * 4 {
                match receiver.try_recv() {
                    Ok(next) => held.push_back(next),
                    Err(_) => break,
                }
            }
            let members = pick(&mut held, self.bounds);
            if !members.is_empty() {
                self.figures.batches.fetch_add(1, Ordering::Relaxed);
                self.figures.members.fetch_add(members.len() as u64, Ordering::Relaxed);
                self.settle(members).await;
            }
        }
    }

    /// Runs a batch and answers its members, halving it as long as it fails for a reason that lies in a member.
    async fn settle(&self, members: Vec<Waiting<B>>) {
        let mut parts = vec![members];
        while let Some(mut part) = parts.pop() {
            let (outcome, gathered) = self.noted_attempt(&part).await;
            match outcome {
                Ok(answers) => {
                    for (waiting, answer) in part.into_iter().zip(answers) {
                        // A caller that has gone away needs no answer.
                        let _ = waiting.answer.send((Ok(answer), gathered.clone()));
                    }
                }
                Err(error) if part.len() > 1 && error.is_of_a_member() => {
                    tracing::warn!(batch = B::NAME, members = part.len(), %error, "a batch failed and is halved");
                    let second = part.split_off(part.len() / 2);
                    parts.push(second);
                    parts.push(part);
                }
                Err(error) => {
                    for waiting in part {
                        let _ = waiting.answer.send((Err(error.clone()), gathered.clone()));
                    }
                }
            }
        }
    }

    /// An attempt, and what it took, where the trace of any member is noted.
    async fn noted_attempt(&self, part: &[Waiting<B>]) -> (Result<Vec<B::Answer>>, Option<Arc<Gathered>>) {
        if !part.iter().any(|waiting| waiting.noted) {
            return (self.attempt(part).await, None);
        }
        let trace = Trace::gathering();
        let outcome = trace.clone().within(self.attempt(part)).await;
        (outcome, Some(Arc::new(trace.gathered())))
    }

    async fn attempt(&self, part: &[Waiting<B>]) -> Result<Vec<B::Answer>> {
        // The batch may take as long as its most patient member allows.
        let deadline = part.iter().map(|waiting| waiting.call.deadline()).max().unwrap_or_else(Instant::now);
        let call = Call::until(deadline);
        let members: Vec<_> = part.iter().map(|waiting| Arc::clone(&waiting.member)).collect();
        let mut tenants: Vec<_> = members.iter().map(|member| B::tenant(member)).collect();
        tenants.sort_unstable();
        tenants.dedup();
        let intent = SharedTransaction { batch: self.batch.clone(), members, tenants };
        let answers = self.inner.run_in(&call, &intent, B::POOL).await;
        let statements = call.statements();
        for waiting in part {
            waiting.call.count(statements);
        }
        let answers = answers?;
        if answers.len() == part.len() {
            Ok(answers)
        } else {
            Err(Error::Bug(format!("{}: {} answers for {} members", B::NAME, answers.len(), part.len())))
        }
    }
}

/// Takes the next batch from what is held, in order, passing over organisations that have their share already and callers
/// that wait no longer.
fn pick<B: Batch>(held: &mut VecDeque<Waiting<B>>, bounds: Bounds) -> Vec<Waiting<B>> {
    let now = Instant::now();
    let mut shares: HashMap<TenantId, usize> = HashMap::new();
    let mut picked = Vec::with_capacity(held.len().min(bounds.size));
    let mut passed_over = VecDeque::new();
    while let Some(waiting) = held.pop_front() {
        if waiting.answer.is_closed() || waiting.call.deadline() <= now {
            let _ = waiting.answer.send((Err(Error::Timeout), None));
            continue;
        }
        let share = shares.entry(B::tenant(&waiting.member)).or_default();
        if *share < bounds.size_per_tenant && picked.len() < bounds.size {
            *share += 1;
            picked.push(waiting);
        } else {
            passed_over.push_back(waiting);
        }
    }
    *held = passed_over;
    picked
}

/// A batch as an intent.
struct SharedTransaction<B: Batch> {
    batch: B,
    members: Vec<Arc<B::Member>>,
    tenants: Vec<TenantId>,
}

impl<B: Batch> Intent for SharedTransaction<B> {
    type Output = Vec<B::Answer>;
    const WRITES: bool = true;
    // `apply` looks, on a repeat, for what a commit that was not confirmed has done.
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        B::scope(&self.tenants)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        self.batch.apply(tx, &self.members).await
    }
}
