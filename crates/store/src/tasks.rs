//! What the store needs to have running: handed to whoever keeps the list of background tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A named future that runs until the store is dropped.
pub struct Task {
    /// The name under which it is reported.
    pub name: &'static str,
    /// True for what all writers wait for: it is given a thread of its own.
    pub on_own_thread: bool,
    /// What to run.
    pub future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Task {
    pub(crate) fn new(name: &'static str, future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { name, on_own_thread: false, future: Box::pin(future) }
    }

    pub(crate) fn on_own_thread(self) -> Self {
        Self { on_own_thread: true, ..self }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({})", self.name)
    }
}
