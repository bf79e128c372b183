//! A copy of what the person may see, kept by delta sync and by live changes.
//!
//! The rule that keeps it right: the place in a stream only moves to a number when everything up to that number is known.
//! A page says so by its cursor. A pushed change says so only from the position on that the socket's `ready` named, and
//! only when the replica has come that far; until then pushed changes wait. What is at or below the place is known
//! already, so a change that comes twice, or late, is left out.

mod compare;
mod follow;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

pub use self::follow::{Follower, Step};
pub use self::storage::{Memory, Row, RowKey, Storage};
use crate::client::Client;
use crate::error::Error;
use crate::live::{Frame, Ready};
use crate::sync::{Change, Checksum, Cursor, StreamName, SyncPage};

/// Pushed changes that may wait until the replica has come up to the socket. Past it they are dropped, and read by sync.
const MOST_WAITING: usize = 1_000;
/// Rows of a page.
const PAGE: u32 = 50;
/// Times in a row that a replica begins again within one sync before it gives up.
const MOST_BEGINNINGS: u32 = 3;

/// What happened to a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Pages that were applied.
    pub pages: u64,
    /// Rows that were written or removed, without those that went with their parent.
    pub changes: u64,
    /// Changes that were known already.
    pub known: u64,
    /// Times that the server said to begin again.
    pub resyncs: u64,
    /// Times that the replica was not what the server has. It then began again.
    pub divergences: u64,
}

/// What to do after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// There is more: ask again at once.
    More,
    /// The replica is what the server had at that moment.
    Complete,
    /// It was not, and has forgotten everything: ask again from the beginning.
    Diverged,
}

/// How a pushed frame leaves the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is as far as the server says.
    UpToDate,
    /// It lacks something that only sync gives.
    Behind,
}

/// How one sync went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Pages that it took.
    pub pages: u32,
    /// When to sync next, in milliseconds; nothing for: only on demand.
    pub next_sync_after_ms: Option<u64>,
}

/// A copy of what the person may see.
///
/// ```no_run
/// # use mainstay_client::{Client, Follower, Live, Memory, Replica};
/// # async fn example(client: Client) -> Result<(), mainstay_client::Error> {
/// let mut follower = Follower::new(Live::new(client.clone()), client, Replica::new(Memory::default()));
/// loop {
///     let step = follower.next().await?;
///     println!("{step:?}: {} rows", follower.replica().checksum().count);
/// }
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Replica<S = Memory> {
    storage: S,
    /// From where on everything that is pushed waits here or is still to come, while a socket is open.
    pushed_from: Option<Cursor>,
    waiting: VecDeque<Change>,
    /// Whether a sync has come to its end since the beginning. Until then what was deleted before the beginning is not
    /// told, so that an older change, pushed meanwhile, could bring it back.
    begun: bool,
    counters: Counters,
}

impl<S: Storage> Replica<S> {
    /// A replica that goes on with what is stored.
    pub const fn new(storage: S) -> Self {
        let counters = Counters { pages: 0, changes: 0, known: 0, resyncs: 0, divergences: 0 };
        Self { storage, pushed_from: None, waiting: VecDeque::new(), begun: false, counters }
    }

    /// The rows.
    pub const fn storage(&self) -> &S {
        &self.storage
    }

    /// The place up to which everything is known; nothing before the first page.
    pub fn cursor(&self) -> Option<Cursor> {
        self.storage.cursor()
    }

    /// How many rows there are, and the sum of their numbers.
    pub fn checksum(&self) -> Checksum {
        self.storage.checksum()
    }

    /// What happened until now.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Forgets everything, because the server said so (410). The next page must be asked for without a cursor.
    pub fn resync(&mut self) {
        self.counters.resyncs += 1;
        self.begin_again();
    }

    /// What waits stays good: it is about the server, and not about what is known here.
    fn begin_again(&mut self) {
        self.storage.clear();
        self.begun = false;
    }

    /// Applies a page that was asked for from where this replica is.
    pub fn apply_page(&mut self, page: &SyncPage) -> Applied {
        self.counters.pages += 1;
        let before = self.cursor();
        if before.is_some_and(|before| !before.is_same_life(&page.cursor)) {
            // The server should have refused. What is here belongs to another life.
            self.counters.divergences += 1;
            self.begin_again();
            return Applied::Diverged;
        }
        for change in &page.changes {
            self.apply(before, change);
        }
        let mut after = page.cursor;
        if let Some(before) = before {
            // A socket may have been faster than this page.
            after.membership.head = after.membership.head.max(before.membership.head);
            after.organisation.head = after.organisation.head.max(before.organisation.head);
        }
        self.storage.set_cursor(after);
        if !page.complete {
            self.catch_up();
            return Applied::More;
        }
        if after == page.cursor && self.checksum() != page.checksum {
            self.counters.divergences += 1;
            tracing::warn!(cursor = %after, here = ?self.checksum(), there = ?page.checksum, "the replica had diverged");
            self.begin_again();
            return Applied::Diverged;
        }
        self.begun = true;
        self.catch_up();
        Applied::Complete
    }

    /// Applies what the server pushed. After [`Pushed::Behind`], sync.
    pub fn apply_frame(&mut self, frame: Frame) -> Pushed {
        match frame {
            Frame::Ready(ready) => return self.ready(&ready),
            Frame::Change(change) => return self.pushed(change),
            Frame::Resync => self.disconnected(),
            Frame::Ping | Frame::Unknown => return Pushed::UpToDate,
        }
        Pushed::Behind
    }

    /// The socket is gone: until the next `ready` nothing pushed can be relied on.
    pub fn disconnected(&mut self) {
        self.pushed_from = None;
        self.waiting.clear();
    }

    fn ready(&mut self, ready: &Ready) -> Pushed {
        self.pushed_from = Some(ready.cursor);
        self.waiting.clear();
        if self.follows() { Pushed::UpToDate } else { Pushed::Behind }
    }

    /// Whether everything up to where the socket began is known.
    fn follows(&self) -> bool {
        match (self.cursor(), self.pushed_from) {
            (Some(here), Some(from)) => self.begun && here.has_reached(&from),
            _ => false,
        }
    }

    /// Whether a socket has said from where on it pushes.
    fn is_pushed_to(&self) -> bool {
        self.pushed_from.is_some()
    }

    fn pushed(&mut self, change: Change) -> Pushed {
        let Some(from) = &mut self.pushed_from else {
            // It is below the position that the next `ready` names.
            return Pushed::UpToDate;
        };
        self.waiting.push_back(change);
        if self.waiting.len() > MOST_WAITING {
            // They are left to sync. From the last of them on everything is pushed, as it was before.
            for change in self.waiting.drain(..) {
                let position = from.position_mut(change.stream);
                position.head = position.head.max(change.seq);
            }
        }
        self.catch_up();
        if self.is_current() { Pushed::UpToDate } else { Pushed::Behind }
    }

    /// Applies what waited, once sync has come up to where the socket began.
    fn catch_up(&mut self) {
        while self.follows() {
            let Some(change) = self.waiting.pop_front() else { return };
            if self.is_first(&change) {
                self.waiting.push_front(change);
                return;
            }
            self.advance(&change);
        }
    }

    /// Whether it is the first change of its stream that is seen here. A frame does not tell the stream's epoch, so the
    /// place cannot move there: a page must say it.
    fn is_first(&self, change: &Change) -> bool {
        self.cursor().is_some_and(|cursor| cursor.position(change.stream).epoch == 0)
    }

    /// Whether everything is known that the socket has told.
    fn is_current(&self) -> bool {
        self.follows() && self.waiting.is_empty()
    }

    /// Applies a pushed change and moves the place to it.
    fn advance(&mut self, change: &Change) {
        let Some(mut cursor) = self.cursor() else { return };
        self.apply(Some(cursor), change);
        let position = cursor.position_mut(change.stream);
        position.head = position.head.max(change.seq);
        self.storage.set_cursor(cursor);
        // It does not come again: a replica that begins again must sync at least up to here.
        if let Some(from) = &mut self.pushed_from {
            let position = from.position_mut(change.stream);
            position.head = position.head.max(change.seq);
        }
    }

    fn apply(&mut self, known: Option<Cursor>, change: &Change) {
        if known.is_some_and(|known| change.seq <= known.position(change.stream).head) {
            self.counters.known += 1;
            return;
        }
        self.counters.changes += 1;
        let key = RowKey { stream: change.stream, kind: Arc::from(change.kind.as_str()), id: change.id };
        match &change.row {
            Some(body) if !change.deleted => {
                let row = Row { seq: change.seq, parent: change.parent, body: Arc::from(body.get()) };
                self.storage.put(key, row);
            }
            _ => {
                self.storage.remove(&key);
                self.orphans(change.stream, change.id);
            }
        }
    }

    /// Removes every row below one that is gone.
    fn orphans(&mut self, stream: StreamName, id: uuid::Uuid) {
        let mut gone = vec![id];
        while let Some(parent) = gone.pop() {
            for key in self.storage.children(stream, parent) {
                self.storage.remove(&key);
                gone.push(key.id);
            }
        }
    }

    /// Syncs until the replica is what the server has. Begins again when the server says so, and when it had diverged.
    ///
    /// # Errors
    /// As every call, or when it keeps diverging. What was applied until then stays, and the next sync goes on from there.
    pub async fn sync(&mut self, client: &Client) -> Result<Synced, Error> {
        let (mut pages, mut beginnings) = (0, 0);
        loop {
            let cursor = self.cursor();
            let again = match client.sync(cursor.as_ref(), Some(PAGE)).await {
                Ok(page) => {
                    pages += 1;
                    match self.apply_page(&page) {
                        Applied::More => false,
                        Applied::Diverged => true,
                        Applied::Complete => {
                            return Ok(Synced { pages, next_sync_after_ms: page.next_sync_after_ms });
                        }
                    }
                }
                Err(error) if error.is_resync() => {
                    self.resync();
                    true
                }
                Err(error) => return Err(error),
            };
            beginnings += u32::from(again);
            if beginnings > MOST_BEGINNINGS {
                return Err(Error::decode("the server's changes", "the replica diverges whenever it begins again"));
            }
        }
    }
}
