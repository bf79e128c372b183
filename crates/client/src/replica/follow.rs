//! A replica that follows a live socket, and syncs when it must and when the server says.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Memory, Pushed, Replica, Storage, Synced};
use crate::chance::{doubled, up_to};
use crate::client::Client;
use crate::error::Error;
use crate::live::{Disconnection, Frame, Live, LiveEvent};

/// The first wait after a sync that failed. It doubles, up to [`LONGEST_WAIT`], and is spread by chance.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What a follower did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// The socket is open.
    Connected,
    /// The socket says from where on it pushes. When the replica is not that far, a sync comes next.
    Ready,
    /// The socket is closed, and will be opened again.
    Disconnected(Disconnection),
    /// A pushed change was taken, or waits for the sync that comes next.
    Changed,
    /// The replica synced.
    Synced(Synced),
    /// It could not. It will try again by itself.
    SyncFailed(Error),
}

/// A replica, the socket that it follows, and when it syncs.
#[derive(Debug)]
pub struct Follower<S = Memory> {
    live: Live,
    client: Client,
    replica: Replica<S>,
    /// When to sync; nothing for: only when told.
    due: Option<Instant>,
    /// As the server last said in `ready`.
    safety: Option<Duration>,
    failures: u32,
}

impl<S: Storage> Follower<S> {
    /// A follower. It syncs first.
    pub fn new(live: Live, client: Client, replica: Replica<S>) -> Self {
        Self { live, client, replica, due: Some(Instant::now()), safety: None, failures: 0 }
    }

    /// The replica, as it is.
    pub const fn replica(&self) -> &Replica<S> {
        &self.replica
    }

    /// The replica, without what follows it.
    pub fn into_replica(self) -> Replica<S> {
        self.replica
    }

    /// Syncs at the next step, whatever the server says about pacing: because the person asks for it.
    pub fn sync_now(&mut self) {
        self.due = Some(Instant::now());
    }

    /// Cuts the socket, as a network does that goes away.
    pub fn cut(&mut self) {
        self.live.cut();
        self.replica.disconnected();
    }

    /// True while the replica is as far as the server says, and what comes next is pushed.
    pub fn is_live(&self) -> bool {
        self.live.is_open() && self.replica.is_current()
    }

    /// Does the next thing that there is to do. It may be given up and called again.
    ///
    /// # Errors
    /// When the socket cannot come back (see [`Live::next`]). The replica can still be synced.
    pub async fn next(&mut self) -> Result<Step, Error> {
        loop {
            let due = self.due;
            let event = tokio::select! {
                biased;
                event = self.live.next() => event?,
                () = wait(due) => return Ok(self.sync().await),
            };
            match event {
                LiveEvent::Connected => return Ok(Step::Connected),
                LiveEvent::Disconnected { cause, .. } => {
                    self.replica.disconnected();
                    return Ok(Step::Disconnected(cause));
                }
                LiveEvent::Frame(raw) => {
                    let frame = raw.read()?;
                    let step = match &frame {
                        Frame::Ready(ready) => {
                            self.safety = ready.safety_sync_after_ms.map(Duration::from_millis);
                            Some(Step::Ready)
                        }
                        Frame::Change(_) => Some(Step::Changed),
                        _ => None,
                    };
                    if self.replica.apply_frame(frame) == Pushed::Behind && self.failures == 0 {
                        self.due = Some(Instant::now());
                    }
                    if let Some(step) = step {
                        return Ok(step);
                    }
                }
            }
        }
    }

    async fn sync(&mut self) -> Step {
        match self.replica.sync(&self.client).await {
            Ok(synced) => {
                self.failures = 0;
                let paced = synced.next_sync_after_ms.map(Duration::from_millis);
                // With a socket, sync is only for safety.
                let next = match (self.replica.is_current(), self.replica.is_pushed_to()) {
                    (true, _) => self.safety.or(paced),
                    // The node that answered has not seen yet what the socket's node has.
                    (false, true) => Some(FIRST_WAIT),
                    (false, false) => paced,
                };
                self.due = next.map(|after| Instant::now() + after);
                Step::Synced(synced)
            }
            Err(error) => {
                let spread = doubled(FIRST_WAIT, self.failures, LONGEST_WAIT);
                self.failures += 1;
                let after = error.retry_after().unwrap_or_default() + up_to(&*self.client.shared.entropy, spread);
                self.due = Some(Instant::now() + after);
                Step::SyncFailed(error)
            }
        }
    }
}

async fn wait(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
