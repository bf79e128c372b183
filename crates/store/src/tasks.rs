//! What the store needs to have running: handed to whoever keeps the list of background tasks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A named future that runs until the store is dropped.
pub struct Task {
    /// The name under which it is reported.
    pub name: &'static str,
    /// What to run.
    pub future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Task {
    pub(crate) fn new(name: &'static str, future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { name, future: Box::pin(future) }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({})", self.name)
    }
}
