//! `mainstay jobs probe`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use mainstay_domain::{Error, Kind};
use tokio::time::{Instant, sleep};

use super::call;
use crate::app::App;
use crate::cli::Answer;
use crate::jobs::service::{self, MOST_PROBES, Probes};

/// How often it is looked what has taken effect.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long it is watched, after all have taken effect, whether one does so again.
const AFTERWARDS: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(in crate::cli) struct ProbeArguments {
    /// How many
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// How long each works
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    work_ms: u64,
    /// How many attempts of each fail before one takes effect; with 20 or more it is given up
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    failures: u32,
    /// What their keys have in common; made up when it is left out
    #[arg(long)]
    key: Option<String>,
    /// Wait until each has taken effect exactly once
    #[arg(long)]
    wait: bool,
    /// For how long to wait
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "wait")]
    seconds: u64,
}

/// Promises the probes and, if it is to, waits for them.
pub(super) async fn run(app: &App, arguments: ProbeArguments) -> Result<Answer, Answer> {
    let ProbeArguments { count, work_ms, failures, key, wait, seconds } = arguments;
    let key = key.unwrap_or_else(|| app.ids.make::<uuid::Uuid>().to_string());
    let begun = Instant::now();
    let (mut first, mut prefix, mut existing) = (0, String::new(), 0);
    while first < count {
        let bite = (count - first).min(MOST_PROBES);
        let probes = Probes { key: Some(key.clone()), first, count: bite, work_ms, failures };
        let promised = service::promise_probes(app, &call(), &probes).await?;
        (prefix, existing) = (promised.prefix, existing + promised.existing);
        first += bite;
    }
    let before = if existing > 0 { format!(", {existing} of them before") } else { String::new() };
    if !wait {
        return Ok(Answer::good(format!("{count} probes are promised{before}: {prefix}\n")));
    }
    let until = begun + Duration::from_secs(seconds);
    let mut found = effects(app, &prefix).await?;
    while found.len() < count as usize && Instant::now() < until {
        sleep(LOOK_EVERY).await;
        found = effects(app, &prefix).await?;
    }
    let took = begun.elapsed().as_secs_f64();
    if found.len() == count as usize {
        sleep(AFTERWARDS).await;
        found = effects(app, &prefix).await?;
    }
    let once = found.values().filter(|effects| **effects == 1).count();
    if once == count as usize {
        return Ok(Answer::good(format!("{count} probes took effect exactly once, within {took:.1} s{before}.\n")));
    }
    let often = found.len() - once;
    let detail = format!(
        "Of {count} probes {once} took effect once, {often} more than once, and {} not within {seconds} s: {prefix}",
        (count as usize).saturating_sub(found.len())
    );
    Err(Error::new(Kind::Conflict, "not_once", detail).into())
}

/// How often each probe with this beginning took effect.
async fn effects(app: &App, prefix: &str) -> Result<BTreeMap<String, i64>, Answer> {
    let (mut all, mut after) = (BTreeMap::new(), None);
    loop {
        let (found, next) = service::probes(app, &call(), prefix, after).await?;
        all.extend(found.into_iter().map(|probe| (probe.key, probe.effects)));
        if next.is_none() {
            return Ok(all);
        }
        after = next;
    }
}
