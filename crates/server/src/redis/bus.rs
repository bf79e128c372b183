//! Messages between nodes. Nothing is promised: a message may be lost, and whoever subscribes is told of every gap in which
//! that may have happened on the way from Redis. What a publisher could not send is counted, and seen by nobody else, so
//! messages that must not be missed in silence carry a number of their own.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use mainstay_domain::Entropy;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, RedisResult};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::link::{Link, late};
use crate::config;

/// Messages that wait to be published. Further ones are dropped and counted.
const MOST_WAITING: usize = 8_192;
/// The most messages that are published in one go.
const MOST_AT_ONCE: usize = 256;
/// Messages that a subscriber may be behind. Past that it has lost some, and is told.
const MOST_BEHIND: usize = 16_384;
/// How often a silent connection is tried: without this its end might not be noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message.
    Message(Bytes),
    /// From now on messages come, without a gap until [`Event::Lost`].
    Connected,
    /// Messages may have been lost, and may be until [`Event::Connected`].
    Lost,
}

/// The messages of one channel.
pub struct Subscription {
    receiver: broadcast::Receiver<Event>,
    connected: bool,
    /// An event that comes before the next one.
    pending: Option<Event>,
}

impl Subscription {
    /// The next event. The first is [`Event::Connected`], when that is so. It ends with the bus only.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let event = match self.pending.take() {
                Some(event) => event,
                None => match self.receiver.recv().await {
                    Ok(event) => event,
                    Err(RecvError::Lagged(_)) => {
                        // Too slow: some are gone, and what comes next has no gap again.
                        self.pending = self.connected.then_some(Event::Connected);
                        Event::Lost
                    }
                    Err(RecvError::Closed) => return None,
                },
            };
            match event {
                // The end of the connection before was among what was too late.
                Event::Connected if self.connected => {
                    (self.connected, self.pending) = (false, Some(Event::Connected));
                    return Some(Event::Lost);
                }
                Event::Lost if !self.connected => continue,
                Event::Message(_) if !self.connected => continue,
                Event::Connected => self.connected = true,
                Event::Lost => self.connected = false,
                Event::Message(_) => {}
            }
            return Some(event);
        }
    }
}

/// The bus. Clones share it.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    client: Client,
    connect_patience: Duration,
    entropy: Arc<dyn Entropy>,
    waiting: mpsc::Sender<(Arc<str>, Bytes)>,
    channels: Mutex<HashMap<Arc<str>, Channel>>,
    /// Wakes the listener: there is a new channel.
    wanted: Notify,
    connected: AtomicBool,
    dropped: AtomicU64,
}

struct Channel {
    sender: broadcast::Sender<Event>,
    connected: bool,
}

impl Bus {
    pub(super) fn new(
        client: Client,
        link: Link,
        settings: &config::Redis,
        entropy: Arc<dyn Entropy>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (waiting, queue) = mpsc::channel(MOST_WAITING);
        let bus = Self(Arc::new(Inner {
            client,
            connect_patience: settings.connect_timeout(),
            entropy,
            waiting,
            channels: Mutex::default(),
            wanted: Notify::new(),
            connected: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        }));
        let publishing = bus.clone().publish_all(link, queue);
        (bus, publishing)
    }

    /// Publishes a message, without waiting. It is dropped and counted when too many wait or Redis is away.
    pub fn publish(&self, channel: &Arc<str>, message: Bytes) {
        if self.0.waiting.try_send((Arc::clone(channel), message)).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Subscribes to a channel: every message that is published to it by anybody, this node included, from the event
    /// [`Event::Connected`] on.
    #[must_use]
    pub fn subscribe(&self, channel: &str) -> Subscription {
        let mut channels = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let known = channels.entry(channel.into()).or_insert_with(|| {
            self.0.wanted.notify_one();
            Channel { sender: broadcast::Sender::new(MOST_BEHIND), connected: false }
        });
        let pending = known.connected.then_some(Event::Connected);
        Subscription { receiver: known.sender.subscribe(), connected: false, pending }
    }

    /// Whether messages come in.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire)
    }

    /// Messages that were not published.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    async fn publish_all(self, link: Link, mut queue: mpsc::Receiver<(Arc<str>, Bytes)>) {
        let mut messages = Vec::with_capacity(MOST_AT_ONCE);
        while queue.recv_many(&mut messages, MOST_AT_ONCE).await > 0 {
            let count = messages.len();
            let mut pipe = redis::pipe();
            for (channel, message) in messages.drain(..) {
                pipe.cmd("PUBLISH").arg(&*channel).arg(&message[..]).ignore();
            }
            let sent = link.call(|mut connection| async move { pipe.query_async::<()>(&mut connection).await }).await;
            if sent.is_err() {
                self.0.dropped.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    }

    /// Listens, and connects again, for ever.
    pub(super) async fn listen(&self) {
        let mut backoff = Backoff::new(Arc::clone(&self.0.entropy));
        loop {
            let connected = timeout(self.0.connect_patience, self.connect()).await.unwrap_or_else(|_| Err(late()));
            match connected {
                Ok((sink, stream)) => {
                    self.0.connected.store(true, Ordering::Release);
                    backoff.succeeded();
                    self.receive(sink, stream).await;
                    self.lost();
                }
                // The link says it in the log.
                Err(error) => tracing::debug!(%error, "the messages of Redis cannot be had"),
            }
            sleep(backoff.failed().0).await;
        }
    }

    async fn connect(&self) -> RedisResult<(PubSubSink, PubSubStream)> {
        let (mut sink, stream) = self.0.client.get_async_pubsub().await?.split();
        self.subscribe_new(&mut sink).await?;
        Ok((sink, stream))
    }

    /// Subscribes to the channels that are not, and tells those who wait for them.
    async fn subscribe_new(&self, sink: &mut PubSubSink) -> RedisResult<()> {
        let new: Vec<Arc<str>> = {
            let channels = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner);
            channels.iter().filter(|(_, channel)| !channel.connected).map(|(name, _)| Arc::clone(name)).collect()
        };
        for name in new {
            sink.subscribe(&*name).await?;
            let mut channels = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(channel) = channels.get_mut(&name) {
                channel.connected = true;
                // Nobody listens: fine.
                let _ = channel.sender.send(Event::Connected);
            }
        }
        Ok(())
    }

    /// Hands messages on until the connection ends or falls silent.
    async fn receive(&self, mut sink: PubSubSink, mut stream: PubSubStream) {
        let mut tries = tokio::time::interval(KEEP_ALIVE);
        loop {
            let step = async {
                tokio::select! {
                    _ = tries.tick() => sink.ping::<redis::Value>().await.map(|_| ()),
                    () = self.0.wanted.notified() => self.subscribe_new(&mut sink).await,
                }
            };
            let mut step = std::pin::pin!(timeout(2 * KEEP_ALIVE, step));
            loop {
                tokio::select! {
                    biased;
                    message = stream.next() => match message {
                        Some(message) => self.hand_on(&message),
                        None => return,
                    },
                    done = &mut step => match done {
                        Ok(Ok(())) => break,
                        Ok(Err(_)) | Err(_) => return self.drain(&mut stream),
                    },
                }
            }
        }
    }

    /// Hands on what has arrived already.
    fn drain(&self, stream: &mut PubSubStream) {
        while let Some(Some(message)) = futures_util::FutureExt::now_or_never(stream.next()) {
            self.hand_on(&message);
        }
    }

    fn hand_on(&self, message: &redis::Msg) {
        let channels = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(message.get_channel_name()) {
            // Nobody listens: fine.
            let _ = channel.sender.send(Event::Message(Bytes::copy_from_slice(message.get_payload_bytes())));
        }
    }

    fn lost(&self) {
        self.0.connected.store(false, Ordering::Release);
        let mut channels = self.0.channels.lock().unwrap_or_else(PoisonError::into_inner);
        for channel in channels.values_mut() {
            channel.connected = false;
            let _ = channel.sender.send(Event::Lost);
        }
    }
}
