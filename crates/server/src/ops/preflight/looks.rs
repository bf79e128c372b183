//! Everything that is looked at before a deployment.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::Entropy;
use mainstay_store::{Error, Migrator, Planned, Step, StepState};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::build::Evidence;
use super::{Deployment, Look, STAGES};
use crate::app::store_options;
use crate::http::overload::real;
use crate::lifecycle::Lifecycle;
use crate::ops::audit::checks::backups::{OLDEST_BACKUP, OLDEST_DRILL};
use crate::ops::audit::checks::capacity::{BESIDES, judge_connections, judge_files, look_at_disk};
use crate::ops::audit::{Profile, Seen, Severity};
use crate::ops::build::digest_of_this_program;
use crate::ops::process::open_files;
use crate::outside::SystemEntropy;
use crate::redis::Redis;

macro_rules! looks {
    ($($id:literal $severity:ident $from:ident $look:ident, $title:literal, $threshold:literal, $cure:literal;)+) => {
        /// In this order.
        pub(super) static ALL: &[Look] = &[$(Look {
            id: $id,
            severity: Severity::$severity,
            from: Profile::$from,
            title: $title,
            threshold: $threshold,
            cure: $cure,
            look: |deployment| Box::pin($look(deployment)),
        },)+];
    };
}

looks! {
    "preflight.settings" Medium Laptop settings,
    "The settings are what they should be.",
    "`mainstay config check` has no warning",
    "Mend what it names.";
    "preflight.variables" Critical Laptop variables,
    "What this installation cannot do without is set.",
    "the settings and the environment give each setting that --require names",
    "Set what it names, in the file or the environment of this installation: its default is for a laptop.";
    "preflight.database" Critical Laptop database,
    "The database answers, and is new enough.",
    "PostgreSQL 15 or newer, or SQLite",
    "See that it runs, that DATABASE_URL names it, and that this machine may connect.";
    "preflight.schema" Critical Laptop schema,
    "This program can work with the schema that is there.",
    "no migration that was applied is unknown to it, or was changed since",
    "Deploy a version that is not older than the schema; an applied migration is never edited.";
    "preflight.migrations" High Laptop migrations,
    "Pending migrations do not hurt who is served meanwhile.",
    "none is pending, or none that destroys, renames, rewrites or locks for long; with --migrated, none",
    "Read `mainstay migrate plan`. If the risk is taken, say so with --accept-risk; `mainstay migrate up` applies them.";
    "preflight.connections" Critical Server connections,
    "The database lets all nodes in.",
    "database.pool_size times database.nodes, and what others use, are fewer than PostgreSQL allows",
    "Lower database.pool_size, raise max_connections of PostgreSQL, or put a pooler in between.";
    "preflight.redis" High Laptop redis,
    "Redis answers, where it is set.",
    "an answer within 3 s",
    "See that it runs, and that REDIS_URL names it.";
    "preflight.providers" High Laptop providers,
    "The makers of replies can be reached from here.",
    "a connection within 3 s to each that has a key",
    "Let this machine connect to what it names, or mend base_url.";
    "preflight.disk" High Laptop disk,
    "There is room on the disk of the database.",
    "it is used no further than alerts.disk_percent, and a gibibyte is free",
    "Make room, or move the database to a larger disk.";
    "preflight.open_files" High Laptop files,
    "As many connections fit as the settings let in.",
    "this process may open http.max_connections files and what else it needs",
    "Raise the limit of open files (LimitNOFILE in systemd, ulimit -n in a shell), or lower http.max_connections.";
    "preflight.clock" High Server clock,
    "The clocks of this machine and of the database agree.",
    "less than 2 s apart",
    "Let chrony or systemd-timesyncd keep both.";
    "preflight.backup" High Server backup,
    "What a deployment breaks can be brought back.",
    "a backup that is whole is younger than 26 hours",
    "Make one now: `mainstay backup make`.";
    "preflight.drill" Medium Server drill,
    "It is known that a backup can be restored.",
    "one was restored for trial within 35 days",
    "Run `mainstay restore --verify`.";
    "preflight.build" High Server build,
    "Exactly this build has passed its tests and staging.",
    "the file of --evidence has a line for its digest with `tests` and one with `staging`, or with what --needs names",
    "Let the pipeline run `mainstay preflight --passed tests --evidence FILE` with this very file after its tests, and the same for staging.";
}

async fn settings(of: &Deployment) -> Seen {
    let warnings: Vec<_> = of.config.warnings().iter().map(ToString::to_string).collect();
    Seen::told(warnings.is_empty(), format!("{} warnings", warnings.len())).by(warnings.join("; "))
}

async fn variables(of: &Deployment) -> Seen {
    let keys = &of.wanted.settings;
    if keys.is_empty() {
        return Seen::not_applicable("--require names none");
    }
    let missing: Vec<_> = keys.iter().filter(|key| of.config.gives(key) != Some(true)).cloned().collect();
    let measured = format!("{} of {} are given", keys.len() - missing.len(), keys.len());
    let missing = if missing.is_empty() { String::new() } else { format!("missing: {}", missing.join(", ")) };
    Seen::told(missing.is_empty(), measured).by(missing)
}

async fn database(of: &Deployment) -> Seen {
    match &of.database {
        Err(why) => Seen::fail("it does not answer").by(why.clone()),
        Ok(seen) => {
            let good = seen.version_number.is_none_or(|number| number >= 150_000);
            Seen::told(good, format!("version {}", seen.version))
        }
    }
}

async fn migrator(of: &Deployment) -> Result<Migrator, Seen> {
    Migrator::open(&store_options(&of.config.database)).await.map_err(|error| Seen::unknown(error.to_string()))
}

async fn schema(of: &Deployment) -> Seen {
    let steps = match migrator(of).await {
        Ok(mut migrator) => migrator.status().await,
        Err(seen) => return seen,
    };
    match steps {
        Err(error) => Seen::unknown(error.to_string()),
        Ok(steps) => {
            let foreign = steps.iter().filter(|step| matches!(step.state, StepState::Changed | StepState::Unknown));
            let foreign: Vec<_> = foreign.map(|step| format!("{} {}", step.version, step.description)).collect();
            let applied = steps.iter().filter(|step| matches!(step.state, StepState::Applied(..))).count();
            Seen::told(foreign.is_empty(), format!("{applied} migrations are applied, {} are foreign", foreign.len()))
                .by(foreign.join("; "))
        }
    }
}

async fn migrations(of: &Deployment) -> Seen {
    let mut migrator = match migrator(of).await {
        Ok(migrator) => migrator,
        Err(seen) => return seen,
    };
    // In an empty database nobody is served, and there is nothing to destroy.
    let applied = |step: &Step| !matches!(step.state, StepState::Pending);
    match migrator.status().await {
        Ok(steps) if of.wanted.migrated => {
            let pending: Vec<_> = steps.iter().filter(|step| !applied(step)).collect();
            let names = pending.iter().map(|step| format!("{} {}", step.version, step.description));
            let names: Vec<_> = names.take(5).collect();
            return Seen::told(pending.is_empty(), format!("{} are pending", pending.len())).by(names.join(", "));
        }
        Ok(steps) if !steps.iter().any(applied) => {
            return Seen::pass(format!("the first deployment: {} are pending", steps.len()));
        }
        Ok(_) => {}
        Err(error) => return Seen::unknown(error.to_string()),
    }
    match migrator.plan().await {
        Ok(plan) => judge_plan(&plan, of.wanted.accept_risk),
        Err(Error::Bug(why)) => Seen::fail("they cannot be planned").by(why),
        Err(error) => Seen::unknown(error.to_string()),
    }
}

fn judge_plan(plan: &[Planned], accepted: bool) -> Seen {
    if plan.is_empty() {
        return Seen::pass("none is pending");
    }
    let names: Vec<_> = plan.iter().map(|planned| format!("{} {}", planned.version, planned.description)).collect();
    let measured = format!("pending: {}", names.join(", "));
    let risks = plan.iter().flat_map(|planned| planned.statements.iter().map(move |statement| (planned, statement)));
    let risks: Vec<_> = risks
        .filter_map(|(planned, statement)| Some(format!("migration {}: {}", planned.version, statement.risk?)))
        .collect();
    match (risks.is_empty(), accepted) {
        (true, _) => Seen::pass(measured),
        (false, true) => Seen::warn(format!("{measured}; {} risks, accepted", risks.len())).by(risks.join("; ")),
        (false, false) => Seen::fail(format!("{measured}; {} risks", risks.len())).by(risks.join("; ")),
    }
}

async fn connections(of: &Deployment) -> Seen {
    let room = match &of.database {
        Err(why) => return Seen::unknown(why.clone()),
        Ok(seen) => seen.room,
    };
    let Some(room) = room else {
        return Seen::not_applicable("SQLite, or behind a pooler: nobody counts connections here");
    };
    let ours = of.config.database.pool_size.saturating_mul(of.config.database.nodes);
    judge_connections(ours, room.others, room.usable())
}

const REACH: Duration = Duration::from_secs(3);

async fn redis(of: &Deployment) -> Seen {
    if of.config.redis.url.is_empty() {
        return Seen::not_applicable("redis.url is not set");
    }
    let (lifecycle, entropy) = (Lifecycle::new(), Arc::new(SystemEntropy) as Arc<dyn Entropy>);
    let seen = match Redis::open(&of.config.redis, &entropy, &lifecycle) {
        Ok(Some(redis)) => match timeout(REACH, redis.link.up()).await {
            Ok(()) => Seen::pass("it answers"),
            Err(_) => Seen::fail(format!("no answer within {} s", REACH.as_secs())),
        },
        Ok(None) => Seen::not_applicable("redis.url is not set"),
        Err(error) => Seen::fail(error.to_string()),
    };
    lifecycle.stop_hard();
    seen
}

async fn providers(of: &Deployment) -> Seen {
    let providers = &of.config.providers;
    let all = [
        ("anthropic", &providers.anthropic.api_key, &providers.anthropic.base_url),
        ("openai", &providers.openai.api_key, &providers.openai.base_url),
    ];
    let mut told = Vec::new();
    for (name, _, address) in all.into_iter().filter(|(_, key, _)| !key.is_empty()) {
        if let Err(why) = reach(address).await {
            return Seen::fail(format!("{name} cannot be reached")).by(why);
        }
        told.push(name);
    }
    if told.is_empty() { Seen::not_applicable("no provider has a key") } else { Seen::pass(told.join(", ")) }
}

async fn reach(address: &str) -> Result<(), String> {
    let url: url::Url = address.parse().map_err(|error| format!("{error}"))?;
    let (host, port) = (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(443));
    match timeout(REACH, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{host}:{port}: {error}")),
        Err(_) => Err(format!("{host}:{port}: no connection within {} s", REACH.as_secs())),
    }
}

async fn disk(of: &Deployment) -> Seen {
    look_at_disk(&of.config)
}

async fn files(of: &Deployment) -> Seen {
    let needed = of.config.http.max_connections + of.config.database.pool_size + BESIDES;
    match open_files() {
        None => Seen::unknown("this system does not tell how many files may be open"),
        Some(files) => judge_files(needed, real(files.now), real(files.most)),
    }
}

/// As far as clocks may be apart: tokens and leases are judged by both.
const APART: Duration = Duration::from_secs(2);

async fn clock(of: &Deployment) -> Seen {
    match &of.database {
        Err(why) => Seen::unknown(why.clone()),
        Ok(seen) => match seen.clock {
            None => Seen::not_applicable("SQLite has no clock of its own"),
            Some(theirs) => {
                let apart = theirs.since(of.now).max(of.now.since(theirs));
                Seen::told(apart < APART, format!("{} ms apart", apart.as_millis()))
            }
        },
    }
}

async fn backup(of: &Deployment) -> Seen {
    match &of.database {
        Err(why) => Seen::unknown(why.clone()),
        Ok(seen) => judge_age(seen.backup.map(|at| of.now.since(at)), OLDEST_BACKUP),
    }
}

async fn drill(of: &Deployment) -> Seen {
    match &of.database {
        Err(why) => Seen::unknown(why.clone()),
        Ok(seen) => judge_age(seen.drill.map(|at| of.now.since(at)), OLDEST_DRILL),
    }
}

fn judge_age(age: Option<Duration>, most: Duration) -> Seen {
    match age {
        None => Seen::fail("never"),
        Some(age) => Seen::told(age < most, format!("{:.1} hours ago", age.as_secs_f64() / 3_600.0)),
    }
}

async fn build(of: &Deployment) -> Seen {
    let digest = match digest_of_this_program() {
        Ok(digest) => digest,
        Err(error) => return Seen::unknown(format!("this program's file cannot be read: {error}")),
    };
    let Some(path) = &of.wanted.evidence else {
        return Seen::fail("no --evidence was given").by(format!("build {digest}"));
    };
    match Evidence::read(path) {
        Err(error) => Seen::unknown(format!("{}: {error}", path.display())),
        Ok(evidence) => {
            let stages: Vec<&str> = of.wanted.stages.iter().map(String::as_str).collect();
            let stages = if stages.is_empty() { STAGES.to_vec() } else { stages };
            let missing = stages.iter().filter(|stage| evidence.passed(&digest, stage).is_none());
            let missing: Vec<_> = missing.copied().collect();
            let measured = if missing.is_empty() {
                format!("it has passed {}", stages.join(" and "))
            } else {
                format!("it has not passed {}", missing.join(" and "))
            };
            Seen::told(missing.is_empty(), measured).by(format!("build {digest}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_store::StatementRisk;

    use super::*;
    use crate::ops::audit::Verdict::{Fail, Pass, Warn};

    fn plan(risk: Option<&'static str>) -> Vec<Planned> {
        let statement = StatementRisk { sql: "X".to_owned(), locks: "nothing", risk };
        vec![Planned { version: 7, description: "seven".to_owned(), statements: vec![statement], rehearsed: None }]
    }

    #[test]
    fn a_risk_is_refused_until_somebody_takes_it() {
        assert_eq!(judge_plan(&[], false).verdict, Pass);
        assert_eq!(judge_plan(&plan(None), false).verdict, Pass);
        assert_eq!(judge_plan(&plan(Some("destroys")), false).verdict, Fail);
        assert_eq!(judge_plan(&plan(Some("destroys")), true).verdict, Warn);
    }

    #[test]
    fn what_is_old_or_was_never_made_is_refused() {
        let most = Duration::from_secs(10);
        let of = |age: Option<u64>| judge_age(age.map(Duration::from_secs), most).verdict;
        assert_eq!([of(None), of(Some(11)), of(Some(9))], [Fail, Fail, Pass]);
    }

    #[test]
    fn each_has_a_name_of_its_own_and_a_cure() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|look| look.id).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|look| look.id.starts_with("preflight.") && look.cure.ends_with('.')));
    }
}
