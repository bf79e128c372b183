//! `mainstay backup`.

use clap::Subcommand;
use mainstay_domain::Error;

use super::text::columns;
use super::{Answer, open};
use crate::config::Config;
use crate::ops::backup::{Backups, Fault, Installation, Manifest, take, verify};

#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Make a backup now, and delete old ones that it takes the place of
    ///
    /// Servers may run. It goes where backup.to says.
    Make,
    /// List the backups that are there, the last first
    ///
    /// It needs no database.
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Read a backup and look whether every piece is what was stored
    ///
    /// It needs no database. `mainstay restore --verify` also restores it.
    Check {
        /// Which; without it the newest
        #[arg(value_name = "BACKUP")]
        id: Option<String>,
    },
}

pub(super) async fn run(command: BackupCommand, config: Config) -> Result<Answer, Answer> {
    let backups = opened(&config)?;
    match command {
        BackupCommand::Make => {
            let app = open(config).await?;
            let taken = take(&Installation::of(&app), &backups).await.map_err(answer)?;
            let Manifest { id, rows, bytes, .. } = &taken.manifest;
            let mut text = format!(
                "Backup {id} is in {}: {rows} rows, {}, {:.1} s.\n",
                backups.shown,
                size(*bytes),
                taken.took.as_secs_f64()
            );
            if !taken.deleted.is_empty() {
                text.push_str(&format!(
                    "Deleted, because newer ones take their place: {}.\n",
                    taken.deleted.join(", ")
                ));
            }
            if !taken.manifest.keys.is_empty() {
                let keys = taken.manifest.keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                text.push_str(&format!(
                    "It does not have the keys to its secrets: keep a copy of key {keys} in another place.\n"
                ));
            }
            Ok(Answer::good(text))
        }
        BackupCommand::List { json } => list(&backups, json).await,
        BackupCommand::Check { id } => {
            let manifest = named(&backups, id.as_deref()).await?;
            let pieces = verify(&backups, &manifest).await.map_err(answer)?;
            Ok(Answer::good(format!("Backup {} is whole: {pieces} pieces, {}.\n", manifest.id, size(manifest.bytes))))
        }
    }
}

/// The backups of the settings.
pub(super) fn opened(config: &Config) -> Result<Backups, Answer> {
    Backups::open(&config.backup).map_err(answer)
}

/// The description of the backup that is named, or of the newest.
pub(super) async fn named(backups: &Backups, id: Option<&str>) -> Result<Manifest, Answer> {
    match id {
        Some(id) => backups.manifest(id).await.map_err(answer),
        None => backups.newest().await.map_err(answer),
    }
}

/// What a fault says, and that the command failed.
pub(super) fn answer(fault: Fault) -> Answer {
    Answer::from(Error::from(fault))
}

async fn list(backups: &Backups, json: bool) -> Result<Answer, Answer> {
    let (mut rows, mut manifests) = (Vec::new(), Vec::new());
    for backup in backups.list().await.map_err(answer)?.into_iter().rev() {
        if !backup.whole {
            rows.push([backup.id, String::new(), String::new(), String::new(), "not finished".to_owned()]);
            continue;
        }
        match backups.manifest(&backup.id).await {
            Ok(manifest) => {
                let state = if manifest.salt.is_some() { "encrypted" } else { "" };
                let row = [
                    manifest.taken_at().to_string(),
                    manifest.rows.to_string(),
                    size(manifest.bytes),
                    state.to_owned(),
                ];
                let [taken, count, bytes, state] = row;
                rows.push([backup.id, taken, count, bytes, state]);
                manifests.push(manifest);
            }
            Err(fault) => rows.push([backup.id, String::new(), String::new(), String::new(), fault.to_string()]),
        }
    }
    if json {
        return super::text::as_json(&manifests);
    }
    if rows.is_empty() {
        return Ok(Answer::good(format!(
            "There is no backup in {}. `mainstay backup make` makes one.\n",
            backups.shown
        )));
    }
    Ok(Answer::good(columns(["backup", "taken at", "rows", "size", ""], rows)))
}

/// A size as people say it.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut kib = bytes.div_ceil(1024);
    while kib >= 10_240 && unit + 1 < UNITS.len() {
        kib = kib.div_ceil(1024);
        unit += 1;
    }
    format!("{kib} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short() {
        assert_eq!(["1 KiB", "10 MiB", "15 GiB"].map(str::to_owned), [size(1), size(10 << 20), size(15 << 30)]);
    }
}
