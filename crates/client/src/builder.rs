//! How a client is made.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Entropy, Secret};
use reqwest::Url;
use reqwest::redirect::Policy;
use tokio::sync::Semaphore;

use crate::client::{Client, Shared};
use crate::credentials::{Credentials, Keep, Session, Tokens};
use crate::error::Error;
use crate::retry::{Budget, RetryPolicy};

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection: 5 s.
    pub connect: Duration,
    /// For the beginning of an answer: 20 s.
    pub first_byte: Duration,
    /// For the beginning of an answer that waits for a whole reply: 80 s, more than the server waits.
    pub reply: Duration,
    /// For the next piece of an answer: 40 s. Streams send a sign of life each 15 s.
    pub idle: Duration,
    /// For the next sign of life on a live socket: 65 s. The server pings each 25 s.
    pub live_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(20),
            reply: Duration::from_secs(80),
            idle: Duration::from_secs(40),
            live_idle: Duration::from_secs(65),
        }
    }
}

/// How many connections are held and used.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Connections that are kept while nothing is asked: 32.
    pub idle: usize,
    /// For how long: 60 s.
    pub idle_timeout: Duration,
    /// Calls that are answered at once; further ones wait for their turn: 256.
    pub in_flight: usize,
    /// Live sockets that connect at once; further ones wait for their turn: 64.
    pub connecting: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle: 32, idle_timeout: Duration::from_secs(60), in_flight: 256, connecting: 64 }
    }
}

/// Makes a [`Client`].
#[must_use]
pub struct ClientBuilder {
    base: String,
    entropy: Arc<dyn Entropy>,
    timeouts: Timeouts,
    pool: Pool,
    retry: RetryPolicy,
    user_agent: String,
    credentials: Option<CredentialsToBe>,
    keep: Option<Keep>,
}

enum CredentialsToBe {
    Token(Secret),
    Session(Tokens),
}

impl ClientBuilder {
    pub(crate) fn new(base: &str, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            entropy,
            timeouts: Timeouts::default(),
            pool: Pool::default(),
            retry: RetryPolicy::default(),
            user_agent: concat!("mainstay-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            credentials: None,
            keep: None,
        }
    }

    /// Speaks with this access token or API key, which never changes.
    pub fn token(mut self, token: Secret) -> Self {
        self.credentials = Some(CredentialsToBe::Token(token));
        self
    }

    /// Speaks for a sign-in, whose pair of tokens is renewed before it ends and whenever the server refuses it.
    pub fn session(mut self, tokens: Tokens) -> Self {
        self.credentials = Some(CredentialsToBe::Session(tokens));
        self
    }

    /// Is called with each new pair of tokens, so that it can be stored: a refresh token is good once.
    pub fn on_new_tokens(mut self, keep: impl Fn(&Tokens) + Send + Sync + 'static) -> Self {
        self.keep = Some(Arc::new(keep));
        self
    }

    /// How long to wait for what.
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How many connections are held and used.
    pub const fn pool(mut self, pool: Pool) -> Self {
        self.pool = pool;
        self
    }

    /// How calls are repeated.
    pub const fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// What the client calls itself.
    pub fn user_agent(mut self, name: &str) -> Self {
        name.clone_into(&mut self.user_agent);
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Setting`] when the address is none, or a setting cannot be used.
    pub fn build(self) -> Result<Client, Error> {
        // The process may have chosen its cryptography already; then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base: Url = self.base.parse().map_err(|error| Error::Setting(format!("{}: {error}", self.base)))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(Error::Setting(format!("{} is not an address of HTTP", self.base)));
        }
        let mut http = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .redirect(Policy::none())
            .connect_timeout(self.timeouts.connect)
            .pool_max_idle_per_host(self.pool.idle)
            .pool_idle_timeout(self.pool.idle_timeout)
            .tcp_nodelay(true);
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| Error::Setting(error.to_string()))?;
        let credentials = match self.credentials {
            None => Credentials::None,
            Some(CredentialsToBe::Token(token)) => Credentials::token(&token)?,
            Some(CredentialsToBe::Session(tokens)) => {
                Credentials::Session(Arc::new(Session::new(tokens, self.keep.clone())))
            }
        };
        let shared = Shared {
            http,
            base: self.base,
            timeouts: self.timeouts,
            retry: self.retry,
            budget: Budget::new(self.retry.budget_percent),
            entropy: self.entropy,
            in_flight: Semaphore::new(self.pool.in_flight.max(1)),
            connecting: Arc::new(Semaphore::new(self.pool.connecting.max(1))),
            keep: self.keep,
        };
        Ok(Client { shared: Arc::new(shared), credentials })
    }
}

/// Whether an address leads to this machine alone.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
