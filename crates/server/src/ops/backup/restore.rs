//! Restoring a backup.

use std::time::Duration;

use mainstay_domain::Timestamp;
use mainstay_store::{Mark, Options, Restoration};
use tokio::time::Instant;

use super::pieces::unpack;
use super::place::Backups;
use super::{Fault, Manifest};

/// A backup that was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// How long it took.
    pub took: Duration,
    /// By what the copy is known.
    pub mark: Mark,
}

/// Restores a backup into a database that is empty (PostgreSQL) or a file that takes the place of the one that is there
/// (SQLite). All of it, or nothing: each piece is looked at before it is used, and the whole before anybody sees it.
///
/// # Errors
/// When it is damaged, is of another engine or a newer version, cannot be decrypted, or the target is not empty.
pub async fn restore(
    backups: &Backups,
    manifest: &Manifest,
    target: &Options,
    (now, hold): (Timestamp, bool),
) -> Result<Restored, Fault> {
    let begun = Instant::now();
    let cipher = manifest.cipher(&backups.key)?;
    let mut restoration = Restoration::begin(target, &manifest.engine, &manifest.schema, now).await?;
    for part in &manifest.parts {
        restoration.part(&part.part).await?;
        for piece in &part.pieces {
            let stored = backups.get(&format!("{}/{}", manifest.id, piece.name)).await?;
            restoration.write(&unpack(&manifest.id, piece, stored, cipher.clone()).await?).await?;
        }
        restoration.end_part(part.rows).await?;
    }
    let mark = Mark {
        backup: manifest.id.clone(),
        canary_digest: manifest.canary.clone(),
        rows: manifest.rows,
        bytes: manifest.bytes,
        now,
        hold,
    };
    restoration.finish(&mark).await?;
    Ok(Restored { took: begun.elapsed(), mark })
}
