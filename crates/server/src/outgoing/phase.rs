//! How far an exchange has come, so that a timeout can say what it waited for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The addresses of the host.
    Resolve,
    /// The connection, and TLS on it.
    Connect,
    /// The request to be taken, and the head of the answer.
    Answer,
    /// The body of the answer.
    Body,
}

impl Phase {
    /// A stable code in `snake_case`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Answer => "answer",
            Self::Body => "body",
        }
    }
}

tokio::task_local! {
    /// The exchange that this task works on. The client polls lookup and connection inside the request that needs them,
    /// and has no other way to tell them apart.
    static CURRENT: Arc<Progress>;
}

/// The phase of one exchange.
#[derive(Debug)]
pub(super) struct Progress(AtomicU8);

impl Progress {
    /// An exchange that has a connection. If it has to make one, [`Noted`] says so.
    pub(super) fn begin() -> Arc<Self> {
        Arc::new(Self(AtomicU8::new(Phase::Answer as u8)))
    }

    pub(super) fn phase(&self) -> Phase {
        let phase = self.0.load(Ordering::Relaxed);
        [Phase::Resolve, Phase::Connect, Phase::Answer]
            .into_iter()
            .find(|known| *known as u8 == phase)
            .unwrap_or(Phase::Body)
    }

    fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    /// Runs `work` as a part of this exchange.
    pub(super) async fn during<F: Future>(self: &Arc<Self>, work: F) -> F::Output {
        CURRENT.scope(Arc::clone(self), work).await
    }

    /// Says what the exchange that runs now waits for.
    pub(super) fn enter(phase: Phase) {
        let _ = CURRENT.try_with(|progress| progress.set(phase));
    }
}

/// Lets the connector note when it begins and ends.
#[derive(Clone, Debug)]
pub(super) struct NotesConnecting;

impl<S> Layer<S> for NotesConnecting {
    type Service = Noted<S>;

    fn layer(&self, connector: S) -> Noted<S> {
        Noted { connector }
    }
}

/// A connector that notes when it begins and ends.
#[derive(Clone, Debug)]
pub(super) struct Noted<S> {
    connector: S,
}

impl<S: Service<R>, R> Service<R> for Noted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Connecting<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Connecting<S::Future> {
        Progress::enter(Phase::Connect);
        let progress = CURRENT.try_with(Arc::clone).ok();
        Connecting { connecting: self.connector.call(request), progress }
    }
}

pin_project! {
    /// A connection in the making.
    pub(super) struct Connecting<F> {
        #[pin]
        connecting: F,
        progress: Option<Arc<Progress>>,
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Future for Connecting<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // When another connection becomes free meanwhile, the client takes that one, and moves this future to a task of
        // its own. The exchange that began it then waits for its answer already.
        if CURRENT.try_with(|_| ()).is_err()
            && let Some(progress) = this.progress.take()
        {
            progress.set(Phase::Answer);
        }
        let outcome = std::task::ready!(this.connecting.poll(context));
        // After a failure the phase still says what failed.
        if outcome.is_ok() {
            Progress::enter(Phase::Answer);
        }
        Poll::Ready(outcome)
    }
}
