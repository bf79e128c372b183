//! The configuration: one typed value, from the compiled-in defaults, a file and the environment.

mod assistant;
mod auth;
mod database;
mod http;
mod lifecycle;
mod log;
mod providers;

pub use assistant::Assistant;
pub use auth::{Auth, Issuer};
pub use database::Database;
pub use http::Http;
pub use lifecycle::Lifecycle;
pub use log::{Log, LogFormat};
pub use providers::{Anthropic, Offline, OpenAi, Providers};

use serde::{Deserialize, Serialize};

/// Every setting. Made by loading; never changed afterwards.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The server's socket and its bounds.
    pub http: Http,
    /// Where the data is.
    pub database: Database,
    /// Signing in and tokens.
    pub auth: Auth,
    /// Conversations and replies.
    pub assistant: Assistant,
    /// Who makes the replies.
    pub providers: Providers,
    /// Log lines.
    pub log: Log,
    /// Stopping.
    pub lifecycle: Lifecycle,
}
