//! There is room for what comes.

use mainstay_store::Error;

use super::{Looked, checks};
use crate::config::Config;
use crate::ops::audit::check::Seen;
use crate::ops::audit::samples::{Samples, samples};
use crate::ops::audit::subject::Subject;
use crate::ops::process::{self, Memory};

checks! { Capacity:
    "capacity.open_files" High Passive Laptop open_files,
    "As many connections fit as the settings let in.",
    "the server may open http.max_connections files and what else it needs",
    "Raise the limit of open files (LimitNOFILE in systemd, ulimit -n in a shell), or lower http.max_connections.";
    "capacity.disk" High Passive Laptop disk,
    "There is room on the disk of the database.",
    "it is used no further than alerts.disk_percent, and a gibibyte is free",
    "Make room, or move the database to a larger disk.";
    "capacity.connections" Critical Passive Server connections,
    "The database lets all nodes in.",
    "database.pool_size times database.nodes, and what others use, are fewer than PostgreSQL allows",
    "Lower database.pool_size, raise max_connections of PostgreSQL, or put a pooler in between.";
    "capacity.pool_use" High Passive Laptop pool_use,
    "The connections to the database are not used up.",
    "fewer than 80 % in use over the last minute",
    "Raise database.pool_size as far as the server of the database allows, or find what holds them: mainstay_database_commit_seconds.";
    "capacity.memory" Medium Passive Laptop memory,
    "There is memory left.",
    "a tenth of the machine's memory is free, and so is that of the server's own group",
    "Give the machine more memory, or lower http.max_connections.";
    "capacity.overload" High Passive Laptop overload,
    "What is too much is refused before everything becomes slow.",
    "overload.enabled is true",
    "Set overload.enabled = true.";
    "capacity.voice" High Passive Laptop voice,
    "Voice sessions are bounded for each person.",
    "2 sessions at once on the plan free and 3 on the others at most, 100 chunks a second, an hour, resumed within 30 s",
    "Lower what is named, in the section [voice].";
    "capacity.refusals" Low Passive Laptop refused,
    "Nobody is refused for want of room.",
    "no request was refused by the overload since the start of the server, or fewer than one in a hundred",
    "Look at docs/overload.md: give the server more processors, or spread the load over several nodes.";
}

/// Files beside the sockets of clients: the database, the log, providers, webhooks.
pub(in crate::ops) const BESIDES: usize = 256;

async fn figures(subject: &Subject) -> Result<Samples, Seen> {
    let told = subject.live.get("/metrics").await?;
    if !told.status.is_success() {
        let status = told.status.as_u16();
        return Err(Seen::unknown(format!(
            "/metrics answered {status}: this machine must be in http.metrics_networks"
        )));
    }
    Ok(samples(&told.text))
}

async fn open_files(subject: &Subject) -> Looked {
    let figures = figures(subject).await?;
    let (Some(most), Some(now)) =
        (figures.sum("mainstay_process_open_files_most"), figures.sum("mainstay_process_open_files"))
    else {
        return Ok(Seen::unknown("the server does not tell how many files it may open"));
    };
    let config = &subject.app.config;
    let needed = config.http.max_connections + config.database.pool_size + BESIDES;
    Ok(judge_files(needed, now, most))
}

pub(in crate::ops) fn judge_files(needed: usize, now: f64, most: f64) -> Seen {
    let measured = format!("{now:.0} of {most:.0} open, {needed} may be needed");
    Seen::told(most >= needed as f64 && now < most * 0.8, measured)
}

const GIBIBYTE: u64 = 1024 * 1024 * 1024;

async fn disk(subject: &Subject) -> Looked {
    Ok(look_at_disk(&subject.app.config))
}

/// Whether there is room on the disk of a database.
pub(in crate::ops) fn look_at_disk(config: &Config) -> Seen {
    let Some(folder) = config.database.folder() else {
        return Seen::not_applicable("PostgreSQL keeps its files where this process cannot look: watch the disk there");
    };
    match process::disk(&folder) {
        Ok((free, all)) => judge_disk(free, all, config.alerts.disk_percent),
        Err(error) => Seen::unknown(format!("{} cannot be looked at: {error}", folder.display())),
    }
}

fn judge_disk(free: u64, all: u64, most_percent: u32) -> Seen {
    let measured = format!("{} of {} MiB free", free / 1_048_576, all / 1_048_576);
    let wanted = all / 100 * u64::from(100_u32.saturating_sub(most_percent));
    Seen::told(free >= GIBIBYTE && free >= wanted, measured)
}

async fn connections(subject: &Subject) -> Looked {
    let database = &subject.app.config.database;
    let Some(room) = subject.app.store.room().await.map_err(|error: Error| Seen::from(error))? else {
        return Ok(Seen::not_applicable("SQLite is in this process: there are no connections to run out of"));
    };
    Ok(judge_connections(database.pool_size * database.nodes, room.others, room.usable()))
}

pub(in crate::ops) fn judge_connections(ours: usize, others: usize, usable: usize) -> Seen {
    let measured = format!("{ours} of ours and {others} of others, {usable} allowed");
    if ours > usable { Seen::fail(measured) } else { Seen::told(ours + others <= usable, measured) }
}

async fn pool_use(subject: &Subject) -> Looked {
    let figures = figures(subject).await?;
    let mean = figures.sum("mainstay_database_connections_mean").unwrap_or(f64::NAN);
    let size = subject.app.config.database.pool_size;
    Ok(judge_use(mean, size))
}

fn judge_use(mean: f64, size: usize) -> Seen {
    if mean.is_nan() {
        return Seen::unknown("the server does not tell how many connections it uses");
    }
    Seen::told(mean < size as f64 * 0.8, format!("{mean:.1} of {size} in use on average"))
}

async fn memory(_: &Subject) -> Looked {
    const MIB: u64 = 1_048_576;
    let Some(Memory { free, all, group }) = process::memory() else {
        return Ok(Seen::unknown("the system does not tell how much memory there is"));
    };
    Ok(judge_memory(free / MIB, all / MIB, group.map(|(now, most)| (now / MIB, most / MIB))))
}

/// In MiB.
fn judge_memory(free: u64, all: u64, group: Option<(u64, u64)>) -> Seen {
    let mut measured = format!("{free} of {all} MiB available");
    if let Some((now, most)) = group {
        measured.push_str(&format!("; {now} of {most} MiB of the group used"));
    }
    Seen::told(free >= all / 10 && group.is_none_or(|(now, most)| now <= most / 10 * 9), measured)
}

async fn overload(subject: &Subject) -> Looked {
    let enabled = subject.app.config.overload.enabled;
    Ok(Seen::told(enabled, format!("overload.enabled is {enabled}")))
}

async fn voice(subject: &Subject) -> Looked {
    let voice = &subject.app.config.voice;
    let bounds = [
        ("voice.sessions_free", u64::from(voice.sessions_free), 2),
        ("voice.sessions_paid", u64::from(voice.sessions_paid), 3),
        ("voice.chunks_per_second", u64::from(voice.chunks_per_second), 100),
        ("voice.max_session_seconds", voice.max_session_seconds, 3_600),
        ("voice.resume_seconds", voice.resume_seconds, 30),
    ];
    let over = bounds
        .iter()
        .filter(|(_, is, most)| is > most)
        .map(|(key, is, most)| format!("{key} is {is}, more than {most}"));
    let over: Vec<_> = over.collect();
    Ok(Seen::told(over.is_empty(), format!("{} of {} bounds hold", bounds.len() - over.len(), bounds.len()))
        .by(super::some(&over)))
}

async fn refused(subject: &Subject) -> Looked {
    let figures = figures(subject).await?;
    let all = figures.sum("mainstay_http_requests_total").unwrap_or(0.0);
    let refused = figures.sum("mainstay_overload_refused_total").unwrap_or(0.0);
    Ok(judge_refused(refused, all))
}

fn judge_refused(refused: f64, all: f64) -> Seen {
    Seen::told(refused <= all / 100.0, format!("{refused:.0} of {all:.0} requests"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::audit::check::Verdict::{Fail, Pass, Unknown};

    #[test]
    fn too_little_room_is_a_failure() {
        assert_eq!(judge_files(10_000, 50.0, 20_000.0).verdict, Pass);
        assert_eq!(judge_files(10_000, 50.0, 1_024.0).verdict, Fail);
        assert_eq!(judge_files(10_000, 17_000.0, 20_000.0).verdict, Fail, "nearly used up");
        assert_eq!(judge_disk(6 * GIBIBYTE, 40 * GIBIBYTE, 85).verdict, Pass);
        assert_eq!(judge_disk(5 * GIBIBYTE, 40 * GIBIBYTE, 85).verdict, Fail, "less than 15 %");
        assert_eq!(judge_disk(5 * GIBIBYTE, 40 * GIBIBYTE, 90).verdict, Pass, "as it is set");
        assert_eq!(judge_disk(GIBIBYTE - 1, 2 * GIBIBYTE, 100).verdict, Fail, "less than a gibibyte");
        assert_eq!(judge_connections(60, 10, 97).verdict, Pass);
        assert_eq!(judge_connections(60, 40, 97).verdict, Fail);
        assert_eq!(judge_connections(120, 0, 97).verdict, Fail);
        assert_eq!(judge_use(3.0, 19).verdict, Pass);
        assert_eq!(judge_use(16.0, 19).verdict, Fail);
        assert_eq!(judge_use(f64::NAN, 19).verdict, Unknown);
        assert_eq!(judge_memory(900, 8_000, None).verdict, Pass);
        assert_eq!(judge_memory(700, 8_000, None).verdict, Fail);
        assert_eq!(judge_memory(4_000, 8_000, Some((950, 1_000))).verdict, Fail);
        assert_eq!(judge_refused(1.0, 1_000.0).verdict, Pass);
        assert_eq!(judge_refused(11.0, 1_000.0).verdict, Fail);
    }
}
