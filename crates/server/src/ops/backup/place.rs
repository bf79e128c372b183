//! Where backups are kept: objects under names, in a folder or a bucket.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mainstay_domain::Secret;
use tokio::fs;
use tokio::io::AsyncWriteExt as _;

use super::s3::Bucket;
use super::{Fault, MANIFEST, Manifest};
use crate::config;

/// The most bytes of an object that is read: a piece that did not get smaller by compressing, or a long manifest.
pub(super) const MOST_OBJECT: u64 = 64 << 20;
/// The most backups that are looked at.
const MOST_BACKUPS: usize = 10_000;

enum Kind {
    Folder(PathBuf),
    Bucket(Box<Bucket>),
}

/// All backups of an installation.
pub struct Backups {
    kind: Kind,
    /// Where they are, for people: without any secret.
    pub shown: String,
    /// The key that they are encrypted with; empty when they are not.
    pub(super) key: Secret,
}

impl std::fmt::Debug for Backups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Backups({})", self.shown)
    }
}

/// A backup that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its name.
    pub id: String,
    /// Whether it has a manifest; if not, it is being made, or whoever made it was killed.
    pub whole: bool,
}

impl Backups {
    /// The backups of these settings.
    ///
    /// # Errors
    /// When no place is set, or it cannot be used.
    pub fn open(settings: &config::Backup) -> Result<Self, Fault> {
        let kind = match settings.place().ok_or(Fault::NoPlace)? {
            config::BackupPlace::Folder(folder) => Kind::Folder(folder),
            config::BackupPlace::Bucket { bucket, prefix } => {
                Kind::Bucket(Box::new(Bucket::open(settings, &bucket, prefix)?))
            }
        };
        Ok(Self { kind, shown: settings.to.clone(), key: settings.encryption_key.clone() })
    }

    /// The backups in a folder, wherever the settings say that they are.
    #[must_use]
    pub fn in_folder(folder: &Path, key: Secret) -> Self {
        Self { kind: Kind::Folder(folder.to_owned()), shown: folder.display().to_string(), key }
    }

    /// The folder, when they are in one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Folder(folder) => Some(folder),
            Kind::Bucket(_) => None,
        }
    }

    fn failed(&self, name: &str, error: &io::Error) -> Fault {
        let reason = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
            _ => error.to_string(),
        };
        Fault::Place { place: format!("{}/{name}", self.shown), reason }
    }

    /// Stores an object. It is whole under its name, or not there.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub(super) async fn put(&self, name: &str, bytes: Bytes) -> Result<(), Fault> {
        match &self.kind {
            Kind::Folder(folder) => write(&folder.join(name), &bytes).await.map_err(|error| self.failed(name, &error)),
            Kind::Bucket(bucket) => bucket.put(name, bytes).await.map_err(|reason| self.refused(name, reason)),
        }
    }

    /// Reads an object; nothing when it is not there.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than any object of a backup.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        match &self.kind {
            Kind::Folder(folder) => match read(&folder.join(name)).await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(self.failed(name, &error)),
            },
            Kind::Bucket(bucket) => bucket.get(name).await.map_err(|reason| self.refused(name, reason)),
        }
    }

    fn refused(&self, name: &str, reason: String) -> Fault {
        Fault::Place { place: format!("{}/{name}", self.shown), reason }
    }

    /// Every backup, the oldest first.
    ///
    /// # Errors
    /// When the place cannot be looked at.
    pub async fn list(&self) -> Result<Vec<Backup>, Fault> {
        let mut found = match &self.kind {
            Kind::Folder(folder) => folders(folder).await.map_err(|error| self.failed("", &error))?,
            Kind::Bucket(bucket) => bucket.backups().await.map_err(|reason| self.refused("", reason))?,
        };
        found.retain(|backup| is_name(&backup.id));
        found.sort_by(|one, other| one.id.cmp(&other.id));
        let surplus = found.len().saturating_sub(MOST_BACKUPS);
        found.drain(..surplus);
        Ok(found)
    }

    /// Deletes a backup, its manifest first: half of it is no backup any more, and is cleared away later.
    ///
    /// # Errors
    /// When something of it cannot be deleted.
    pub async fn delete(&self, id: &str) -> Result<(), Fault> {
        match &self.kind {
            Kind::Folder(folder) => {
                let folder = folder.join(id);
                let gone = |outcome: io::Result<()>| match outcome {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    other => other.map_err(|error| self.failed(id, &error)),
                };
                gone(fs::remove_file(folder.join(MANIFEST)).await)?;
                gone(fs::remove_dir_all(&folder).await)
            }
            Kind::Bucket(bucket) => bucket.delete(id).await.map_err(|reason| self.refused(id, reason)),
        }
    }

    /// Reads the description of a backup.
    ///
    /// # Errors
    /// When it is not there, damaged, or written with another key.
    pub async fn manifest(&self, id: &str) -> Result<Manifest, Fault> {
        let unknown = || Fault::Unknown { name: id.to_owned(), place: self.shown.clone() };
        if !is_name(id) {
            return Err(unknown());
        }
        let bytes = self.get(&format!("{id}/{MANIFEST}")).await?.ok_or_else(unknown)?;
        Manifest::read(id, &bytes, &self.key)
    }

    /// The description of the newest backup that is whole.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub async fn newest(&self) -> Result<Manifest, Fault> {
        let whole = self.list().await?.into_iter().rfind(|backup| backup.whole);
        let newest = whole.ok_or_else(|| Fault::None(self.shown.clone()))?;
        self.manifest(&newest.id).await
    }
}

/// Whether a name is one that a backup of ours can have: nothing else is touched.
pub(super) fn is_name(id: &str) -> bool {
    let (moment, chance) = id.split_once('-').unwrap_or_default();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    moment.len() == 16
        && moment.ends_with('Z')
        && moment.get(8..9) == Some("T")
        && moment.get(..8).is_some_and(digits)
        && moment.get(9..15).is_some_and(digits)
        && chance.len() == 8
        && chance.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn folders(folder: &Path) -> io::Result<Vec<Backup>> {
    let mut found = Vec::new();
    let mut entries = match fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    while let Some(entry) = entries.next_entry().await? {
        let id = entry.file_name().to_string_lossy().into_owned();
        if is_name(&id) {
            found.push(Backup { whole: fs::try_exists(entry.path().join(MANIFEST)).await?, id });
        }
    }
    Ok(found)
}

/// Writes beside the name, brings it to the disk and puts it in its place.
async fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).await?;
    let beside = path.with_extension("part");
    let written = async {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // Only the server's own user reads what is in it.
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(&beside).await?;
        file.write_all(bytes).await?;
        file.sync_all().await?;
        fs::rename(&beside, path).await?;
        fs::File::open(folder).await?.sync_all().await
    }
    .await;
    if written.is_err() {
        // What is left of it is in the way of the next try, and takes room.
        let _ = fs::remove_file(&beside).await;
    }
    written
}

async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path).await?.len();
    if length > MOST_OBJECT {
        return Err(io::Error::other(format!("is {length} bytes long, more than any object of a backup")));
    }
    fs::read(path).await
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn what_is_not_named_like_a_backup_is_left_alone() {
        assert!(is_name("20261129T031700Z-0123abcd"));
        for other in [
            "",
            "..",
            "mainstay.json",
            "20261129T031700Z",
            "20261129T031700Z-0123abc",
            "2026-11-29",
            "20261129T0317Z-0123abcd",
        ] {
            assert!(!is_name(other), "{other}");
        }
    }
}
