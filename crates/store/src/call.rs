//! What a caller grants an intent: time, an account of the statements that it took, and what is written into the audit trail of
//! what it changes.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::audit_trail::AuditNote;

/// One call of the store on behalf of a request or a background task. Clones share the count.
#[derive(Clone, Debug)]
pub struct Call {
    deadline: Instant,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    statements: AtomicU32,
    note: OnceLock<AuditNote>,
    noted: AtomicBool,
}

impl Call {
    /// A call that must be answered by `deadline`.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        Self { deadline, shared: Arc::default() }
    }

    /// A call that must be answered within `duration` from now.
    #[must_use]
    pub fn within(duration: Duration) -> Self {
        Self::until(Instant::now() + duration)
    }

    /// The same call with another deadline: what it takes is counted together.
    #[must_use]
    pub fn extended(&self, deadline: Instant) -> Self {
        Self { deadline, shared: Arc::clone(&self.shared) }
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
        self.shared.statements.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, statements: u32) {
        self.shared.statements.fetch_add(statements, Ordering::Relaxed);
    }

    /// From here on the first transaction of this call, and of its clones, that changes anything writes this into the audit
    /// trail too: it is there when the change is, and not without it. The first note counts.
    pub fn audited(&self, note: AuditNote) {
        let _ = self.shared.note.set(note);
    }

    /// What is to be written into the audit trail and is not yet.
    pub(crate) fn note(&self) -> Option<&AuditNote> {
        self.shared.note.get().filter(|_| !self.shared.noted.load(Ordering::Acquire))
    }

    /// It is written.
    pub(crate) fn noted(&self) {
        self.shared.noted.store(true, Ordering::Release);
    }
}
