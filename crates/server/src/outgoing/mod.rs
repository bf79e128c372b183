//! The one way out to addresses that users choose.
//!
//! Whoever may name an endpoint may name `http://169.254.169.254/`, a name that stands for the database's host, or a name
//! that stands for something else each time it is asked. So what is judged is the address that is dialled, when it is
//! dialled: the client resolves every name through [`Lookup`] and dials only what [`Rules`] allow of the answer. Hosts that
//! are written as addresses never reach a resolver, and are judged before. Redirects are answers, and no proxy stands
//! between. A connection that is kept was judged when it was made, and the rules do not change while the client lives;
//! it goes where it went, whatever the name stands for by now.
//!
//! Nothing that the other side does costs its caller more than the deadline in time and the bound of the body in memory.
//! One thing can outlast the deadline: the client writes what it holds of a request to the end before it closes, though
//! nobody waits for it. A receiver that takes nothing is cut off by the system after the same time once more. One that
//! takes a little now and then is not, and holds a socket and the body of the request for as long. That is so for bodies
//! that the system does not take at once, a few tens of KiB: whoever makes requests keeps them below.
//!
//! Connections, and the lookups that run, are those of this process: several nodes have their own.

mod address;
mod dial;
mod fault;
mod phase;
mod resolver;
mod rules;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use mainstay_domain::{Error, Kind};
use mainstay_store::trace::{Step, StepKind};
use reqwest::{Client, Response};
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use address::{NotPublic, is_public, why_not_public};
pub use dial::{Undialable, dial};
pub use fault::{Failure, Fault};
pub use phase::Phase;
pub use resolver::{Lookup, SystemLookup};
pub use rules::{BadUrl, Rules, validate_url};

use fault::{Cause, cause};
use phase::{NotesConnecting, Progress};
use resolver::Vetted;

/// The headers of an answer that are kept. The others are the other side's business.
const KEPT: [HeaderName; 3] = [header::RETRY_AFTER, header::LOCATION, header::CONTENT_TYPE];
/// The longest value of a header that is kept, in bytes.
const MAX_HEADER_BYTES: usize = 2048;
/// The most headers of an answer. The whole head is bounded too, by 408 KiB (`http1::Builder::max_buf_size` of hyper).
const MAX_HEADERS: usize = 100;

/// Headers that say where a request goes, how long it is, or what becomes of the connection (RFC 9110, section 7.6.1, and
/// RFC 9112, section 6). They are the client's own: taken from a caller, they could make two requests of one.
const NOT_FOR_CALLERS: [HeaderName; 11] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
];

/// How the client behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a name and a connection may take together, with TLS. Several addresses of one name share it.
    pub connect_timeout: Duration,
    /// How long an exchange may take in all, to the end of the answer's body.
    pub deadline: Duration,
    /// The most bytes of an answer's body that are read. What is longer is cut, and its connection closed.
    pub max_body_bytes: usize,
    /// Connections that are kept for each host and port. There is no bound over all hosts: there are at most as many as
    /// there were exchanges within twice `idle_time`.
    pub idle_connections: usize,
    /// How long a connection is kept.
    pub idle_time: Duration,
    /// The value of the header `user-agent`.
    pub user_agent: String,
    /// Which URLs and addresses may be called.
    pub rules: Rules,
    /// Whether the operator names the addresses, so that traces may.
    pub of_the_operator: bool,
}

impl Settings {
    /// For addresses that the operator names, wherever they are: these times, and so many bytes of an answer.
    #[must_use]
    pub fn of_the_operator(connect_timeout: Duration, deadline: Duration, max_body_bytes: usize) -> Self {
        Self {
            connect_timeout,
            deadline,
            max_body_bytes,
            rules: Rules::anywhere(),
            of_the_operator: true,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
            max_body_bytes: 64 * 1024,
            idle_connections: 4,
            idle_time: Duration::from_secs(15),
            user_agent: concat!("mainstay/", env!("CARGO_PKG_VERSION")).to_owned(),
            rules: Rules::default(),
            of_the_operator: false,
        }
    }
}

/// An answer, whatever its status says.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status. One of 3xx is an answer like any other.
    pub status: StatusCode,
    /// `retry-after`, `location` and `content-type`, where they came.
    pub headers: HeaderMap,
    /// The body, or its beginning, as it was sent: nothing is unpacked.
    pub body: Bytes,
    /// Whether the body was longer.
    pub cut: bool,
    /// Where the answer came from. It is for the log: in the operator's own network it is nobody else's business.
    pub address: Option<SocketAddr>,
    /// How long it took until the head of the answer had come.
    pub first_byte: Duration,
    /// How long it took in all.
    pub took: Duration,
}

/// The client. It is made once and shared, so that connections are.
#[derive(Clone, Debug)]
pub struct Outgoing {
    client: Client,
    rules: Arc<Rules>,
    deadline: Duration,
    max_body_bytes: usize,
    of_the_operator: bool,
}

impl Outgoing {
    /// A client that asks the operating system for addresses.
    ///
    /// # Errors
    ///
    /// When the TLS provider is not installed, or the client cannot be made.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Self::with_lookup(settings, Arc::new(SystemLookup::default()))
    }

    /// A client that asks `lookup` for addresses. They are judged all the same.
    ///
    /// # Errors
    ///
    /// When the TLS provider is not installed, or the client cannot be made.
    pub fn with_lookup(settings: Settings, lookup: Arc<dyn Lookup>) -> Result<Self, Error> {
        let rules = Arc::new(settings.rules.clone());
        let client = client(&settings, Vetted { lookup, rules: Arc::clone(&rules) })?;
        Ok(Self {
            client,
            rules,
            deadline: settings.deadline,
            max_body_bytes: settings.max_body_bytes,
            of_the_operator: settings.of_the_operator,
        })
    }

    /// Sends one request, once, and reads its answer. Dropping the future ends the exchange and closes its connection.
    ///
    /// # Errors
    ///
    /// When there is no whole answer. Whether the request may have been acted on is said at each [`Fault`].
    pub async fn post(&self, url: &Url, headers: HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let started = Instant::now();
        let mut status = None;
        let mut step = Step::begin(StepKind::Outgoing, "POST");
        let outcome = self.exchange(url, headers, body, started, &mut status).await;
        // An address that users choose is nothing for a trace: its host may be a name of somebody.
        let host = url.host_str().filter(|_| self.of_the_operator);
        note(&mut step, host, status, &outcome);
        outcome.map_err(|(fault, inside)| Failure { fault, status, inside, took: started.elapsed() })
    }

    async fn exchange(
        &self,
        url: &Url,
        mut headers: HeaderMap,
        body: Bytes,
        started: Instant,
        status: &mut Option<StatusCode>,
    ) -> Result<Answer, Cause> {
        self.rules.check(url).map_err(|bad| (Fault::BadUrl(bad), bad.to_string()))?;
        for name in &NOT_FOR_CALLERS {
            headers.remove(name);
        }
        let deadline = started + self.deadline;
        let progress = Progress::begin();
        let sending = progress.during(self.client.post(url.clone()).headers(headers).body(body).send());
        let response = match timeout_at(deadline, sending).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(cause(error, progress.phase())),
            Err(_) => return Err(late(progress.phase())),
        };
        let first_byte = started.elapsed();
        *status = Some(response.status());
        let mut answer = Answer {
            status: response.status(),
            headers: kept(response.headers()),
            body: Bytes::new(),
            cut: false,
            address: response.remote_addr(),
            first_byte,
            took: first_byte,
        };
        match timeout_at(deadline, beginning(response, self.max_body_bytes)).await {
            Ok(Ok((body, cut))) => (answer.body, answer.cut) = (body, cut),
            Ok(Err(error)) => return Err(cause(error, Phase::Body)),
            Err(_) => return Err(late(Phase::Body)),
        }
        answer.took = started.elapsed();
        Ok(answer)
    }
}

/// Says in the trace where a request went and what came of it. Not the path: it may be a secret.
fn note(step: &mut Step, host: Option<&str>, status: Option<StatusCode>, outcome: &Result<Answer, Cause>) {
    if !step.is_noted() {
        return;
    }
    step.say("http.request.method", "POST");
    if let Some(host) = host {
        step.say("server.address", host.to_owned());
    }
    if let Some(status) = status {
        step.say("http.response.status_code", u32::from(status.as_u16()));
    }
    match outcome {
        Ok(answer) => {
            step.say("mainstay.first_byte_ms", answer.first_byte);
            if !answer.status.is_success() {
                step.fail(answer.status);
            }
        }
        Err((fault, _)) => step.fail(fault.code()),
    }
}

fn late(phase: Phase) -> Cause {
    (Fault::TimedOut(phase), format!("the deadline passed in the phase {}", phase.code()))
}

fn kept(headers: &HeaderMap) -> HeaderMap {
    let found = KEPT.into_iter().filter_map(|name| {
        let value = headers.get(&name)?;
        (value.len() <= MAX_HEADER_BYTES).then(|| (name, value.clone()))
    });
    found.collect()
}

/// The beginning of the body, and whether there was more. The response is dropped here: when its body has not ended, the
/// client closes the connection rather than read what nobody wants.
async fn beginning(mut response: Response, most: usize) -> Result<(Bytes, bool), reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = most - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok((body.into(), true));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body.into(), false))
}

fn client(settings: &Settings, resolver: Vetted) -> Result<Client, Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(Error::internal("the TLS provider must be installed before the client for endpoints is made"));
    }
    let builder = Client::builder();
    // RFC 5482: how long sent data may remain without an acknowledgement, or unsent because the other side takes nothing.
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(settings.deadline);
    let builder = builder
        .dns_resolver(resolver)
        .connector_layer(NotesConnecting)
        // A proxy would resolve and dial in our place, and the environment may name one.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .https_only(!settings.rules.allow_http)
        // A body that is unpacked has no bound that the wire could keep. These hold if a feature is ever switched on.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        .connect_timeout(settings.connect_timeout)
        .pool_max_idle_per_host(settings.idle_connections)
        .pool_idle_timeout(settings.idle_time)
        .user_agent(&settings.user_agent);
    builder.build().map_err(|error| {
        Error::new(Kind::Internal, "internal", "The HTTP client for endpoints could not be made.").because(error)
    })
}
