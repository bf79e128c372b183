//! The section `[database]`.

use std::path::{Path, PathBuf};

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

use super::rules::{durations, server_address};
use super::schema::Bound;
use super::{Fault, Warning};

pub(super) const BOUNDS: &[Bound] = &[
    ("database.pool_size", 1, 1_000),
    ("database.nodes", 1, 1_000),
    ("database.acquire_timeout_ms", 10, 60_000),
    ("database.idle_timeout_ms", 10, 3_600_000),
    ("database.statement_timeout_ms", 10, 600_000),
    ("database.batch_lanes", 1, 64),
    ("database.batch_size", 1, 4_096),
    ("database.batch_size_per_tenant", 1, 4_096),
    ("database.batch_queue", 1, 1_000_000),
];

/// Connections on PostgreSQL beside those of the lanes: one for the inbox, six of the system's role, and one at least for
/// requests.
const BESIDE_THE_LANES: usize = 8;

/// Where the data is, and how much of it is used at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    /// Where the data is: a postgres:// address, or sqlite:PATH. DATABASE_URL sets it too. The default needs nothing installed.
    pub url: Secret,
    /// A file that holds the address, so that its password is in no environment.
    pub url_file: String,
    /// Connections for reading on SQLite. On PostgreSQL connections in all, for each node: 8 more than the lanes at least.
    pub pool_size: usize,
    /// Nodes that share the database, on PostgreSQL. At start it is checked that their pools together fit what the server allows.
    pub nodes: usize,
    /// How long a request waits for a connection (on SQLite: for a reader or for the writer), in milliseconds.
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
    /// Serve although the schema has migrations of a newer program. They must only have added: `mainstay preflight` refuses others. It
    /// lets a program that is put back serve, and one that is replaced node by node start again meanwhile. No backup is made then.
    pub accept_newer_schema: bool,
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

durations!(Database {
    acquire_timeout: from_millis(acquire_timeout_ms),
    idle_timeout: from_millis(idle_timeout_ms),
    statement_timeout: from_millis(statement_timeout_ms),
});

/// Which database an address is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file of this machine, served inside the process.
    Sqlite,
    /// A server, or several.
    Postgres,
}

impl Database {
    /// Which database [`Self::url`] is of.
    #[must_use]
    pub fn engine(&self) -> Engine {
        if is_postgres(&self.url) { Engine::Postgres } else { Engine::Sqlite }
    }

    /// The path of the file, when the database is SQLite.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<&str> {
        let path = self.url.expose().strip_prefix("sqlite:")?;
        Some(path.strip_prefix("//").unwrap_or(path))
    }

    /// The folder that the file is in, when the database is SQLite.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        let folder = Path::new(self.sqlite_path()?).parent().filter(|folder| !folder.as_os_str().is_empty());
        Some(folder.unwrap_or(Path::new(".")).to_owned())
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if is_postgres(&self.url) {
            faults.extend(postgres_fault("database.url", &self.url));
        } else if self.sqlite_path().is_none_or(str::is_empty) {
            let reason = "is neither sqlite:PATH nor a postgres:// address";
            faults.push(Fault::new(
                "database.url",
                reason,
                "Write sqlite:data/mainstay.db or postgres://user@host/name",
            ));
        }
        self.validate_batches(faults);
        self.validate_roles(faults);
        self.validate_pooler(faults);
    }

    fn validate_batches(&self, faults: &mut Vec<Fault>) {
        if self.batch_size_per_tenant > self.batch_size {
            let reason = format!("is {}, more than batch_size ({})", self.batch_size_per_tenant, self.batch_size);
            let cure = "Lower it, or raise database.batch_size";
            faults.push(Fault::new("database.batch_size_per_tenant", reason, cure));
        }
        if self.batch_size > self.batch_queue {
            let reason = format!("is {}, less than batch_size ({})", self.batch_queue, self.batch_size);
            let cure = "Raise it, or lower database.batch_size";
            faults.push(Fault::new("database.batch_queue", reason, cure));
        }
        let least = self.batch_lanes + BESIDE_THE_LANES;
        if self.engine() == Engine::Postgres && self.pool_size < least {
            let reason = format!(
                "is {}, too few on PostgreSQL for batch_lanes ({}), one for the inbox, two for work across organisations, four for jobs and one for requests",
                self.pool_size, self.batch_lanes
            );
            let cure = format!("Raise it to {least} or more, or lower database.batch_lanes");
            faults.push(Fault::new("database.pool_size", reason, cure));
        }
    }

    fn validate_roles(&self, faults: &mut Vec<Fault>) {
        for (key, role) in [("database.app_role", &self.app_role), ("database.system_role", &self.system_role)] {
            if !is_role(role) {
                let reason = "is not a plain role name: a to z, 0 to 9 and _, not a digit first, at most 63 characters";
                faults.push(Fault::new(key, reason, "Rename the role"));
            }
        }
        if self.app_role == self.system_role {
            let reason = "is the same as app_role, so that nothing keeps organisations apart";
            faults.push(Fault::new("database.system_role", reason, "Name two different roles"));
        }
    }

    fn validate_pooler(&self, faults: &mut Vec<Fault>) {
        let addresses = [("database.app_url", &self.app_url), ("database.system_url", &self.system_url)];
        for ((key, address), (other_key, other)) in [(addresses[0], addresses[1]), (addresses[1], addresses[0])] {
            if address.is_empty() && !other.is_empty() {
                let reason = format!("is not set although {other_key} is");
                faults.push(Fault::new(key, reason, "Set both or neither"));
            }
            if !address.is_empty() {
                faults.extend(postgres_fault(key, address));
                if self.engine() != Engine::Postgres {
                    let reason = "is set although database.url is not a postgres:// address";
                    faults.push(Fault::new(key, reason, "Remove it, or set database.url to the same server"));
                }
            }
        }
        if !self.app_url.is_empty() && self.app_url == self.system_url {
            let reason = "is the same as app_url, so that nothing keeps organisations apart";
            faults.push(Fault::new("database.system_url", reason, "Name two logins"));
        }
        if self.transaction_pooler && self.app_url.is_empty() && self.system_url.is_empty() {
            let reason = "needs app_url and system_url, since SET ROLE does not hold behind a transaction pooler";
            faults.push(Fault::new("database.transaction_pooler", reason, "Set both addresses, or set this to false"));
        }
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if self.sqlite_path().is_some_and(|path| path.starts_with(":memory:")) {
            let reason = "keeps everything in memory: all data is lost when the server stops";
            warnings.push(Fault::new("database.url", reason, "Name a file, for example sqlite:data/mainstay.db"));
        }
    }
}

fn is_postgres(address: &Secret) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| address.expose().starts_with(scheme))
}

fn postgres_fault(key: &str, address: &Secret) -> Option<Fault> {
    if !is_postgres(address) {
        return Some(Fault::new(key, "is not a postgres:// address", "Write postgres://user@host/name"));
    }
    server_address(address).is_none().then(|| {
        let cure = "Percent-encode special characters in the password, for example %40 for @ and %2F for /";
        Fault::new(key, "is not a well-formed address", cure)
    })
}

/// A name that needs no quotation marks in SQL
/// (<https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>).
fn is_role(name: &str) -> bool {
    name.len() <= 63
        && name.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_')
        && name.bytes().next().is_some_and(|letter| !letter.is_ascii_digit())
}

/// An address for people to look at, without anything that may be secret in it. What cannot be told apart from a
/// password for certain is `***` as a whole.
pub(super) fn masked(address: &Secret) -> String {
    let hidden = || if address.is_empty() { String::new() } else { address.to_string() };
    if address.expose().starts_with("sqlite:") {
        return address.expose().to_owned();
    }
    let Some((scheme, rest)) = address.expose().split_once("://") else { return hidden() };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (path, query) = tail.split_at(tail.find(['?', '#']).unwrap_or(tail.len()));
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(_, host)| ("***@", host));
    let plain = |text: &str, others: &[u8]| text.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b));
    // An @ or a # further on may be part of a password that is not percent-encoded.
    if !is_postgres(address) || tail.contains(['@', '#']) || !plain(host, b".-_:[],") || !plain(path, b"/-_") {
        return hidden();
    }
    let query = if query.is_empty() { "" } else { "?***" };
    format!("{scheme}://{user}{host}{path}{query}")
}
