//! The section `[database]`.

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

/// Where the data is, and how much of it is used at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    /// Where the data is: a postgres:// address, or sqlite:PATH. DATABASE_URL sets it too. The default needs nothing installed.
    pub url: Secret,
    /// A file that holds the address, so that its password is in no environment.
    pub url_file: String,
    /// Connections for reading on SQLite; connections in all on PostgreSQL, for each node.
    pub pool_size: usize,
    /// How long a request waits for a connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// How long an unused connection is kept, in milliseconds (PostgreSQL).
    pub idle_timeout_ms: u64,
    /// How long one statement may run, in milliseconds. The work is stopped in the database.
    pub statement_timeout_ms: u64,
    /// Batches that run at the same moment on PostgreSQL. SQLite has one writer.
    pub batch_lanes: usize,
    /// The most members in one batch.
    pub batch_size: usize,
    /// The most members of one organisation in one batch, so that none crowds out the others.
    pub batch_size_per_tenant: usize,
    /// The most calls that wait for a place in a batch. Further ones are refused with 503.
    pub batch_queue: usize,
    /// Apply pending migrations at start on PostgreSQL. SQLite files are always migrated.
    pub migrate_on_start: bool,
    /// PostgreSQL: the role that `serve` takes after connecting, bound by row-level security.
    pub app_role: String,
    /// PostgreSQL: the role for work across organisations, with policies of its own.
    pub system_role: String,
    /// PostgreSQL behind a transaction pooler: the address of a login that is the app's role itself, since SET ROLE does not hold there.
    pub app_url: Secret,
    /// PostgreSQL behind a transaction pooler: the address of a login that is the system's role itself.
    pub system_url: Secret,
    /// Set it when app_url and system_url go through a transaction pooler: statements are then not kept prepared.
    pub transaction_pooler: bool,
}
