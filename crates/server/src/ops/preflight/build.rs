//! What a build has passed. It is known by the digest of its file, so that what was tested is what is deployed, and nothing
//! that was built again from the same sources.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use mainstay_domain::Timestamp;

/// The most bytes of a file of evidence.
const MOST_EVIDENCE: u64 = 4 << 20;

/// What builds have passed: a line for each, `DIGEST STAGE MOMENT`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence(BTreeMap<(String, String), Timestamp>);

impl Evidence {
    /// Reads a file; one that is not there has no lines.
    ///
    /// # Errors
    /// When it cannot be read, or a line is none.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = String::new();
        match File::open(path) {
            Ok(file) => drop(file.take(MOST_EVIDENCE).read_to_string(&mut text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Self::parse(&text).map_err(io::Error::other)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut passed = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let words: Vec<_> = line.split_whitespace().collect();
            let [digest, stage, moment] = words[..] else {
                return Err(format!("line {} is not DIGEST STAGE MOMENT", number + 1));
            };
            let moment =
                moment.parse().map_err(|_| format!("line {} has no moment as 2026-11-29T10:00:00Z", number + 1))?;
            passed.insert((digest.to_owned(), stage.to_owned()), moment);
        }
        Ok(Self(passed))
    }

    /// When this build passed this stage; nothing when it did not.
    #[must_use]
    pub fn passed(&self, digest: &str, stage: &str) -> Option<Timestamp> {
        self.0.get(&(digest.to_owned(), stage.to_owned())).copied()
    }

    /// Adds a line to a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(path: &Path, digest: &str, stage: &str, now: Timestamp) -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(path)?;
        file.write_all(format!("{digest} {stage} {now}\n").as_bytes())?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_has_passed_what_is_written_of_its_digest() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("evidence");
        assert_eq!(Evidence::read(&path).expect("none"), Evidence::default());
        let now = Timestamp::from_millis(1_790_000_000_000);
        Evidence::add(&path, "abc", "tests", now).expect("written");
        Evidence::add(&path, "abc", "staging", now).expect("written");
        let evidence = Evidence::read(&path).expect("read");
        assert_eq!((evidence.passed("abc", "tests"), evidence.passed("abd", "tests")), (Some(now), None));
        assert_eq!(evidence.passed("abc", "production"), None);
        assert!(Evidence::parse("abc tests").is_err() && Evidence::parse("abc tests yesterday").is_err());
    }
}
