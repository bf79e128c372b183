//! What the DNS has under a name (RFC 1035): texts, servers that take mail, addresses.
//!
//! A [`Resolver`] asks name servers that ask others in turn, as those of `/etc/resolv.conf` do. It keeps three things apart:
//! that there is something, that there is nothing, and that nobody could say ([`Trouble`]).
//!
//! Each question has a random id and a port of its own, and only an answer with both, from the server that was asked, to the
//! question that was asked, is heard. What does not fit a datagram is fetched by TCP. Everything has a bound: time, attempts,
//! the size of an answer, the records of one, the aliases on the way.

mod exchange;
mod message;
mod name;
mod system;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::Entropy;

use message::{Data, Kind, Message};
pub use name::Name;

/// How long one attempt waits by default.
const WAIT: Duration = Duration::from_secs(2);
/// How often each server is asked by default.
const ROUNDS: u32 = 2;
/// The most name servers that are asked, as in the library of C.
const MOST_SERVERS: usize = 3;
/// The most aliases (CNAME) between a name and its records.
const MOST_ALIASES: usize = 8;
/// NXDOMAIN: the name at the end of the aliases is not there.
const NO_SUCH_NAME: u8 = 3;

/// Why it is not known what a name has. It is never a way to say that there is nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No name server is set.
    #[error("no name server is set")]
    NoServer,
    /// No server answered within its time.
    #[error("no name server answered in time")]
    TimedOut,
    /// A server could not be reached, or the connection to it broke.
    #[error("the name server could not be reached: {0}")]
    Unreachable(io::ErrorKind),
    /// A server answered that it cannot or will not say. The code is that of RFC 1035, 4.1.1: 2 is SERVFAIL, 5 is REFUSED.
    #[error("the name server answered with the code {} instead of records", code_word(*.0))]
    Declined(u8),
    /// A server answered what is no answer to the question.
    #[error("the name server broke the protocol: {0}")]
    Garbage(&'static str),
    /// The aliases of the name lead round in a circle, or are too many. It is the fault of the records and not of a server.
    #[error("its aliases (CNAME) lead round in a circle, or are more than {MOST_ALIASES}")]
    AliasLoop,
}

fn code_word(code: u8) -> String {
    match code {
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        other => other.to_string(),
    }
}

/// A server that takes mail for a domain (MX).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MailExchanger {
    /// The lower, the sooner it is tried.
    pub preference: u16,
    /// The host. The root stands for none: the domain takes no mail (RFC 7505).
    pub host: Name,
}

/// Asks name servers. It remembers nothing between two questions.
#[derive(Clone)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    wait: Duration,
    rounds: u32,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("servers", &self.servers)
            .field("wait", &self.wait)
            .field("rounds", &self.rounds)
            .finish_non_exhaustive()
    }
}

impl Resolver {
    /// Asks these servers in this order, of which the first three count. Each must ask others for what it does not have.
    #[must_use]
    pub fn new(mut servers: Vec<SocketAddr>, entropy: Arc<dyn Entropy>) -> Self {
        servers.truncate(MOST_SERVERS);
        Self { servers, wait: WAIT, rounds: ROUNDS, entropy }
    }

    /// Asks the name servers of this machine: those of `/etc/resolv.conf` as it is now, or the one of the machine itself where
    /// there is no such file. Its lists of suffixes and its options do not count. It reads a small file without waiting.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn system(entropy: Arc<dyn Entropy>) -> io::Result<Self> {
        Ok(Self::new(system::servers()?, entropy))
    }

    /// How long one attempt waits for an answer by UDP, and again for one by TCP (2 seconds if nothing is said, at most a
    /// minute), and how often each server is asked (twice).
    #[must_use]
    pub fn with_patience(self, wait: Duration, rounds: u32) -> Self {
        Self { wait, rounds, ..self }
    }

    /// The texts (TXT) of a name, each with its strings joined. None means that there are none.
    ///
    /// # Errors
    /// When nobody could say.
    pub async fn texts(&self, name: &Name) -> Result<Vec<Vec<u8>>, Trouble> {
        let found = self.lookup(name, Kind::Text).await?;
        Ok(found.into_iter().filter_map(|data| if let Data::Text(text) = data { Some(text) } else { None }).collect())
    }

    /// The servers that take mail for a name (MX), the preferred ones first. None means that there are none.
    ///
    /// # Errors
    /// When nobody could say.
    pub async fn mail_exchangers(&self, name: &Name) -> Result<Vec<MailExchanger>, Trouble> {
        let found = self.lookup(name, Kind::Exchanger).await?;
        let exchanger = |data| match data {
            Data::Exchanger(preference, host) => Some(MailExchanger { preference, host }),
            _ => None,
        };
        let mut exchangers: Vec<MailExchanger> = found.into_iter().filter_map(exchanger).collect();
        exchangers.sort();
        Ok(exchangers)
    }

    /// The addresses (A and AAAA) of a name, through its aliases. None means that there are none.
    ///
    /// # Errors
    /// When nobody could say; also when that is so for one version of addresses and there are none of the other.
    pub async fn addresses(&self, name: &Name) -> Result<Vec<IpAddr>, Trouble> {
        let (fourth, sixth) = tokio::join!(self.lookup(name, Kind::Address4), self.lookup(name, Kind::Address6));
        let found: Vec<Data> = match (fourth, sixth) {
            (Ok(fourth), Ok(sixth)) => fourth.into_iter().chain(sixth).collect(),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) if !one.is_empty() => one,
            (Err(trouble), _) | (_, Err(trouble)) => return Err(trouble),
        };
        let address = |data| if let Data::Address(address) = data { Some(address) } else { None };
        Ok(found.into_iter().filter_map(address).collect())
    }

    /// The records of a kind, through aliases. A server that tells the alias alone is asked for what that one has.
    async fn lookup(&self, name: &Name, kind: Kind) -> Result<Vec<Data>, Trouble> {
        let mut name = name.clone();
        let mut aliases = 0;
        loop {
            let message = self.ask(&name, kind).await?;
            let ended = message.code == NO_SUCH_NAME;
            let (reached, found) = message.follow(&name, kind, &mut aliases)?;
            if !found.is_empty() || ended || reached == name {
                return Ok(found);
            }
            name = reached;
        }
    }

    /// The first good answer: the servers in turn, and again from the first.
    async fn ask(&self, name: &Name, kind: Kind) -> Result<Message, Trouble> {
        let mut last = Trouble::NoServer;
        for _ in 0..self.rounds {
            for server in &self.servers {
                match exchange::exchange(*server, name, kind, self.wait, &*self.entropy).await {
                    Ok(message) => return Ok(message),
                    Err(trouble) => last = trouble,
                }
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests;
