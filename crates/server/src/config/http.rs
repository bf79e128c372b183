//! The section `[http]`.

use serde::{Deserialize, Serialize};

/// The server's socket and its bounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Http {
    /// The address to listen on. 127.0.0.1 serves this machine only; 0.0.0.0 serves every network that reaches it.
    pub host: String,
    /// The port to listen on. PORT sets it too.
    pub port: u16,
    /// The address under which people reach the server, with its scheme: https://chat.example.com. Links, cookies and the check of origins follow it. Empty: http://<host>:<port>.
    pub public_url: String,
    /// Origins that may call the API from a browser, besides the server's own: exact ("https://app.example.com") or with a wildcard for one or more subdomains ("https://*.example.com").
    pub allowed_origins: Vec<String>,
    /// Networks whose X-Forwarded-For is believed, in CIDR form ("10.0.0.0/8"): your own proxies and nothing else.
    pub trusted_proxies: Vec<String>,
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
    /// How long a request may take before it is answered 504, in milliseconds. Queries and providers inherit what is left of it.
    pub request_timeout_ms: u64,
    /// The largest body that a route takes unless it says otherwise, in bytes.
    pub max_body_bytes: usize,
    /// How deep JSON may be nested.
    pub max_json_depth: usize,
}
