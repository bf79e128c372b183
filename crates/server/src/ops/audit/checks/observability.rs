//! It is known how it goes.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use ipnet::IpNet;
use mainstay_store::{CountOperators, INSTALLATION, ListAuditTrails, ReadAlertReceipts, ReadAudits};
use tokio::time::Instant;

use super::{Looked, checks, days, line, some};
use crate::audit_trail::chains::walk;
use crate::config::LogFormat;
use crate::ops::audit::check::Seen;
use crate::ops::audit::samples::{Samples, samples};
use crate::ops::audit::subject::Subject;

checks! { Observability:
    "observability.metrics" High Passive Laptop metrics,
    "The figures are there, and they move.",
    "/metrics can be read, has every family that alarms need, and counts a request that was made between two readings",
    "Put the network of your Prometheus, and of this machine, into http.metrics_networks.";
    "observability.metrics_closed" High Passive Server metrics_closed,
    "The figures are for those who watch, and for nobody else.",
    "http.metrics_networks names no network that is everybody",
    "Name the network of your Prometheus only.";
    "observability.labels" Medium Passive Laptop labels,
    "The figures do not grow without end.",
    "at most 30,000 series, and no label that names one person, request or address",
    "This is a fault of the program: report it with what is named.";
    "observability.request_id" Medium Passive Laptop request_id,
    "What a person reports can be found in the log.",
    "each answer has an X-Request-Id of its own, and a problem names the same one",
    "Let no proxy strip X-Request-Id.";
    "observability.log_format" Medium Passive Server log_format,
    "Machines can read the log.",
    "log.format is json",
    "Set log.format = \"json\".";
    "observability.log_level" Medium Passive Laptop log_level,
    "The log says what matters, and not everything.",
    "log.level is not off and not error alone, and nothing is logged at trace",
    "Set log.level = \"info\".";
    "observability.health" Medium Passive Laptop health,
    "Whoever watches from outside is told what is wrong.",
    "each health route answers JSON with a status, and with checks that say what they saw",
    "Look at what stands in front of the server: it answers in the place of the health routes.";
    "observability.operators" Medium Passive Server operators,
    "Somebody may act in an emergency.",
    "one operator at least, and ten at most",
    "Name one with `mainstay user operator --email`, and take the right from those who have left.";
    "observability.audit_trail" High Passive Laptop audit_trail,
    "Nobody has changed what the audit trail says.",
    "the chain of the installation and those of organisations hold, as far as two seconds lead",
    "Find out who writes to the database beside the program: run `mainstay trail verify`, compare the entry that it names with a backup, and change the passwords of the database.";
    "observability.masking" High Passive Laptop masking,
    "The log holds no secrets and no personal data.",
    "the running server replaces an address, a phone number, a card, a key, a token and a password that are tried on what writes its log",
    "This is a fault of the program: stop keeping its log, and report it.";
    "observability.alerts" High Passive Server alerts,
    "Somebody is told when something is wrong.",
    "alerts are judged, somebody is told of them, and each has taken a test message within the last 30 days",
    "Set alerts.slack_url or alerts.webhook_url, and run `mainstay alerts test`.", within days(30);
    "observability.traces" Low Passive Cluster traces,
    "What one request did can be followed over all nodes.",
    "a collector is set up, and fewer than 1 % of the spans for it were lost",
    "Set traces.endpoint, and look at /health: it tells what the last exchange with the collector came to.";
    "observability.audited" Low Passive Server audited,
    "The audit is made again and again.",
    "an earlier audit was made within the last 8 days",
    "Run `mainstay audit` each night, for example by cron.", within days(8);
}

/// What alarms and dashboards are made of.
const FAMILIES: [&str; 8] = [
    "mainstay_http_requests_total",
    "mainstay_http_request_duration_seconds_count",
    "mainstay_database_connections_mean",
    "mainstay_database_commit_seconds_count",
    "mainstay_overload_limit",
    "mainstay_job_dead",
    "mainstay_process_open_files",
    "mainstay_process_resident_bytes",
];

async fn figures(subject: &Subject) -> Result<Samples, Seen> {
    let told = subject.live.get("/metrics").await?;
    match told.status {
        StatusCode::OK => Ok(samples(&told.text)),
        _ => Err(Seen::fail(format!("/metrics answered {}", line(&told)))),
    }
}

async fn metrics(subject: &Subject) -> Looked {
    let before = figures(subject).await?;
    subject.live.get("/healthz").await?;
    let after = figures(subject).await?;
    let count = |samples: &Samples| samples.sum("mainstay_http_requests_total").unwrap_or(0.0);
    let missing: Vec<String> =
        FAMILIES.iter().filter(|name| after.sum(name).is_none()).map(|name| format!("{name} is missing")).collect();
    let (moved, bad) = (count(&after) > count(&before), after.bad);
    let measured = format!(
        "{} series, {} families missing, {bad} lines cannot be read, {}",
        after.len(),
        missing.len(),
        if moved { "requests are counted" } else { "requests are not counted" }
    );
    Ok(Seen::told(missing.is_empty() && moved && bad == 0, measured).by(some(&missing)))
}

async fn metrics_closed(subject: &Subject) -> Looked {
    let networks = &subject.app.config.http.metrics_networks;
    let wide = networks.iter().filter(|text| text.parse::<IpNet>().is_ok_and(|network| network.prefix_len() < 8));
    let wide: Vec<String> = wide.cloned().collect();
    Ok(Seen::told(wide.is_empty(), format!("{} networks, {} of them too wide", networks.len(), wide.len()))
        .by(some(&wide)))
}

/// More than what all routes and queues make together.
const MOST_SERIES: usize = 30_000;

async fn labels(subject: &Subject) -> Looked {
    let figures = figures(subject).await?;
    let endless: Vec<String> = figures.endless().into_iter().collect();
    let measured = format!("{} series, {} labels that name one of endlessly many", figures.len(), endless.len());
    Ok(Seen::told(figures.len() <= MOST_SERIES && endless.is_empty(), measured).by(some(&endless)))
}

async fn request_id(subject: &Subject) -> Looked {
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        ids.insert(subject.live.get("/healthz").await?.header("x-request-id").to_owned());
    }
    let problem = subject.live.send(Method::GET, "/v1/nothing-here", &[], None).await?;
    let same = problem.json()["request_id"] == problem.header("x-request-id");
    let each = ids.len() == 3 && !ids.contains("");
    let measured = format!(
        "{} ids of 3 answers; the problem {}",
        ids.len(),
        if same { "names its own" } else { "names none or another" }
    );
    Ok(Seen::told(each && same, measured))
}

async fn log_format(subject: &Subject) -> Looked {
    let json = subject.app.config.log.format == LogFormat::Json;
    Ok(Seen::told(json, if json { "json" } else { "text" }))
}

async fn log_level(subject: &Subject) -> Looked {
    Ok(judge_level(&subject.app.config.log.level))
}

fn judge_level(level: &str) -> Seen {
    let words: Vec<String> = level.split(',').map(|word| word.trim().to_ascii_lowercase()).collect();
    let all = words.iter().find(|word| !word.contains('=')).map_or("error", String::as_str);
    let loud = words.iter().any(|word| word.ends_with("trace"));
    Seen::told(matches!(all, "warn" | "info" | "debug") && !loud, level)
}

const HEALTH: [&str; 7] =
    ["/healthz", "/readyz", "/health", "/health/database", "/health/redis", "/health/queue", "/health/providers"];

async fn health(subject: &Subject) -> Looked {
    let mut wrong = Vec::new();
    for path in HEALTH {
        let told = subject.live.get(path).await?;
        let body = told.json();
        let says = body["checks"].as_object().is_some_and(|checks| {
            !checks.is_empty()
                && checks.values().all(|check| check["status"].is_string() && check["detail"].is_string())
        });
        let agrees = (body["status"] == "failing") == (told.status == StatusCode::SERVICE_UNAVAILABLE);
        if !says || !agrees {
            wrong.push(format!("{path}: {}", line(&told)));
        }
    }
    Ok(Seen::told(wrong.is_empty(), format!("{} of {} tell", HEALTH.len() - wrong.len(), HEALTH.len()))
        .by(some(&wrong)))
}

async fn operators(subject: &Subject) -> Looked {
    let operators = subject.app.store.run(&subject.call(), CountOperators).await?;
    Ok(Seen::told((1..=10).contains(&operators), format!("{operators}")))
}

/// How long it is gone along chains.
const WALK: Duration = Duration::from_secs(2);
/// The most chains that are looked at.
const MOST_CHAINS: u32 = 200;

async fn audit_trail(subject: &Subject) -> Looked {
    let store = &subject.app.store;
    let trails = store.run(&subject.call(), ListAuditTrails { after: INSTALLATION, limit: MOST_CHAINS }).await?;
    let chains = std::iter::once(INSTALLATION).chain(trails.into_iter().map(|trail| trail.tenant));
    let begun = Instant::now();
    let (mut walked, mut entries, mut broken) = (0, 0, Vec::new());
    for tenant in chains {
        if begun.elapsed() > WALK {
            break;
        }
        let along = walk(store, &subject.call(), tenant, None).await;
        let along = along.map_err(|error| Seen::unknown(format!("the database did not tell: {error}")))?;
        walked += 1;
        entries += along.entries;
        broken.extend(along.broken.map(|fault| format!("{tenant}: {fault}")));
    }
    let measured = format!("{} of {walked} chains broken, {entries} entries", broken.len());
    Ok(Seen::told(broken.is_empty(), measured).by(some(&broken)))
}

async fn masking(subject: &Subject) -> Looked {
    match figures(subject).await?.sum("mainstay_log_masks") {
        Some(masks) => {
            Ok(Seen::told(masks >= 1.0, if masks >= 1.0 { "all are replaced" } else { "one at least is not" }))
        }
        None => Ok(Seen::unknown("the server does not tell")),
    }
}

async fn alerts(subject: &Subject) -> Looked {
    let (app, now) = (&subject.app, subject.app.clock.now());
    let receivers = app.watching.alerts.sender.receivers();
    if !app.config.alerts.enabled || receivers.is_empty() {
        let enabled = app.config.alerts.enabled;
        return Ok(Seen::fail(format!("alerts.enabled is {enabled}, and {} are told", receivers.len())));
    }
    let receipts = app.store.run(&subject.call(), ReadAlertReceipts).await?;
    let tested = |name: &&str| receipts.iter().find(|one| one.receiver == **name).and_then(|one| one.tested_at);
    let untested: Vec<String> =
        receivers.iter().filter(|name| tested(name).is_none()).map(|name| (*name).to_owned()).collect();
    if !untested.is_empty() {
        return Ok(Seen::fail(format!("{} of {} never took a test message", untested.len(), receivers.len()))
            .by(some(&untested)));
    }
    let oldest = receivers.iter().filter_map(tested).min().unwrap_or(now);
    Ok(Seen::pass(format!("{} took a test message", receivers.join(" and "))).aged(now.since(oldest)))
}

async fn traces(subject: &Subject) -> Looked {
    if subject.app.config.traces.endpoint.is_empty() {
        return Ok(Seen::fail("traces.endpoint is empty"));
    }
    let samples = figures(subject).await?;
    let of = |outcome: &str| samples.sum_of("mainstay_trace_spans_total", ("outcome", outcome)).unwrap_or_default();
    let (sent, all) = (of("sent"), samples.sum("mainstay_trace_spans_total").unwrap_or_default());
    let measured = format!("{:.0} of {all:.0} spans were lost", all - sent);
    Ok(Seen::told((all - sent) * 100.0 <= all, measured))
}

async fn audited(subject: &Subject) -> Looked {
    let last = subject.app.store.run(&subject.call(), ReadAudits { before: None, limit: 1 }).await?;
    let Some(last) = last.first() else { return Ok(Seen::fail("none was made before this one")) };
    let score = f64::from(last.score) / 10.0;
    Ok(Seen::pass(format!("the last one came to {score}")).aged(subject.app.clock.now().since(last.at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::audit::check::Verdict::{Fail, Pass};

    #[test]
    fn a_log_that_says_nothing_or_everything_is_a_failure() {
        for good in ["info", "warn", "info,mainstay_store=debug", "mainstay_store=debug,info", "INFO"] {
            assert_eq!(judge_level(good).verdict, Pass, "{good}");
        }
        for bad in ["off", "error", "trace", "info,mainstay_store=trace", "mainstay_store=debug"] {
            assert_eq!(judge_level(bad).verdict, Fail, "{bad}");
        }
    }
}
