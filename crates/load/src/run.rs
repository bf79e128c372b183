//! A run: users come, stay and leave, and each second is looked at.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use mainstay_client::{Client, Pool, RetryPolicy};
use mainstay_domain::{Clock, Entropy};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::options::{Fault, Options, Profile, is_loopback};
use crate::process::{Sample, listener, raise_file_limit, sample};
use crate::recorder::{Recorder, Second};
use crate::report::Report;
use crate::user::{Schedule, Shared, User};

/// How long users who should have left are waited for.
const GRACE: Duration = Duration::from_secs(15);
/// Files beside sockets and connections.
const SPARE_FILES: u64 = 200;
/// After how much of the steady part a storm comes.
const BEFORE_THE_STORM: Duration = Duration::from_secs(5);

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The last second.
    pub second: Second,
    /// How long the run takes in all, in seconds.
    pub of: u64,
    /// What happens now.
    pub part: &'static str,
}

/// The parts of a run.
#[derive(Clone, Copy)]
struct Plan {
    begin: Instant,
    steady: Instant,
    ramp_down: Instant,
    end: Instant,
}

impl Plan {
    fn new(options: &Options) -> Self {
        let begin = Instant::now();
        let steady = begin + options.ramp_up;
        let ramp_down = steady + options.steady;
        Self { begin, steady, ramp_down, end: ramp_down + options.ramp_down }
    }

    fn part(&self) -> &'static str {
        let now = Instant::now();
        if now < self.steady {
            "ramp-up"
        } else if now < self.ramp_down {
            "steady"
        } else {
            "ramp-down"
        }
    }

    /// When the user of this number comes and goes.
    fn schedule(&self, number: usize, options: &Options) -> Schedule {
        let users = u32::try_from(options.tokens.len()).unwrap_or(u32::MAX);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let part = |of: Duration| of.mul_f64(f64::from(number) / f64::from(users));
        let cut = (options.profile == Profile::Storm).then(|| self.steady + BEFORE_THE_STORM.min(options.steady / 4));
        Schedule { arrive: self.begin + part(options.ramp_up), leave: self.ramp_down + part(options.ramp_down), cut }
    }
}

/// Loads a server and says how it went. `stop` ends the run early; what was measured until then is told.
///
/// # Errors
/// When the run cannot begin: nothing has been sent then.
pub async fn run(
    options: &Options,
    clock: &dyn Clock,
    entropy: Arc<dyn Entropy>,
    stop: impl Future<Output = ()>,
    mut progress: impl FnMut(&Progress),
) -> Result<Report, Fault> {
    options.check()?;
    let base = client(options, Arc::clone(&entropy))?;
    let started_at = clock.now();
    let plan = Plan::new(options);
    let shared = Arc::new(Shared {
        recorder: Recorder::new(plan.steady..plan.ramp_down),
        entropy,
        profile: options.profile,
        think: Duration::from_secs_f64(60.0 / options.per_minute),
    });
    let mut watch = Watch::new(options);
    let mut users = JoinSet::new();
    for (number, (token, _)) in options.tokens.iter().enumerate() {
        let client = base.with_token(token).map_err(|error| Fault(format!("token {}: {error}", number + 1)))?;
        users.spawn(User::new(Arc::clone(&shared), client, plan.schedule(number, options)).live());
    }
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await;
    let (mut timeline, mut stop) = (Vec::new(), pin!(stop));
    let of = (plan.end - plan.begin).as_secs();
    loop {
        tokio::select! {
            () = &mut stop => break,
            left = users.join_next() => if left.is_none() { break },
            _ = ticks.tick() => {
                let second = watch.second(plan.begin, &shared.recorder);
                timeline.push(second);
                progress(&Progress { second, of, part: plan.part() });
                if Instant::now() > plan.end + GRACE {
                    break;
                }
            }
        }
    }
    timeline.push(watch.second(plan.begin, &shared.recorder));
    users.shutdown().await;
    Ok(Report::new(options, started_at, &shared.recorder, watch.into_server(), timeline))
}

/// A client whose clones share everything but the token. It repeats nothing: a refusal is what is measured here.
fn client(options: &Options, entropy: Arc<dyn Entropy>) -> Result<Client, Fault> {
    let files = raise_file_limit();
    let users = options.tokens.len() as u64;
    let sockets = if options.profile.has_sockets() { users } else { 0 };
    let left = files.saturating_sub(sockets + SPARE_FILES);
    if left < 64 {
        return Err(Fault(format!(
            "{users} users need more than the {files} files that this process may open: raise the limit (ulimit -n)"
        )));
    }
    let in_flight = usize::try_from(left.min(users).min(4_096)).unwrap_or(64);
    let pool = Pool { idle: in_flight.min(512), in_flight, connecting: 256, ..Pool::default() };
    let retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    let built = Client::builder(&options.url, entropy).pool(pool).retry(retry).user_agent("mainstay-load").build();
    built.map_err(|error| Fault(error.to_string()))
}

/// The server as it was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Server {
    pub(crate) pid: Option<u32>,
    pub(crate) first: Sample,
    pub(crate) last: Sample,
    pub(crate) most_memory: u64,
}

/// Looks at the processes each second.
struct Watch {
    server: Server,
    own: Sample,
    at: Instant,
}

impl Watch {
    fn new(options: &Options) -> Self {
        let found = || is_loopback(&options.url).then(|| listener(port(&options.url))).flatten();
        let pid = options.server_pid.or_else(found);
        let first = pid.and_then(|pid| sample(&pid.to_string())).unwrap_or_default();
        let server = Server { pid, first, last: first, most_memory: first.memory };
        Self { server, own: sample("self").unwrap_or_default(), at: Instant::now() }
    }

    fn second(&mut self, begin: Instant, recorder: &Recorder) -> Second {
        let now = Instant::now();
        let wall = now.duration_since(self.at).as_secs_f64().max(0.001);
        let percent = |before: Sample, after: Sample| {
            (after.time.saturating_sub(before.time).as_secs_f64() / wall * 1000.0).round() / 10.0
        };
        let look = |pid: Option<u32>| pid.and_then(|pid| sample(&pid.to_string()));
        let server = look(self.server.pid).unwrap_or(self.server.last);
        let own = sample("self").unwrap_or(self.own);
        let second = Second {
            at: (now - begin).as_secs(),
            server_memory: server.memory,
            server_cpu: percent(self.server.last, server),
            own_cpu: percent(self.own, own),
            ..recorder.second()
        };
        self.server.last = server;
        self.server.most_memory = self.server.most_memory.max(server.memory);
        (self.own, self.at) = (own, now);
        second
    }

    fn into_server(self) -> (Server, Sample) {
        (self.server, self.own)
    }
}

/// The port of an address.
fn port(url: &str) -> u16 {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let named = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    named.unwrap_or(if scheme == "https" { 443 } else { 80 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_one_of_the_address() {
        assert_eq!(port("http://127.0.0.1:8080/x"), 8080);
        assert_eq!(port("https://localhost"), 443);
        assert_eq!(port("http://[::1]:81"), 81);
    }
}
