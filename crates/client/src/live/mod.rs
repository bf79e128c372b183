//! Changes as they happen, over a WebSocket that comes back by itself.

mod closure;
mod frame;
mod handshake;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_websockets::{CloseCode, Message};

pub use self::closure::Closure;
pub use self::frame::{Frame, RawFrame, Ready};
use self::handshake::{Socket, open};
use crate::chance::{doubled, up_to};
use crate::client::Client;
use crate::credentials::Credentials;
use crate::error::{Error, TransportFault};

/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// A connection that lasted this long was a good one: the next wait begins small again.
const LASTED: Duration = Duration::from_secs(20);

/// How a live socket comes back.
#[derive(Clone, Copy, Debug)]
pub struct LivePolicy {
    /// The first wait is a random part of this: 1 s. It doubles with each failure.
    pub base: Duration,
    /// The longest wait is a random part of this: 60 s.
    pub cap: Duration,
    /// Failures in a row after which it gives up; nothing for never, which is the default.
    pub attempts: Option<u32>,
}

impl Default for LivePolicy {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(60), attempts: None }
    }
}

/// What happens on a live socket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LiveEvent {
    /// It is open. The server says next from where on it pushes.
    Connected,
    /// The server says something.
    Frame(RawFrame),
    /// It is closed, and will be opened again.
    Disconnected {
        /// Why.
        cause: Disconnection,
        /// When.
        again_in: Duration,
    },
}

/// Why a socket is closed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Disconnection {
    /// The server closed it.
    Closed(Closure),
    /// It could not be opened, or broke.
    Failed(Error),
}

/// A live socket. It is opened by the first [`Live::next`], answers pings, notices silence, and comes back after it broke,
/// spread by chance and as the server says. Nothing is kept for a reader who does not read: the connection stands still
/// until the server gives up.
///
/// ```no_run
/// # use mainstay_client::{Client, Frame, Live, LiveEvent};
/// # async fn example(client: Client) -> Result<(), mainstay_client::Error> {
/// let mut live = Live::new(client);
/// loop {
///     match live.next().await? {
///         LiveEvent::Frame(frame) => {
///             if let Frame::Change(change) = frame.read()? {
///                 println!("{} {} is now at {}", change.kind, change.id, change.seq);
///             }
///         }
///         other => println!("{other:?}"),
///     }
/// }
/// # }
/// ```
pub struct Live {
    client: Client,
    policy: LivePolicy,
    state: State,
    /// Failures in a row.
    failures: u32,
    opened: Instant,
    heard: Instant,
}

enum State {
    Waiting(Instant),
    Opening(Pin<Box<dyn Future<Output = Result<Socket, Error>> + Send>>),
    Open(Box<Socket>),
    Ended(Error),
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Waiting(_) => "Live(waiting)",
            State::Opening(_) => "Live(opening)",
            State::Open(_) => "Live(open)",
            State::Ended(_) => "Live(ended)",
        })
    }
}

impl Live {
    /// A socket in the name of whom the client speaks for. Nothing is sent yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self::with_policy(client, LivePolicy::default())
    }

    /// The same, coming back in another way.
    #[must_use]
    pub fn with_policy(client: Client, policy: LivePolicy) -> Self {
        let now = Instant::now();
        Self { client, policy, state: State::Waiting(now), failures: 0, opened: now, heard: now }
    }

    /// True while it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Waits for what happens next. It may be given up and called again: nothing is lost by that.
    ///
    /// # Errors
    /// When there is no use in coming back: the server refuses the token, has closed the socket for good
    /// ([`Error::Closed`]), or could not be reached as often as the policy allows. Every later call says the same.
    pub async fn next(&mut self) -> Result<LiveEvent, Error> {
        loop {
            match &mut self.state {
                State::Ended(error) => return Err(error.clone()),
                State::Waiting(until) => {
                    sleep_until(*until).await;
                    self.state = State::Opening(Box::pin(open(self.client.clone())));
                }
                State::Opening(opening) => match opening.as_mut().await {
                    Ok(socket) => {
                        self.state = State::Open(Box::new(socket));
                        self.opened = Instant::now();
                        self.heard = self.opened;
                        return Ok(LiveEvent::Connected);
                    }
                    Err(error) => return self.failed(error),
                },
                State::Open(socket) => {
                    let idle = self.client.shared.timeouts.live_idle;
                    let message = match timeout_at(self.heard + idle, socket.next()).await {
                        Ok(Some(Ok(message))) => message,
                        Ok(Some(Err(error))) => return self.failed(Error::transport(TransportFault::Broken, error)),
                        Ok(None) => return self.failed(Error::transport(TransportFault::Broken, "no close frame")),
                        Err(_) => return self.failed(Error::transport(TransportFault::Idle, "no sign of life")),
                    };
                    self.heard = Instant::now();
                    if let Some((code, reason)) = message.as_close() {
                        let closure = Closure::read(code.into(), reason);
                        // The answer to it goes out with the next look.
                        let _ = timeout(GOODBYE, socket.next()).await;
                        return self.closed(closure).await;
                    }
                    if message.is_text() {
                        return Ok(LiveEvent::Frame(RawFrame(message.into_payload().into())));
                    }
                }
            }
        }
    }

    /// Closes the socket in good order. Dropping it closes it too, without a word.
    pub async fn close(mut self) {
        if let State::Open(socket) = &mut self.state {
            let goodbye = socket.send(Message::close(Some(CloseCode::NORMAL_CLOSURE), ""));
            // Whoever does not take it has gone already.
            let _ = timeout(GOODBYE, goodbye).await;
        }
    }

    /// Cuts the connection without a word, as a network does that goes away. It comes back by itself, like after any cut.
    pub fn cut(&mut self) {
        if self.is_open() {
            self.state = State::Waiting(Instant::now() + up_to(&*self.client.shared.entropy, self.policy.base));
        }
    }

    async fn closed(&mut self, closure: Closure) -> Result<LiveEvent, Error> {
        if closure.reconnect {
            let after = closure.after;
            return self.again(Disconnection::Closed(closure), after);
        }
        // A sign-in may have a good token where the old one is none any more.
        if closure.code == closure::SIGNED_OUT
            && let Credentials::Session(session) = &self.client.credentials
        {
            let session = std::sync::Arc::clone(session);
            let renewed = match session.authorise(&self.client).await {
                Ok(authorisation) => session.renew(&self.client, authorisation.generation).await,
                Err(error) => Err(error),
            };
            return match renewed {
                Ok(()) => self.again(Disconnection::Closed(closure), Duration::ZERO),
                Err(error) => self.failed(error),
            };
        }
        self.end(Error::Closed(closure))
    }

    fn failed(&mut self, error: Error) -> Result<LiveEvent, Error> {
        let after = error.retry_after().unwrap_or_default();
        let worthwhile = error.is_passing() || error.status().is_some_and(|status| status >= 500);
        if worthwhile { self.again(Disconnection::Failed(error), after) } else { self.end(error) }
    }

    fn again(&mut self, cause: Disconnection, after: Duration) -> Result<LiveEvent, Error> {
        let now = Instant::now();
        let lasted = self.is_open() && now.duration_since(self.opened) >= LASTED;
        self.failures = if lasted { 0 } else { self.failures.saturating_add(1) };
        if self.policy.attempts.is_some_and(|most| self.failures >= most) {
            return self.end(match cause {
                Disconnection::Closed(closure) => Error::Closed(closure),
                Disconnection::Failed(error) => error,
            });
        }
        let spread = doubled(self.policy.base, self.failures.saturating_sub(1), self.policy.cap);
        let again_in = after + up_to(&*self.client.shared.entropy, spread);
        self.state = State::Waiting(now + again_in);
        Ok(LiveEvent::Disconnected { cause, again_in })
    }

    fn end(&mut self, error: Error) -> Result<LiveEvent, Error> {
        self.state = State::Ended(error.clone());
        Err(error)
    }
}
