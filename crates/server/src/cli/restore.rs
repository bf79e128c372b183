//! `mainstay restore`.

use std::path::{Path, PathBuf};

use clap::Args;
use mainstay_domain::{Error, Kind, Secret};
use mainstay_store::Options;

use super::backup::{answer, named, opened, size};
use super::{Answer, open, serve};
use crate::app::{Outside, store_options};
use crate::config::Config;
use crate::ops::backup::{Backups, Installation, Manifest, drill, restore};

#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// Which backup; without it the newest
    #[arg(value_name = "BACKUP")]
    id: Option<String>,
    /// A folder with backups; without it where backup.to says
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// The database to restore into, as sqlite:PATH or postgres://...; without it the one of the settings
    #[arg(long, value_name = "DATABASE")]
    to: Option<String>,
    /// Put the SQLite file that is there aside; without it nothing is replaced
    #[arg(long)]
    replace: bool,
    /// Let jobs go on at once: what was done after the backup was made is done once more, messages included
    #[arg(long)]
    resume_jobs: bool,
    /// Only try: restore into a scratch copy, start a server on it, look for the canary, and throw it away
    #[arg(long, conflicts_with_all = ["to", "replace", "resume_jobs"])]
    verify: bool,
}

pub(super) async fn run(arguments: RestoreArguments, config: Config) -> Result<Answer, Answer> {
    let backups = match &arguments.from {
        Some(folder) => Backups::in_folder(folder, config.backup.encryption_key.clone()),
        None => opened(&config)?,
    };
    let manifest = named(&backups, arguments.id.as_deref()).await?;
    if arguments.verify {
        return verify(&backups, &manifest, config).await;
    }
    let mut target = store_options(&config.database);
    if let Some(to) = &arguments.to {
        target = Options { url: Secret::new(to.clone()), ..Options::new(Secret::new(to.clone())) };
    }
    let path = target.sqlite_path();
    let _lock = path.as_deref().map(serve::lock_database).transpose()?;
    let aside = match &path {
        Some(path) => Aside::put(path, arguments.replace)?,
        None => None,
    };
    let now = Outside::default().clock.now();
    let restored = restore(&backups, &manifest, &target, (now, !arguments.resume_jobs)).await;
    let restored = match restored {
        Ok(restored) => restored,
        Err(fault) => {
            if let Some(aside) = aside {
                aside.put_back();
            }
            return Err(answer(fault));
        }
    };
    let mut text = format!(
        "Backup {} is restored: {} rows, {}, {:.1} s. It is of {}.\n",
        manifest.id,
        manifest.rows,
        size(manifest.bytes),
        restored.took.as_secs_f64(),
        manifest.taken_at()
    );
    if let Some(aside) = aside {
        text.push_str(&format!("What was there before is in {}.\n", aside.to.display()));
    }
    if !manifest.keys.is_empty() {
        let keys = manifest.keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("Servers need key {keys} to open its secrets: put it where keys.directory says.\n"));
    }
    if !arguments.resume_jobs {
        text.push_str(
            "All queues are paused: jobs that were done after that moment would be done once more. Look at `mainstay jobs list`, \
             then let each go on with `mainstay jobs resume`.\n",
        );
    }
    Ok(Answer::good(text))
}

async fn verify(backups: &Backups, manifest: &Manifest, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    let of = Installation::of(&app);
    let drill = drill(&of, backups, manifest).await.map_err(answer)?;
    let seconds = |millis: u64| std::time::Duration::from_millis(millis).as_secs_f64();
    let text = format!(
        "Backup {}: {}.\nRecovery point: {:.0} s of work would be lost now.\nRecovery time: {:.1} s until the copy answered.\n",
        drill.backup,
        drill.detail,
        seconds(drill.recovery_point_ms),
        seconds(drill.recovery_time_ms)
    );
    Ok(Answer { text, code: u8::from(!drill.passed) })
}

/// A database file that was there before.
struct Aside {
    from: PathBuf,
    to: PathBuf,
}

impl Aside {
    /// Puts a file and what belongs to it aside, if it may be.
    fn put(path: &Path, replace: bool) -> Result<Option<Self>, Answer> {
        if !path.metadata().is_ok_and(|facts| facts.len() > 0) {
            return Ok(None);
        }
        if !replace {
            let detail = format!(
                "There is a database in {} already. Name another with --to sqlite:PATH, or put it aside with --replace.",
                path.display()
            );
            return Err(Answer::from(Error::new(Kind::Conflict, "database_exists", detail)));
        }
        let now = Outside::default().clock.now().as_millis();
        let aside = Self { from: path.to_owned(), to: with(path, &format!(".before-{now}")) };
        aside.rename(&aside.from, &aside.to).map_err(|error| {
            let detail = format!("{} cannot be put aside: {error}.", path.display());
            Answer::from(Error::new(Kind::Unavailable, "not_put_aside", detail))
        })?;
        Ok(Some(aside))
    }

    /// The file, then its log: a log without its file is nothing, and a file without its log lacks what was written last.
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        for suffix in ["-wal", "-shm", ""] {
            match std::fs::rename(with(from, suffix), with(to, suffix)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts it back where it was.
    fn put_back(&self) {
        if let Err(error) = self.rename(&self.to, &self.from) {
            tracing::error!(%error, "the database that was there before could not be put back: it is in {}", self.to.display());
        }
    }
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
