//! How a store is opened, and what its engines make of it.

use std::time::Duration;

use mainstay_domain::Secret;

use crate::engine::{postgres, sqlite};
use crate::inbox::INBOX;

/// How the store is opened. Times and sizes as in the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:PATH` or a `postgres://` address.
    pub url: Secret,
    /// The address of the app's role, or empty.
    pub app_url: Secret,
    /// The address of the system's role, or empty.
    pub system_url: Secret,
    /// The name of the app's role.
    pub app_role: String,
    /// The name of the system's role.
    pub system_role: String,
    /// True behind a transaction pooler.
    pub transaction_pooler: bool,
    /// Readers on SQLite, connections in all on PostgreSQL.
    pub pool_size: usize,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// Batches at the same moment on PostgreSQL.
    pub batch_lanes: usize,
    /// The most members of a batch.
    pub batch_size: usize,
    /// The most members of one organisation in a batch.
    pub batch_size_per_tenant: usize,
    /// The most calls that wait for a place in a batch.
    pub batch_queue: usize,
}

impl Options {
    /// The defaults, for this address.
    #[must_use]
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            app_url: Secret::default(),
            system_url: Secret::default(),
            app_role: "mainstay_app".to_owned(),
            system_role: "mainstay_system".to_owned(),
            transaction_pooler: false,
            pool_size: 16,
            acquire_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(5),
            batch_lanes: 2,
            batch_size: 256,
            batch_size_per_tenant: 64,
            batch_queue: 10_000,
        }
    }

    /// The path of the file when the address is SQLite's.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<std::path::PathBuf> {
        let rest = self.url.expose().strip_prefix("sqlite:")?;
        Some(rest.strip_prefix("//").unwrap_or(rest).into())
    }
}

pub(super) fn sqlite_settings(options: &Options, path: std::path::PathBuf) -> sqlite::Settings {
    sqlite::Settings {
        path,
        readers: options.pool_size,
        acquire_timeout: options.acquire_timeout,
        statement_timeout: options.statement_timeout,
    }
}

pub(super) fn postgres_settings(options: &Options) -> postgres::Settings {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    postgres::Settings {
        url: options.url.clone(),
        app_url: options.app_url.clone(),
        system_url: options.system_url.clone(),
        app_role: options.app_role.clone(),
        system_role: options.system_role.clone(),
        transaction_pooler: options.transaction_pooler,
        pool_size: count(options.pool_size),
        lanes: count(options.batch_lanes + INBOX.lanes),
        acquire_timeout: options.acquire_timeout,
        idle_timeout: options.idle_timeout,
        statement_timeout: options.statement_timeout,
    }
}
