//! What is audited: the parts of an installation, its settings, and the server that answers for it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use mainstay_domain::{Error, Kind, Result};
use mainstay_store::Call;
use reqwest::Url;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt as _;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::handshake::believing;
use super::profile::Profile;
use crate::app::App;
use crate::config;
use crate::http::{Known, RouteTable};

/// How long one request of a check may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most of an answer that is read.
const MOST_ANSWER: usize = 4 * 1024 * 1024;

/// What is audited.
pub struct Subject {
    /// Its parts: the same settings and the same database as the server's.
    pub app: Arc<App>,
    /// The server, as strangers reach it.
    pub live: Live,
    /// What it is for.
    pub profile: Profile,
    /// Its routes.
    pub table: RouteTable,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("live", &self.live).field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl Subject {
    /// The bound of a question to the database.
    #[must_use]
    pub fn call(&self) -> Call {
        Call::within(PATIENCE)
    }
}

/// The server, as strangers reach it.
#[derive(Clone, Debug)]
pub struct Live {
    base: Url,
    client: reqwest::Client,
    /// How TLS is spoken with it, where it has a certificate of its own.
    tls: Option<Arc<ClientConfig>>,
}

/// A connection to the server, under TLS where it speaks that.
pub type Line = Either<TcpStream, TlsStream<TcpStream>>;

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Told {
    /// With which status.
    pub status: StatusCode,
    /// With which headers.
    pub headers: HeaderMap,
    /// What it said.
    pub text: String,
}

impl Told {
    /// A header as text; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The files of ours that it names, where it is a page: what stands behind `/assets/`.
    #[must_use]
    pub fn assets(&self) -> BTreeSet<&str> {
        self.text.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    /// What it said as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

/// The server did not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Silent(String);

impl Live {
    /// The server at this address.
    ///
    /// # Errors
    /// When it is no http or https address.
    pub fn new(address: &str) -> Result<Self> {
        Self::with(address, None)
    }

    /// The server of these settings by its address on this machine and this port. Where it has a certificate of its own, whoever
    /// holds that is believed, and nobody else: the name in it is not that address.
    ///
    /// # Errors
    /// When the file with the certificate cannot be read.
    pub fn local(http: &config::Http, port: u16) -> Result<Self> {
        let own = http.tls.is_on().then(|| Known::read(&http.tls)).transpose()?;
        let tls = own.map(|own| believing(own.certificate)).transpose().map_err(Error::internal)?;
        Self::with(&http.local_address(port), tls.map(Arc::new))
    }

    fn with(address: &str, tls: Option<Arc<ClientConfig>>) -> Result<Self> {
        let bad = || {
            let detail = format!(
                "'{address}' is not the address of a server. Write http://127.0.0.1:8080 or https://chat.example.com."
            );
            Error::new(Kind::Invalid, "bad_address", detail)
        };
        let base = Url::parse(address).map_err(|_| bad())?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(bad());
        }
        // What is seen is what the server itself says: nothing is followed, kept or tried again.
        let mut builder = reqwest::Client::builder();
        if let Some(tls) = &tls {
            builder = builder.tls_backend_preconfigured(ClientConfig::clone(tls));
        }
        let client = builder
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent(concat!("mainstay-audit/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::internal)?;
        Ok(Self { base, client, tls })
    }

    /// Where it is.
    #[must_use]
    pub const fn base(&self) -> &Url {
        &self.base
    }

    /// A connection of its own, for what no client would send.
    ///
    /// # Errors
    /// When there is none in time.
    pub async fn connect(&self) -> std::result::Result<Line, Silent> {
        let silent = |error: &dyn fmt::Display| Silent(format!("no connection to {}: {error}", self.base));
        let (host, port) = place(&self.base);
        let connect = async {
            let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| silent(&error))?;
            if self.base.scheme() == "http" {
                return Ok(Either::Left(stream));
            }
            let tls = match &self.tls {
                Some(tls) => Arc::clone(tls),
                None => Arc::new(ClientConfig::with_platform_verifier().map_err(|error| silent(&error))?),
            };
            let name = ServerName::try_from(host.clone()).map_err(|error| silent(&error))?;
            TlsConnector::from(tls).connect(name, stream).await.map(Either::Right).map_err(|error| silent(&error))
        };
        timeout(PATIENCE, connect).await.unwrap_or_else(|_| Err(silent(&"it took too long")))
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub async fn get(&self, path: &str) -> std::result::Result<Told, Silent> {
        self.send(Method::GET, path, &[], None).await
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> std::result::Result<Told, Silent> {
        let silent = |error: &dyn fmt::Display| Silent(format!("no answer from {}: {error}", self.base));
        let url = self.base.join(path).map_err(|error| silent(&error))?;
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(|error| silent(&Reason(&error)))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut read = Vec::new();
        // Whoever answers without an end is not listened to without one.
        while let Ok(Some(part)) = response.chunk().await {
            read.extend_from_slice(&part);
            if read.len() > MOST_ANSWER {
                break;
            }
        }
        Ok(Told { status, headers, text: String::from_utf8_lossy(&read).into_owned() })
    }
}

/// Where an address of the web leads: a host, without the brackets of an IPv6 address, and a port.
pub(super) fn place(url: &Url) -> (String, u16) {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    (host, url.port_or_known_default().unwrap_or(443))
}

/// The innermost cause of an error: "connection refused" and not "error sending request".
struct Reason<'a>(&'a dyn std::error::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut inner = self.0;
        while let Some(cause) = inner.source() {
            inner = cause;
        }
        write!(f, "{inner}")
    }
}
