//! What a backup consists of, as it is written down beside it.

use mainstay_domain::{KeyVersion, Timestamp, hexadecimal};
use mainstay_store::{AppliedMigration, Part};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::cipher::Cipher;
use super::{Fault, MANIFEST};
use mainstay_domain::Secret;

/// The form of this manifest. A program refuses what it does not know.
const FORM: u32 = 1;

/// A backup, part by part and piece by piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this description.
    pub form: u32,
    /// Its name.
    pub id: String,
    /// Which program made it.
    pub version: String,
    /// `sqlite` or `postgresql`.
    pub engine: String,
    /// What was applied to the schema.
    pub schema: Vec<AppliedMigration>,
    /// Everything that was committed before is in it (milliseconds since 1970).
    pub taken_at: i64,
    /// When it was whole.
    pub ended_at: i64,
    /// The digest of the canary (SHA-256, hexadecimal).
    pub canary: String,
    /// Rows in all.
    pub rows: u64,
    /// Bytes in all, as stored.
    pub bytes: u64,
    /// The keys that secrets in it are sealed under: they are not in it.
    pub keys: Vec<KeyVersion>,
    /// The chance that its pieces are encrypted with; nothing when they are not.
    pub salt: Option<String>,
    /// Its parts, in the order in which they are restored.
    pub parts: Vec<PartOf>,
}

/// A part of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOf {
    /// What it is.
    #[serde(flatten)]
    pub part: Part,
    /// How many rows, on PostgreSQL.
    pub rows: u64,
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
}

/// An object of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its name within the backup.
    pub name: String,
    /// Its size as stored.
    pub bytes: u64,
    /// Its digest as stored (SHA-256, hexadecimal).
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Signed<'a> {
    #[serde(borrow)]
    manifest: &'a RawValue,
    sha256: String,
    /// By which whoever has the key of an encrypted backup knows it as their own.
    mark: Option<String>,
}

impl Manifest {
    /// The form of descriptions that are written now.
    pub(super) const fn form() -> u32 {
        FORM
    }

    /// When it was taken.
    #[must_use]
    pub const fn taken_at(&self) -> Timestamp {
        Timestamp::from_millis(self.taken_at)
    }

    /// As it is stored.
    pub(super) fn write(&self, cipher: Option<&Cipher>) -> Result<Vec<u8>, Fault> {
        let bug = |error: serde_json::Error| Fault::Bug(error.to_string());
        let text = serde_json::value::to_raw_value(self).map_err(bug)?;
        let signed = Signed {
            manifest: &text,
            sha256: digest_of(text.get().as_bytes()),
            mark: cipher.map(|cipher| cipher.sign(text.get().as_bytes())).transpose()?,
        };
        serde_json::to_vec(&signed).map_err(bug)
    }

    /// Reads what is stored under a name, and looks that it is what was written there.
    pub(super) fn read(id: &str, bytes: &[u8], key: &Secret) -> Result<Self, Fault> {
        let damaged = |what: String| Fault::Damaged { object: format!("{id}/{MANIFEST}"), what };
        let signed: Signed<'_> =
            serde_json::from_slice(bytes).map_err(|error| damaged(format!("cannot be read ({error})")))?;
        let text = signed.manifest.get();
        if digest_of(text.as_bytes()) != signed.sha256 {
            return Err(damaged("has been changed".to_owned()));
        }
        let manifest: Self =
            serde_json::from_str(text).map_err(|error| damaged(format!("is of a form that is not known ({error})")))?;
        if manifest.form != FORM {
            return Err(damaged(format!("has form {}, and this program knows form {FORM}", manifest.form)));
        }
        if manifest.id != id {
            return Err(damaged(format!("is that of {}", manifest.id)));
        }
        match (&manifest.salt, signed.mark) {
            (None, _) => {}
            // Without a key it can still be listed; its pieces do not open.
            (Some(_), _) if key.is_empty() => {}
            (Some(salt), mark) => {
                if !Cipher::of(key, salt)?.verify(text.as_bytes(), &mark.unwrap_or_default())? {
                    return Err(Fault::Key(
                        "the key that is set is another, or its manifest was written by somebody else",
                    ));
                }
            }
        }
        Ok(manifest)
    }

    /// What its pieces are encrypted with; nothing when they are not.
    pub(super) fn cipher(&self, key: &Secret) -> Result<Option<Cipher>, Fault> {
        self.salt.as_ref().map(|salt| Cipher::of(key, salt)).transpose()
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    hexadecimal(digest(&SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::SystemEntropy;

    fn manifest(cipher: Option<&Cipher>) -> Manifest {
        Manifest {
            form: FORM,
            id: "b1".to_owned(),
            version: "0".to_owned(),
            engine: "sqlite".to_owned(),
            schema: Vec::new(),
            taken_at: 1,
            ended_at: 2,
            canary: "c".to_owned(),
            rows: 3,
            bytes: 4,
            keys: Vec::new(),
            salt: cipher.map(Cipher::salt),
            parts: Vec::new(),
        }
    }

    #[test]
    fn it_is_what_was_written_or_it_is_refused() {
        let key = Secret::new("ab".repeat(32));
        let cipher = Cipher::new(&key, &SystemEntropy).expect("a key");
        let none = Secret::default();
        for (cipher, key) in [(None, &none), (Some(&cipher), &key)] {
            let wanted = manifest(cipher);
            let bytes = wanted.write(cipher).expect("written");
            assert_eq!(Manifest::read("b1", &bytes, key).expect("read"), wanted);
            assert!(matches!(Manifest::read("b2", &bytes, key), Err(Fault::Damaged { .. })), "of another name");
            assert!(matches!(Manifest::read("b1", &bytes[..bytes.len() - 9], key), Err(Fault::Damaged { .. })));
            let changed = String::from_utf8(bytes).expect("text").replace("\"rows\":3", "\"rows\":4");
            assert!(matches!(Manifest::read("b1", changed.as_bytes(), key), Err(Fault::Damaged { .. })));
        }
    }

    #[test]
    fn a_manifest_that_somebody_else_wrote_is_refused() {
        let key = Secret::new("ab".repeat(32));
        let cipher = Cipher::new(&key, &SystemEntropy).expect("a key");
        let bytes = manifest(Some(&cipher)).write(None).expect("written");
        assert!(matches!(Manifest::read("b1", &bytes, &key), Err(Fault::Key(_))));
        let other = Secret::new("cd".repeat(32));
        let bytes = manifest(Some(&cipher)).write(Some(&cipher)).expect("written");
        assert!(matches!(Manifest::read("b1", &bytes, &other), Err(Fault::Key(_))));
        assert!(Manifest::read("b1", &bytes, &Secret::default()).is_ok(), "it can be listed without the key");
    }
}
