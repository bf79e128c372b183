//! A bare connection to a server that a user named, for protocols other than HTTP: the address that is judged is the
//! address that is dialled.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::NotPublic;
use super::resolver::{Lookup, Undialled, vet};
use super::rules::Rules;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum Undialable {
    /// The name, or the address itself, may not be called.
    #[error("{0}")]
    Refused(String),
    /// The name has no address, at this moment at least.
    #[error("the name {0} has no address")]
    Unresolvable(String),
    /// Nobody answers.
    #[error("no connection to {0}: {1}")]
    Unreachable(String, String),
    /// It took too long.
    #[error("no connection to {0} within {1:?}")]
    TimedOut(String, Duration),
}

/// Connects to a port of a host. All of it (the lookup, and each address in turn) has so long together.
///
/// # Errors
/// Says why not.
pub async fn dial(
    lookup: &dyn Lookup,
    rules: &Rules,
    (host, port): (&str, u16),
    limit: Duration,
) -> Result<TcpStream, Undialable> {
    let dialling = connect(lookup, rules, host, port);
    timeout(limit, dialling).await.unwrap_or_else(|_| Err(Undialable::TimedOut(host.to_owned(), limit)))
}

async fn connect(lookup: &dyn Lookup, rules: &Rules, host: &str, port: u16) -> Result<TcpStream, Undialable> {
    let mut last = "it has no address that may be called".to_owned();
    for address in addresses(lookup, rules, host).await? {
        match TcpStream::connect(SocketAddr::new(address.ip(), port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.to_string(),
        }
    }
    Err(Undialable::Unreachable(host.to_owned(), last))
}

async fn addresses(lookup: &dyn Lookup, rules: &Rules, host: &str) -> Result<Vec<SocketAddr>, Undialable> {
    let refused = |address: IpAddr, why: NotPublic| {
        Undialable::Refused(format!("{host} stands for {address}, {why}, which is not called"))
    };
    if let Ok(address) = host.parse::<IpAddr>() {
        return match rules.judge(address) {
            Ok(()) => Ok(vec![SocketAddr::new(address, 0)]),
            Err(why) => Err(refused(address, why)),
        };
    }
    let unresolvable = || Undialable::Unresolvable(host.to_owned());
    let found = lookup.lookup(host.to_owned()).await.map_err(|_| unresolvable())?;
    vet(&found, rules).map_err(|undialled| match undialled {
        Undialled::Refused { address, why } => refused(address, why),
        Undialled::Unresolvable(_) => unresolvable(),
    })
}
