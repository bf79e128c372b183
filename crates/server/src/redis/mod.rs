//! The link to Redis: what several nodes tell each other by. Nothing here is opened unless `redis.url` is set, and nothing
//! that must not be lost is kept there.
//!
//! [`Link`] carries commands over one connection that all requests share. Each has a short timeout; after some failures in a
//! row a breaker opens, and calls fail at once until Redis answers again. [`Bus`] carries messages between nodes over a
//! second connection. Both reconnect for ever, with pauses of 100 ms doubling to 3 s.

mod backoff;
mod breaker;
mod bus;
mod link;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use mainstay_domain::{Entropy, Error, Result};
use redis::{Client, IntoConnectionInfo as _};

pub use self::bus::{Bus, Event, Subscription};
pub use self::link::{Away, Link, State};
use crate::config;
use crate::lifecycle::Lifecycle;

/// Both connections.
#[derive(Clone)]
pub struct Redis {
    /// Commands.
    pub link: Link,
    /// Messages between nodes.
    pub bus: Bus,
}

impl Redis {
    /// The link to the Redis of these settings, if they name one. It connects in the background.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn open(settings: &config::Redis, entropy: &Arc<dyn Entropy>, lifecycle: &Lifecycle) -> Result<Option<Self>> {
        if settings.url.is_empty() {
            return Ok(None);
        }
        let info = settings.url.expose().into_connection_info().map_err(Error::internal)?;
        let client = Client::open(info).map_err(Error::internal)?;
        let link = Link::new(client.clone(), settings, Arc::clone(entropy));
        let (bus, publishing) = Bus::new(client, link.clone(), settings, Arc::clone(entropy));
        let keeper = link.clone();
        lifecycle.spawn_until_drained("redis", async move { keeper.keep().await });
        let listener = bus.clone();
        lifecycle.spawn_until_drained("redis messages", async move { listener.listen().await });
        lifecycle.spawn_until_drained("redis publisher", publishing);
        Ok(Some(Self { link, bus }))
    }
}
