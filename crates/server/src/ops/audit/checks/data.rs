//! What was promised is kept, and can be brought back.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_store::{
    FindFaults, FindOverlaps, Leftovers, ListCallKeeping, ListSilentCalls, Migrator, Overlaps, ReadArchive,
    ReadLeftovers, ReadQueues, ReadSettings,
};

use super::{Looked, checks, days, some};
use crate::app::store_options;
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::Subject;

checks! { Data:
    "data.migrations" Critical Passive Laptop migrations,
    "The schema is the one that this program was made for.",
    "all migrations are applied, none has been changed since, and none is unknown",
    "Look at `mainstay migrate status` and apply what is pending with `mainstay migrate up`.";
    "data.durable_commits" Critical Passive Laptop durable_commits,
    "What was acknowledged is on the disk.",
    "SQLite: journal_mode wal, synchronous full. PostgreSQL: fsync, full_page_writes and synchronous_commit are on",
    "On PostgreSQL: ALTER SYSTEM SET fsync = on, full_page_writes = on, synchronous_commit = on, and reload. On SQLite: something else has written to the file; let only Mainstay open it.";
    "data.integrity" Critical Passive Laptop integrity,
    "The database is whole.",
    "SQLite: no fault in any page. PostgreSQL: no index that is not valid",
    "SQLite: stop the server and restore the newest backup. PostgreSQL: REINDEX INDEX CONCURRENTLY what is named.";
    "data.checksums" Medium Passive Server checksums,
    "A bit that has turned over is noticed.",
    "data_checksums is on (PostgreSQL)",
    "Stop PostgreSQL and run pg_checksums --enable.";
    "data.archive" High Passive Cluster archive,
    "The database can be brought back to any moment.",
    "PostgreSQL archives its log, and no attempt fails",
    "Set archive_mode = on and an archive_command of pgbackrest or another tool, and see that it succeeds.";
    "data.dead_jobs" Medium Passive Laptop dead_jobs,
    "Nothing that was promised was given up.",
    "no job in the state dead",
    "Look at them with `mainstay jobs list --state dead`, mend the cause, and begin them anew or cancel them.";
    "data.waiting_jobs" High Passive Laptop waiting_jobs,
    "What was promised is being done.",
    "no job that could run is older than jobs.oldest_seconds, in a queue that is neither paused nor switched off",
    "See that a node works on jobs (jobs.enabled) and look at `mainstay jobs queues`.";
    "data.paused_queues" Low Passive Laptop paused_queues,
    "No queue was paused and forgotten.",
    "no queue is paused",
    "Let it go on with `mainstay jobs resume`, with its name.";
    "data.retention" Medium Passive Laptop retention,
    "What was to be forgotten is forgotten.",
    "no event of the inbox is older than inbox.keep_days and a day, and no ended job is kept a day too long",
    "See that a server runs: it sweeps. Look in its log for 'housekeeping'.";
    "data.no_overlap" Critical Passive Laptop no_overlap,
    "No time of anybody was given twice.",
    "no two appointments of one person overlap, in any organisation; and the schema refuses an overlap",
    "Look at the calendars of whoever is named and move one of the two. Where the guard is missing somebody has changed the schema by hand: restore the constraint appointment_overlap, or the triggers of that name.";
    "data.call_retention" Medium Passive Laptop call_retention,
    "Calls are not kept for longer than their organisations say, and none goes on for ever.",
    "no call is older than its keep_days and a day; no call that goes on has been silent for three hours",
    "See that a server runs: it sweeps. Look in its log for 'housekeeping'.";
    "data.calendars" Medium Passive Laptop calendars,
    "Connected calendars say what the appointments do.",
    "no change is owed to a calendar for more than 15 minutes, and none has failed or waited to be connected again for a day",
    "Look on the page /calendar, in the settings, at what is said of each: connect the account again, or disconnect it.";
}

/// For how long a change may be owed to a calendar.
const OWED: Duration = Duration::from_secs(15 * 60);

async fn calendars(subject: &Subject) -> Looked {
    let states = subject.app.calendars.states(subject.call()).await?;
    let owed = states.owed_since.map_or(Duration::ZERO, |since| subject.app.clock.now().since(since));
    let mut faults = Vec::new();
    for (count, what) in [
        (states.failing, "cannot be asked"),
        (states.unread, "are not read"),
        (states.left_alone, "have to be connected again"),
    ] {
        if count > 0 {
            faults.push(format!("{count} {what} for a day and more"));
        }
    }
    if owed > OWED {
        faults.push(format!("a change is owed for {} s", owed.as_secs()));
    }
    let measured = format!("{} connected, {} to be connected again", states.connected, states.reconnect);
    Ok(Seen::told(faults.is_empty(), measured).by(some(&faults)))
}

async fn migrations(subject: &Subject) -> Looked {
    let options = store_options(&subject.app.config.database);
    let unseen = |error: mainstay_store::Error| match error {
        mainstay_store::Error::Unavailable(_) | mainstay_store::Error::Busy(_) | mainstay_store::Error::Timeout => {
            Seen::from(error)
        }
        changed => Seen::fail(changed.to_string()),
    };
    let mut migrator = Migrator::open(&options).await.map_err(unseen)?;
    let steps = migrator.status().await.map_err(unseen)?;
    let current = migrator.is_current().await.map_err(unseen)?;
    Ok(Seen::told(
        current,
        format!("{} migrations, {}", steps.len(), if current { "all applied" } else { "not all applied" }),
    ))
}

type Settings = BTreeMap<String, String>;

async fn settings(subject: &Subject) -> Result<Settings, Seen> {
    Ok(subject.app.store.run(&subject.call(), ReadSettings).await?)
}

async fn durable_commits(subject: &Subject) -> Looked {
    Ok(judge_commits(&settings(subject).await?))
}

/// Settings that a commit needs to be on the disk when it is acknowledged.
fn judge_commits(settings: &Settings) -> Seen {
    let wanted: &[(&str, &[&str])] = if settings.contains_key("journal_mode") {
        &[("journal_mode", &["wal"]), ("synchronous", &["2", "3"])]
    } else {
        &[
            ("fsync", &["on"]),
            ("full_page_writes", &["on"]),
            ("synchronous_commit", &["on", "remote_write", "remote_apply"]),
        ]
    };
    let value = |name: &str| settings.get(name).map_or("not told", String::as_str);
    let holds = wanted.iter().all(|(name, good)| good.contains(&value(name)));
    let measured = wanted.iter().map(|(name, _)| format!("{name} is {}", value(name))).collect::<Vec<_>>().join(", ");
    Seen::told(holds, measured)
}

async fn integrity(subject: &Subject) -> Looked {
    judge_integrity(subject.app.store.run(&subject.call(), FindFaults).await)
}

fn judge_integrity(found: mainstay_store::Result<Vec<String>>) -> Looked {
    match found {
        Ok(faults) => Ok(Seen::told(faults.is_empty(), format!("{} faults", faults.len())).by(some(&faults))),
        Err(mainstay_store::Error::Corrupt(fault)) => Ok(Seen::fail("the database cannot be read").by(fault)),
        Err(error) => Err(error.into()),
    }
}

async fn checksums(subject: &Subject) -> Looked {
    Ok(judge_checksums(&settings(subject).await?))
}

fn judge_checksums(settings: &Settings) -> Seen {
    match settings.get("data_checksums").map(String::as_str) {
        Some(value) => Seen::told(value == "on", format!("data_checksums is {value}")),
        None => Seen::not_applicable(
            "SQLite has checksums in its log only; the integrity of the file is a check of its own",
        ),
    }
}

async fn archive(subject: &Subject) -> Looked {
    let Some(archive) = subject.app.store.run(&subject.call(), ReadArchive).await? else {
        return Ok(Seen::not_applicable("SQLite has no log to archive: it is backed up whole"));
    };
    let mode = settings(subject).await?.get("archive_mode").cloned().unwrap_or_default();
    let measured = format!("archive_mode is {mode}; {} archived, {} failed", archive.archived, archive.failed);
    let holds = mode != "off" && archive.archived > 0 && archive.failed == 0;
    Ok(if !holds && mode != "off" && archive.archived > archive.failed {
        Seen::warn(measured)
    } else {
        Seen::told(holds, measured)
    })
}

async fn dead_jobs(subject: &Subject) -> Looked {
    let dead = subject.app.store.run(&subject.call(), ReadQueues).await?.dead;
    Ok(if dead == 0 { Seen::pass("none") } else { Seen::fail(format!("{dead} jobs were given up")) })
}

async fn waiting_jobs(subject: &Subject) -> Looked {
    let queues = subject.app.store.run(&subject.call(), ReadQueues).await?.queues;
    let (now, bound) = (subject.app.clock.now(), subject.app.config.jobs.oldest());
    // What an operator has switched off waits as it was meant to.
    subject
        .app
        .controls
        .read(&subject.app.store, &subject.call())
        .await
        .map_err(|error| Seen::unknown(error.detail))?;
    let late: Vec<String> = queues
        .iter()
        .filter(|queue| queue.paused_at.is_none() && subject.app.controls.queue_off(&queue.name).is_none())
        .filter_map(|queue| Some((queue, now.since(queue.oldest?))))
        .filter(|(_, age)| *age > bound)
        .map(|(queue, age)| format!("{}: {} s", queue.name, age.as_secs()))
        .collect();
    let waiting: u32 = queues.iter().map(|queue| queue.ready).sum();
    Ok(Seen::told(late.is_empty(), format!("{waiting} wait, {} queues stand still", late.len())).by(some(&late)))
}

async fn paused_queues(subject: &Subject) -> Looked {
    let queues = subject.app.store.run(&subject.call(), ReadQueues).await?.queues;
    let paused: Vec<String> =
        queues.iter().filter_map(|queue| Some(format!("{} since {}", queue.name, queue.paused_at?))).collect();
    Ok(Seen::told(paused.is_empty(), format!("{} of {} paused", paused.len(), queues.len())).by(some(&paused)))
}

/// How long the sweeping may be behind.
const BEHIND: Duration = days(1);

async fn retention(subject: &Subject) -> Looked {
    let Leftovers { event, job } = subject.app.store.run(&subject.call(), ReadLeftovers).await?;
    let (now, keep) = (subject.app.clock.now(), days(subject.app.config.inbox.keep_days));
    let mut late = Vec::new();
    if let Some(age) = event.map(|at| now.since(at)).filter(|age| *age > keep + BEHIND) {
        late.push(format!("an event of the inbox is {} days old", age.as_secs() / 86_400));
    }
    if let Some(over) = job.map(|at| now.since(at)).filter(|over| *over > BEHIND) {
        late.push(format!("a job is kept {} hours too long", over.as_secs() / 3_600));
    }
    Ok(Seen::told(late.is_empty(), format!("{} kinds of leftovers", late.len())).by(some(&late)))
}

/// How many people are looked at in one step, and how many steps one audit takes.
const PEOPLE: u32 = 500;
const STEPS: usize = 40;

async fn no_overlap(subject: &Subject) -> Looked {
    let mut all = Overlaps { is_guarded: true, ..Overlaps::default() };
    for _ in 0..STEPS {
        let find = FindOverlaps { after: all.last, limit: PEOPLE };
        let seen = subject.app.store.run(&subject.call(), find).await?;
        all.of.extend(seen.of);
        all.looked_at += seen.looked_at;
        all.is_guarded &= seen.is_guarded;
        all.last = seen.last;
        if all.last.is_none() || !all.of.is_empty() {
            break;
        }
    }
    Ok(judge_overlaps(&all))
}

fn judge_overlaps(all: &Overlaps) -> Seen {
    let guard = if all.is_guarded { "the schema refuses overlaps" } else { "the guard of the schema is missing" };
    let measured = format!("{} of {} calendars overlap; {guard}", all.of.len(), all.looked_at);
    let named: Vec<String> =
        all.of.iter().map(|(staff, tenant)| format!("staff {staff} of organisation {tenant}")).collect();
    if all.of.is_empty() && all.is_guarded && all.last.is_some() {
        return Seen::warn(format!("{measured}; there are more than one audit looks at"));
    }
    Seen::told(all.of.is_empty() && all.is_guarded, measured).by(some(&named))
}

/// How long a call that goes on may be silent: it is lost after two hours, and the sweeping may be behind.
const SILENT: Duration = Duration::from_secs(3 * 3_600);

async fn call_retention(subject: &Subject) -> Looked {
    let (store, now) = (&subject.app.store, subject.app.clock.now());
    let old = store.run(&subject.call(), ListCallKeeping { now: now.minus(BEHIND), after: None, limit: 5 }).await?;
    let silent = store.run(&subject.call(), ListSilentCalls { since: now.minus(SILENT), limit: 5 }).await?;
    let mut late: Vec<String> =
        old.iter().map(|(tenant, days)| format!("organisation {tenant} keeps calls for {days} days")).collect();
    late.extend(silent.iter().map(|(tenant, call)| format!("call {call} of organisation {tenant} is silent")));
    let measured =
        format!("{} organisations have calls that are too old, {} calls are silent", old.len(), silent.len());
    Ok(Seen::told(late.is_empty(), measured).by(some(&late)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::audit::check::Verdict;

    fn of(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_commit_that_is_not_on_the_disk_is_a_failure() {
        let good = [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on")];
        assert_eq!(judge_commits(&of(&good)).verdict, Verdict::Pass);
        for (name, bad) in [
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("synchronous_commit", "off"),
            ("synchronous_commit", "local"),
        ] {
            let mut broken = of(&good);
            broken.insert(name.to_owned(), bad.to_owned());
            let seen = judge_commits(&broken);
            assert_eq!((seen.verdict, seen.measured.contains(bad)), (Verdict::Fail, true), "{name}");
        }
        assert_eq!(judge_commits(&of(&[("journal_mode", "wal"), ("synchronous", "2")])).verdict, Verdict::Pass);
        for bad in [[("journal_mode", "wal"), ("synchronous", "1")], [("journal_mode", "delete"), ("synchronous", "2")]]
        {
            assert_eq!(judge_commits(&of(&bad)).verdict, Verdict::Fail);
        }
        assert_eq!(judge_commits(&of(&[])).verdict, Verdict::Fail, "what is not told is not taken for granted");
    }

    #[test]
    fn a_broken_page_is_a_failure_and_silence_is_not_known() {
        let of = |found| super::super::settle(judge_integrity(found));
        assert_eq!(of(Ok(Vec::new())).verdict, Verdict::Pass);
        let broken = of(Ok(vec!["Tree 7 page 9: btreeInitPage() returns error code 11".to_owned()]));
        assert_eq!((broken.verdict, broken.evidence.contains("page 9")), (Verdict::Fail, true));
        assert_eq!(of(Err(mainstay_store::Error::Corrupt("malformed".to_owned()))).verdict, Verdict::Fail);
        assert_eq!(of(Err(mainstay_store::Error::Timeout)).verdict, Verdict::Unknown);
    }

    #[test]
    fn a_time_that_was_given_twice_is_a_failure_and_so_is_a_missing_guard() {
        use mainstay_domain::{StaffId, TenantId};
        let whose = (StaffId(uuid::Uuid::nil()), TenantId(uuid::Uuid::nil()));
        let good = Overlaps { looked_at: 3, is_guarded: true, ..Overlaps::default() };
        assert_eq!(judge_overlaps(&good).verdict, Verdict::Pass);
        assert_eq!(judge_overlaps(&Overlaps { of: vec![whose], ..good.clone() }).verdict, Verdict::Fail);
        assert_eq!(judge_overlaps(&Overlaps { is_guarded: false, ..good.clone() }).verdict, Verdict::Fail);
        assert_eq!(judge_overlaps(&Overlaps { last: Some(whose), ..good }).verdict, Verdict::Warn);
    }

    #[test]
    fn pages_without_checksums_are_a_failure() {
        assert_eq!(judge_checksums(&of(&[("data_checksums", "on")])).verdict, Verdict::Pass);
        assert_eq!(judge_checksums(&of(&[("data_checksums", "off")])).verdict, Verdict::Fail);
        assert_eq!(judge_checksums(&of(&[("journal_mode", "wal")])).verdict, Verdict::NotApplicable);
    }
}
