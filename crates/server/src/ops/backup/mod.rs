//! Backups of the whole database, and restoring them.
//!
//! A backup is a set of objects under one name in a folder or a bucket. Its pieces come first and its manifest last, so what
//! has a manifest is whole. Every piece has its digest in the manifest, and the manifest its own: what is damaged, cut or
//! missing is refused before it becomes a database. How a copy is of one moment while others write is told in the store.
//!
//! A drill restores the newest backup into a scratch copy, starts a server on it, and looks for the row that was written
//! before the backup began. What it measures is what an outage would cost.

pub mod api;
mod boot;
mod cipher;
mod damage;
mod drill;
mod fault;
mod figures;
mod job;
mod manifest;
mod pieces;
mod place;
mod restore;
mod retention;
mod s3;
mod take;

pub use damage::tells_damage;
pub use drill::drill;
pub use fault::Fault;
pub use figures::BackupFigures;
pub(crate) use figures::start;
pub use job::{BACKUPS, DrillRestore, MakeBackup, promise, schedules};
pub(crate) use job::{back_up, try_backup};
pub use manifest::Manifest;
pub use pieces::{verify, verify_first};
pub use place::{Backup, Backups};
pub use restore::{Restored, restore};
pub use take::{Installation, Taken, take};

/// The name of the manifest within a backup.
const MANIFEST: &str = "manifest.json";
/// Bytes of the database in a piece, before they are compressed: what is held in memory, a few times over.
const PIECE: usize = 8 << 20;
