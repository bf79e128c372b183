//! From a name to the addresses that may be dialled.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::address::NotPublic;
use super::phase::{Phase, Progress};
use super::rules::Rules;

/// The most lookups that run at once. Each holds a thread until the system gives up, which a name server that does not
/// answer can draw out to half a minute, and there are 512 such threads for the whole process. What waits for a place
/// waits within the time for connecting.
const MAX_LOOKUPS: usize = 64;
/// The most addresses of one name that are dialled: they share the time for connecting.
const MAX_ADDRESSES: usize = 8;

/// Something that knows which addresses a name has.
pub trait Lookup: Send + Sync {
    /// The addresses of a name, in the order in which they should be dialled. None is judged yet.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
#[derive(Debug)]
pub struct SystemLookup {
    places: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let places = Arc::clone(&self.places);
        Box::pin(async move {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            let looking = tokio::task::spawn_blocking(move || {
                // Held until the thread is free, also when nobody waits for the answer any more.
                let _place = place;
                (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
            });
            looking.await.map_err(io::Error::other)?
        })
    }
}

/// Why a name cannot be dialled.
#[derive(Debug, Error)]
pub(super) enum Undialled {
    #[error("the name has no address")]
    Unresolvable(#[source] Option<io::Error>),
    #[error("the name stands for {address}, {why}, and for no other address that may be called")]
    Refused { address: IpAddr, why: NotPublic },
}

/// What the HTTP client asks before it dials a name. The list that is judged is the list that is dialled, so that a name
/// that changes its address in between changes nothing.
pub(super) struct Vetted {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) rules: Arc<Rules>,
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let (looking, rules) = (self.lookup.lookup(name.as_str().to_owned()), Arc::clone(&self.rules));
        Box::pin(async move {
            Progress::enter(Phase::Resolve);
            let found = looking.await.map_err(|error| Undialled::Unresolvable(Some(error)))?;
            let dialled = vet(&found, &rules)?;
            Progress::enter(Phase::Connect);
            let addresses: Addrs = Box::new(dialled.into_iter());
            Ok(addresses)
        })
    }
}

/// The addresses that may be dialled. Those that may not are left out, as a browser would do when they do not answer.
pub(super) fn vet(found: &[IpAddr], rules: &Rules) -> Result<Vec<SocketAddr>, Undialled> {
    let mut refused = None;
    let mut dialled = Vec::new();
    for &address in found {
        match rules.judge(address) {
            // Port 0 stands for the port of the URL.
            Ok(()) if dialled.len() < MAX_ADDRESSES => dialled.push(SocketAddr::new(address, 0)),
            Ok(()) => {}
            Err(why) => refused = refused.or(Some(Undialled::Refused { address, why })),
        }
    }
    match refused {
        _ if !dialled.is_empty() => Ok(dialled),
        Some(refused) => Err(refused),
        None => Err(Undialled::Unresolvable(None)),
    }
}
