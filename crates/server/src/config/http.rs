//! The section `[http]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::rules::{self, durations};
use super::schema::Bound;
use super::{Fault, Tls, Warning};

pub(super) const BOUNDS: &[Bound] = &[
    ("http.port", 0, 65_535),
    ("http.max_connections", 1, 1_000_000),
    ("http.header_timeout_ms", 10, 120_000),
    ("http.body_idle_timeout_ms", 10, 600_000),
    ("http.write_timeout_ms", 10, 600_000),
    ("http.keep_alive_timeout_ms", 10, 3_600_000),
    ("http.request_timeout_ms", 10, 600_000),
    ("http.max_body_bytes", 1_024, 67_108_864),
    ("http.max_json_depth", 4, 128),
];

/// The server's socket and its bounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Http {
    /// The address to listen on. 127.0.0.1 serves this machine only; 0.0.0.0 serves every network that reaches it.
    pub host: String,
    /// The port to listen on; 0 takes one that is free. PORT sets it too.
    pub port: u16,
    /// The address under which people reach the server, with its scheme: https://chat.example.com. With https, cookies are for https only and browsers are told to stay with it (HSTS); the check of origins follows it too. Empty: <host>:<port>.
    pub public_url: String,
    /// Origins that may call the API from a browser, besides the server's own: exact ("https://app.example.com") or with a wildcard for one or more subdomains ("https://*.example.com").
    pub allowed_origins: Vec<String>,
    /// Networks whose X-Forwarded-For is believed, in CIDR form ("10.0.0.0/8"): your own proxies and nothing else.
    pub trusted_proxies: Vec<String>,
    /// Networks that may read /metrics, in CIDR form: where your Prometheus is. For anybody else it is not there.
    pub metrics_networks: Vec<String>,
    /// The most connections at once. Further ones wait in the operating system's queue.
    pub max_connections: usize,
    /// How long a client may take to send its request line and headers, in milliseconds.
    pub header_timeout_ms: u64,
    /// How long a client may pause while it sends a body, in milliseconds.
    pub body_idle_timeout_ms: u64,
    /// How long the operating system may be unable to hand anything on to a client that has stopped reading, in milliseconds.
    pub write_timeout_ms: u64,
    /// How long a connection without a request is kept, in milliseconds.
    pub keep_alive_timeout_ms: u64,
    /// How long a request may take until its answer begins, in milliseconds; past that it is answered 504. Its queries inherit what is left. A request that waits for a reply has assistant.wait_timeout_seconds and 10 s instead.
    pub request_timeout_ms: u64,
    /// The largest body that a route takes unless it says otherwise, in bytes.
    pub max_body_bytes: usize,
    /// How deep JSON may be nested.
    pub max_json_depth: usize,
    /// TLS of the server's own.
    pub tls: Tls,
}

durations!(Http {
    header_timeout: from_millis(header_timeout_ms),
    body_idle_timeout: from_millis(body_idle_timeout_ms),
    write_timeout: from_millis(write_timeout_ms),
    keep_alive_timeout: from_millis(keep_alive_timeout_ms),
    request_timeout: from_millis(request_timeout_ms),
});

impl Http {
    /// Where to listen.
    #[must_use]
    pub fn listen_address(&self) -> SocketAddr {
        SocketAddr::new(parse_host(&self.host).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.port)
    }

    /// The address under which people reach the server, without a slash at its end. When none is set it is made of the
    /// host and the port that is listened on, which is an argument since port 0 takes a free one.
    #[must_use]
    pub fn public_address(&self, port: u16) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.trim_end_matches('/').to_owned();
        }
        self.local_address(port)
    }

    /// The address under which this machine reaches the server, which listens on this port.
    #[must_use]
    pub fn local_address(&self, port: u16) -> String {
        let host = match self.listen_address().ip() {
            IpAddr::V4(host) if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(host) if host.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host,
        };
        format!("{}://{}", self.scheme(), SocketAddr::new(host, port))
    }

    /// What the server itself speaks: `https` with a certificate of its own, else `http`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_on() { "https" } else { "http" }
    }

    /// Whether people reach the server by https: its own, or that of a proxy in front.
    #[must_use]
    pub fn is_https(&self) -> bool {
        if self.public_url.is_empty() { self.tls.is_on() } else { self.public_url.starts_with("https://") }
    }

    /// Whether /metrics is there for this address.
    #[must_use]
    pub fn may_read_metrics(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.metrics_networks
            .iter()
            .filter_map(|network| network.parse::<IpNet>().ok())
            .any(|network| network.contains(&address))
    }

    /// The networks whose X-Forwarded-For is believed.
    #[must_use]
    pub fn trusted_networks(&self) -> Vec<IpNet> {
        self.trusted_proxies.iter().filter_map(|network| network.parse().ok()).collect()
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if parse_host(&self.host).is_none() {
            let cure = "Use 127.0.0.1 for this machine only, 0.0.0.0 or :: for every network";
            faults.push(Fault::new("http.host", "is not an IP address and not localhost", cure));
        }
        if !self.public_url.is_empty() {
            faults.extend(rules::web_address("http.public_url", &self.public_url, rules::Path::None).err());
        }
        self.tls.validate(&self.public_url, faults);
        faults.extend(self.allowed_origins.iter().filter_map(|origin| origin_fault(origin)));
        let networks =
            |key, list: &[String]| list.iter().map(move |network| (key, network.clone())).collect::<Vec<_>>();
        let proxies = networks("http.trusted_proxies", &self.trusted_proxies);
        for (key, network) in proxies.into_iter().chain(networks("http.metrics_networks", &self.metrics_networks)) {
            if network.parse::<IpNet>().is_err() {
                let cure = if network.parse::<IpAddr>().is_ok() {
                    format!("Write {network}/{}", if network.contains(':') { 128 } else { 32 })
                } else {
                    "Write an address and the length of its prefix, for example 10.0.0.0/8".to_owned()
                };
                let reason = format!("'{}' is not a network in CIDR form", rules::shown(&network));
                faults.push(Fault::new(key, reason, cure));
            }
        }
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        self.tls.advise(warnings);
        if self.public_url.is_empty() {
            if !self.listen_address().ip().is_loopback() {
                let reason =
                    "is empty although other machines can reach the server: cookies and the check of origins follow it";
                let cure = "Set it to the address that people use, for example https://chat.example.com";
                warnings.push(Fault::new("http.public_url", reason, cure));
            }
        } else if rules::is_open(&self.public_url) {
            let reason = "is not https, so that passwords and tokens cross the network for everybody to read";
            warnings.push(Fault::new(
                "http.public_url",
                reason,
                "Set [http.tls], or put a proxy with a certificate in front",
            ));
        }
        if self.trusted_networks().iter().any(|network| network.prefix_len() == 0) {
            let reason = "every address is trusted, so that any client can pretend to be any other";
            warnings.push(Fault::new("http.trusted_proxies", reason, "Name the networks of your proxies only"));
        }
    }
}

fn parse_host(host: &str) -> Option<IpAddr> {
    if host == "localhost" { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse().ok() }
}

/// An origin is compared with what browsers send, so it must be written as they write it
/// (<https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin>).
fn origin_fault(origin: &str) -> Option<Fault> {
    let fault = |reason: &str, cure: &str| {
        let reason = format!("'{}' {reason}", rules::shown(origin));
        Some(Fault::new("http.allowed_origins", reason, cure.to_owned()))
    };
    let example = "Write https://app.example.com, or https://*.example.com for its subdomains";
    let Some((scheme, host)) = origin.split_once("://") else {
        return fault("is not an origin", example);
    };
    let exact = host.strip_prefix("*.").unwrap_or(host);
    if exact.contains('*') {
        return fault("has a wildcard that is not a whole leading label", example);
    }
    if exact.len() < host.len() && !exact.contains('.') && !exact.starts_with("localhost") {
        return fault("allows a whole top-level domain", example);
    }
    if matches!(scheme, "http" | "https") {
        let exact = format!("{scheme}://{exact}");
        return match reqwest::Url::parse(&exact).map(|url| url.origin().ascii_serialization()) {
            Ok(sent) if sent == exact => None,
            _ => fault("is not as a browser sends it", "Leave out path, user, default port and capital letters"),
        };
    }
    // A packaged app has a scheme of its own: capacitor://localhost.
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b"+-.".contains(&b));
    let is_host =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    if is_name(scheme) && scheme != "file" && is_host(exact) { None } else { fault("is not an origin", example) }
}
