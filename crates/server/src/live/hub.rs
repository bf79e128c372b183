//! Lives in one process: who follows which streams here, and how far each stream was read for them. Other nodes are told
//! through Redis; without it each node looks by itself where the streams of its sockets stand.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use mainstay_domain::{Entropy, StreamId, TenantId};
use mainstay_store::{Call, Position, Positions, PositionsOf, Store, StreamPage};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::outbox::{Ending, Frame, Outbox};
use crate::accounts::{Accounts, Member, Standing};
use crate::locking::lock;

/// Parts of the map, so that commits seldom wait for each other.
const SHARDS: usize = 64;
/// Changes that are read at once for a stream.
const PAGE: u32 = 50;
/// How long a reading may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a stream whose reading failed waits for the next.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// Streams whose positions are looked up in one statement.
const LOOK_AT_ONCE: usize = 500;
/// A socket is pinged this often.
const PING_EVERY: u64 = 25;
/// A socket that gives no sign of life for so long is ended.
const SILENT_MS: u64 = 60_000;
/// Over how long sockets that are all ended at once come back.
const SPREAD: Duration = Duration::from_secs(15);

type Key = (TenantId, StreamId);

/// One stream that somebody follows here.
#[derive(Default)]
struct Channel {
    /// What the sockets were given, or knew when they came; nothing before the first of them knows.
    sent: Option<i64>,
    /// The highest number that a hint told of.
    latest: i64,
    /// True while it is in the queue or being read.
    busy: bool,
    sockets: Vec<Arc<Outbox>>,
}

/// Tells other nodes of commits, and of organisations of which one was not confirmed.
pub type Announce = Box<dyn Fn(&[Position], Option<&[TenantId]>) + Send + Sync>;

/// The hub.
pub struct Hub {
    store: Store,
    entropy: Arc<dyn Entropy>,
    began: Instant,
    shards: Vec<Mutex<HashMap<Key, Channel>>>,
    sockets: Mutex<HashMap<u64, Arc<Outbox>>>,
    next_id: AtomicU64,
    queue: Mutex<VecDeque<Key>>,
    queued: Notify,
    announce: OnceLock<Announce>,
    pub(super) figures: Figures,
}

/// Figures since the start.
#[derive(Debug, Default)]
pub struct Figures {
    /// Sockets that were opened.
    pub opened: AtomicU64,
    /// Attempts to open one that were refused.
    pub refused: AtomicU64,
    /// Changes that were given to a socket.
    pub pushed: AtomicU64,
    /// Times that a socket was told to sync.
    pub resyncs: AtomicU64,
    /// Readings of streams.
    pub readings: AtomicU64,
}

impl Figures {
    pub(super) fn count(figure: &AtomicU64, by: u64) {
        figure.fetch_add(by, Ordering::Relaxed);
    }
}

/// Why no socket is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// The person has as many as they may.
    Person,
    /// The node has as many as it may.
    Node,
}

/// How many sockets there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// Of one member.
    pub(super) person: usize,
    /// Of this node.
    pub(super) node: usize,
}

impl Hub {
    /// A hub without sockets.
    #[must_use]
    pub fn new(store: Store, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            store,
            entropy,
            began: Instant::now(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            sockets: Mutex::default(),
            next_id: AtomicU64::new(1),
            queue: Mutex::default(),
            queued: Notify::new(),
            announce: OnceLock::new(),
            figures: Figures::default(),
        }
    }

    /// Names the way by which other nodes are told of commits. Once.
    pub fn announce_by(&self, announce: Announce) {
        let _ = self.announce.set(announce);
    }

    fn channel<T>(&self, key: &Key, act: impl FnOnce(&mut HashMap<Key, Channel>) -> T) -> T {
        // The last bytes of a UUIDv7 are random.
        act(&mut lock(&self.shards[usize::from(key.1.uuid().as_bytes()[15]) % SHARDS]))
    }

    /// Milliseconds since the hub began.
    pub(super) fn now_ms(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// Sockets that are open now.
    #[must_use]
    pub fn open_sockets(&self) -> usize {
        lock(&self.sockets).len()
    }

    /// Streams that wait to be read.
    #[must_use]
    pub fn waiting_streams(&self) -> usize {
        lock(&self.queue).len()
    }

    /// Opened, refused, changes pushed, told to sync, readings: since the start.
    #[must_use]
    pub fn figures(&self) -> [u64; 5] {
        let Figures { opened, refused, pushed, resyncs, readings } = &self.figures;
        [opened, refused, pushed, resyncs, readings].map(|figure| figure.load(Ordering::Relaxed))
    }

    /// Enters a socket into both streams of its member.
    pub(super) fn enter(&self, by: &Member, html: bool, standing: Standing, most: Most) -> Result<Arc<Outbox>, NoRoom> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let outbox = Arc::new(Outbox::new(id, (by.tenant, by.person), html, standing, self.now_ms()));
        let mut sockets = lock(&self.sockets);
        if sockets.len() >= most.node {
            return Err(NoRoom::Node);
        }
        sockets.insert(id, Arc::clone(&outbox));
        drop(sockets);
        let own = (by.tenant, StreamId::from(by.person));
        let entered = self.channel(&own, |shard| {
            let channel = shard.entry(own).or_default();
            let has_room = channel.sockets.len() < most.person;
            if has_room {
                channel.sockets.push(Arc::clone(&outbox));
            }
            has_room
        });
        if !entered {
            lock(&self.sockets).remove(&id);
            return Err(NoRoom::Person);
        }
        let shared = (by.tenant, StreamId::from(by.tenant));
        self.channel(&shared, |shard| shard.entry(shared).or_default().sockets.push(Arc::clone(&outbox)));
        Figures::count(&self.figures.opened, 1);
        Ok(outbox)
    }

    /// A socket that has entered is told that everything after these positions will come.
    pub(super) fn begin(&self, positions: &Positions) {
        for position in [&positions.membership, &positions.organisation] {
            let key = (position.tenant, position.stream);
            let wanted = self.channel(&key, |shard| {
                let Some(channel) = shard.get_mut(&key) else { return false };
                channel.latest = channel.latest.max(position.head);
                // Who came before may wait for what this one knows already: then it is given to both.
                channel.sent.get_or_insert(position.head);
                channel.wants()
            });
            if wanted {
                self.enqueue(key);
            }
        }
    }

    pub(super) fn leave(&self, outbox: &Outbox) {
        for stream in [StreamId::from(outbox.person), StreamId::from(outbox.tenant)] {
            let key = (outbox.tenant, stream);
            self.channel(&key, |shard| {
                if let Some(channel) = shard.get_mut(&key) {
                    channel.sockets.retain(|socket| socket.id != outbox.id);
                    if channel.sockets.is_empty() {
                        shard.remove(&key);
                    }
                }
            });
        }
        lock(&self.sockets).remove(&outbox.id);
    }

    /// A commit of this node.
    pub fn committed_here(&self, positions: &[Position]) {
        if let Some(announce) = self.announce.get() {
            announce(positions, None);
        }
        self.moved(positions);
    }

    /// These streams stand here now.
    pub fn moved(&self, positions: &[Position]) {
        for position in positions {
            let key = (position.tenant, position.stream);
            let wanted = self.channel(&key, |shard| {
                let Some(channel) = shard.get_mut(&key) else { return false };
                channel.latest = channel.latest.max(position.head);
                channel.wants()
            });
            if wanted {
                self.enqueue(key);
            }
        }
    }

    /// A commit of this node was not confirmed.
    pub fn unconfirmed(&self, tenants: &[TenantId]) {
        if let Some(announce) = self.announce.get() {
            announce(&[], Some(tenants));
        }
        self.doubt(tenants);
    }

    /// A commit of these organisations was not confirmed: their sockets are to look for themselves.
    pub fn doubt(&self, tenants: &[TenantId]) {
        let sockets: Vec<_> = lock(&self.sockets).values().cloned().collect();
        for socket in sockets {
            if tenants.is_empty() || tenants.contains(&socket.tenant) {
                socket.resync();
            }
        }
    }

    fn enqueue(&self, key: Key) {
        lock(&self.queue).push_back(key);
        self.queued.notify_one();
    }

    /// Reads streams for those who follow them, for ever. Several of these may run.
    pub async fn read_all(self: Arc<Self>) {
        loop {
            let next = lock(&self.queue).pop_front();
            match next {
                Some(key) => self.read(key).await,
                None => self.queued.notified().await,
            }
        }
    }

    async fn read(&self, key: Key) {
        let Some((after, latest)) = self.channel(&key, |shard| {
            shard.get(&key).map(|channel| (channel.sent.unwrap_or(channel.latest), channel.latest))
        }) else {
            return;
        };
        let page = StreamPage { tenant: key.0, stream: key.1, after, limit: PAGE };
        Figures::count(&self.figures.readings, 1);
        let read = self.store.run(&Call::within(PATIENCE), page).await;
        let sent = match &read {
            Ok(changes) if changes.len() as u32 >= PAGE => changes.last().map_or(after, |change| change.seq),
            // Everything up to the hint, and what came after it.
            Ok(changes) => changes.last().map_or(latest, |change| change.seq.max(latest)),
            Err(error) => {
                tracing::warn!(%error, "changes could not be read for the sockets that follow them; it is tried again");
                tokio::time::sleep(AFTER_FAILURE).await;
                after
            }
        };
        let frames: Vec<_> = read.into_iter().flatten().map(Frame::new).collect();
        let again = self.channel(&key, |shard| {
            let Some(channel) = shard.get_mut(&key) else { return false };
            for socket in &channel.sockets {
                Figures::count(&self.figures.pushed, frames.len() as u64);
                if !socket.push(&frames) {
                    Figures::count(&self.figures.resyncs, 1);
                }
            }
            channel.sent = Some(sent);
            channel.busy = false;
            channel.wants()
        });
        if again {
            self.enqueue(key);
        }
    }

    /// Looks where the streams of all sockets stand: when this node is not told of what the others write.
    ///
    /// # Errors
    /// As the store.
    pub async fn look(&self) -> mainstay_store::Result<()> {
        let keys: Vec<Key> =
            self.shards.iter().flat_map(|shard| lock(shard).keys().copied().collect::<Vec<_>>()).collect();
        for some in keys.chunks(LOOK_AT_ONCE) {
            let positions = self.store.run(&Call::within(PATIENCE), PositionsOf(some.to_vec())).await?;
            self.moved(&positions);
        }
        Ok(())
    }

    /// Once a second: pings, ends sockets that are silent, and those whose sign-in has ended when something was revoked.
    pub fn tick(&self, second: u64, accounts: &Accounts, revoked: bool) {
        let now = self.now_ms();
        let sockets: Vec<_> = lock(&self.sockets).values().cloned().collect();
        for socket in sockets {
            if now.saturating_sub(socket.heard_at.load(Ordering::Relaxed)) > SILENT_MS {
                socket.end(Ending { code: 4409, reconnect: true, after_ms: 0 });
            } else if revoked && !accounts.stands(&socket.standing) {
                socket.end(Ending { code: 4401, reconnect: false, after_ms: 0 });
            } else if (socket.id + second).is_multiple_of(PING_EVERY) {
                socket.ping();
            }
        }
    }

    /// Ends all sockets: the node stops. Each is told when to come back, spread out.
    pub fn end_all(&self) {
        for socket in lock(&self.sockets).values() {
            socket.end(Ending { code: 1001, reconnect: true, after_ms: self.within(SPREAD) });
        }
    }

    /// Ends all sockets for now: live updates are switched off. Each is told to come back after `pause`, spread out.
    pub fn end_all_until_later(&self, pause: Duration) {
        for socket in lock(&self.sockets).values() {
            socket.end(Ending { code: 4503, reconnect: true, after_ms: millis(pause) + self.within(SPREAD) });
        }
    }

    /// A moment within `span` from now, in milliseconds.
    pub(super) fn within(&self, span: Duration) -> u64 {
        millis(span.mul_f64(self.entropy.fraction()))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Channel {
    /// True when it is to be put into the queue; it is marked as being there.
    fn wants(&mut self) -> bool {
        let wants = !self.busy && self.sent.is_some_and(|sent| sent < self.latest);
        self.busy |= wants;
        wants
    }
}
