//! The database can be brought back.

use std::time::Duration;

use mainstay_store::{Drill, LastGood};

use super::{Looked, checks, days};
use crate::app::store_options;
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::Subject;
use crate::ops::backup::{self, Backups, Fault, Installation, tells_damage};

checks! { Data:
    "data.backup" Critical Passive Server newest,
    "There is a backup of yesterday at the latest.",
    "the newest backup that is whole is younger than 26 hours",
    "Set backup.to to a folder on another disk or to a bucket, and see that a server works on jobs; `mainstay backup make` makes one now.";
    "data.backup_there" Critical Passive Server there,
    "The newest backup is where it was put.",
    "its manifest and its first piece are there and are what was stored",
    "Make a new one with `mainstay backup make`, and find out who or what touches backup.to.";
    "data.backup_apart" High Passive Server apart,
    "What destroys the database's disk leaves the backups alone.",
    "backups are in a bucket, or in a folder on another file system than the database",
    "Set backup.to to a folder on another disk or to a bucket.";
    "data.restore_drill" High Passive Server drilled,
    "It is known that a backup can be restored, and how long that takes.",
    "one was restored for trial within the last 35 days",
    "Run `mainstay restore --verify`, and leave backup.drill_schedule set.", within OLDEST_DRILL;
    "data.restore" Critical Drill Laptop restored,
    "The newest backup can be restored now.",
    "it is restored into a scratch copy, a server starts on it, and what was written before the backup is in it",
    "What it says is wrong: mend that, make a new backup with `mainstay backup make`, and try again with `mainstay restore --verify`.";
    "data.damage" Critical Drill Laptop damage,
    "A damaged backup is refused.",
    "of a piece of the newest backup a truncated, a changed and a missing copy are refused",
    "Do not trust these backups: use another version of the program.";
}

const NONE: &str = "no backups are made: backup.to is not set";

/// What a check answers with that could not look at the backups.
fn unseen(fault: &Fault) -> Seen {
    match fault {
        Fault::NoPlace => Seen::fail(NONE),
        Fault::Place { .. } | Fault::Store(_) | Fault::Bug(_) => Seen::unknown(fault.to_string()),
        _ => Seen::fail(fault.to_string()),
    }
}

fn backups(subject: &Subject) -> Result<Backups, Seen> {
    Backups::open(&subject.app.config.backup).map_err(|fault| unseen(&fault))
}

/// How old the newest backup may be: a day, and two hours in which the next one is made.
pub(in crate::ops) const OLDEST_BACKUP: Duration = Duration::from_secs(26 * 3_600);
/// How long ago one may have been restored for trial: a month, and some days.
pub(in crate::ops) const OLDEST_DRILL: Duration = days(35);

async fn newest(subject: &Subject) -> Looked {
    backups(subject)?;
    let (last, _) = subject.app.store.run(&subject.call(), LastGood).await?;
    let Some(last) = last else { return Ok(Seen::fail("none was made yet")) };
    let age = subject.app.clock.now().since(last.started_at);
    let measured = format!("{:.1} hours old, {} rows", age.as_secs_f64() / 3_600.0, last.rows);
    Ok(Seen::told(age < OLDEST_BACKUP, measured).by(format!("backup {}", last.id)))
}

async fn there(subject: &Subject) -> Looked {
    let backups = backups(subject)?;
    let manifest = backups.newest().await.map_err(|fault| unseen(&fault))?;
    backup::verify_first(&backups, &manifest).await.map_err(|fault| unseen(&fault))?;
    let pieces = manifest.parts.iter().map(|part| part.pieces.len()).sum::<usize>();
    Ok(Seen::pass(format!("{pieces} pieces, {} bytes", manifest.bytes)).by(format!("backup {}", manifest.id)))
}

async fn apart(subject: &Subject) -> Looked {
    let backups = backups(subject)?;
    let Some(folder) = backups.folder() else { return Ok(Seen::pass("in a bucket")) };
    let Some(file) = store_options(&subject.app.config.database).sqlite_path() else {
        return Ok(Seen::pass("the database is in PostgreSQL, and the backups are in a folder of this machine")
            .by(folder.display().to_string()));
    };
    let on = |path: &std::path::Path| {
        let facts = rustix::fs::stat(path);
        facts
            .map(|facts| facts.st_dev)
            .map_err(|error| Seen::unknown(format!("{} cannot be looked at: {error}", path.display())))
    };
    let same = on(folder)? == on(&file)?;
    Ok(Seen::told(!same, if same { "on the disk of the database" } else { "on another file system" })
        .by(folder.display().to_string()))
}

/// What a restore for trial has shown.
fn measured(drill: &Drill) -> String {
    let seconds = |millis| Duration::from_millis(millis).as_secs_f64();
    let (point, time) = (seconds(drill.recovery_point_ms), seconds(drill.recovery_time_ms));
    format!("recovery point {point:.0} s, recovery time {time:.1} s")
}

async fn drilled(subject: &Subject) -> Looked {
    let (_, drill) = subject.app.store.run(&subject.call(), LastGood).await?;
    let Some(drill) = drill else { return Ok(Seen::fail("no backup was ever restored for trial")) };
    let age = subject.app.clock.now().since(drill.at);
    Ok(Seen::told(age < OLDEST_DRILL, measured(&drill))
        .by(format!("backup {}: {}", drill.backup, drill.detail))
        .aged(age))
}

async fn restored(subject: &Subject) -> Looked {
    let backups = backups(subject)?;
    let manifest = backups.newest().await.map_err(|fault| unseen(&fault))?;
    let drill = backup::drill(&Installation::of(&subject.app), &backups, &manifest).await;
    let drill = drill.map_err(|fault| unseen(&fault))?;
    Ok(Seen::told(drill.passed, measured(&drill)).by(format!("backup {}: {}", drill.backup, drill.detail)))
}

async fn damage(subject: &Subject) -> Looked {
    let backups = backups(subject)?;
    let manifest = backups.newest().await.map_err(|fault| unseen(&fault))?;
    let passed = tells_damage(&backups, &manifest).await.map_err(|fault| unseen(&fault))?;
    let measured = if passed.is_empty() {
        "all three are refused".to_owned()
    } else {
        format!("{} went through", passed.join(", "))
    };
    Ok(Seen::told(passed.is_empty(), measured).by(format!("backup {}", manifest.id)))
}
