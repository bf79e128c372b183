//! The keys that this process has: files of a folder, or the setting `keys.ring`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mainstay_domain::{Entropy, Error, KeyVersion, Kind, Result, Secret, from_hexadecimal, hexadecimal};
use tokio::fs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::derive::KEY_BYTES;
use super::envelope::Key;
use crate::config::Config;

/// The most keys of a process.
const MOST_KEYS: usize = 64;
/// The most names of a folder that are looked at.
const MOST_NAMES: usize = 1_000;
/// The most bytes of a key's file.
const MOST_BYTES: u64 = 256;
/// What the names of the files begin with.
const NAME: &str = "key-";

/// A key with what tells it apart.
pub(super) struct Held {
    pub(super) key: Key,
    pub(super) check: String,
}

/// The keys of a process, by their number.
pub(super) type Keyring = BTreeMap<KeyVersion, Arc<Held>>;

/// Where keys come from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) folder: Option<PathBuf>,
    ring: Secret,
}

/// Whether a text is a list of keys.
///
/// # Errors
/// Says what is wrong, without any of it.
pub fn check_ring(ring: &Secret) -> Result<(), String> {
    parse(ring).map(|_| ())
}

fn parse(ring: &Secret) -> Result<Keyring, String> {
    let mut keys = Keyring::new();
    for (place, part) in ring.expose().split([' ', ',', '\n', '\r', '\t']).filter(|part| !part.is_empty()).enumerate() {
        let wrong = || format!("has something at place {} that is no key", place + 1);
        let (number, digits) = part.split_once(':').ok_or_else(wrong)?;
        let version: KeyVersion = number.parse().map_err(|_| wrong())?;
        let held = held(digits).ok_or_else(wrong)?;
        if keys.insert(version, held).is_some() {
            return Err(format!("has two keys with the number {version}"));
        }
    }
    if keys.len() > MOST_KEYS { Err(format!("has more than {MOST_KEYS} keys")) } else { Ok(keys) }
}

/// Reads a key of 64 hexadecimal digits; nothing when it is something else, or all of its bytes are the same: a placeholder.
fn held(digits: &str) -> Option<Arc<Held>> {
    let bytes: [u8; KEY_BYTES] = from_hexadecimal(digits.trim())?;
    if bytes.iter().all(|byte| *byte == bytes[0]) {
        return None;
    }
    let key = Key::new(bytes);
    let check = key.check_value().ok()?;
    Some(Arc::new(Held { key, check }))
}

/// A new key, as it is written.
pub(super) fn generate(entropy: &dyn Entropy) -> Secret {
    let mut bytes = [0; KEY_BYTES];
    entropy.fill(&mut bytes);
    Secret::new(hexadecimal(&bytes))
}

/// What follows from a key that was made.
pub(super) fn check_of(written: &Secret) -> Result<String> {
    held(written.expose()).map(|held| held.check.clone()).ok_or_else(|| Error::internal("a new key cannot be read"))
}

fn unreadable(what: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, "keys_unreadable", what)
}

impl Source {
    pub(super) fn of(config: &Config) -> Self {
        Self { folder: config.keys.folder(&config.database), ring: config.keys.ring.clone() }
    }

    /// Where a missing key belongs, in words.
    pub(super) fn place(&self, version: KeyVersion) -> String {
        match &self.folder {
            Some(folder) => format!("the file {}", folder.join(name(version)).display()),
            None => "keys.ring".to_owned(),
        }
    }

    /// Reads all keys.
    pub(super) async fn read(&self) -> Result<Keyring> {
        let mut keys = parse(&self.ring).map_err(|reason| unreadable(format!("keys.ring {reason}.")))?;
        let Some(folder) = &self.folder else { return Ok(keys) };
        for version in listed(folder).await? {
            let path = folder.join(name(version));
            let held = read(&path).await?;
            if keys.insert(version, Arc::clone(&held)).is_some_and(|other| other.check != held.check) {
                return Err(unreadable(format!("Key {version} of keys.ring is another than {}.", path.display())));
            }
        }
        Ok(keys)
    }

    /// Puts a new key into the folder. False when one with its number is there.
    pub(super) async fn write(&self, version: KeyVersion, key: &Secret) -> Result<bool> {
        let Some(folder) = &self.folder else {
            let detail = "The keys come from keys.ring here, which no program changes. Print a key with `mainstay keys add --print`, \
                          and put it there on every node.";
            return Err(Error::new(Kind::Conflict, "keys_from_setting", detail));
        };
        let path = folder.join(name(version));
        let failed = |error: std::io::Error| {
            unreadable(format!(
                "The key {} cannot be written: {error}. Let this process write into its folder, or name another with \
                 keys.directory.",
                path.display()
            ))
        };
        make_folder(folder).await.map_err(failed)?;
        // Whole or not at all, and never over one that is there: a second name for a file that is complete.
        let draft = folder.join(format!(".{}.{}", name(version), std::process::id()));
        let written = async {
            write_whole(&draft, key).await?;
            match fs::hard_link(&draft, &path).await {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        };
        let written = written.await;
        // A draft that stays is overwritten by the next.
        let _ = fs::remove_file(&draft).await;
        if matches!(written, Ok(true)) {
            sync(folder).await.map_err(failed)?;
        }
        written.map_err(failed)
    }

    /// Takes back a key that was just made, and that another process made too.
    pub(super) async fn remove(&self, version: KeyVersion) {
        if let Some(folder) = &self.folder {
            // What stays is reported by the next look.
            let _ = fs::remove_file(folder.join(name(version))).await;
        }
    }
}

fn name(version: KeyVersion) -> String {
    format!("{NAME}{version}")
}

/// The keys of a folder. A folder that is not there has none.
async fn listed(folder: &Path) -> Result<Vec<KeyVersion>> {
    let failed = |error: std::io::Error| {
        unreadable(format!("The folder {} with the keys cannot be read: {error}.", folder.display()))
    };
    let mut names = match fs::read_dir(folder).await {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut versions = Vec::new();
    for _ in 0..MOST_NAMES {
        let Some(entry) = names.next_entry().await.map_err(failed)? else { break };
        let version = entry.file_name().to_str().and_then(|text| text.strip_prefix(NAME)?.parse().ok());
        versions.extend(version.filter(|version: &KeyVersion| entry.file_name().to_str() == Some(&name(*version))));
        if versions.len() > MOST_KEYS {
            let detail = format!(
                "The folder {} has more than {MOST_KEYS} keys. Remove those that are retired.",
                folder.display()
            );
            return Err(unreadable(detail));
        }
    }
    Ok(versions)
}

async fn read(path: &Path) -> Result<Arc<Held>> {
    let failed = |reason: &str| unreadable(format!("The key {} {reason}.", path.display()));
    let mut text = String::new();
    let file = fs::File::open(path).await.map_err(|error| failed(&format!("cannot be read: {error}")))?;
    let read = file.take(MOST_BYTES).read_to_string(&mut text).await;
    read.map_err(|error| failed(&format!("cannot be read: {error}")))?;
    held(&text).ok_or_else(|| failed("is not 64 hexadecimal digits, or all of its bytes are the same"))
}

async fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(folder).await
}

async fn write_whole(path: &Path, key: &Secret) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(path).await?;
    file.write_all(format!("{}\n", key.expose()).as_bytes()).await?;
    file.sync_all().await
}

/// The name of a new file is on the disk too.
async fn sync(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::SystemEntropy;

    fn version(number: u32) -> KeyVersion {
        KeyVersion::new(number).expect("a number")
    }

    fn source(folder: &Path, ring: &str) -> Source {
        Source { folder: Some(folder.join("deep/keys")), ring: Secret::new(ring.to_owned()) }
    }

    #[tokio::test]
    async fn a_key_is_written_once_and_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = source(folder.path(), "");
        assert!(source.read().await.expect("nothing is there").is_empty());
        let (one, two) = (generate(&SystemEntropy), generate(&SystemEntropy));
        assert!(source.write(version(1), &one).await.expect("written"));
        assert!(!source.write(version(1), &two).await.expect("tried"), "what is there stays");
        let read = source.read().await.expect("read");
        assert_eq!(read.len(), 1);
        assert_eq!(read[&version(1)].check, check_of(&one).expect("made"));
        let keys = folder.path().join("deep/keys");
        let names: Vec<_> = std::fs::read_dir(&keys).expect("there").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["key-1"], "no draft stays");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
            assert_eq!((mode(&keys), mode(&keys.join("key-1"))), (0o700, 0o600));
        }
        // What is no key of ours is left alone; what says that it is one and is not is said.
        for (name, text) in [("key-x", "?"), ("key-01", "?"), ("notes.txt", "?")] {
            std::fs::write(keys.join(name), text).expect("written");
        }
        assert_eq!(source.read().await.expect("read").len(), 1);
        std::fs::write(keys.join("key-2"), "00".repeat(32)).expect("written");
        let refused = source.read().await.err().expect("a placeholder");
        assert!(refused.detail.contains("key-2") && !refused.detail.contains("0000"), "{refused:?}");
        source.remove(version(2)).await;
        assert_eq!(source.read().await.expect("read").len(), 1);
    }

    #[tokio::test]
    async fn keys_of_the_setting_and_of_the_folder_must_agree() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (generate(&SystemEntropy), generate(&SystemEntropy));
        let both = source(folder.path(), &format!("1:{} 2:{}\n", one.expose(), two.expose()));
        assert_eq!(both.read().await.expect("read").len(), 2);
        both.write(version(1), &one).await.expect("written");
        assert_eq!(both.read().await.expect("the same twice").len(), 2);
        let other = source(folder.path(), &format!("1:{}", two.expose()));
        let refused = other.read().await.err().expect("they differ");
        assert!(refused.detail.contains("Key 1") && !refused.detail.contains(two.expose()), "{refused:?}");
    }

    #[test]
    fn a_ring_that_is_none_is_refused_without_showing_it() {
        let key = generate(&SystemEntropy);
        let good = format!("1:{}", key.expose());
        assert_eq!(check_ring(&Secret::new(good.clone())), Ok(()));
        for bad in ["x", "1:", "1:abcd", &format!("0:{}", key.expose()), key.expose(), &format!("{good} {good}")] {
            let reason = check_ring(&Secret::new(bad.to_owned())).expect_err(bad);
            assert!(!reason.contains(key.expose()), "{reason}");
        }
    }
}
