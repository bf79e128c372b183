//! A drill: the newest backup is restored into a scratch copy, a server is started on it, and it has to have the canary.

use std::path::PathBuf;
use std::time::Duration;

use mainstay_domain::Secret;
use mainstay_store::{Drill, Options, RecordDrill, Restoration};
use tokio::time::Instant;

use super::boot::boot;
use super::place::Backups;
use super::restore::restore;
use super::take::{DRILL_FOLDER, Installation};
use super::{Fault, Manifest};
use crate::app::store_options;

/// What the names of scratch databases begin with.
const DRILL_DATABASE: &str = "mainstay_drill_";

/// A place for a copy that is thrown away.
enum Scratch {
    Folder(PathBuf),
    Database(String),
}

impl Scratch {
    async fn make(of: &Installation, name: &str) -> Result<(Self, Options), Fault> {
        let here = store_options(&of.config.database);
        if here.sqlite_path().is_some() {
            let folder = of.scratch_folder().join(format!("{DRILL_FOLDER}{name}"));
            let url = Secret::new(format!("sqlite:{}", folder.join("copy.db").display()));
            return Ok((Self::Folder(folder), Options { url, ..here }));
        }
        let database = format!("{DRILL_DATABASE}{}", name.replace('-', "_").to_lowercase());
        Restoration::make_scratch(&here, &database).await?;
        let url = in_database(&here.url, &database)?;
        Ok((
            Self::Database(database),
            Options { url, app_url: Secret::default(), system_url: Secret::default(), ..here },
        ))
    }

    async fn throw_away(self, of: &Installation) {
        let thrown = match self {
            Self::Folder(folder) => tokio::fs::remove_dir_all(&folder).await.map_err(|error| error.to_string()),
            Self::Database(name) => {
                let dropped = Restoration::drop_scratch(&store_options(&of.config.database), &name).await;
                dropped.map_err(|error| error.to_string())
            }
        };
        if let Err(error) = thrown {
            tracing::warn!(error, "the scratch copy of a drill could not be thrown away");
        }
    }
}

/// The same address with another database.
fn in_database(url: &Secret, database: &str) -> Result<Secret, Fault> {
    let mut url: url::Url =
        url.expose().parse().map_err(|error| Fault::Bug(format!("database.url is not a URL: {error}")))?;
    url.set_path(database);
    Ok(Secret::new(url.to_string()))
}

/// Restores a backup for trial, and remembers how that went. The answer says how much would have been lost and how long it took;
/// what went wrong is in it, too.
///
/// # Errors
/// When it cannot be remembered.
pub async fn drill(of: &Installation, backups: &Backups, manifest: &Manifest) -> Result<Drill, Fault> {
    let (now, begun) = (of.clock.now(), Instant::now());
    let id = of.name(now);
    let tried = rehearse(of, backups, manifest, &id).await;
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let drill = Drill {
        at: now,
        backup: manifest.id.clone(),
        passed: tried.is_ok(),
        recovery_point_ms: millis(now.since(manifest.taken_at())),
        recovery_time_ms: millis(begun.elapsed()),
        detail: tried.unwrap_or_else(|fault| fault.to_string()),
        id,
    };
    of.store.run(&of.call(), RecordDrill(drill.clone())).await?;
    Ok(drill)
}

/// Throws away scratch copies of drills that were killed a day ago or more.
async fn sweep_databases(of: &Installation) {
    let here = store_options(&of.config.database);
    let left = match Restoration::scratches(&here, DRILL_DATABASE).await {
        Ok(left) => left,
        Err(error) => return tracing::warn!(%error, "it is not known which scratch databases of drills are left"),
    };
    for name in left {
        let id = name.trim_start_matches(DRILL_DATABASE).to_uppercase().replace('_', "-");
        if of.is_left_behind(&id)
            && let Err(error) = Restoration::drop_scratch(&here, &name).await
        {
            tracing::warn!(%error, name, "a scratch database of a drill that was killed could not be dropped");
        }
    }
}

async fn rehearse(of: &Installation, backups: &Backups, manifest: &Manifest, id: &str) -> Result<String, Fault> {
    of.sweep_scratch_files();
    sweep_databases(of).await;
    let (scratch, target) = Scratch::make(of, id).await?;
    let tried = async {
        let restored = restore(backups, manifest, &target, (of.clock.now(), true)).await?;
        let said = boot(&of.config, &target.url, of.program.as_deref()).await?;
        if !Restoration::has_canary(&target, &restored.mark).await? {
            return Err(Fault::Boot("the canary was gone after the start".to_owned()));
        }
        let took = restored.took.as_secs_f64();
        Ok(format!("{} rows restored in {took:.1} s; {said}; the canary is there", manifest.rows))
    };
    let tried = tried.await;
    scratch.throw_away(of).await;
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_database_is_on_the_same_server() {
        let url = Secret::new("postgres://owner:p%40ss@db.example.com:5433/live?sslmode=require".to_owned());
        let scratch = in_database(&url, "mainstay_drill_x").expect("an address");
        assert_eq!(scratch.expose(), "postgres://owner:p%40ss@db.example.com:5433/mainstay_drill_x?sslmode=require");
    }
}
