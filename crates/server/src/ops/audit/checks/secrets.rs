//! Secrets are kept where few can get at them, and changed now and then.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_domain::KeyState;
use mainstay_store::ListKeys;

use super::{Looked, checks, days, some};
use crate::app::store_options;
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::Subject;

checks! { Security:
    "security.keys_apart" High Passive Server keys_apart,
    "Whoever has the data does not have the keys to its secrets.",
    "the keys are given by keys.ring, or lie in a folder that is not beside the database",
    "Move the folder of the keys away from the database, and from what is backed up with it, and name it with keys.directory.";
    "security.key_age" Medium Passive Laptop key_age,
    "The keys to secrets are changed now and then.",
    "the key that is sealed with is younger than 400 days",
    "Make a new one with `mainstay keys add`, and change to it with `mainstay keys rotate`.";
    "security.passwords" High Passive Laptop passwords,
    "Stolen hashes of passwords are of little use.",
    "Argon2id with at least 19 MiB and 2 passes, or work that is as much",
    "Raise auth.password_memory_kib to 19456 and auth.password_passes to 2.";
    "security.secret_files" High Passive Laptop secret_files,
    "Files with secrets and data can be read by the server alone.",
    "no permission for others on the database file and on the files that settings name",
    "chmod o-rwx the files, and better 600.";
    "security.backup_encrypted" High Passive Server backup_encrypted,
    "Whoever gets hold of a backup cannot read it.",
    "backup.encryption_key is set",
    "Set backup.encryption_key_file to a file with what `openssl rand -hex 32` prints, and keep a copy of it where the backups are not.";
}

async fn keys_apart(subject: &Subject) -> Looked {
    let config = &subject.app.config;
    let database = store_options(&config.database).sqlite_path();
    Ok(judge_place(config.keys.folder(&config.database).as_deref(), database.as_deref()))
}

/// The folder of the keys, and the file of the database where there is one on this machine.
fn judge_place(keys: Option<&Path>, database: Option<&Path>) -> Seen {
    let Some(keys) = keys else { return Seen::pass("given by keys.ring") };
    let with =
        database.and_then(Path::parent).is_some_and(|folder| keys.starts_with(folder) || folder.starts_with(keys));
    let measured = format!("in {}{}", keys.display(), if with { ", beside the database" } else { "" });
    Seen::told(!with, measured)
}

/// How long a key is sealed with at most: a year, and a month to think of it.
const LONGEST_KEY: Duration = days(400);

async fn key_age(subject: &Subject) -> Looked {
    let keys = subject.app.store.run(&subject.call(), ListKeys).await?;
    let active = keys.into_iter().find(|key| key.state == KeyState::Active);
    let Some(active) = active else { return Ok(Seen::fail("no key is sealed with")) };
    let age = subject.app.clock.now().since(active.created_at);
    Ok(judge_age(age).by(format!("key {}", active.version)))
}

fn judge_age(age: Duration) -> Seen {
    Seen::told(age < LONGEST_KEY, format!("{} days old", age.as_secs() / 86_400))
}

/// Memory in KiB times passes of the weakest pair that is recommended (OWASP Password Storage Cheat Sheet).
const LEAST_WORK: u64 = 19_456 * 2;

async fn passwords(subject: &Subject) -> Looked {
    let auth = &subject.app.config.auth;
    let work = u64::from(auth.password_memory_kib) * u64::from(auth.password_passes);
    let measured = format!("{} KiB, {} passes", auth.password_memory_kib, auth.password_passes);
    Ok(Seen::told(work >= LEAST_WORK && auth.password_memory_kib >= 7_168, measured))
}

async fn backup_encrypted(subject: &Subject) -> Looked {
    let settings = &subject.app.config.backup;
    if settings.place().is_none() {
        return Ok(Seen::not_applicable("no backups are made: that is a check of its own"));
    }
    let set = !settings.encryption_key.is_empty();
    Ok(Seen::told(set, if set { "set" } else { "backups are not encrypted" }))
}

/// The files of keys that this machine has.
fn key_files(subject: &Subject) -> Vec<PathBuf> {
    let folder = subject.app.keys.folder().map(std::fs::read_dir);
    let entries = folder.and_then(Result::ok).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

#[cfg(unix)]
async fn secret_files(subject: &Subject) -> Looked {
    use std::os::unix::fs::PermissionsExt as _;
    let config = &subject.app.config;
    let named = [&config.auth.signing_key_file, &config.database.url_file, &config.redis.url_file];
    let named =
        named.into_iter().chain([&config.providers.anthropic.api_key_file, &config.providers.openai.api_key_file]);
    let named = named.chain([&config.backup.encryption_key_file, &config.backup.s3_secret_key_file]);
    let files: Vec<PathBuf> = named
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .chain(store_options(&config.database).sqlite_path())
        .chain(key_files(subject))
        .collect();
    if files.is_empty() {
        return Ok(Seen::not_applicable(
            "the settings name no file with secrets, and the data is in no file of this machine",
        ));
    }
    let mut open = Vec::new();
    for file in &files {
        let facts = std::fs::metadata(file);
        let facts = facts.map_err(|error| Seen::unknown(format!("{} cannot be looked at: {error}", file.display())))?;
        let mode = facts.permissions().mode() & 0o777;
        if mode & 0o007 != 0 {
            open.push(format!("{} has the mode {mode:03o}", file.display()));
        }
    }
    Ok(Seen::told(open.is_empty(), format!("{} of {} files open to others", open.len(), files.len())).by(some(&open)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::audit::check::Verdict::{Fail, Pass};

    #[test]
    fn keys_beside_the_data_are_a_failure() {
        let of = |keys: Option<&str>, database: Option<&str>| {
            judge_place(keys.map(Path::new), database.map(Path::new)).verdict
        };
        assert_eq!(of(Some("data/keys"), Some("data/mainstay.db")), Fail);
        assert_eq!(of(Some("/srv/keys"), Some("/srv/keys/data/mainstay.db")), Fail);
        assert_eq!(of(Some("/etc/mainstay/keys"), Some("data/mainstay.db")), Pass);
        assert_eq!((of(None, Some("data/mainstay.db")), of(Some("data/keys"), None)), (Pass, Pass));
    }

    #[test]
    fn an_old_key_is_a_failure() {
        assert_eq!((judge_age(days(399)).verdict, judge_age(days(400)).verdict), (Pass, Fail));
    }
}
