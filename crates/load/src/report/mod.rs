//! What a run has shown: as figures, as text and as a page.

mod page;
mod text;

use std::collections::BTreeMap;

use mainstay_domain::Timestamp;
use serde::Serialize;

use crate::options::Options;
use crate::process::Sample;
use crate::recorder::{Operation, Recorder, Second, millis};
use crate::run::Server;

/// A report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What the users did.
    pub profile: &'static str,
    /// To which server.
    pub url: String,
    /// When the run began.
    pub started_at: Timestamp,
    /// How many users there were.
    pub users: usize,
    /// How many of them had which plan.
    pub plans: BTreeMap<&'static str, usize>,
    /// What each meant to do in a minute.
    pub per_minute: f64,
    /// Over how many seconds they came, stayed and left.
    pub seconds: [u64; 3],
    /// The operations that happened.
    pub operations: Vec<OperationFigures>,
    /// The errors, the most frequent first.
    pub errors: Vec<ErrorCount>,
    /// The most sockets that were open at once.
    pub most_sockets: i64,
    /// How often a socket was told to come later, by the code of the refusal.
    pub postponed: BTreeMap<String, u64>,
    /// What a storm did.
    pub storm: Option<Storm>,
    /// The server's process, where it could be seen.
    pub server: Option<ServerFigures>,
    /// The generator's own memory at the end, in bytes.
    pub own_memory: u64,
    /// The generator's own time on processors, in seconds.
    pub own_seconds: f64,
    /// What was asked of the run.
    pub checks: Vec<Check>,
    /// Second by second.
    pub timeline: Vec<Second>,
}

/// The figures of one operation, in the steady part; those of sockets over the whole run.
#[derive(Clone, Debug, Serialize)]
pub struct OperationFigures {
    /// Its name.
    pub name: &'static str,
    /// How often it was done.
    pub count: u64,
    /// How often in a second.
    pub per_second: f64,
    /// How often it failed, over the whole run.
    pub errors: u64,
    /// The median, in milliseconds from the moment at which it was meant to begin.
    pub p50_ms: f64,
    /// The 95th percentile.
    pub p95_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// One kind of error.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorCount {
    /// Of what.
    pub operation: &'static str,
    /// The code of the problem, or what broke.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// All sockets cut at once.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Storm {
    /// How many were cut.
    pub cut: u64,
    /// How many came back.
    pub back: u64,
    /// After how many seconds half of them were back.
    pub half_seconds: f64,
    /// After how many seconds the last one was.
    pub all_seconds: f64,
}

/// The server's process.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerFigures {
    /// Its number.
    pub pid: u32,
    /// Its resident memory before the run, in bytes.
    pub memory_before: u64,
    /// Its resident memory at its most.
    pub memory_most: u64,
    /// Its time on processors during the run, in seconds.
    pub seconds: f64,
    /// What it took more at its most than before, for each of the most sockets, in bytes.
    pub memory_per_socket: Option<u64>,
}

/// Something that was asked of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// What was asked.
    pub wanted: String,
    /// What was found.
    pub found: String,
    /// Whether it is good.
    pub passed: bool,
}

impl Report {
    pub(crate) fn new(
        options: &Options,
        started_at: Timestamp,
        recorder: &Recorder,
        (server, own): (Server, Sample),
        timeline: Vec<Second>,
    ) -> Self {
        let errors = recorder.errors();
        let most_sockets = timeline.iter().map(|second| second.sockets).max().unwrap_or(0);
        let mut report = Self {
            profile: options.profile.as_str(),
            url: options.url.clone(),
            started_at,
            users: options.tokens.len(),
            plans: options.plans(),
            per_minute: options.per_minute,
            seconds: [options.ramp_up, options.steady, options.ramp_down].map(|part| part.as_secs()),
            operations: operations(recorder, options, &errors),
            errors: counted(errors),
            most_sockets,
            postponed: recorder.all_postponed(),
            storm: storm(recorder),
            server: server_figures(&server, most_sockets),
            own_memory: own.memory,
            own_seconds: own.time.as_secs_f64(),
            checks: Vec::new(),
            timeline,
        };
        report.checks = report.check(options);
        report
    }

    /// Whether everything that was asked of the run is good.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    fn check(&self, options: &Options) -> Vec<Check> {
        let wanted = &options.thresholds;
        let mut checks = Vec::new();
        let mut check = |name: &str, wanted: String, found: String, passed: bool| {
            checks.push(Check { name: name.to_owned(), wanted, found, passed });
        };
        if let Some(p99) = wanted.p99 {
            let requests = self.operations.iter().filter(|figures| is_request(figures.name));
            let worst = requests.map(|figures| figures.p99_ms).fold(0.0, f64::max);
            check("p99 of requests", format!("{:.0} ms", millis(p99)), format!("{worst:.0} ms"), worst <= millis(p99));
            let done = self.operations.iter().any(|figures| is_request(figures.name) && figures.count > 0);
            check("requests", "at least one".to_owned(), if done { "some" } else { "none" }.to_owned(), done);
        }
        if let Some(most) = wanted.errors {
            let errors = self.errors.iter().map(|error| error.count).sum::<u64>();
            check("errors", format!("{most}"), format!("{errors}"), errors <= most);
        }
        if let Some(most) = wanted.memory {
            let found = self.server.map(|server| server.memory_most);
            let told = found.map_or("not known".to_owned(), |found| format!("{} MB", found / 1_000_000));
            let passed = found.is_some_and(|found| found <= most);
            check("server memory", format!("{} MB", most / 1_000_000), told, passed);
        }
        if let (Some(most), Some(storm)) = (wanted.back, self.storm) {
            let passed = storm.back >= storm.cut && storm.all_seconds <= most.as_secs_f64();
            let found = format!("{} of {} after {:.1} s", storm.back, storm.cut, storm.all_seconds);
            check("all sockets back", format!("{:.0} s", most.as_secs_f64()), found, passed);
        }
        if options.profile.has_sockets() && wanted.errors.is_some() {
            let users = i64::try_from(self.users).unwrap_or(i64::MAX);
            let passed = self.most_sockets >= users;
            check("sockets open at once", self.users.to_string(), self.most_sockets.to_string(), passed);
        }
        checks
    }
}

fn is_request(name: &str) -> bool {
    Operation::ALL.iter().any(|operation| operation.as_str() == name && operation.is_request())
}

fn operations(
    recorder: &Recorder,
    options: &Options,
    errors: &BTreeMap<(Operation, String), u64>,
) -> Vec<OperationFigures> {
    let figures = Operation::ALL.into_iter().map(|operation| {
        let latencies = recorder.latencies(operation);
        let quantile = |part| millis(latencies.quantile(part));
        let failed = errors.iter().filter(|((of, _), _)| *of == operation).map(|(_, count)| count).sum();
        let whole = options.ramp_up + options.steady + options.ramp_down;
        let counted_in = if operation.is_request() { options.steady } else { whole };
        let per_second = latencies.count() as f64 / counted_in.as_secs_f64();
        OperationFigures {
            name: operation.as_str(),
            count: latencies.count(),
            per_second: (per_second * 10.0).round() / 10.0,
            errors: failed,
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: millis(latencies.max()),
        }
    });
    figures.filter(|figures| figures.count > 0 || figures.errors > 0).collect()
}

fn counted(errors: BTreeMap<(Operation, String), u64>) -> Vec<ErrorCount> {
    let count = |((operation, kind), count): ((Operation, String), u64)| ErrorCount {
        operation: operation.as_str(),
        kind,
        count,
    };
    let mut errors: Vec<_> = errors.into_iter().map(count).collect();
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    errors
}

fn storm(recorder: &Recorder) -> Option<Storm> {
    let (cut, back) = (recorder.all_cut(), recorder.latencies(Operation::Reconnect));
    (cut > 0).then(|| Storm {
        cut,
        back: back.count(),
        half_seconds: back.quantile(0.5).as_secs_f64(),
        all_seconds: back.max().as_secs_f64(),
    })
}

fn server_figures(server: &Server, sockets: i64) -> Option<ServerFigures> {
    let grown = server.most_memory.saturating_sub(server.first.memory);
    Some(ServerFigures {
        pid: server.pid?,
        memory_before: server.first.memory,
        memory_most: server.most_memory,
        seconds: server.last.time.saturating_sub(server.first.time).as_secs_f64(),
        memory_per_socket: u64::try_from(sockets).ok().filter(|sockets| *sockets > 0).map(|sockets| grown / sockets),
    })
}

#[cfg(test)]
mod tests;
