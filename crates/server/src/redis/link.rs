//! Commands to Redis: one connection for all requests, a timeout for each, a breaker before it.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mainstay_domain::Entropy;
use mainstay_store::trace::{Step, StepKind};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::breaker::Breaker;
use crate::config;

/// How often a link that nobody uses is tried, so that its end is known before a request needs it.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// The most commands that are under way at once. Further ones wait, within their timeout.
const MOST_COMMANDS: usize = 4096;

/// How the link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not connected yet.
    Connecting,
    /// Connected, and answered last.
    Up,
    /// Away, or answering nothing of use: calls fail at once.
    Down,
}

/// Why a call was not answered. The outcome may be unknown: what was sent may still be done.
#[derive(Debug, thiserror::Error)]
pub enum Away {
    /// It was not sent: the link is down.
    #[error("Redis is away")]
    Down,
    /// No answer within the timeout.
    #[error("Redis did not answer in time")]
    Timeout,
    /// The connection broke, or the answer was an error.
    #[error("{0}")]
    Failed(#[from] RedisError),
}

/// The link. Clones share it.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    client: Client,
    patience: Duration,
    connect_patience: Duration,
    entropy: Arc<dyn Entropy>,
    connection: RwLock<Option<MultiplexedConnection>>,
    breaker: Breaker,
    state: AtomicU8,
    /// Wakes the keeper: the breaker has opened.
    failed: Notify,
    /// Wakes those who wait for the link: it is up.
    up: Notify,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("state", &self.state()).finish()
    }
}

impl Link {
    pub(super) fn new(client: Client, settings: &config::Redis, entropy: Arc<dyn Entropy>) -> Self {
        Self(Arc::new(Inner {
            client,
            patience: settings.command_timeout(),
            connect_patience: settings.connect_timeout(),
            entropy,
            connection: RwLock::new(None),
            breaker: Breaker::new(settings.breaker_failures),
            state: AtomicU8::new(State::Connecting as u8),
            failed: Notify::new(),
            up: Notify::new(),
        }))
    }

    /// Makes a call: `ask` is given the connection. It is cut off after the command timeout.
    ///
    /// # Errors
    /// [`Away`], at once while the breaker is open.
    pub async fn call<T, F>(&self, ask: impl FnOnce(MultiplexedConnection) -> F) -> Result<T, Away>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let inner = &self.0;
        if inner.breaker.is_open() {
            return Err(Away::Down);
        }
        let connection = inner.connection.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(connection) = connection else { return Err(Away::Down) };
        let mut step = Step::begin(StepKind::Outgoing, "redis");
        step.say("db.system.name", "redis");
        let away = match timeout(inner.patience, ask(connection)).await {
            Ok(Ok(answer)) => {
                inner.breaker.succeeded();
                return Ok(answer);
            }
            Ok(Err(error)) => {
                if error.is_unrecoverable_error() {
                    // It will not answer any other call either.
                    inner.breaker.trip();
                    inner.failed.notify_one();
                }
                Away::Failed(error)
            }
            Err(_) => Away::Timeout,
        };
        step.fail(&away);
        drop(step);
        if inner.breaker.failed() {
            tracing::debug!(error = %away, "the breaker of Redis has opened");
            inner.failed.notify_one();
        }
        Err(away)
    }

    /// Asks nothing but for an answer.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn ping(&self) -> Result<(), Away> {
        self.call(|mut connection| async move { ping(&mut connection).await }).await
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        match self.0.state.load(Ordering::Acquire) {
            0 => State::Connecting,
            1 if !self.0.breaker.is_open() => State::Up,
            _ => State::Down,
        }
    }

    /// How long a call may take.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.0.patience
    }

    /// Waits until it is up.
    pub async fn up(&self) {
        loop {
            let mut notified = std::pin::pin!(self.0.up.notified());
            notified.as_mut().enable();
            if self.state() == State::Up {
                return;
            }
            notified.await;
        }
    }

    /// How often the breaker has opened, and how many calls have failed.
    #[must_use]
    pub fn figures(&self) -> (u64, u64) {
        self.0.breaker.figures()
    }

    /// Connects, watches, and connects again, for ever.
    pub(super) async fn keep(&self) {
        let inner = &self.0;
        let mut backoff = Backoff::new(Arc::clone(&inner.entropy));
        loop {
            match self.connect().await {
                Ok(connection) => {
                    *inner.connection.write().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
                    inner.state.store(State::Up as u8, Ordering::Release);
                    inner.breaker.close();
                    inner.up.notify_waiters();
                    if backoff.succeeded() {
                        tracing::info!("Redis answers again");
                    }
                    self.watch(connection, &mut backoff).await;
                }
                Err(error) => {
                    inner.state.store(State::Down as u8, Ordering::Release);
                    inner.breaker.trip();
                    self.pause(&mut backoff, &error).await;
                }
            }
        }
    }

    async fn pause(&self, backoff: &mut Backoff, error: &RedisError) {
        let (pause, report) = backoff.failed();
        if report {
            tracing::warn!(%error, "Redis is away; it is tried again for ever, and what needs it goes on without");
        }
        sleep(pause).await;
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let patience = self.0.connect_patience;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            // Each call has its own timeout around it, which is shorter.
            .set_response_timeout(Some(patience))
            .set_concurrency_limit(MOST_COMMANDS);
        let connecting = async {
            let mut connection = self.0.client.get_multiplexed_async_connection_with_config(&config).await?;
            // A server that loads its data takes connections and answers nothing of use.
            ping(&mut connection).await.map(|()| connection)
        };
        timeout(patience, connecting).await.unwrap_or_else(|_| Err(late()))
    }

    /// Returns when the connection is of no use any more. While the breaker is open it is probed, with pauses.
    async fn watch(&self, mut connection: MultiplexedConnection, backoff: &mut Backoff) {
        let inner = &self.0;
        loop {
            tokio::select! {
                () = inner.failed.notified() => {}
                () = sleep(KEEP_ALIVE) => {}
            }
            let answer = timeout(inner.connect_patience.min(KEEP_ALIVE), ping(&mut connection)).await;
            match answer.unwrap_or_else(|_| Err(late())) {
                Ok(()) if inner.breaker.is_open() => {
                    // It answers pings. Whether it answers more will show; if not, the pause grows.
                    let (pause, _) = backoff.failed();
                    sleep(pause).await;
                    inner.breaker.close();
                    inner.up.notify_waiters();
                }
                Ok(()) => {
                    backoff.succeeded();
                }
                Err(error) => {
                    inner.breaker.trip();
                    inner.state.store(State::Down as u8, Ordering::Release);
                    *inner.connection.write().unwrap_or_else(PoisonError::into_inner) = None;
                    self.pause(backoff, &error).await;
                    return;
                }
            }
        }
    }
}

async fn ping(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    redis::cmd("PING").query_async(connection).await
}

/// A timeout as the library words it.
pub(super) fn late() -> RedisError {
    RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"))
}
