//! What a caller grants an intent: time, and an account of the statements that it took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// One call of the store on behalf of a request or a background task. Clones share the count.
#[derive(Clone, Debug)]
pub struct Call {
    deadline: Instant,
    statements: Arc<AtomicU32>,
}

impl Call {
    /// A call that must be answered by `deadline`.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self { deadline, statements: Arc::default() }
    }

    /// A call that must be answered within `duration` from now.
    #[must_use]
    pub fn within(duration: Duration) -> Self {
        Self::until(Instant::now() + duration)
    }

    /// The same call with another deadline: what it takes is counted together.
    #[must_use]
    pub fn extended(&self, deadline: Instant) -> Self {
        Self { deadline, statements: Arc::clone(&self.statements) }
    }

    /// When the answer is due.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What is left until then; zero when it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How many statements were run on behalf of this call so far. A statement that served a whole batch counts once
    /// for each of its members.
    #[must_use]
    pub fn statements(&self) -> u32 {
        self.statements.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, statements: u32) {
        self.statements.fetch_add(statements, Ordering::Relaxed);
    }
}
