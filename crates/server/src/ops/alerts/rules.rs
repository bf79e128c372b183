//! Every rule on one page: what is measured, what is allowed, and what somebody is told who has to act.

use mainstay_store::{NodeHealth, SystemHealth};

use crate::config::Alerts;

/// What rules are judged by: how the installation is at one moment.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// The last five minutes; nothing when they are not known.
    pub system: Option<SystemHealth>,
    /// Each node, with how long it has been silent, in seconds.
    pub nodes: Vec<(NodeHealth, f64)>,
    /// For each queue that is not paused, how long its oldest job has been due, in per cent of what is allowed.
    pub queues: Vec<(String, f64)>,
    /// Jobs that were given up and are kept.
    pub dead_jobs: Option<f64>,
    /// By how many points the last audit is worse than the one before.
    pub audit_drop: Option<f64>,
    /// The age of the newest backup, in hours; nothing where none is told of.
    pub backup_hours: Option<f64>,
    /// How much of the life of the server's own certificate is over, in per cent; nothing where it has none.
    pub certificate_percent: Option<f64>,
}

/// Something that a rule has measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What it is about; empty for the installation.
    pub subject: String,
    /// How much it is.
    pub value: f64,
}

/// A rule: what is above the threshold for long enough is told of.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, which never changes.
    pub name: &'static str,
    /// What is wrong, for whoever is woken by it.
    pub title: &'static str,
    /// What it mostly comes from.
    pub cause: &'static str,
    /// What to do first.
    pub step: &'static str,
    /// Where to look, as a path of the console.
    pub page: &'static str,
    /// What stands behind the number.
    pub unit: &'static str,
    /// What is allowed.
    pub threshold: fn(&Alerts) -> f64,
    /// Measures it; nothing of what is not known.
    pub measure: fn(&Readings) -> Vec<Measured>,
    /// Whether what is not measured is well, and not unknown.
    pub absent_is_well: bool,
}

impl Rule {
    /// At or below this it is well again: a tenth better than what is allowed.
    #[must_use]
    pub fn well_at(&self, settings: &Alerts) -> f64 {
        (self.threshold)(settings) * 0.9
    }
}

/// The rule of this name.
#[must_use]
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

/// A text of the rule of this name; nothing when this version does not know it.
pub(super) fn text(name: &str, of: fn(&Rule) -> &'static str) -> String {
    rule(name).map(of).unwrap_or_default().to_owned()
}

/// Fewer requests than this say nothing: one that fails of three is no third.
const FEWEST: u64 = 50;

fn whole(value: Option<f64>) -> Vec<Measured> {
    value.map(|value| Measured { subject: String::new(), value }).into_iter().collect()
}

fn of_system(readings: &Readings, measure: impl Fn(&SystemHealth) -> Option<f64>) -> Vec<Measured> {
    whole(readings.system.as_ref().filter(|system| system.requests >= FEWEST).and_then(measure))
}

/// What is measured of each node that serves.
fn of_nodes(readings: &Readings, measure: impl Fn(&NodeHealth) -> Option<u32>) -> Vec<Measured> {
    let serving = readings.nodes.iter().filter(|(node, _)| !node.leaves);
    serving
        .filter_map(|(node, _)| Some((node.node, f64::from(measure(node)?) / 10.0)))
        .map(|(node, value)| Measured { subject: node.to_string(), value })
        .collect()
}

fn ratio(part: u64, of: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 15 digits")]
    let share = |part: u64, of: u64| part as f64 * 100.0 / of as f64;
    (of > 0).then(|| share(part, of))
}

/// Services that at least one node leaves alone, with how many do.
fn left_alone(readings: &Readings) -> Vec<Measured> {
    let mut counts = std::collections::BTreeMap::<&str, f64>::new();
    for name in readings.nodes.iter().filter(|(node, _)| !node.leaves).flat_map(|(node, _)| &node.left_alone) {
        *counts.entry(name).or_default() += 1.0;
    }
    counts.into_iter().map(|(name, value)| Measured { subject: name.to_owned(), value }).collect()
}

fn without_redis(readings: &Readings) -> Vec<Measured> {
    let serving: Vec<_> = readings.nodes.iter().filter(|(node, _)| !node.leaves).collect();
    let lost = serving.iter().filter(|(node, _)| node.redis_lost).count();
    whole((!serving.is_empty()).then(|| f64::from(u32::try_from(lost).unwrap_or(u32::MAX))))
}

/// Every rule.
pub static RULES: [Rule; 17] = [
    Rule {
        name: "errors",
        title: "Requests fail",
        cause: "The database or a provider does not answer, or a new version has a fault.",
        step: "Look at /health for what fails, then for the request ids of status 500 and above in the log; after a deployment go back to the version before.",
        page: "/system",
        unit: "% of the answers of five minutes",
        threshold: |settings| f64::from(settings.error_percent),
        measure: |readings| of_system(readings, |system| ratio(system.errors, system.requests)),
        absent_is_well: false,
    },
    Rule {
        name: "refusals",
        title: "Many requests are refused",
        cause: "More is asked than limits allow or than there is room for: a client in a loop, an attack, or growth.",
        step: "See in mainstay_overload_refused and mainstay_limit_refusals whom it meets: raise a limit, block an address, or add a node.",
        page: "/system",
        unit: "% of the requests of five minutes",
        threshold: |settings| f64::from(settings.refused_percent),
        measure: |readings| of_system(readings, |system| ratio(system.refusals, system.requests)),
        absent_is_well: false,
    },
    Rule {
        name: "slow",
        title: "Answers are slow",
        cause: "The database is slow or busy, or the processors are.",
        step: "Compare mainstay_database_commit_seconds and mainstay_database_connection_wait_seconds with quiet hours; look for the slowest routes in mainstay_http_request_duration_seconds.",
        page: "/system",
        unit: "ms, which 95 of a hundred answers keep to",
        threshold: |settings| f64::from(settings.slow_ms),
        measure: |readings| {
            of_system(readings, |system| system.p95_ms.map(|ms| f64::from(u32::try_from(ms).unwrap_or(u32::MAX))))
        },
        absent_is_well: false,
    },
    Rule {
        name: "pool",
        title: "The connections to the database are nearly used up",
        cause: "Statements have become slower, or there is more to do.",
        step: "Find what holds them by mainstay_database_commit_seconds; raise database.pool_size as far as the server of the database allows.",
        page: "/system",
        unit: "% of the connections of a node",
        threshold: |settings| f64::from(settings.pool_percent),
        measure: |readings| of_nodes(readings, |node| node.uses.pool),
        absent_is_well: false,
    },
    Rule {
        name: "processor",
        title: "A node is short of processors",
        cause: "More is asked than one node can do.",
        step: "Add a node or give this one more processors; docs/load.md tells how much it should carry.",
        page: "/system",
        unit: "% of the processors of a node",
        threshold: |settings| f64::from(settings.processor_percent),
        measure: |readings| of_nodes(readings, |node| node.uses.processor),
        absent_is_well: false,
    },
    Rule {
        name: "memory",
        title: "A node is short of memory",
        cause: "Many sockets, a limit that is too small, or something else on the machine.",
        step: "Compare mainstay_process_resident_bytes with the machine; lower http.max_connections or give it more memory before it is killed.",
        page: "/system",
        unit: "% of the memory of a node",
        threshold: |settings| f64::from(settings.memory_percent),
        measure: |readings| of_nodes(readings, |node| node.uses.memory),
        absent_is_well: false,
    },
    Rule {
        name: "disk",
        title: "A disk is nearly full",
        cause: "Data, the log or backups have grown.",
        step: "Make room or move to a larger disk before nothing can be written; jobs.keep_dead_days, inbox.keep_days and deliveries.keep_days say how long things are kept.",
        page: "/system",
        unit: "% of the disk of a node",
        threshold: |settings| f64::from(settings.disk_percent),
        measure: |readings| of_nodes(readings, |node| node.uses.disk),
        absent_is_well: false,
    },
    Rule {
        name: "files",
        title: "A node is short of open files",
        cause: "Many sockets, and a low limit of the system.",
        step: "Raise the limit (LimitNOFILE in the unit, ulimit -n), or lower http.max_connections.",
        page: "/system",
        unit: "% of the open files of a node",
        threshold: |settings| f64::from(settings.files_percent),
        measure: |readings| of_nodes(readings, |node| node.uses.files),
        absent_is_well: false,
    },
    Rule {
        name: "connections",
        title: "A node takes hardly any more connections",
        cause: "Live sockets have grown, or connections are kept that nobody uses.",
        step: "Add a node, or raise http.max_connections as far as memory and open files allow.",
        page: "/system",
        unit: "% of http.max_connections",
        threshold: |settings| f64::from(settings.connections_percent),
        measure: |readings| of_nodes(readings, |node| node.uses.connections),
        absent_is_well: false,
    },
    Rule {
        name: "oldest_job",
        title: "Jobs wait for too long",
        cause: "Workers stand still or are too few, or what the jobs need does not answer.",
        step: "Open the queue: see whether anything runs, what the last attempts say, and whether nodes with jobs.enabled are there.",
        page: "/jobs",
        unit: "% of the time that its queue allows",
        threshold: |_| 100.0,
        measure: |readings| {
            let queue = |(name, share): &(String, f64)| Measured { subject: name.clone(), value: *share };
            readings.queues.iter().map(queue).collect()
        },
        absent_is_well: false,
    },
    Rule {
        name: "dead_jobs",
        title: "Jobs were given up",
        cause: "They failed as often as they may: what they need refuses them, or they hit a fault.",
        step: "Read the last error of each, mend it, and begin them anew from the page.",
        page: "/jobs?state=dead",
        unit: "jobs",
        threshold: |settings| f64::from(settings.dead_jobs),
        measure: |readings| whole(readings.dead_jobs),
        absent_is_well: false,
    },
    Rule {
        name: "breaker_open",
        title: "A service of somebody else keeps failing",
        cause: "It is down, refuses our key, or cannot be reached from here.",
        step: "Look at /health/providers for its last fault and at its own status page; check the key and the account.",
        page: "/system",
        unit: "nodes leave it alone",
        threshold: |_| 0.0,
        measure: left_alone,
        absent_is_well: true,
    },
    Rule {
        name: "redis_lost",
        title: "Redis is away",
        cause: "It is down, or cannot be reached.",
        step: "Bring it back. Until then limits are shared out by node and changes of other nodes are noticed later; nothing is lost.",
        page: "/system",
        unit: "nodes are without it",
        threshold: |_| 0.0,
        measure: without_redis,
        absent_is_well: false,
    },
    Rule {
        name: "node_silent",
        title: "A node has fallen silent",
        cause: "It was killed, its machine is gone, or it cannot reach the database.",
        step: "Look whether it runs and what its last lines say. Others have taken over its replies and jobs.",
        page: "/system",
        unit: "s of silence",
        threshold: |settings| f64::from(settings.silent_seconds),
        measure: |readings| {
            let silent = readings.nodes.iter().filter(|(node, _)| !node.leaves);
            silent.map(|(node, silence)| Measured { subject: node.node.to_string(), value: *silence }).collect()
        },
        absent_is_well: false,
    },
    Rule {
        name: "audit_dropped",
        title: "The audit has become worse",
        cause: "A setting, a right or something around the server has changed.",
        step: "Open the report: it names each finding with its cure.",
        page: "/audit",
        unit: "points less than the audit before",
        threshold: |settings| f64::from(settings.audit_points),
        measure: |readings| whole(readings.audit_drop),
        absent_is_well: false,
    },
    Rule {
        name: "backup_overdue",
        title: "No backup was made in time",
        cause: "The backup failed, or does not run any more.",
        step: "Run it by hand and read what it says; then see why its schedule did not.",
        page: "/backups",
        unit: "hours since the newest backup",
        threshold: |settings| f64::from(settings.backup_hours),
        measure: |readings| whole(readings.backup_hours),
        absent_is_well: false,
    },
    Rule {
        name: "certificate_ends",
        title: "The certificate ends soon",
        cause: "Whatever renews it has failed, or writes other files than those that the server reads.",
        step: "Look in /health for what is shown and until when; renew it by hand, and see that http.tls.certificate_path and http.tls.key_path are what is renewed.",
        page: "/system",
        unit: "% of the life of the certificate",
        threshold: |settings| f64::from(settings.certificate_percent),
        measure: |readings| whole(readings.certificate_percent),
        // Who serves without one has none that ends.
        absent_is_well: true,
    },
];
