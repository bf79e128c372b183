//! Answers that are spoiled on their way: what a server says when one control of it is broken.

use super::proxy::{Said, Spoil};

/// What a server says when one control of it is broken.
pub(super) const SPOILS: &[(&str, Spoil)] = &[
    ("security.headers", |_, said| drop(said.headers.remove("content-security-policy"))),
    ("security.headers", |_, said| {
        said.set("content-security-policy", "script-src 'unsafe-inline'; frame-ancestors 'none'")
    }),
    ("security.cross_origin", |_, said| said.set("access-control-allow-origin", "*")),
    ("security.forged_tokens", |asked, said| {
        if asked.headers.contains_key("authorization") {
            said.become_(200, "{}");
        }
    }),
    ("security.closed_routes", |asked, said| {
        if asked.path.starts_with("/v1/jobs/") {
            said.become_(404, "{}");
        }
    }),
    ("security.sockets", |asked, said| {
        if asked.path == "/v1/live" {
            said.become_(426, "");
        }
    }),
    ("security.voice", |asked, said| {
        if asked.path == "/v1/voice" {
            said.become_(101, "");
        }
    }),
    ("security.voice", |asked, said| {
        if asked.query.starts_with("ticket=") {
            said.become_(101, "");
        }
    }),
    ("security.links", |asked, said| {
        if asked.path.starts_with("/a/") && asked.method == "POST" {
            said.become_(200, "<p>This appointment is cancelled.</p>");
        }
    }),
    ("security.links", |asked, said| {
        if asked.path.ends_with(".ics") {
            said.become_(200, "BEGIN:VCALENDAR");
        }
    }),
    ("security.webhooks", |asked, said| {
        if asked.path.starts_with("/hooks/twilio/") {
            said.become_(200, "<Response/>");
        }
    }),
    ("security.images", |asked, said| {
        if asked.path == "/v1/images" {
            said.become_(201, "{}");
        }
    }),
    ("security.images_refused", |_, said| said.become_(201, "{}")),
    ("security.errors", |_, said| said.text.push_str("at crates/store/src/tx.rs:17: sqlx failed")),
    ("security.errors", |_, said| said.set("content-type", "text/html")),
    ("security.body_limit", |asked, said| {
        if asked.body > 100_000 {
            said.become_(400, "");
        }
    }),
    ("security.header_limit", |asked, said| {
        if asked.headers.contains_key("x-long") {
            said.become_(200, "");
        }
    }),
    ("security.tool_calls", |asked, said| {
        if asked.path.starts_with("/hooks/vapi/") {
            said.become_(200, "{\"results\":[]}");
        }
    }),
    ("resilience.tool_answers", |_, said| {
        said.text.push_str("mainstay_tool_uses_total{tool=\"opening_hours\",outcome=\"failed\"} 1000\n")
    }),
    ("security.rate_limits", |_, said| drop(said.headers.remove("ratelimit-policy"))),
    ("capacity.open_files", |_, said| change(said, "mainstay_process_open_files_most", "1024")),
    ("capacity.pool_use", |_, said| change(said, "mainstay_database_connections_mean", "19")),
    ("capacity.refusals", |_, said| said.text.push_str("mainstay_overload_refused_total{why=\"x\"} 1000000\n")),
    ("resilience.liveness", |asked, said| {
        if asked.path == "/healthz" {
            said.text = said.text.replace("process", "database");
        }
    }),
    ("resilience.readiness", |_, said| {
        said.text = said.text.replacen("\"status\":\"ok\",\"detail\"", "\"status\":\"failing\",\"detail\"", 1)
    }),
    ("resilience.readiness", |_, said| said.text = said.text.replace("revocations", "others")),
    ("resilience.degraded", |_, said| {
        said.text = said.text.replacen("\"status\":\"ok\",\"detail\"", "\"status\":\"degraded\",\"detail\"", 1)
    }),
    ("resilience.queue", |_, said| said.become_(503, "{}")),
    ("resilience.controls_fresh", |_, said| change(said, "mainstay_controls_age_seconds", "5.5")),
    ("resilience.nodes", |_, said| change(said, "mainstay_nodes", "1")),
    ("resilience.clock", |_, said| said.set("date", "Sat, 28 Nov 2026 10:00:00 GMT")),
    ("observability.metrics", |_, said| change(said, "mainstay_http_requests_total", "7")),
    ("observability.metrics", |_, said| said.text = said.text.replace("mainstay_job_dead", "renamed")),
    ("observability.metrics", |_, said| said.become_(404, "")),
    ("observability.labels", |_, said| said.text.push_str("x{who=\"01890000-0000-7000-8000-000000000001\"} 1\n")),
    ("observability.request_id", |_, said| said.set("x-request-id", "the same")),
    ("observability.health", |_, said| said.text = said.text.replace("detail", "other")),
    ("observability.masking", |_, said| change(said, "mainstay_log_masks", "0")),
    ("observability.health", |_, said| {
        said.text = said.text.replacen("\"status\":\"ok\"", "\"status\":\"failing\"", 1)
    }),
    ("observability.traces", |_, said| {
        said.text.push_str("mainstay_trace_spans_total{outcome=\"queue_full\"} 1000000\n")
    }),
    ("outreach.links", |_, said| drop(said.headers.remove("content-security-policy"))),
    ("outreach.links", |asked, said| {
        if asked.path.starts_with("/u/") && said.status == 404 {
            said.become_(200, "<p>You are unsubscribed</p>");
        }
    }),
    ("outreach.links", |asked, said| {
        if asked.path.starts_with("/t/") && said.status == 302 {
            said.set("location", "https://elsewhere.example/");
        }
    }),
    ("delivery.version", |_, said| said.text = said.text.replace(env!("CARGO_PKG_VERSION"), "99.0.0")),
    ("delivery.interface", |_, said| said.text = said.text.replace("/v1/me", "/v1/us")),
    ("delivery.pages", |asked, said| {
        if asked.path == "/calls" {
            said.become_(404, "");
        }
    }),
    ("delivery.assets", |_, said| said.set("cache-control", "no-cache")),
    ("delivery.public_url", |_, said| said.become_(200, "<p>Welcome to nginx!</p>")),
];

/// Sets all series of a family.
fn change(said: &mut Said, family: &str, value: &str) {
    let line = |line: &str| match line.strip_prefix(family) {
        Some(rest) if rest.starts_with(['{', ' ']) => {
            format!("{} {value}", line.rsplit_once(' ').map_or(line, |(series, _)| series))
        }
        _ => line.to_owned(),
    };
    said.text = said.text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n";
}
