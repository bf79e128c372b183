//! `mainstay load`.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mainstay_domain::{EmailAddress, Error, Kind, Plan, Secret};
use mainstay_load::{Fault, Options, Profile, Progress, Report, Thresholds, parse_tokens, run as run_load};
use mainstay_store::{Call, SetPlan};

use super::{Answer, open};
use crate::accounts::{LONGEST_TOKEN, SignUpRequest};
use crate::app::{App, Outside};
use crate::config::Config;

/// How long making one person may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many are made at once.
const AT_ONCE: usize = 16;
/// How much longer than the run the tokens are good.
const SPARE: Duration = Duration::from_secs(900);

#[derive(Debug, Args)]
pub(super) struct LoadArguments {
    /// The server. One that is not on this machine needs --i-own-this-server too
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// What the users do: chat, sync, connect, storm or mixed
    #[arg(long, default_value = "mixed")]
    profile: Profile,
    /// How many users, made in the database of the settings unless --tokens is given
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// A file with an access token on each line, and after a comma the plan of its user where that is known
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// What the organisations of the users pay for, in per cent: free=70,core=20,studio=10. Not with --tokens
    #[arg(long, value_name = "MIX", default_value = "free=100", conflicts_with = "tokens")]
    plans: PlanMix,
    /// What each user means to do in a minute, beside their socket and their syncs
    #[arg(long, default_value_t = 2.0)]
    per_minute: f64,
    /// Over how many seconds the users come
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    ramp_up: u64,
    /// How many seconds all of them stay
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    steady: u64,
    /// Over how many seconds they leave
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    ramp_down: u64,
    /// The process of the server; found by itself when it is on this machine and of the same user
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// The server is not on this machine, and is yours to make slow and to fill
    #[arg(long)]
    i_own_this_server: bool,
    /// Where report.txt, report.json and report.html are written
    #[arg(long, value_name = "DIRECTORY")]
    report: Option<PathBuf>,
    /// Fail when the 99th percentile of any kind of request is above this
    #[arg(long, value_name = "MILLISECONDS")]
    p99_ms: Option<u64>,
    /// Fail when there are more errors than this
    #[arg(long)]
    errors: Option<u64>,
    /// Fail when the server's memory is above this at any moment
    #[arg(long, value_name = "MEGABYTES")]
    memory_mb: Option<u64>,
    /// Fail when not all sockets are back so long after a storm
    #[arg(long, value_name = "SECONDS")]
    back_seconds: Option<u64>,
}

/// Shares of the plans, in per cent.
#[derive(Clone, Copy, Debug)]
struct PlanMix([(Plan, usize); 3]);

impl PlanMix {
    /// The plan of a user: the same each time, and any hundred users in a row have the shares.
    fn of(self, number: usize) -> Plan {
        // A step that has no divisor in common with a hundred spreads the plans over the users.
        let mut place = number * 37 % 100;
        for (plan, share) in self.0 {
            if place < share {
                return plan;
            }
            place -= share;
        }
        Plan::default()
    }
}

impl FromStr for PlanMix {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut shares = [(Plan::Free, 0), (Plan::Core, 0), (Plan::Studio, 0)];
        for part in text.split(',') {
            let bad = || format!("'{part}' is no share: write free=70,core=20,studio=10");
            let (plan, share) = part.trim().split_once('=').ok_or_else(bad)?;
            let plan: Plan = plan.parse().map_err(|error| format!("{error}"))?;
            let share: usize = share.parse().map_err(|_| bad())?;
            shares.iter_mut().filter(|(name, _)| *name == plan).for_each(|(_, old)| *old = share);
        }
        match shares.iter().map(|(_, share)| share).sum::<usize>() {
            100 => Ok(Self(shares)),
            sum => Err(format!("the shares make {sum} per cent and not 100")),
        }
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self::from(Error::new(Kind::Invalid, "no_load", fault.0))
    }
}

pub(super) async fn run(arguments: LoadArguments, config: Config) -> Result<Answer, Answer> {
    let mut options = options(&arguments);
    options.tokens = match &arguments.tokens {
        Some(file) => parse_tokens(&read(file)?)?,
        None => {
            // Before people are made: a run that cannot begin leaves nothing behind.
            let users = vec![(Secret::default(), None); arguments.users];
            Options { tokens: users, ..options.clone() }.check()?;
            make_users(config, arguments.users, arguments.plans, lasts(&options)).await?
        }
    };
    let Outside { clock, entropy, .. } = Outside::default();
    let stop = async {
        // Without signals it runs to its end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let terminal = io::stderr().is_terminal();
    let report = run_load(&options, &*clock, entropy, stop, |progress| {
        if terminal {
            show(progress);
        }
    })
    .await?;
    if terminal {
        let _ = writeln!(io::stderr().lock());
    }
    if let Some(directory) = &arguments.report {
        write(&report, directory)?;
    }
    Ok(Answer { text: report.to_string(), code: u8::from(!report.passed()) })
}

fn options(arguments: &LoadArguments) -> Options {
    Options {
        url: arguments.url.trim_end_matches('/').to_owned(),
        profile: arguments.profile,
        tokens: Vec::new(),
        per_minute: arguments.per_minute,
        ramp_up: Duration::from_secs(arguments.ramp_up),
        steady: Duration::from_secs(arguments.steady),
        ramp_down: Duration::from_secs(arguments.ramp_down),
        server_pid: arguments.server_pid,
        own_server: arguments.i_own_this_server,
        thresholds: Thresholds {
            p99: arguments.p99_ms.map(Duration::from_millis),
            errors: arguments.errors,
            memory: arguments.memory_mb.map(|megabytes| megabytes * 1_000_000),
            back: arguments.back_seconds.map(Duration::from_secs),
        },
    }
}

/// How long the tokens must be good.
fn lasts(options: &Options) -> Duration {
    (options.ramp_up + options.steady + options.ramp_down + SPARE).min(LONGEST_TOKEN)
}

fn read(file: &Path) -> Result<String, Answer> {
    std::fs::read_to_string(file).map_err(|error| file_fault(file, "read", &error))
}

fn file_fault(file: &Path, done: &str, error: &io::Error) -> Answer {
    Error::new(Kind::Invalid, "no_file", format!("{} cannot be {done}: {error}.", file.display())).into()
}

/// Makes people who are not there yet, and a token for each, in the database of the settings.
async fn make_users(
    config: Config,
    users: usize,
    plans: PlanMix,
    lasts: Duration,
) -> Result<Vec<(Secret, Option<Plan>)>, Answer> {
    let app = open(config).await?;
    let made = stream::iter(1..=users)
        .map(|number| make_user(&app, number, plans.of(number), lasts))
        .buffered(AT_ONCE)
        .try_collect()
        .await;
    // The run needs the memory and the connections.
    app.lifecycle.drain(Duration::from_secs(5)).await;
    app.store.close().await;
    Ok(made?)
}

async fn make_user(
    app: &Arc<App>,
    number: usize,
    plan: Plan,
    lasts: Duration,
) -> Result<(Secret, Option<Plan>), Error> {
    let email = format!("load-{number:06}@load.example");
    let request = SignUpRequest { email: email.clone(), password: Secret::default(), name: format!("Load {number}") };
    match app.accounts.create_person(&Call::within(PATIENCE), request, false).await {
        Ok(_) => {}
        Err(error) if error.code == "email_taken" => {}
        Err(error) => return Err(error),
    }
    let email = EmailAddress::parse(&email).map_err(|refused| Error::invalid(vec![refused.of("email")]))?;
    let tenant = app.accounts.home_of(&Call::within(PATIENCE), &email).await?;
    app.store
        .run(
            &Call::within(PATIENCE),
            SetPlan { tenant, plan, cause: "A measurement set it.".to_owned(), now: app.clock.now() },
        )
        .await?;
    Ok((app.accounts.token_for(&Call::within(PATIENCE), &email, lasts).await?, Some(plan)))
}

/// One line, over the one before.
fn show(progress: &Progress) {
    let it = &progress.second;
    let line = format!(
        "{:>5}/{} s {:<9} {:>6} requests/s  p50 {:>7.1} ms  p99 {:>7.1} ms  {:>6} sockets  {:>4} errors  server {} MB {:.0} %",
        it.at,
        progress.of,
        progress.part,
        it.requests,
        it.p50_ms,
        it.p99_ms,
        it.sockets,
        it.errors,
        it.server_memory / 1_000_000,
        it.server_cpu
    );
    // Whoever was to see it is gone.
    let _ = write!(io::stderr().lock(), "\r{line:<120}");
}

fn write(report: &Report, directory: &Path) -> Result<(), Answer> {
    std::fs::create_dir_all(directory).map_err(|error| file_fault(directory, "made", &error))?;
    let json = serde_json::to_string_pretty(report).map_err(Error::internal)?;
    for (name, text) in [("report.txt", report.to_string()), ("report.json", json), ("report.html", report.to_html())] {
        let file = directory.join(name);
        std::fs::write(&file, text).map_err(|error| file_fault(&file, "written", &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_hundred_users_have_the_shares_of_the_mix() {
        let mix: PlanMix = "free=70,core=20,studio=10".parse().expect("a mix");
        for start in [1, 50, 12_345] {
            let count = |plan| (start..start + 100).filter(|number| mix.of(*number) == plan).count();
            assert_eq!([Plan::Free, Plan::Core, Plan::Studio].map(count), [70, 20, 10]);
        }
        for bad in ["", "free", "free=99", "free=x", "gold=100", "free=60,core=60", "free=-1"] {
            assert!(bad.parse::<PlanMix>().is_err(), "{bad:?} was taken");
        }
    }
}
