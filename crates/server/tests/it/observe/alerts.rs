//! Alerts: each rule fires once and ends once, in messages that arrive; and what is measured of a running server is true.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_domain::{EmailAddress, JobPriority, Timestamp};
use mainstay_server::ops::alerts::round::judge_once;
use mainstay_server::ops::alerts::rules::{RULES, Readings};
use mainstay_store::{Call, Enqueue, NewJob, NodeHealth, NodeUses, SystemHealth};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::binary::Installation;
use crate::support::receiver::{Answering, Receiver};
use crate::support::{Engine, Person, TestApp, both};

both! {
    every_rule_fires_once_and_is_over_once,
    a_receiver_that_fails_is_told_later_and_a_test_says_so,
    what_is_wrong_with_a_running_server_is_told,
    only_operators_see_alerts,
}

/// Looks at once and gathers nothing: patience is tried where the clock is a test's.
const AT_ONCE: [(&str, &str); 3] =
    [("alerts.after_seconds", "0"), ("alerts.calm_seconds", "0"), ("alerts.group_seconds", "0")];
const NOT_BY_ITSELF: (&str, &str) = ("alerts.enabled", "false");

fn quiet() -> Readings {
    let system = SystemHealth {
        nodes: 1,
        last_seen: None,
        requests: 1_000,
        errors: 0,
        refusals: 0,
        error_percent: 0.0,
        p50_ms: Some(5),
        p95_ms: Some(10),
        p99_ms: Some(25),
        active_jobs: 0,
        mean_job_ms: None,
        sockets: 0,
        pool_percent: None,
    };
    let low = Some(50);
    let uses = NodeUses { connections: low, pool: low, processor: low, memory: low, disk: low, files: low };
    let node = NodeHealth {
        node: Uuid::from_u128(7),
        last_seen: Timestamp::EPOCH,
        requests: 1_000,
        errors: 0,
        refusals: 0,
        jobs_running: 0,
        sockets: 0,
        uses,
        redis_lost: false,
        left_alone: Vec::new(),
        leaves: false,
    };
    Readings {
        system: Some(system),
        nodes: vec![(node, 5.0)],
        queues: vec![("inbox".to_owned(), 0.0)],
        dead_jobs: Some(0.0),
        audit_drop: Some(0.0),
        backup_hours: Some(1.0),
        certificate_percent: Some(40.0),
    }
}

type Break = fn(&mut Readings);

fn system(readings: &mut Readings) -> &mut SystemHealth {
    readings.system.as_mut().expect("it is known")
}

fn uses(readings: &mut Readings) -> &mut NodeUses {
    &mut readings.nodes[0].0.uses
}

/// For each rule what breaks it, and just so.
const BREAKS: [(&str, Break); 17] = [
    ("errors", |readings| system(readings).errors = 11),
    ("refusals", |readings| system(readings).refusals = 101),
    ("slow", |readings| system(readings).p95_ms = Some(5_000)),
    ("pool", |readings| uses(readings).pool = Some(801)),
    ("processor", |readings| uses(readings).processor = Some(801)),
    ("memory", |readings| uses(readings).memory = Some(901)),
    ("disk", |readings| uses(readings).disk = Some(851)),
    ("files", |readings| uses(readings).files = Some(801)),
    ("connections", |readings| uses(readings).connections = Some(801)),
    ("oldest_job", |readings| readings.queues[0].1 = 101.0),
    ("dead_jobs", |readings| readings.dead_jobs = Some(1.0)),
    ("breaker_open", |readings| readings.nodes[0].0.left_alone = vec!["anthropic".to_owned()]),
    ("redis_lost", |readings| readings.nodes[0].0.redis_lost = true),
    ("node_silent", |readings| readings.nodes[0].1 = 61.0),
    ("audit_dropped", |readings| readings.audit_drop = Some(5.1)),
    ("backup_overdue", |readings| readings.backup_hours = Some(26.5)),
    ("certificate_ends", |readings| readings.certificate_percent = Some(85.5)),
];

async fn every_rule_fires_once_and_is_over_once(engine: Engine) {
    let names: BTreeSet<_> = BREAKS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, RULES.iter().map(|rule| rule.name).collect(), "each rule has its row here");
    let slack = Receiver::start().await;
    let webhook = Receiver::start().await;
    let (slack_url, webhook_url) = (json!(slack.url()).to_string(), json!(webhook.url()).to_string());
    let own = [
        NOT_BY_ITSELF,
        ("alerts.slack_url", slack_url.as_str()),
        ("alerts.webhook_url", webhook_url.as_str()),
        ("http.public_url", "\"https://chat.example.com\""),
    ];
    let Some(server) = TestApp::start(engine, &[&AT_ONCE[..], &own].concat()).await else { return };
    let mut messages = 0;
    for (name, break_it) in BREAKS {
        let rule = RULES.iter().find(|rule| rule.name == name).expect("a rule");
        let mut broken = quiet();
        break_it(&mut broken);
        let judged = judge_once(&server.app, &broken).await.expect("judged").expect("nobody else judges");
        assert_eq!((judged.fired.len(), judged.firing), (1, 1), "{name}");
        // Once: the next look tells nothing.
        let again = judge_once(&server.app, &broken).await.expect("judged").expect("nobody else judges");
        assert!(!again.has_news(), "{name}");
        messages += 1;
        let told = slack.until(messages).await.remove(messages - 1).json();
        let text = told.to_string();
        assert!(told["text"].as_str().is_some_and(|text| text.contains(rule.title)), "{name}: {text}");
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        for part in [rule.title, rule.cause, rule.step] {
            let part = json!(escaped(part)).to_string();
            assert!(text.contains(part.trim_matches('"')), "{name} does not say {part}: {text}");
        }
        assert!(text.contains(&format!("<https://chat.example.com{}|", rule.page)), "{name} leads nowhere: {text}");
        let over = judge_once(&server.app, &quiet()).await.expect("judged").expect("nobody else judges");
        assert_eq!((over.over.len(), over.firing), (1, 0), "{name}");
        messages += 1;
        let told = slack.until(messages).await.remove(messages - 1).json().to_string();
        assert!(told.contains("Well again") && told.contains(rule.title), "{name}: {told}");
    }
    // Both are told, each in its form.
    let last = webhook.until(messages).await.remove(0).json();
    assert_eq!((&last["type"], &last["fired"][0]["rule"]), (&json!("mainstay.alerts"), &json!("errors")));
    // A storm is one message.
    let mut broken = quiet();
    BREAKS.iter().for_each(|(_, break_it)| break_it(&mut broken));
    judge_once(&server.app, &broken).await.expect("judged").expect("nobody else judges");
    messages += 1;
    let told = slack.until(messages).await.remove(messages - 1).json();
    assert_eq!(told["blocks"].as_array().map(Vec::len), Some(18), "{told}");
    assert_eq!(slack.arrivals().len(), messages);
}

async fn a_receiver_that_fails_is_told_later_and_a_test_says_so(engine: Engine) {
    let slack = Receiver::start().await;
    let url = json!(slack.url()).to_string();
    let own = [NOT_BY_ITSELF, ("alerts.slack_url", url.as_str())];
    let Some(server) = TestApp::start(engine, &[&AT_ONCE[..], &own].concat()).await else { return };
    slack.script([
        Answering::status(500),
        Answering::Status(429, vec![("retry-after", "1".to_owned())]),
        Answering::status(200),
    ]);
    let mut broken = quiet();
    system(&mut broken).errors = 100;
    judge_once(&server.app, &broken).await.expect("judged").expect("nobody else judges");
    let arrivals = slack.until(3).await;
    assert!(arrivals.iter().all(|arrival| arrival.body == arrivals[0].body), "it is the same message");
    let operator = operator(&server).await;
    slack.answer(Answering::status(404));
    let tested = server.send("POST", "/v1/alerts/tests", Some(&operator.access_token), None).await.expect(200);
    assert_eq!(
        (&tested["receivers"][0]["name"], &tested["receivers"][0]["accepted"]),
        (&json!("slack"), &json!(false))
    );
    assert!(tested["receivers"][0]["failure"].as_str().is_some_and(|why| why.contains("404")), "{tested}");
    slack.answer(Answering::status(200));
    let tested = server.send("POST", "/v1/alerts/tests", Some(&operator.access_token), None).await.expect(200);
    assert_eq!(tested["receivers"][0]["accepted"], true, "{tested}");
    let told = slack.arrivals().pop().expect("one").json().to_string();
    assert!(told.contains("this is a test"), "{told}");
    let alerts = server.send("GET", "/v1/alerts", Some(&operator.access_token), None).await.expect(200);
    let receiver = &alerts["receivers"][0];
    assert!(receiver["tested_at"].is_string() && receiver["failed_at"].is_string(), "{alerts}");
    assert_eq!((&alerts["firing"][0]["rule"], &alerts["firing"][0]["subject"]), (&json!("errors"), &json!("")));
    // The address is a secret, and nobody reads it.
    assert!(!alerts.to_string().contains(&slack.address.to_string()));
}

/// Somebody who runs the installation.
async fn operator(server: &TestApp) -> Person {
    let ada = server.person("ada").await;
    let email = EmailAddress::parse(&ada.email).expect("an address");
    let call = Call::within(Duration::from_secs(20));
    server.app.accounts.set_operator(&call, &email, true).await.expect("marked");
    ada
}

/// Nothing here is made up: a job that is given up, requests that fail, Redis that is not there.
async fn what_is_wrong_with_a_running_server_is_told(engine: Engine) {
    let slack = Receiver::start().await;
    let url = json!(slack.url()).to_string();
    let port = mainstay_testing::free_port().expect("a port");
    let redis = json!(format!("redis://127.0.0.1:{port}/")).to_string();
    let own = [("alerts.slack_url", url.as_str()), ("alerts.every_seconds", "1"), ("redis.url", redis.as_str())];
    let Some(server) = TestApp::start(engine, &[&AT_ONCE[..], &own].concat()).await else { return };
    let operator = operator(&server).await;
    let token = Some(operator.access_token.as_str());
    // Not what a probe is told by: its only attempt fails.
    let job = NewJob {
        id: server.app.ids.make(),
        queue: "probes",
        kind: "probe",
        group: "g".to_owned(),
        tenant: None,
        priority: JobPriority::Normal,
        arguments: "{}".to_owned(),
        unique: None,
        run_at: server.now(),
        most_attempts: 1,
        trace: None,
    };
    let call = Call::within(Duration::from_secs(20));
    server.app.store.run(&call, Enqueue { jobs: vec![job], now: server.now() }).await.expect("promised");
    let (mut told, mut count) = (String::new(), 0);
    while !["Redis is away", "Jobs were given up"].iter().all(|title| told.contains(title)) {
        count += 1;
        told.push_str(&slack.until(count).await[count - 1].json().to_string());
    }
    let alerts = server.send("GET", "/v1/alerts", token, None).await.expect(200);
    let firing = alerts["firing"].as_array().expect("a list").iter();
    let firing: BTreeSet<_> = firing.filter_map(|alert| alert["rule"].as_str()).collect();
    assert!(firing.contains("redis_lost") && firing.contains("dead_jobs"), "{firing:?}");
    // What the node told of itself is what was asked of it.
    let health = server.send("GET", "/v1/system-health", token, None).await.expect(200);
    let nodes = health["nodes"].as_array().expect("nodes");
    assert_eq!((nodes.len(), &nodes[0]["redis_lost"], &nodes[0]["left"]), (1, &json!(true), &json!(false)), "{health}");
    assert!(nodes[0]["memory_percent"].as_f64().is_some_and(|percent| percent > 0.0), "{health}");
    for name in ["requests", "refusals", "errors", "active_jobs", "sockets", "error_percent"] {
        assert!(health[name].is_number(), "{name} in {health}");
    }
}

async fn only_operators_see_alerts(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("bob").await;
    for (method, path) in [("GET", "/v1/alerts"), ("POST", "/v1/alerts/tests"), ("GET", "/v1/system-health")] {
        server.send(method, path, None, None).await.refused(401, "unauthenticated");
        server.send(method, path, Some(&ada.access_token), None).await.refused(403, "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_tries_whether_messages_arrive() {
    let installation = Installation::new();
    installation.run(&["alerts", "test"]).await.says(1, &["Nobody is told", "alerts.slack_url"]);
    let slack = Receiver::start().await;
    let installation = installation.with("MAINSTAY_ALERTS__SLACK_URL", &slack.url());
    installation.run(&["alerts", "test"]).await.says(0, &["slack took the test message"]);
    let told: Value = slack.until(1).await.remove(0).json();
    assert!(told["text"].as_str().is_some_and(|text| text.contains("this is a test")), "{told}");
    slack.answer(Answering::status(410));
    installation.run(&["alerts", "test"]).await.says(1, &["slack did not take it", "410"]);
    installation.run(&["alerts", "list"]).await.says(0, &["Nothing is wrong", "slack: took a message", "410"]);
}
