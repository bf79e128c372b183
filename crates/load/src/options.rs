//! What is to be done to which server.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use mainstay_domain::{Plan, Secret};

/// The most virtual users of one run.
const MOST_USERS: usize = 100_000;
/// The longest run.
const LONGEST: Duration = Duration::from_secs(4 * 60 * 60);

/// Why a run cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// What the virtual users do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// They send messages and read lists, without a socket.
    Chat,
    /// They ask what is new, again and again.
    Sync,
    /// They open a live socket and hold it.
    Connect,
    /// They hold a live socket; then all are cut at once and come back.
    Storm,
    /// They do what people do: a live socket, messages, lists, and sync as the server paces it.
    Mixed,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 5] = [Self::Chat, Self::Sync, Self::Connect, Self::Storm, Self::Mixed];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Sync => "sync",
            Self::Connect => "connect",
            Self::Storm => "storm",
            Self::Mixed => "mixed",
        }
    }

    /// Whether its users hold a live socket.
    #[must_use]
    pub const fn has_sockets(self) -> bool {
        matches!(self, Self::Connect | Self::Storm | Self::Mixed)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = Fault;

    fn from_str(word: &str) -> Result<Self, Fault> {
        let found = Self::ALL.into_iter().find(|profile| profile.as_str() == word);
        let names = || Self::ALL.map(Self::as_str).join(", ");
        found.ok_or_else(|| Fault(format!("{word:?} is no profile; there are {}", names())))
    }
}

/// What a good run must keep.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// The 99th percentile of every kind of request, in the steady part.
    pub p99: Option<Duration>,
    /// Errors of any kind, in the whole run.
    pub errors: Option<u64>,
    /// The server's memory at its most, in bytes.
    pub memory: Option<u64>,
    /// How long all sockets may take to be back after a storm.
    pub back: Option<Duration>,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub url: String,
    /// What its users do.
    pub profile: Profile,
    /// One access token for each user, with the plan, where it is known.
    pub tokens: Vec<(Secret, Option<Plan>)>,
    /// What each of them means to do in a minute. Sockets, and syncs as the server paces them, come on top.
    pub per_minute: f64,
    /// Over how long they arrive.
    pub ramp_up: Duration,
    /// How long all of them are there. Latencies are those of this part.
    pub steady: Duration,
    /// Over how long they leave.
    pub ramp_down: Duration,
    /// The process of the server, whose memory and time are read from `/proc`. For a server on this machine it is found by
    /// itself.
    pub server_pid: Option<u32>,
    /// The caller says that the server, which is not on this machine, is theirs.
    pub own_server: bool,
    /// What a good run must keep.
    pub thresholds: Thresholds,
}

impl Options {
    /// Checks everything that can be checked without the server.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self) -> Result<(), Fault> {
        let users = self.tokens.len();
        if users == 0 || users > MOST_USERS {
            return Err(Fault(format!("{users} users: there must be 1 to {MOST_USERS}")));
        }
        if self.ramp_up + self.steady + self.ramp_down > LONGEST || self.steady < Duration::from_secs(1) {
            return Err(Fault(format!(
                "a run has a steady part of at least 1 s, and takes {LONGEST:?} at most in all"
            )));
        }
        if !(0.01..=6_000.0).contains(&self.per_minute) {
            return Err(Fault("a user does 0.01 to 6000 things a minute".to_owned()));
        }
        if !self.own_server && !is_loopback(&self.url) {
            return Err(Fault(format!(
                "{} is not on this machine. A load run makes a server slow for everybody, and writes to it: say \
                 --i-own-this-server if it is yours",
                self.url
            )));
        }
        Ok(())
    }

    /// How many users have which plan.
    pub(crate) fn plans(&self) -> BTreeMap<&'static str, usize> {
        let mut plans = BTreeMap::new();
        for (_, plan) in &self.tokens {
            *plans.entry(plan.map_or("unknown", Plan::as_str)).or_default() += 1;
        }
        plans
    }
}

/// The host of an address, without brackets.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // What stands before an @ is a name, and not the host.
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

pub(crate) fn is_loopback(url: &str) -> bool {
    let host = host(url);
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Reads a file of tokens: one on each line, and after a comma its user's plan, where that is known.
///
/// # Errors
/// Names the line that cannot be used.
pub fn parse_tokens(text: &str) -> Result<Vec<(Secret, Option<Plan>)>, Fault> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parse = |(number, line): (usize, &str)| {
        let (token, plan) = line.split_once(',').map_or((line, None), |(token, plan)| (token, Some(plan)));
        let plan = plan.map(|plan| plan.trim().parse()).transpose();
        let plan = plan.map_err(|error| Fault(format!("line {} of the tokens: {error}", number + 1)))?;
        Ok((Secret::new(token.trim().to_owned()), plan))
    };
    lines.map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Options {
        Options {
            url: url.to_owned(),
            profile: Profile::Chat,
            tokens: vec![(Secret::new("x".to_owned()), None)],
            per_minute: 2.0,
            ramp_up: Duration::ZERO,
            steady: Duration::from_secs(5),
            ramp_down: Duration::ZERO,
            server_pid: None,
            own_server: false,
            thresholds: Thresholds::default(),
        }
    }

    #[test]
    fn only_this_machine_is_loaded_without_a_word() {
        for url in ["http://127.0.0.1:8080", "http://localhost:8080/x", "http://[::1]:80", "http://127.9.9.9"] {
            assert_eq!(options(url).check(), Ok(()), "{url}");
        }
        let elsewhere = [
            "http://10.0.0.1",
            "https://example.com",
            "http://127.0.0.1@example.com",
            "http://localhost.example.com",
            "",
        ];
        for url in elsewhere {
            assert!(options(url).check().is_err(), "{url}");
            assert_eq!(Options { own_server: true, ..options(url) }.check(), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_run_is_bounded() {
        let good = options("http://127.0.0.1");
        assert!(Options { tokens: Vec::new(), ..good.clone() }.check().is_err());
        assert!(Options { steady: Duration::from_secs(100_000), ..good.clone() }.check().is_err());
        assert!(Options { per_minute: 0.0, ..good.clone() }.check().is_err());
        assert!(Options { per_minute: f64::NAN, ..good }.check().is_err());
    }

    #[test]
    fn tokens_may_name_a_plan() {
        let tokens = parse_tokens("abc\n\n def , core\n").expect("tokens");
        assert_eq!(
            tokens.iter().map(|(token, plan)| (token.expose(), *plan)).collect::<Vec<_>>(),
            [("abc", None), ("def", Some(Plan::Core))]
        );
        assert!(parse_tokens("abc,gold").is_err());
        assert!("mixed".parse::<Profile>().is_ok() && "all".parse::<Profile>().is_err());
    }
}
