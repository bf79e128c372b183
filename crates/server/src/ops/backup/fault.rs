//! Why a backup could not be made or restored.

use mainstay_domain::{Error, Kind};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No place is set.
    #[error("backup.to is not set: name a folder on another disk, or a bucket as s3://BUCKET/PREFIX")]
    NoPlace,
    /// The place does not do what it is asked.
    #[error("{place}: {reason}")]
    Place {
        /// Where.
        place: String,
        /// What it said.
        reason: String,
    },
    /// Somebody else's backups are there.
    #[error(
        "{0} has the backups of another installation. Give each installation a place of its own; one would delete what the other \
         keeps"
    )]
    Others(String),
    /// There is no such backup.
    #[error("there is no backup {name} in {place}. `mainstay backup list` names those that are there")]
    Unknown {
        /// Which was asked for.
        name: String,
        /// Where.
        place: String,
    },
    /// There is none at all.
    #[error("there is no backup in {0}. `mainstay backup make` makes one")]
    None(String),
    /// A piece or the manifest is not what was written.
    #[error("{object} {what}: the backup is damaged. Take an older one; `mainstay backup list` names them")]
    Damaged {
        /// Which.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// It is encrypted, and the key is not the one.
    #[error("the backup is encrypted and {0}: set backup.encryption_key to the key that it was made with")]
    Key(&'static str),
    /// The database.
    #[error("{0}")]
    Store(#[from] mainstay_store::Error),
    /// The copy did not start.
    #[error("the restored copy did not start: {0}")]
    Boot(String),
    /// A bug of ours.
    #[error("{0}")]
    Bug(String),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let (kind, code) = match &fault {
            Fault::NoPlace => (Kind::Conflict, "no_backup_place"),
            Fault::Place { .. } => (Kind::Unavailable, "backup_place"),
            Fault::Others(_) => (Kind::Conflict, "backups_of_others"),
            Fault::Unknown { .. } | Fault::None(_) => (Kind::NotFound, "no_such_backup"),
            Fault::Damaged { .. } => (Kind::Conflict, "backup_damaged"),
            Fault::Key(_) => (Kind::Conflict, "backup_key"),
            Fault::Store(mainstay_store::Error::Corrupt(_) | mainstay_store::Error::File(_)) => {
                (Kind::Conflict, "not_restored")
            }
            Fault::Store(_) => (Kind::Unavailable, "database"),
            Fault::Boot(_) => (Kind::Conflict, "not_started"),
            Fault::Bug(_) => (Kind::Internal, "internal"),
        };
        let text = fault.to_string();
        let mut letters = text.chars();
        let detail = letters.next().map(char::to_uppercase).into_iter().flatten().chain(letters).collect::<String>();
        Self::new(kind, code, if detail.ends_with('.') { detail } else { format!("{detail}.") })
    }
}
