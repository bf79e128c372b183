//! Holds a transaction between two of its statements, for cases that place something else there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long anything may take that a case waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What every transaction of a store passes before each of its statements, and before its commit.
#[derive(Default)]
pub(crate) struct Gate {
    transactions: AtomicU64,
    armed: Mutex<Option<Armed>>,
}

/// The first transaction that comes is the one that is held.
struct Armed {
    transaction: Option<u64>,
    at: usize,
    passed: Vec<&'static str>,
    reached: Option<oneshot::Sender<()>>,
    open: Option<oneshot::Receiver<()>>,
}

/// A transaction's right to pass.
#[derive(Clone)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
    transaction: u64,
}

/// A transaction that is held, or will be.
pub(crate) struct Held {
    reached: oneshot::Receiver<()>,
    open: oneshot::Sender<()>,
}

impl Gate {
    /// For a transaction that begins.
    pub(crate) fn pass(self: &Arc<Self>) -> Pass {
        Pass { gate: Arc::clone(self), transaction: self.transactions.fetch_add(1, Ordering::Relaxed) }
    }

    /// Holds the next transaction before its statement of this number, from 0; the last one is the commit.
    pub(crate) fn hold(&self, at: usize) -> Held {
        let ((reaching, reached), (open, opened)) = (oneshot::channel(), oneshot::channel());
        let armed = Armed { transaction: None, at, passed: Vec::new(), reached: Some(reaching), open: Some(opened) };
        *self.armed.lock().expect("no case panicked") = Some(armed);
        Held { reached, open }
    }

    /// Notes the statements of the next transaction, and holds nothing.
    pub(crate) fn note(&self) {
        drop(self.hold(usize::MAX));
    }

    /// The statements that the transaction has come to, the commit last.
    pub(crate) fn noted(&self) -> Vec<&'static str> {
        self.armed.lock().expect("no case panicked").take().map(|armed| armed.passed).unwrap_or_default()
    }
}

impl Pass {
    /// Waits here if this is where the transaction is held.
    pub(crate) async fn before(&self, statement: &'static str) {
        let open = self.gate.armed.lock().expect("no case panicked").as_mut().and_then(|armed| {
            if *armed.transaction.get_or_insert(self.transaction) != self.transaction {
                return None;
            }
            armed.passed.push(statement);
            if armed.passed.len() != armed.at.checked_add(1)? {
                return None;
            }
            // A case that has gone away waits for nothing.
            armed.reached.take().map(|reached| reached.send(()));
            armed.open.take()
        });
        if let Some(open) = open {
            let _ = open.await;
        }
    }
}

impl Held {
    /// Waits until it is held.
    pub(crate) async fn reached(&mut self) {
        timeout(PATIENCE, &mut self.reached).await.expect("in time").expect("the transaction came there");
    }

    /// Lets it go on.
    pub(crate) fn open(self) {
        self.open.send(()).expect("it waits");
    }
}
