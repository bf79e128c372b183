//! Backups of the whole installation.

use std::fmt;
use std::str::FromStr;

use crate::account::{UnknownWord, words};

/// Where a backup stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BackupState {
    /// It is being made.
    Running,
    /// It is whole.
    Complete,
    /// It was not finished.
    Failed,
    /// It has been deleted, because newer ones took its place.
    Deleted,
}

words!(BackupState { Running = "running", Complete = "complete", Failed = "failed", Deleted = "deleted" });
