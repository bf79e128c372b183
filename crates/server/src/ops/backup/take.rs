//! Making a backup.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use mainstay_domain::{Clock, Entropy, Ids, Timestamp, hexadecimal};
use mainstay_store::{
    BackupDeleted, BeginBackup, Call, EndBackup, InstallationIs, Mark, RegisterKeyUse, ReleaseKeyUse, Snapshot, Store,
};
use serde_json::{Value, json};

use super::cipher::Cipher;
use super::manifest::PartOf;
use super::pieces::Cutter;
use super::place::{Backup, Backups, is_name};
use super::retention::Policy;
use super::{Fault, MANIFEST, Manifest};
use crate::app::{App, store_options};
use crate::config::Config;

/// How long one question to the database may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how long what has no manifest is taken for left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3_600);
/// What the names of scratch copies of a drill begin with.
pub(super) const DRILL_FOLDER: &str = "mainstay-drill-";
/// The object that says whose backups are in a place.
const OWNER: &str = "mainstay.json";

/// What is backed up: the database and the settings of an installation.
#[derive(Clone)]
pub struct Installation {
    /// The settings.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Identifiers.
    pub ids: Ids,
    /// The program that a drill starts on a copy; this one itself when nothing is said.
    pub program: Option<PathBuf>,
}

impl Installation {
    /// That of an app.
    #[must_use]
    pub fn of(app: &App) -> Self {
        Self {
            config: app.config.clone(),
            store: app.store.clone(),
            clock: Arc::clone(&app.clock),
            entropy: Arc::clone(&app.entropy),
            ids: app.ids.clone(),
            program: app.backups.program.get().cloned(),
        }
    }

    pub(super) fn call(&self) -> Call {
        Call::within(PATIENCE)
    }

    pub(super) fn chance<const N: usize>(&self) -> String {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        hexadecimal(&bytes)
    }

    /// The name of something that begins now: names sort by time.
    pub(super) fn name(&self, now: Timestamp) -> String {
        let moment = jiff::Timestamp::from_millisecond(now.as_millis()).unwrap_or_default();
        format!("{}-{}", moment.strftime("%Y%m%dT%H%M%SZ"), self.chance::<4>())
    }

    /// The folder for scratch copies.
    pub(super) fn scratch_folder(&self) -> PathBuf {
        self.config.backup.scratch_folder(&self.config.database)
    }

    /// Whether something of this name was begun so long ago that whoever began it is gone.
    pub(super) fn is_left_behind(&self, id: &str) -> bool {
        moment_of(id).is_some_and(|moment| self.clock.now().since(moment) > LEFT_BEHIND)
    }

    /// Deletes scratch copies of whoever was killed a day ago or more. What is not named like one is not touched.
    pub(super) fn sweep_scratch_files(&self) {
        let entries = std::fs::read_dir(self.scratch_folder()).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let copy = name.strip_prefix("mainstay-").and_then(|rest| rest.strip_suffix(".copy"));
            let gone = match (name.strip_prefix(DRILL_FOLDER), copy) {
                (Some(id), _) if self.is_left_behind(id) => std::fs::remove_dir_all(entry.path()),
                (_, Some(id)) if self.is_left_behind(id) => std::fs::remove_file(entry.path()),
                _ => continue,
            };
            if let Err(error) = gone {
                tracing::warn!(%error, name, "a scratch copy that was left behind could not be deleted");
            }
        }
    }

    /// By what the keys know that a backup needs them.
    fn holder(id: &str) -> String {
        format!("backup {id}")
    }

    /// Looks that no other installation keeps its backups here, and says that this one does.
    async fn own(&self, backups: &Backups) -> Result<(), Fault> {
        let mine = self.store.run(&self.call(), InstallationIs(self.ids.make())).await?;
        let mine = mine.to_string();
        match backups.get(OWNER).await? {
            Some(told) => {
                let told: Value = serde_json::from_slice(&told).unwrap_or_default();
                if told["installation"] == mine.as_str() { Ok(()) } else { Err(Fault::Others(backups.shown.clone())) }
            }
            None => backups.put(OWNER, Bytes::from(json!({"installation": mine}).to_string())).await,
        }
    }
}

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What it consists of.
    pub manifest: Manifest,
    /// How long it took.
    pub took: Duration,
    /// Backups that were deleted because newer ones take their place.
    pub deleted: Vec<String>,
}

/// Makes a backup of an installation, while it serves, and deletes those that are not needed any more.
///
/// # Errors
/// When it cannot be made; then nothing of it counts as a backup. A backup that was made and old ones that cannot be deleted is
/// a warning in the log.
pub async fn take(of: &Installation, backups: &Backups) -> Result<Taken, Fault> {
    let begun = tokio::time::Instant::now();
    of.own(backups).await?;
    let now = of.clock.now();
    let (id, canary) = (of.name(now), of.chance::<16>());
    let cipher = Cipher::new(&backups.key, of.entropy.as_ref());
    let begin = BeginBackup {
        id: id.clone(),
        place: backups.shown.clone(),
        canary: canary.clone(),
        encrypted: cipher.is_some(),
        now,
        given_up: now.minus(LEFT_BEHIND),
    };
    of.store.run(&of.call(), begin).await?;
    let written = write(of, backups, cipher.as_ref(), (&id, &canary, now)).await;
    let outcome = written.as_ref().map(|manifest| (manifest.bytes, manifest.rows)).map_err(ToString::to_string);
    of.store.run(&of.call(), EndBackup { id: id.clone(), outcome, now: of.clock.now() }).await?;
    match written {
        Ok(manifest) => {
            let deleted = thin_out(of, backups).await.unwrap_or_else(|fault| {
                tracing::warn!(%fault, "old backups could not be deleted; it is tried again after the next one");
                Vec::new()
            });
            Ok(Taken { manifest, took: begun.elapsed(), deleted })
        }
        Err(fault) => {
            clear_away(of, backups, &id).await;
            Err(fault)
        }
    }
}

async fn write(
    of: &Installation,
    backups: &Backups,
    cipher: Option<&Cipher>,
    (id, canary, now): (&str, &str, Timestamp),
) -> Result<Manifest, Fault> {
    // Before the first byte is read: no key that the copy may need is retired from here on.
    let keys = of.store.run(&of.call(), RegisterKeyUse { holder: Installation::holder(id), now }).await?;
    of.sweep_scratch_files();
    let scratch = of.scratch_folder().join(format!("mainstay-{id}.copy"));
    let mut snapshot = Snapshot::hold(&store_options(&of.config.database), scratch).await?;
    let mut parts = Vec::with_capacity(snapshot.parts.len());
    let mut rows_before = 0;
    for part in snapshot.parts.clone() {
        let mut cutter = Cutter::new(backups, cipher, id, &part.name);
        let mut bytes = snapshot.read(&part).await?;
        while let Some(next) = bytes.next().await {
            cutter.write(&next?).await?;
        }
        drop(bytes);
        let pieces = cutter.end().await?;
        let rows = snapshot.rows_read();
        parts.push(PartOf { part, rows: rows - rows_before, pieces });
        rows_before = rows;
    }
    let bytes = parts.iter().flat_map(|part| &part.pieces).map(|piece| piece.bytes).sum();
    let manifest = Manifest {
        form: Manifest::form(),
        id: id.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        engine: of.store.engine_name().to_owned(),
        schema: snapshot.schema.clone(),
        taken_at: now.as_millis(),
        ended_at: of.clock.now().as_millis(),
        canary: Mark::digest_of(canary),
        rows: snapshot.rows().await?,
        bytes,
        keys,
        salt: cipher.map(Cipher::salt),
        parts,
    };
    backups.put(&format!("{id}/{MANIFEST}"), Bytes::from(manifest.write(cipher)?)).await?;
    Ok(manifest)
}

/// Takes away what a backup that failed has left. What cannot be taken away now is, a day later.
async fn clear_away(of: &Installation, backups: &Backups, id: &str) {
    if let Err(fault) = backups.delete(id).await {
        tracing::warn!(%fault, backup = id, "what is left of a backup that failed could not be deleted yet");
        return;
    }
    if let Err(error) = of.store.run(&of.call(), ReleaseKeyUse(Installation::holder(id))).await {
        tracing::warn!(%error, backup = id, "the keys of a backup that failed are still held for it");
    }
}

/// When a backup was taken, as its name has it.
fn moment_of(id: &str) -> Option<Timestamp> {
    let text = is_name(id).then(|| id.split_once('-'))??.0;
    let moment = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp::from_millis(moment.as_millisecond()))
}

/// Deletes backups that newer ones stand for, and what was left behind by whoever was killed.
async fn thin_out(of: &Installation, backups: &Backups) -> Result<Vec<String>, Fault> {
    let (now, found) = (of.clock.now(), backups.list().await?);
    let when = |backup: &Backup| Some((moment_of(&backup.id)?, backup.id.clone()));
    let whole: Vec<_> = found.iter().filter(|backup| backup.whole).filter_map(when).collect();
    let taken: Vec<_> = whole.iter().map(|(moment, _)| *moment).collect();
    let surplus = Policy::of(&of.config.backup).surplus(&taken, now);
    let left_behind = found.iter().filter(|backup| !backup.whole).filter_map(when);
    let left_behind = left_behind.filter(|(moment, _)| now.since(*moment) > LEFT_BEHIND).map(|(_, id)| id);
    let mut deleted = Vec::new();
    for id in whole.iter().filter(|(moment, _)| surplus.contains(moment)).map(|(_, id)| id.clone()).chain(left_behind) {
        backups.delete(&id).await?;
        of.store.run(&of.call(), BackupDeleted(id.clone())).await?;
        of.store.run(&of.call(), ReleaseKeyUse(Installation::holder(&id))).await?;
        deleted.push(id);
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_moment() {
        let moment = moment_of("20261129T031700Z-0123abcd").expect("a moment");
        assert_eq!(moment.to_string(), "2026-11-29T03:17:00.000Z");
        assert_eq!(moment_of("20261329T031700Z-0123abcd"), None);
        assert_eq!(moment_of("something"), None);
    }
}
