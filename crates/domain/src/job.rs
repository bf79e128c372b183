//! Jobs: work that was promised and is done later.

use std::fmt;
use std::str::FromStr;

use crate::account::{UnknownWord, words};

/// Where a job is in its life.
///
/// `scheduled` waits for its time, `ready` for a worker, `running` is with one. `done`, `dead` (given up, to be looked at)
/// and `cancelled` are ends; from each of them a person can begin it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Waits for its time.
    Scheduled,
    /// Waits for a worker.
    Ready,
    /// Is with a worker.
    Running,
    /// Has been done.
    Done,
    /// Was given up; its errors are kept.
    Dead,
    /// Was cancelled.
    Cancelled,
}

words!(JobState {
    Scheduled = "scheduled",
    Ready = "ready",
    Running = "running",
    Done = "done",
    Dead = "dead",
    Cancelled = "cancelled",
});

impl JobState {
    /// True for the ends of a life.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }
}

/// What goes first within a queue. Whatever is of a higher priority and ready goes before anything lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobPriority {
    /// Somebody waits for it.
    High,
    /// The usual.
    #[default]
    Normal,
    /// When there is nothing else to do.
    Low,
}

words!(JobPriority { High = "high", Normal = "normal", Low = "low" });

impl JobPriority {
    /// The number that it is stored as: the lower goes first.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }

    /// Reads the number back; what is unknown is the lowest.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        match number {
            0 => Self::High,
            1 => Self::Normal,
            _ => Self::Low,
        }
    }
}
