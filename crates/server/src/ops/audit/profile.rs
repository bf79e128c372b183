//! What an installation is for, and so what must hold of it.

use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{Config, Engine};

/// What an installation is for. Each asks for all that the one before it asks for, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuditProfile)]
pub enum Profile {
    /// Somebody tries it, on their own machine.
    Laptop,
    /// One server that people reach.
    Server,
    /// Several nodes with PostgreSQL and Redis.
    Cluster,
}

impl Profile {
    /// All of them, the smallest first.
    pub const ALL: [Self; 3] = [Self::Laptop, Self::Server, Self::Cluster];

    /// What the settings tell: with Redis or several nodes a cluster; what other machines can reach, or has a public address or
    /// PostgreSQL, a server; else a laptop.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let http = &config.http;
        if !config.redis.url.is_empty() || config.database.nodes > 1 {
            Self::Cluster
        } else if config.database.engine() == Engine::Postgres
            || !http.public_url.is_empty()
            || !http.listen_address().ip().is_loopback()
        {
            Self::Server
        } else {
            Self::Laptop
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Laptop => "laptop",
            Self::Server => "server",
            Self::Cluster => "cluster",
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|profile| profile.word() == word);
        known.ok_or_else(|| format!("'{word}' is no profile: it is laptop, server or cluster"))
    }
}
