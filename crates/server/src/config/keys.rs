//! The section `[keys]`.

use std::path::{Path, PathBuf};

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

use super::rules::durations;
use super::schema::Bound;
use super::{Database, Fault, Warning};

pub(super) const BOUNDS: &[Bound] = &[("keys.poll_ms", 50, 4_000)];

/// Where the keys are on PostgreSQL, when nothing else is said.
const USUAL_FOLDER: &str = "data/keys";

/// Secrets at rest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keys {
    /// The folder with the keys.
    pub directory: String,
    /// The keys themselves, in place of a folder.
    pub ring: Secret,
    /// A file that holds the keys.
    pub ring_file: String,
    /// How often a node looks for new keys, in milliseconds.
    pub poll_ms: u64,
}

durations!(Keys { poll: from_millis(poll_ms) });

impl Keys {
    /// The folder with the keys: the one that is named, else one beside the file of the database; none when the keys
    /// themselves are set.
    #[must_use]
    pub fn folder(&self, database: &Database) -> Option<PathBuf> {
        if !self.directory.is_empty() {
            return Some(self.directory.clone().into());
        }
        if !self.ring.is_empty() {
            return None;
        }
        let beside = database.sqlite_path().map(|path| Path::new(path).with_file_name("keys"));
        Some(beside.unwrap_or_else(|| USUAL_FOLDER.into()))
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if let Err(reason) = crate::keys::check_ring(&self.ring) {
            let cure = "Write each key as NUMBER:KEY with 64 hexadecimal digits, with a space between two; `openssl rand -hex 32` makes one";
            faults.push(Fault::new("keys.ring", reason, cure));
        }
    }

    pub(super) fn advise(&self, postgres: bool, nodes: usize, warnings: &mut Vec<Warning>) {
        if postgres && nodes > 1 && self.directory.is_empty() && self.ring.is_empty() {
            let reason = "is not set, and several nodes share the database: each would look into a folder of its own";
            let cure = "Mount one folder on all nodes and name it, or set keys.ring to the same keys on each";
            warnings.push(Fault::new("keys.directory", reason, cure));
        }
    }
}
