//! What fails is survived.

use std::time::Duration;

use axum::http::StatusCode;
use mainstay_domain::Timestamp;
use tokio::time::Instant;

use super::{Looked, checks, some};
use crate::config::{Deliveries, Jobs, Lifecycle};
use crate::controls::KNOWN_WITHIN;
use crate::ops::audit::check::Seen;
use crate::ops::audit::samples::samples;
use crate::ops::audit::subject::Subject;

checks! { Resilience:
    "resilience.liveness" Critical Passive Laptop liveness,
    "The process says that it lives, whatever its dependencies do.",
    "/healthz answers 200 within half a second, and names nothing but the process",
    "Start the server; when it runs, it is stuck: look at its log, and restart it.";
    "resilience.readiness" Critical Passive Laptop readiness,
    "The server can serve.",
    "/readyz answers 200, and knows of the database, of its lease and of what was revoked",
    "Look at what /readyz says is failing.";
    "resilience.degraded" Medium Passive Laptop degraded,
    "Nothing that the server should have is missing.",
    "no check of /readyz is degraded",
    "Look at what /readyz says is degraded: it works without, and not as well.";
    "resilience.queue" High Passive Laptop queue,
    "Jobs are worked on.",
    "/health/queue answers 200",
    "See that a node works on jobs (jobs.enabled), and look at `mainstay jobs queues`.";
    "resilience.redis" High Passive Cluster redis,
    "The nodes reach each other at once.",
    "redis.url is set, and /health/redis answers 200",
    "Set redis.url and see that Redis answers. Until then limits are shared out, and changes are noticed late.";
    "resilience.nodes" High Passive Cluster nodes,
    "One node may die.",
    "two nodes serve at least",
    "Start another node with the same database.";
    "resilience.controls_fresh" High Passive Laptop controls_fresh,
    "What operators set in an emergency reaches the server at once.",
    "the node that answers has read within the last 5 s which controls are set",
    "Look in its log why controls cannot be read. Each node tells mainstay_controls_age_seconds on /metrics.";
    "resilience.drain" Medium Passive Laptop drain,
    "A stop loses nothing that was begun.",
    "lifecycle.drain_seconds is between 5 and 300, and longer than jobs.stop_grace_seconds",
    "Set lifecycle.drain_seconds to 20, and give the server as long when it is stopped (TimeoutStopSec, terminationGracePeriodSeconds).";
    "resilience.clock" High Passive Laptop clock,
    "The clocks agree.",
    "the clock of the server and this one differ by 2 s at most",
    "Let chrony or systemd-timesyncd set the clock of each machine.";
    "resilience.timeouts" High Passive Laptop timeouts,
    "Nothing outside can hold a request for ever.",
    "connecting at most 10 s, the first token 120 s, between tokens 120 s, a delivery 30 s, Redis 1 s, the database 30 s",
    "Lower what is named.";
    "resilience.retries" High Passive Laptop retries,
    "Retries do not become a storm.",
    "at most 25 % of requests to a provider are retries, and a breaker opens after 20 failures at most",
    "Lower providers.retry_budget_percent, providers.breaker_failures and redis.breaker_failures.";
    "resilience.providers" Medium Passive Server providers,
    "A provider of models may fail.",
    "two providers answer, and none of them is only the offline responder",
    "Set the key of a second provider, and name both in providers.order.";
    "resilience.tool_answers" High Passive Laptop tool_answers,
    "Whoever calls is answered while they wait.",
    "tool calls are answered within 19 s (the provider waits for 20), and at most 5 % of the uses of tools have failed",
    "Lower inbox.answer_timeout_ms; where tools fail, look in the log for 'a tool failed': it is most often the database.";
    "resilience.deliveries" Medium Passive Laptop deliveries,
    "What organisations are told survives a night in which they do not listen.",
    "at least 9 further attempts, over two days and more",
    "Leave deliveries.retry_seconds as it is by default.";
}

/// The provider of calls waits for 20 seconds.
const LONGEST_ANSWER: Duration = Duration::from_secs(19);
/// Of a hundred uses of tools so many may have failed.
const FAILED_OF_100: f64 = 5.0;

async fn tool_answers(subject: &Subject) -> Looked {
    let within = Duration::from_millis(subject.app.config.inbox.answer_timeout_ms);
    let told = subject.live.get("/metrics").await?;
    if told.status != StatusCode::OK {
        return Ok(Seen::unknown("/metrics cannot be read: this machine must be in http.metrics_networks"));
    }
    let samples = samples(&told.text);
    let all = samples.sum("mainstay_tool_uses_total").unwrap_or(0.0);
    let failed = samples.sum_of("mainstay_tool_uses_total", ("outcome", "failed")).unwrap_or(0.0);
    let measured = format!("{} ms to answer; {failed} of {all} uses of tools failed", within.as_millis());
    Ok(Seen::told(within <= LONGEST_ANSWER && failed * 100.0 <= all * FAILED_OF_100, measured))
}

async fn liveness(subject: &Subject) -> Looked {
    let begun = Instant::now();
    let told = subject.live.get("/healthz").await?;
    let took = begun.elapsed();
    let checks =
        told.json()["checks"].as_object().map(|checks| checks.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let holds = told.status == StatusCode::OK && took < Duration::from_millis(500) && checks == ["process"];
    let measured = format!("{} after {} ms, it looks at {}", told.status.as_u16(), took.as_millis(), checks.join(", "));
    Ok(Seen::told(holds, measured))
}

async fn controls_fresh(subject: &Subject) -> Looked {
    let told = subject.live.get("/metrics").await?;
    match samples(&told.text).sum("mainstay_controls_age_seconds") {
        Some(age) => Ok(Seen::told(age < KNOWN_WITHIN.as_secs_f64(), format!("read {age:.1} s ago"))),
        None if told.status == StatusCode::OK => Ok(Seen::fail("it was never read")),
        None => Ok(Seen::unknown(format!("/metrics answered {}", told.status.as_u16()))),
    }
}

/// The checks of a health route with this status, each with what it says.
fn with_status(body: &serde_json::Value, status: &str) -> Vec<String> {
    let checks = body["checks"].as_object().into_iter().flatten();
    let those = checks.filter(|(_, check)| check["status"] == status);
    those.map(|(name, check)| format!("{name}: {}", check["detail"].as_str().unwrap_or_default())).collect()
}

async fn readiness(subject: &Subject) -> Looked {
    let told = subject.live.get("/readyz").await?;
    let body = told.json();
    let failing = with_status(&body, "failing");
    let blind: Vec<_> =
        ["database", "replies", "revocations"].into_iter().filter(|name| body["checks"][name].is_null()).collect();
    let measured = format!("{}; {} failing", told.status.as_u16(), failing.len());
    Ok(Seen::told(told.status == StatusCode::OK && failing.is_empty() && blind.is_empty(), measured).by(some(&failing)))
}

async fn degraded(subject: &Subject) -> Looked {
    let told = subject.live.get("/readyz").await?;
    let degraded = with_status(&told.json(), "degraded");
    Ok(Seen::told(degraded.is_empty(), format!("{} degraded", degraded.len())).by(some(&degraded)))
}

async fn queue(subject: &Subject) -> Looked {
    let told = subject.live.get("/health/queue").await?;
    let failing = with_status(&told.json(), "failing");
    Ok(Seen::told(told.status == StatusCode::OK, format!("{}", told.status.as_u16())).by(some(&failing)))
}

async fn redis(subject: &Subject) -> Looked {
    if subject.app.config.redis.url.is_empty() {
        return Ok(Seen::fail("redis.url is not set"));
    }
    let told = subject.live.get("/health/redis").await?;
    let failing = with_status(&told.json(), "failing");
    Ok(Seen::told(told.status == StatusCode::OK, format!("{}", told.status.as_u16())).by(some(&failing)))
}

async fn nodes(subject: &Subject) -> Looked {
    let told = subject.live.get("/metrics").await?;
    match samples(&told.text).sum("mainstay_nodes") {
        Some(nodes) => Ok(Seen::told(nodes >= 2.0, format!("{nodes:.0} serve"))),
        None => Ok(Seen::unknown("the server does not tell: this machine must be in http.metrics_networks")),
    }
}

async fn drain(subject: &Subject) -> Looked {
    Ok(judge_drain(&subject.app.config.lifecycle, &subject.app.config.jobs))
}

fn judge_drain(lifecycle: &Lifecycle, jobs: &Jobs) -> Seen {
    let (drain, grace) = (lifecycle.drain_seconds, jobs.stop_grace_seconds);
    Seen::told((5..=300).contains(&drain) && grace < drain, format!("{drain} s, of which {grace} s for jobs"))
}

async fn clock(subject: &Subject) -> Looked {
    let told = subject.live.get("/healthz").await?;
    let here = subject.app.clock.now();
    let there = jiff::fmt::rfc2822::parse(told.header("date"));
    let there = there.map_err(|_| Seen::unknown("the server does not say what time it is"))?;
    Ok(judge_clock(here, Timestamp::from_millis(there.timestamp().as_millisecond())))
}

/// The header has no parts of seconds: between the two lies up to a second more.
fn judge_clock(here: Timestamp, there: Timestamp) -> Seen {
    let apart = (here.as_millis() - there.as_millis()).abs();
    Seen::told(apart <= 3_000, format!("{}.{} s apart", apart / 1000, apart % 1000 / 100))
}

async fn timeouts(subject: &Subject) -> Looked {
    let config = &subject.app.config;
    let bounds = [
        ("providers.connect_timeout_ms", config.providers.connect_timeout_ms, 10_000),
        ("providers.first_token_timeout_ms", config.providers.first_token_timeout_ms, 120_000),
        ("providers.idle_timeout_ms", config.providers.idle_timeout_ms, 120_000),
        ("deliveries.deadline_seconds", config.deliveries.deadline_seconds * 1000, 30_000),
        ("redis.command_timeout_ms", config.redis.command_timeout_ms, 1_000),
        ("database.statement_timeout_ms", config.database.statement_timeout_ms, 30_000),
        ("database.acquire_timeout_ms", config.database.acquire_timeout_ms, 10_000),
    ];
    Ok(judge_bounds(&bounds))
}

/// Names, what they are, and what they may be at most.
fn judge_bounds(bounds: &[(&str, u64, u64)]) -> Seen {
    let over = bounds.iter().filter(|(_, is, most)| is > most);
    let over: Vec<_> = over.map(|(name, is, most)| format!("{name} is {is}, more than {most}")).collect();
    Seen::told(over.is_empty(), format!("{} of {} within", bounds.len() - over.len(), bounds.len())).by(some(&over))
}

async fn retries(subject: &Subject) -> Looked {
    let config = &subject.app.config;
    Ok(judge_bounds(&[
        ("providers.retry_budget_percent", u64::from(config.providers.retry_budget_percent), 25),
        ("providers.max_retries", u64::from(config.providers.max_retries), 5),
        ("providers.breaker_failures", u64::from(config.providers.breaker_failures), 20),
        ("redis.breaker_failures", u64::from(config.redis.breaker_failures), 20),
    ]))
}

async fn providers(subject: &Subject) -> Looked {
    Ok(judge_providers(&subject.app.assistant.provider_names()))
}

fn judge_providers(names: &[&str]) -> Seen {
    let real = names.iter().filter(|name| **name != "offline").count();
    let measured = names.join(", then ");
    match real {
        0 => Seen::fail(format!("{measured}: it only repeats what it is told")),
        1 if names.len() == 1 => Seen::warn(format!("{measured} alone")),
        _ => Seen::pass(measured),
    }
}

async fn deliveries(subject: &Subject) -> Looked {
    Ok(judge_deliveries(&subject.app.config.deliveries))
}

fn judge_deliveries(deliveries: &Deliveries) -> Seen {
    let waits: Vec<f64> = deliveries.retry_seconds.iter().filter_map(|wait| wait.parse().ok()).collect();
    let hours = waits.iter().sum::<f64>() / 3600.0;
    Seen::told(waits.len() >= 9 && hours >= 48.0, format!("{} further attempts over {hours:.0} h", waits.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::audit::check::Verdict::{Fail, Pass, Warn};

    #[test]
    fn bounds_that_are_too_wide_are_named() {
        let seen = judge_bounds(&[("a", 10, 10), ("b", 11, 10)]);
        assert_eq!((seen.verdict, seen.evidence.as_str()), (Fail, "b is 11, more than 10"));
        assert_eq!(judge_bounds(&[("a", 10, 10)]).verdict, Pass);
    }

    #[test]
    fn clocks_that_differ_are_a_failure() {
        let at = |millis: i64| Timestamp::from_millis(1_700_000_000_000 + millis);
        assert_eq!(judge_clock(at(900), at(0)).verdict, Pass);
        assert_eq!(judge_clock(at(0), at(3_001)).verdict, Fail);
        assert_eq!(judge_clock(at(3_600_000), at(0)).verdict, Fail);
    }

    #[test]
    fn one_provider_is_half_of_two() {
        let of = |names: &[&str]| judge_providers(names).verdict;
        assert_eq!(of(&["offline"]), Fail);
        assert_eq!(of(&["anthropic"]), Warn);
        assert_eq!((of(&["anthropic", "openai"]), of(&["openai", "offline"])), (Pass, Pass));
    }
}
