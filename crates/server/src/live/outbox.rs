//! Lives in one process: what waits to be written to one socket, and what it is to do.
//!
//! Bounded: a reader that is too slow loses what waits and is told to sync. It costs next to nothing while it is empty.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use mainstay_domain::{PersonId, TenantId};
use mainstay_store::Change;
use serde::Serialize;

use crate::accounts::Standing;
use crate::sync::rows::ChangeBody;

/// Frames that may wait for one socket.
const MOST_FRAMES: usize = 256;
/// Bytes that may wait for one socket.
const MOST_BYTES: usize = 256 * 1024;

/// One change, as text once for all sockets that get it.
#[derive(Debug)]
pub(super) struct Frame {
    change: Change,
    plain: OnceLock<Bytes>,
    html: OnceLock<Bytes>,
}

#[derive(Serialize)]
struct ChangeFrame {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    change: ChangeBody,
}

impl Frame {
    pub(super) fn new(change: Change) -> Arc<Self> {
        Arc::new(Self { change, plain: OnceLock::new(), html: OnceLock::new() })
    }

    pub(super) fn text(&self, html: bool) -> Bytes {
        let slot = if html { &self.html } else { &self.plain };
        let write = || {
            let body = ChangeBody::new(&self.change, html);
            let text = body.and_then(|change| serde_json::to_vec(&ChangeFrame { kind: "change", change }));
            // Nothing of a row can fail to be written; were it otherwise, the client syncs.
            text.unwrap_or_else(|_| br#"{"type":"resync"}"#.to_vec()).into()
        };
        slot.get_or_init(write).clone()
    }
}

/// Why the server ends a socket, and what the client does then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// The close code (RFC 6455, section 7.4).
    pub(super) code: u16,
    /// Whether to come back.
    pub(super) reconnect: bool,
    /// After how many milliseconds.
    pub(super) after_ms: u64,
}

/// What a socket is to do next.
#[derive(Debug)]
pub(super) enum Next {
    Send(Bytes),
    /// Tell it to sync: what waited was thrown away.
    Resync,
    Ping,
    End(Ending),
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    resync: bool,
    ping: bool,
    ending: Option<Ending>,
}

/// A socket as the hub knows it.
pub(super) struct Outbox {
    pub(super) id: u64,
    pub(super) tenant: TenantId,
    pub(super) person: PersonId,
    pub(super) html: bool,
    pub(super) standing: Standing,
    /// Milliseconds of the hub's clock at the last sign of life.
    pub(super) heard_at: AtomicU64,
    waiting: Mutex<Waiting>,
    waker: AtomicWaker,
}

impl Outbox {
    pub(super) fn new(id: u64, who: (TenantId, PersonId), html: bool, standing: Standing, now: u64) -> Self {
        Self {
            id,
            tenant: who.0,
            person: who.1,
            html,
            standing,
            heard_at: AtomicU64::new(now),
            waiting: Mutex::default(),
            waker: AtomicWaker::new(),
        }
    }

    fn change<T>(&self, act: impl FnOnce(&mut Waiting) -> T) -> T {
        let done = act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.waker.wake();
        done
    }

    /// Adds frames. False when there was no room: then all that waited is gone, and the client will be told to sync.
    pub(super) fn push(&self, frames: &[Arc<Frame>]) -> bool {
        self.change(|waiting| {
            if waiting.resync {
                return true;
            }
            let more: usize = frames.iter().map(|frame| frame.text(self.html).len()).sum();
            if waiting.frames.len() + frames.len() > MOST_FRAMES || waiting.bytes + more > MOST_BYTES {
                (waiting.frames, waiting.bytes, waiting.resync) = (VecDeque::new(), 0, true);
                return false;
            }
            waiting.bytes += more;
            waiting.frames.extend(frames.iter().cloned());
            true
        })
    }

    /// The client is to sync: something may be missing.
    pub(super) fn resync(&self) {
        self.change(|waiting| (waiting.frames, waiting.bytes, waiting.resync) = (VecDeque::new(), 0, true));
    }

    pub(super) fn ping(&self) {
        self.change(|waiting| waiting.ping = true);
    }

    /// Ends the socket. The first ending counts.
    pub(super) fn end(&self, ending: Ending) {
        self.change(|waiting| waiting.ending.get_or_insert(ending).code);
    }

    /// Waits for what to do next.
    pub(super) fn poll_next(&self, cx: &Context<'_>) -> Poll<Next> {
        self.waker.register(cx.waker());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ending) = waiting.ending {
            return Poll::Ready(Next::End(ending));
        }
        if waiting.resync {
            waiting.resync = false;
            return Poll::Ready(Next::Resync);
        }
        if let Some(frame) = waiting.frames.pop_front() {
            let text = frame.text(self.html);
            waiting.bytes = waiting.bytes.saturating_sub(text.len());
            if waiting.frames.is_empty() {
                // An empty queue keeps nothing.
                waiting.frames = VecDeque::new();
            }
            return Poll::Ready(Next::Send(text));
        }
        if waiting.ping {
            waiting.ping = false;
            return Poll::Ready(Next::Ping);
        }
        Poll::Pending
    }

    pub(super) fn heard(&self, now: u64) {
        self.heard_at.store(now, Ordering::Relaxed);
    }
}
