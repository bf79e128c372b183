//! The section `[backup]`.

use std::path::PathBuf;

use mainstay_domain::{Schedule, Secret, from_hexadecimal};
use serde::{Deserialize, Serialize};

use super::schema::Bound;
use super::{Database, Fault, Warning};

pub(super) const BOUNDS: &[Bound] =
    &[("backup.keep_all_hours", 1, 8_760), ("backup.keep_daily_days", 0, 3_650), ("backup.keep_weekly_weeks", 0, 520)];

/// Backups of the whole database, and drills.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Backup {
    /// Where backups are kept: a folder, or `s3://bucket/prefix`. Empty: none are made.
    pub to: String,
    /// When a backup is made, as a crontab line in UTC.
    pub schedule: String,
    /// For how many hours every backup is kept.
    pub keep_all_hours: u64,
    /// For how many days one backup of each day is kept.
    pub keep_daily_days: u64,
    /// For how many weeks one backup of each week is kept.
    pub keep_weekly_weeks: u64,
    /// The key that backups are encrypted with.
    pub encryption_key: Secret,
    /// A file that holds that key.
    pub encryption_key_file: String,
    /// When a backup is restored for trial, as a crontab line in UTC. Empty: never by itself.
    pub drill_schedule: String,
    /// A folder with room for a copy of the database.
    pub scratch: String,
    /// The address of the store that speaks S3.
    pub s3_endpoint: String,
    /// Its region.
    pub s3_region: String,
    /// Who stores there.
    pub s3_access_key: String,
    /// The secret that goes with it.
    pub s3_secret_key: Secret,
    /// A file that holds that secret.
    pub s3_secret_key_file: String,
    /// Whether the bucket is named in the path.
    pub s3_path_style: bool,
}

/// Where backups are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupPlace {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket, under a prefix that is empty or ends with a slash.
    Bucket {
        /// Its name.
        bucket: String,
        /// What the names of all objects begin with.
        prefix: String,
    },
}

impl BackupPlace {
    /// Reads `to`; nothing when it is empty.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn parse(to: &str) -> Result<Option<Self>, &'static str> {
        if to.is_empty() {
            return Ok(None);
        }
        let Some(rest) = to.strip_prefix("s3://") else {
            return if to.contains("://") {
                Err("is neither a folder nor s3://BUCKET/PREFIX")
            } else {
                Ok(Some(Self::Folder(to.into())))
            };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte));
        if bucket.len() < 3 || !plain(bucket) || !plain(prefix) || prefix.contains("..") {
            return Err("is not s3://BUCKET/PREFIX with letters, digits, '-', '_' and '.'");
        }
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Some(Self::Bucket { bucket: bucket.to_owned(), prefix }))
    }
}

impl Backup {
    /// Where backups are kept; nothing when none are made.
    #[must_use]
    pub fn place(&self) -> Option<BackupPlace> {
        BackupPlace::parse(&self.to).ok().flatten()
    }

    /// When backups are made.
    #[must_use]
    pub fn schedule(&self) -> Option<Schedule> {
        Schedule::parse(&self.schedule, "UTC").ok()
    }

    /// When one is restored for trial.
    #[must_use]
    pub fn drill_schedule(&self) -> Option<Schedule> {
        if self.drill_schedule.is_empty() { None } else { Schedule::parse(&self.drill_schedule, "UTC").ok() }
    }

    /// The folder for scratch copies: the one that is named, else that of the database's file, else the system's own.
    #[must_use]
    pub fn scratch_folder(&self, database: &Database) -> PathBuf {
        if !self.scratch.is_empty() {
            return self.scratch.clone().into();
        }
        database.folder().unwrap_or_else(std::env::temp_dir)
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        let place = BackupPlace::parse(&self.to);
        if let Err(reason) = place {
            faults.push(Fault::new(
                "backup.to",
                reason,
                "Name a folder (/mnt/backups/mainstay) or a bucket (s3://bucket/mainstay)",
            ));
        }
        for (key, text) in [("backup.schedule", &self.schedule), ("backup.drill_schedule", &self.drill_schedule)] {
            let optional = key == "backup.drill_schedule" && text.is_empty();
            if let (false, Err(refused)) = (optional, Schedule::parse(text, "UTC")) {
                faults.push(Fault::new(key, refused.detail, "Write five fields as in a crontab: 17 3 * * *"));
            }
        }
        let key = self.encryption_key.expose();
        if !key.is_empty() && from_hexadecimal::<32>(key).is_none() {
            let cure = "Write 64 hexadecimal digits; `openssl rand -hex 32` makes such a key";
            faults.push(Fault::new("backup.encryption_key", "is not 64 hexadecimal digits", cure));
        }
        if matches!(place, Ok(Some(BackupPlace::Bucket { .. }))) {
            let url = url::Url::parse(&self.s3_endpoint).ok();
            if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                let cure = "Write the address of the store with https:// and no path";
                faults.push(Fault::new(
                    "backup.s3_endpoint",
                    "is not an http or https address, and backup.to names a bucket",
                    cure,
                ));
            }
            if self.s3_access_key.is_empty() || self.s3_secret_key.is_empty() {
                let cure = "Set it and backup.s3_secret_key (or backup.s3_secret_key_file)";
                faults.push(Fault::new(
                    "backup.s3_access_key",
                    "is not set with its secret, and backup.to names a bucket",
                    cure,
                ));
            }
        }
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if matches!(self.place(), Some(BackupPlace::Bucket { .. })) && self.encryption_key.is_empty() {
            let reason = "is not set: whoever can read the bucket can read all conversations";
            warnings.push(Fault::new(
                "backup.encryption_key",
                reason,
                "Set it to what `openssl rand -hex 32` prints, and keep a copy elsewhere",
            ));
        }
        if self.s3_endpoint.starts_with("http://") && !self.s3_endpoint.contains("127.0.0.1") && !self.to.is_empty() {
            warnings.push(Fault::new(
                "backup.s3_endpoint",
                "is not https: backups travel in the clear",
                "Write https://",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let bucket = |bucket: &str, prefix: &str| {
            Ok(Some(BackupPlace::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() }))
        };
        assert_eq!(BackupPlace::parse(""), Ok(None));
        assert_eq!(BackupPlace::parse("/mnt/b"), Ok(Some(BackupPlace::Folder("/mnt/b".into()))));
        assert_eq!(BackupPlace::parse("s3://backups"), bucket("backups", ""));
        assert_eq!(BackupPlace::parse("s3://backups/a/b/"), bucket("backups", "a/b/"));
        for bad in ["s3://", "s3://x", "https://example.com/b", "s3://backups/../b", "s3://back ups"] {
            assert!(BackupPlace::parse(bad).is_err(), "{bad}");
        }
    }
}
